"""Times of the rows of a recording: where it starts again, where it has gaps, and whether its steps are equal."""

import warnings
from typing import NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.tables.guessing import RESTARTS

GAP, FEW_GAPS = 1.5, 0.05
"""Steps of time longer than this many usual ones are gaps, if at most this share of all steps are: of a calendar
without weekends a fifth are, so it is taken as irregular instead."""


class Breaks(NamedTuple):
    """Where the rows do not follow each other in time.

    Attributes:
        restarts: rows at which time goes back, so another recording starts.
        gaps: rows before which others are missing.
        notes: what was decided, one sentence each.
        backward: whether the newest row is the first.
    """

    restarts: Array
    gaps: Array
    notes: tuple[str, ...] = ()
    backward: bool = False


NONE = Breaks(np.zeros(0, np.int64), np.zeros(0, np.int64))


def breaks_in(names: Array | None, title: str, starts: Array) -> Breaks:
    """Where the rows called ``names`` do not follow each other in time, beside the ``starts`` of known recordings.

    Numbers and dates are times, if the steps between them go one way; other names are not.
    """
    times = None if names is None or title == "file" else as_times(names)
    if times is None or len(times) < 3:
        return NONE
    steps = np.diff(times)
    within = np.ones(len(steps), bool)
    within[starts[starts > 0] - 1] = False
    if not within.any():
        return NONE
    usual = np.median(steps[within])
    what = f"The index {title!r}"
    if usual < 0 and ((steps > 0) & within).sum() <= RESTARTS * within.sum():
        why = f"{what} begins with the newest, so windows are cut forward in time (data.index=none keeps the order)."
        return NONE._replace(notes=(why,), backward=True)
    back = (steps < 0) & within
    if usual == 0 and not back.any():
        why = f"{what} is often the same in neighboring rows, so gaps in time are not known."
        return NONE._replace(notes=(why,))
    if usual == 0 or back.sum() > RESTARTS * within.sum():
        return NONE._replace(notes=(f"{what} is not in order, so windows are cut in the order of the rows.",))
    return _breaks(steps, usual, back, within & ~back, what)


def _breaks(steps: Array, usual: float, back: Array, within: Array, what: str) -> Breaks:
    """The breaks between rows with these steps of time."""
    notes = []
    if back.any():
        notes.append(f"{what} goes back {_times(back)}, and a recording starts at each (data.index=none ignores it).")
    gap = (steps > GAP * usual) & within
    if gap.sum() > FEW_GAPS * within.sum():
        notes.append(f"The steps of {what[4:]} differ, so windows have equal numbers of rows, not equal durations.")
        gap = np.zeros_like(gap)
    elif gap.any():
        notes.append(
            f"{what} has {int(gap.sum()):,} gap{'s' if gap.sum() > 1 else ''} of more than {GAP:g} times its usual "
            "step, which no window spans (data.index=none ignores them)."
        )
    return Breaks(np.flatnonzero(back) + 1, np.flatnonzero(gap) + 1, tuple(notes))


def _times(marked: Array) -> str:
    return "once" if marked.sum() == 1 else f"{int(marked.sum()):,} times"


def as_times(names: Array) -> Array | None:
    """Names of rows as numbers that can be subtracted, dates in nanoseconds; ``None`` if some are neither.

    >>> as_times(np.array(["2024-01-01", "2024-01-02"])) / 86400e9
    array([19723., 19724.])
    """
    if names.dtype.kind in "iu":
        return names.astype(np.int64)
    if names.dtype.kind == "f":
        return names if np.isfinite(names).all() else None
    try:
        import pandas as pd
    except ImportError:
        return None
    if names.dtype.kind not in "M":
        numbers = pd.to_numeric(pd.Series(names), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isfinite(numbers).all():
            return numbers
    with warnings.catch_warnings():
        # pandas warns of texts whose format it has to find out one by one
        warnings.simplefilter("ignore")
        dates = pd.to_datetime(pd.Series(names), errors="coerce", utc=True)
    if dates.isna().any():
        return None
    return dates.dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
