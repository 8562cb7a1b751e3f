"""The exceptions of Isthmus, all derived from :class:`IsthmusError`.

Each message has four parts: what is wrong, the value given, what is allowed, what to do. A user's mistake is also a
``ValueError``, so ordinary handlers catch it; the command prints every such error as one line and exits with code 2.
"""

import difflib
import math
import re
from collections.abc import Iterable
from numbers import Integral


class IsthmusError(Exception):
    """Base class of all errors that Isthmus raises."""


class ShapeError(IsthmusError, ValueError):
    """The shapes of two parts, or of a part and the data, do not match."""


class IncompatibleParts(IsthmusError, ValueError):
    """A combination of parts that is not defined, found when the parts are joined."""


class UnknownName(IsthmusError, ValueError):
    """A recipe, part, option or data set that does not exist."""


class BadOption(IsthmusError, ValueError):
    """An option whose value is of the wrong type or out of range."""


class BadData(IsthmusError, ValueError):
    """Data that cannot be read, or that a part does not support."""


class BadRun(IsthmusError, ValueError):
    """A folder that is missing, damaged, or not a run folder."""


class MissingExtra(IsthmusError, ImportError):
    """An optional library that the requested operation requires is not installed."""


class LostProcess(IsthmusError, ConnectionError):
    """A process of distributed training was lost."""


class Diverged(IsthmusError, ArithmeticError):
    """The loss or a weight became NaN or infinite in training; the best weights before that are kept."""


def unknown(what: str, name: str, known: Iterable[str], instead: str | None = None) -> UnknownName:
    """The error for an unknown name, which suggests ``instead`` if given, else the closest known name.

    >>> str(unknown("recipe", "vea", ["vae", "deep"]))
    "There is no recipe 'vea'; did you mean 'vae'? Known: deep, vae."
    """
    names = sorted(known)
    name = " ".join(name[:200].split()) if len(name) > 60 else name
    near = [instead] if instead else difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    listed = f" Known: {', '.join(names)}." if names else ""
    return UnknownName(f"There is no {what} {name!r}{hint}{listed}")


def printable(text: str) -> str:
    r"""Text that can be written and drawn: bytes of a file name that are not UTF-8 become the replacement character.

    Python keeps such bytes as surrogates, with which the file can be opened, but which no encoding can write.

    >>> printable("M\udce4rz") == "M\ufffdrz"
    True
    """
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def one_line(fault: Exception) -> str:
    """The text of an exception on one line of at most 200 characters, without a final period.

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


def check_count(option: str, value: object, low: int = 1) -> None:
    """Raise ``BadOption`` unless ``value`` is an integer (NumPy integers included) of at least ``low``."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise BadOption(f"{option} must be an integer, but is {value!r}.")
    check_range(option, int(value), low)


def check_range(
    option: str, value: float, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Raise ``BadOption`` unless ``low <= value <= high`` (``low < value`` when ``open_low``)."""
    if math.isnan(value) or value > high or value < low or (open_low and value == low):
        left = "above" if open_low else "at least"
        bounds = [f"{left} {low:g}"] if low > -math.inf else []
        bounds += [f"at most {high:g}"] if high < math.inf else []
        raise BadOption(f"{option} must be {' and '.join(bounds) or 'a number'}, but is {value:g}.")
