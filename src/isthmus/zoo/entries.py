"""A row of the table of recipes, and how the functions that fill it make parts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from isthmus.recipe import Part, Recipe, readable

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Entry:
    """A row of the table of recipes: what makes it, one sentence, its formula in plain text, its paper.

    ``cites`` are the keys of :data:`isthmus.citations.PAPERS`, the first being the recipe's own paper.
    """

    make: Callable[[], Recipe]
    summary: str
    formula: str
    paper: str
    cites: tuple[str, ...] = ()


def part(family: type[P], kind: str, **options: object) -> P:
    """A part with options; pydantic checks them."""
    try:
        return family.model_validate({"kind": kind, **options})
    except ValidationError as error:
        raise readable(error) from error
