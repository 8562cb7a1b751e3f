"""One family of errors, so that a caller can catch all of Isthmus with one name.

Each message has four parts: what is wrong, what came, what is allowed, what to do. A user's mistake is also a
``ValueError``, so ordinary handlers see it; the command turns every member into one sentence and exit code 2.
"""

import difflib
import math
from collections.abc import Iterable


class IsthmusError(Exception):
    """Any error that Isthmus raises on purpose."""


class ShapeError(IsthmusError, ValueError):
    """Two parts, or a part and the data, disagree about a shape."""


class IncompatibleParts(IsthmusError, ValueError):
    """A join of parts that has no meaning, found where the parts meet."""


class UnknownName(IsthmusError, ValueError):
    """A recipe, part, option or data set that does not exist."""


class BadOption(IsthmusError, ValueError):
    """An option whose value is of the wrong type or out of range."""


class BadData(IsthmusError, ValueError):
    """Data that cannot be read, or that a part cannot take."""


class BadRun(IsthmusError, ValueError):
    """A run folder that is missing, damaged, or not a run."""


class MissingExtra(IsthmusError, ImportError):
    """An optional library that the asked work needs is not installed."""


class LostProcess(IsthmusError, ConnectionError):
    """One of several processes that train together is gone."""


class Diverged(IsthmusError, ArithmeticError):
    """Training met a number that is not finite; the last good weights are kept."""


def unknown(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a name nobody has, with the nearest known one.

    >>> str(unknown("recipe", "vea", ["vae", "deep"]))
    "There is no recipe 'vea'; did you mean 'vae'? Known: deep, vae."
    """
    names = sorted(known)
    name = " ".join(name[:200].split()) if len(name) > 60 else name
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    listed = f" Known: {', '.join(names)}." if names else ""
    return UnknownName(f"There is no {what} {name!r}{hint}{listed}")


def one_line(fault: Exception) -> str:
    """The text of an exception on one line of at most 200 characters, with no full stop at its end.

    >>> one_line(ValueError("two\\nlines."))
    'two lines'
    """
    text = " ".join(str(fault).split())[:200].rstrip(". ")
    return text or type(fault).__name__


def check_choice(option: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ``BadOption`` unless ``value`` is one of ``allowed``."""
    names = sorted(allowed)
    if value not in names:
        near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise BadOption(f"{option} cannot be {value[:60]!r}{hint} Allowed: {', '.join(names)}.")


def check_range(
    option: str, value: float, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Raise ``BadOption`` unless ``low <= value <= high`` (``low < value`` when ``open_low``)."""
    if math.isnan(value) or value > high or value < low or (open_low and value == low):
        left = "above" if open_low else "at least"
        bounds = [f"{left} {low:g}"] if low > -math.inf else []
        bounds += [f"at most {high:g}"] if high < math.inf else []
        raise BadOption(f"{option} must be {' and '.join(bounds) or 'a number'}, but is {value:g}.")
