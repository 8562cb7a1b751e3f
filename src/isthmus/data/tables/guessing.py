"""What the columns of a training table are: x, names of rows, dates, or nothing that can be used.

Every guess is a sentence with the option that overrides it; what cannot be used is refused by name, all at once.
"""

import difflib
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.tables.cells import MARKERS, Numerals, as_text, cell_text, is_plain, objects, parsed
from isthmus.data.tables.columns import Column
from isthmus.data.tables.names import COUNTING, NAMING, TIMING, column_names, has_names, is_unnamed, quote_names, short
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

MOST_GUESSED, SHARE_GUESSED, MOST_CATEGORIES = 32, 10, 256
"""Largest number of distinct texts that are taken as categories, the rows for each of them, and the largest number of
categories of a column that was made one."""
LONGEST_CATEGORY = 200
DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))?([T ]+)?"
    r"(\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?( ?[AaPp][Mm])?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?"
)
"""Dates and times as people write them; the whole text is matched."""
RESTARTS = 0.25
"""Share of steps backward up to which each is the start of a recording; beyond it, numbers are no time."""
SIGNED = re.compile(r"[-+]?[\d.,' ]+\s*[%€$£¥]|[€$£¥]\s*[-+]?[\d.,' ]+")
"""Numbers with a percent sign or a currency, which are not guessed."""
TYPE = re.compile(r" \(\w+\)")
"""The reason that the values of a column are of some type."""


@dataclass
class Decisions:
    """What was decided about the columns of a table."""

    columns: tuple[Column, ...] = ()
    index: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """What is known of the columns so far."""

    columns: list[Column] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def decide(frame: "pd.DataFrame", options: DataOptions, where: str, numerals: Numerals) -> Decisions:
    """What the columns of a training table are.

    Raises:
        BadData: see :func:`isthmus.data.tables.schema.infer_schema`.
    """
    if len(frame) == 0:
        raise BadData(f"{where} has no rows. Pass one row per example.")
    names = column_names(frame)
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BadData(f"{where} has several columns called {quote_names(twice)}. Use unique names.")
    excluded = _chosen(names, options, where)
    table = {name: frame.iloc[:, place] for place, name in enumerate(names) if name not in excluded}
    rows = {} if options.index != "auto" or not has_names(frame) else _row_names(table, options.window is not None)
    found = _Found()
    for name, column in table.items():
        if name not in rows:
            _sort(name, column, numerals, found)
    dates = {} if options.index not in ("auto", "none") else _dates(found, table, names)
    _refuse(found, dates, where, options)
    index, left_out, notes = _index(rows | dates, table, options)
    gone = tuple((name, f"data.exclude={name}") for name in names if name in excluded - {options.labels, options.index})
    return Decisions(tuple(found.columns), index, gone + left_out, (*notes, *found.notes))


def _chosen(names: list[str], options: DataOptions, where: str) -> set[str]:
    """The columns that options take out of x.

    Raises:
        BadData: one of them does not exist.
    """
    exclude = [part for name in options.exclude for part in ([name] if name in names else name.split(","))]
    chosen = {"data.exclude": [name.strip() for name in exclude]}
    chosen["data.labels"] = [] if options.labels is None else [options.labels]
    chosen["data.index"] = [] if options.index in ("auto", "none") else [options.index]
    for option, wanted in chosen.items():
        for name in wanted:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
                hint = f"; did you mean {near[0][:60]!r}? Its columns are" if near else ". Set one of its columns:"
                raise BadData(f"{where} has no column {name[:60]!r} for {option}{hint} {quote_names(names)}.")
    return {name for wanted in chosen.values() for name in wanted}


def _row_names(table: dict[str, Any], recorded: bool) -> dict[str, str]:
    """The columns that only count or name the rows, and why; of a recording, those that hold the time, too."""
    found: dict[str, str] = {}
    first = next(iter(table), None)
    levels = list(takewhile(is_unnamed, table))
    if 1 < len(levels) < len(table):
        return dict.fromkeys(levels, "has no name, like the columns beside it")
    for name, column in table.items():
        if is_unnamed(name) and (_counts(column) or (name == first and _unique(column))):
            found[name] = "has no name and a different value in every row"
        elif COUNTING.fullmatch(name.strip()) and _counts(column):
            found[name] = "counts the rows"
        elif NAMING.fullmatch(name.strip()) and not is_plain(column.dtype) and _unique(column):
            found[name] = "has a different text in every row"
        elif recorded and (TIMING.fullmatch(name.strip()) or COUNTING.fullmatch(name.strip())) and _runs(column):
            found[name] = "increases like a time"
    return found


def _runs(column: "pd.Series[Any]") -> bool:
    """Whether a column holds numbers that increase from row to row, and may start again a few times."""
    if len(column) < 2 or not is_plain(column.dtype) or column.isna().any() or str(column.dtype).startswith("bool"):
        return False
    steps = np.diff(column.to_numpy(dtype=np.float64))
    return bool((steps != 0).all()) and bool((steps > 0).mean() >= 1 - RESTARTS)


def _counts(column: "pd.Series[Any]") -> bool:
    """Whether a column holds whole numbers that increase by one."""
    if len(column) < 2 or not is_plain(column.dtype) or column.isna().any() or str(column.dtype).startswith("bool"):
        return False
    # whole numbers above 2^53 are not exact as floats
    whole = str(column.dtype).lower().startswith(("int", "uint"))
    values = column.to_numpy(dtype=np.int64 if whole and column.max() < 2**63 else np.float64)
    return bool(np.isfinite(values).all()) and bool((np.diff(values) == 1).all())


def _unique(column: "pd.Series[Any]") -> bool:
    """Whether a column holds a different whole number or text in every row."""
    if len(column) < 2 or column.isna().any():
        return False
    if is_plain(column.dtype):
        values = column.to_numpy(dtype=np.float64)
        return bool((values == np.floor(values)).all()) and column.is_unique
    values = objects(column)
    return all(isinstance(value, str) for value in values.tolist()) and len(set(values.tolist())) == len(values)


def _sort(name: str, column: "pd.Series[Any]", numerals: Numerals, found: _Found) -> None:
    """Decide what one column is."""
    from pandas.api import types

    kind = column.dtype
    if column.isna().all():
        found.empty.append(name)
    elif types.is_bool_dtype(kind) and not hasattr(kind, "categories"):
        found.columns.append(Column(name, "boolean"))
    elif is_plain(kind):
        found.columns.append(Column(name))
    elif hasattr(kind, "categories"):
        _category(name, column, MOST_CATEGORIES, found)
    elif types.is_datetime64_any_dtype(kind) or str(kind).startswith("period"):
        found.dates.append(name)
    else:
        _sort_objects(name, column, numerals, found)


def _sort_objects(name: str, column: "pd.Series[Any]", numerals: Numerals, found: _Found) -> None:
    """Decide what a column of texts or other objects is."""
    values = objects(column)
    known = [value for value in values.tolist() if value is not None]
    texts = [value for value in known if isinstance(value, str)]
    if all(isinstance(value, bool | np.bool_) for value in known) or _truth(texts, known):
        found.columns.append(Column(name, "boolean"))
        return
    numbers, bad = parsed(values, column, numerals)
    if not len(bad):
        if np.isnan(numbers).all():
            found.empty.append(name)
            return
        found.columns.append(Column(name))
        gaps = Counter(text for text in texts if text.strip().lower() in MARKERS and text.strip())
        if gaps:
            words = ", ".join(repr(word[:20]) for word in list(gaps)[:4])
            found.notes.append(f"In column {name[:60]!r}, {words} ({gaps.total():,} cells) is a missing value.")
        return
    if len(texts) == len(known):
        _sort_texts(name, column, values, bad, found)
    elif all(hasattr(value, "isoformat") for value in known):
        found.dates.append(name)
    else:
        odd = values[bad[0]]
        found.refused[name] = _cell(values, bad) if isinstance(odd, str) else f" ({type(odd).__name__})"


def _truth(texts: list[str], known: list[Any]) -> bool:
    words = {text.strip().lower() for text in texts} - MARKERS if len(texts) == len(known) else set()
    return bool(words) and words <= {"true", "false"}


def _sort_texts(name: str, column: "pd.Series[Any]", values: Any, bad: Any, found: _Found) -> None:
    """Decide what a column of texts is that are not all numbers."""
    texts = [value.strip() for value in values.tolist() if value is not None]
    if all(DATE.fullmatch(text) and len(text) > 4 for text in texts):
        found.dates.append(name)
        return
    if 2 * len(bad) <= len(texts) or all(SIGNED.fullmatch(text) for text in texts):
        found.refused[name] = _cell(values, bad)
        return
    if len(set(texts)) <= min(MOST_GUESSED, len(column) // SHARE_GUESSED):
        _category(name, column, MOST_GUESSED, found)
        return
    found.refused[name] = ""


def _cell(values: Any, bad: Any) -> str:
    """The first cell that is not a number, for messages."""
    return f" (row {int(bad[0])}: {str(values[bad[0]])[:40]!r})"


def _category(name: str, column: "pd.Series[Any]", most: int, found: _Found) -> None:
    """Add a column of categories, in the order of their type or in alphabetical order."""
    text, gaps = as_text(column)
    used = {value for value, gap in zip(text, gaps.tolist(), strict=True) if not gap}
    order = [cell_text(value) for value in getattr(column.dtype, "categories", [])] or sorted(used)
    values = tuple(dict.fromkeys(value for value in order if value in used))
    long = max(map(len, values)) > LONGEST_CATEGORY
    if len(values) > most or long:
        found.refused[name] = (
            f" (texts of over {LONGEST_CATEGORY} characters)" if long else f" ({len(values):,} categories)"
        )
        return
    found.columns.append(Column(name, "category", values))
    found.notes.append(
        f"Column {name[:60]!r} has {len(values)} categories ({quote_names(list(values[:4]))}"
        f"{', ...' if len(values) > 4 else ''}), each an input of 0 or 1 (data.exclude={short(name)} leaves it out)."
    )


def _dates(found: _Found, table: dict[str, Any], names: list[str]) -> dict[str, str]:
    """The columns of dates that name the rows: the first column, or one that increases."""
    chosen = {}
    for name in found.dates:
        column = table[name]
        if name == names[0]:
            chosen[name] = "holds dates and is the first column"
        elif not column.isna().any() and column.is_unique and _increases(column):
            chosen[name] = "holds increasing dates"
    return chosen


def _increases(column: "pd.Series[Any]") -> bool:
    """Whether dates increase from row to row."""
    import pandas as pd

    if column.dtype == object or not hasattr(column.dt if hasattr(column, "dt") else None, "year"):
        try:
            column = pd.to_datetime(column.astype(str), format="ISO8601", errors="raise", utc=True)
        except (ValueError, TypeError, OverflowError):
            return False
    return bool(column.is_monotonic_increasing)


def _refuse(found: _Found, dates: dict[str, str], where: str, options: DataOptions) -> None:
    """Raise the error for columns that cannot be used, if there are any.

    Raises:
        BadData: with the names of all of them.
    """
    odd = found.refused | {name: " (dates or times)" for name in found.dates if name not in dates}
    text = ""
    if odd:
        # labels and names are texts or dates, not lists or complex numbers
        first = next((name for name, why in odd.items() if not TYPE.fullmatch(why)), "")
        quoted = ", ".join(f"{name[:60]!r}{why}" for name, why in list(odd.items())[:8])
        more = f" and {len(odd) - 8} more" if len(odd) > 8 else ""
        text = f"{where} has columns that are not numeric: {quoted}{more}. "
        offered = f"Set one as labels with data.labels={short(first)}, or leave"
        labels = offered if first and options.labels is None else "Leave"
        text += f"{labels} them out with data.exclude={','.join(map(short, list(odd)[:8]))}"
        text += f"; data.index={short(first)} makes one the names of the rows. " if first else ". "
    if found.empty:
        what = "a column" if len(found.empty) == 1 else "columns"
        text += f"{'It' if text else where} has {what} without any value: {quote_names(found.empty)}. "
        text += f"Leave {'it' if len(found.empty) == 1 else 'them'} out with "
        text += f"data.exclude={','.join(map(short, found.empty[:8]))}."
    if text:
        raise BadData(text.rstrip())
    if not found.columns:
        named = " or names of rows (data.index=none keeps columns that count)" if options.index == "auto" else ""
        raise BadData(f"{where} has no numeric column besides the labels{named}. Add at least one.")


def _index(
    candidates: dict[str, str], table: dict[str, Any], options: DataOptions
) -> tuple[str | None, tuple[tuple[str, str], ...], list[str]]:
    """The column that names the rows, the others that are left out for such a reason, and the notes."""
    if options.index not in ("auto", "none"):
        return options.index, (), []
    if not candidates:
        return None, (), []
    ranked = sorted(
        candidates, key=lambda name: (not table[name].is_unique, is_unnamed(name), "dates" not in candidates[name])
    )
    index, notes = ranked[0], []
    for name, why in candidates.items():
        role = "names the rows" if name == index else "is left out"
        keep = "data.index=none keeps it" if is_plain(table[name].dtype) else "data.index=NAME sets another column"
        notes.append(f"Column {name[:60]!r} {why}: it {role} and is not in x ({keep}).")
    return index, tuple((name, why) for name, why in candidates.items() if name != index), notes
