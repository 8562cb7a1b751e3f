"""A row of the table of recipes, and the size of a code in the functions that fill it."""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.models.recipe import Recipe
from isthmus.zoo.bibliography import short


@dataclass(frozen=True)
class RecipeEntry:
    """A row of the table of recipes: what makes it, one sentence, its formula in plain text, its papers.

    ``cites`` are keys of :func:`isthmus.zoo.bibliography.papers`, the recipe's own paper first. A mixture that no paper
    has (``own_paper`` is false) cites those of its parts.
    """

    make: Callable[[], Recipe]
    summary: str
    formula: str
    cites: tuple[str, ...]
    own_paper: bool = True

    @property
    def paper(self) -> str:
        """The recipe's own paper, by its authors, venue and year."""
        return short(self.cites[0]) if self.own_paper else "no paper: a mixture of parts"


Code = dict[str, int]
"""The size of a code, as an option of its latent."""


def code(size: int | None, default: int) -> Code:
    """The size of a code: ``size`` if given, else ``default``, but at most half the number of values of an example."""
    return {"default_size": default} if size is None else {"size": size}
