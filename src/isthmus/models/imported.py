"""Objectives made by a function of the user, found by its import path such as ``models:build``.

Importing a module runs its code. A path is therefore imported only if the user names it, or permits that of a run.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from isthmus.errors import BadOption, one_line
from isthmus.models.objective import Objective
from isthmus.parts.protocols import Shape

Maker = Callable[..., Objective]
"""A function that returns an objective; it may have one argument, the shape of an example without the batch axis."""

PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_import_path(text: str) -> bool:
    """Whether a text has the form of an import path, MODULE:FUNCTION.

    >>> is_import_path("package.models:build"), is_import_path("vae"), is_import_path("C:/recipe.json")
    (True, False, False)
    """
    return PATH.fullmatch(text) is not None


def import_maker(path: str) -> Maker:
    """The function at ``path``; its module is imported, which runs its code.

    Raises:
        BadOption: the module or the function does not exist, or raises an error when it is imported.
    """
    module, _, names = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except AttributeError as error:
        raise BadOption(f"{path!r} cannot be imported: {one_line(error)}. Use MODULE:FUNCTION.") from error
    except Exception as error:
        raise BadOption(
            f"{path!r} cannot be imported: {type(error).__name__}: {one_line(error)}. Use MODULE:FUNCTION of a module "
            "in the current folder or an installed package."
        ) from error
    if not callable(found):
        raise BadOption(f"{path!r} is a {type(found).__name__}, not a function. Name a function.")
    maker: Maker = found
    return maker


def path_of(maker: Maker) -> str:
    """The import path of a function; empty for one that cannot be imported by its name.

    >>> path_of(path_of), path_of(lambda: None)
    ('isthmus.models.imported:path_of', '')
    """
    module, name = getattr(maker, "__module__", ""), getattr(maker, "__qualname__", "")
    path = f"{module}:{name}"
    return path if is_import_path(path) and module != "__main__" else ""


def make_objective(maker: Maker, shape: Shape) -> Objective:
    """The objective that ``maker`` returns for examples of ``shape``.

    Raises:
        BadOption: it returns something else.
    """
    needed = [p for p in inspect.signature(maker).parameters.values() if p.default is p.empty]
    made = maker(shape) if needed else maker()
    if not isinstance(made, Objective):
        name = getattr(maker, "__name__", "the function")
        raise BadOption(f"{name} must return an isthmus.Objective, but returned a {type(made).__name__}. Return one.")
    return made
