"""Names of the columns of a table."""

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = re.compile(r"|None|nan|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
"""Names of columns without one, as they come from ``to_csv``, ``read_csv`` and ``to_parquet``."""

COUNTING = re.compile(
    r"id|index|idx|row|rows|no|no\.|nr|nr\.|number|#|row[._ -]?names?|record|.*[_ .-]id|\w*id", re.IGNORECASE
)
"""Names of columns that may count the rows."""
NAMING = re.compile(rf"{COUNTING.pattern}|name|key|uuid|guid|file|filename|path|sample", re.IGNORECASE)
"""Names of columns whose texts may name the rows."""

TIMING = re.compile(
    r"(t|times?|timestamp|date|datetime|zeit|zeitstempel|datum|temps|heure|tiempo|fecha|hora|seconds?|secs?|milliseconds?|msecs?|ms|elapsed|frames?|steps?|samples?)"
    r"(?:[ _.-]*[(\[]?[a-z]{1,5}[)\]]?)?",
    re.IGNORECASE,
)
"""Names of columns that may hold the time of rows, with a unit or without, such as ``time (ms)``."""


def column_names(frame: "pd.DataFrame") -> list[str]:
    """The names of the columns as text, without space around them; several without a name are told apart."""
    names = [str(name).strip() for name in frame.columns]
    twice = {name for name, count in Counter(names).items() if count > 1 and is_unnamed(name)}
    if any(names.count("") + names.count(f"Unnamed: {place}") > 1 for place, name in enumerate(names) if not name):
        twice.add("")
    taken = set(names) - twice
    numbers = (f"Unnamed: {number}" for number in range(2 * len(names) + 1))
    free = (name for name in numbers if name not in taken)
    return [next(free) if name in twice else name for name in names]


def has_names(frame: "pd.DataFrame") -> bool:
    """Whether the columns have names, not only the numbers from 0."""
    return column_names(frame) != [str(number) for number in range(frame.shape[1])]


def is_unnamed(name: str) -> bool:
    """Whether a name stands for none.

    >>> is_unnamed("Unnamed: 0"), is_unnamed(""), is_unnamed("a")
    (True, True, False)
    """
    return UNNAMED.fullmatch(name) is not None


def short(name: str) -> str:
    """A name on one line of at most 60 characters, for messages.

    >>> short("a\\nb")
    'a b'
    """
    return " ".join(name[:60].split())


def quote_names(names: list[str]) -> str:
    """At most eight names, quoted and truncated, for messages."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(repr(name[:60]) for name in names[:8]) + more
