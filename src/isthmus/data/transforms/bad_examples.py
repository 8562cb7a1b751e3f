"""Invalid examples: how they are detected, and the record of those that were skipped.

An example is invalid if it cannot be decoded (a damaged image), holds NaN or infinity, or lies outside the support of
the likelihood. The policy is ``stop`` (default: an error with file and row) or ``skip``: invalid examples are left out,
counted, and the first hundred of them listed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from isthmus.data.base import Array, Location
from isthmus.errors import BadData, one_line

Policy = Literal["stop", "skip"]
Check = Callable[[Tensor], None]
"""Raises ``BadData`` if some example of (n, ...) lies outside the support of a likelihood."""

LISTED = 100
"""Largest number of invalid examples that are listed one by one."""
NAMED = 5
"""Invalid examples that a message names."""
MOST = 0.1
"""Fraction of invalid examples above which the data as a whole is refused; one is always accepted."""


@dataclass(frozen=True)
class BadExample:
    """An invalid example: its file (empty for data in memory), its 0-based row in it, the reason, and its name."""

    file: str
    row: int
    why: str
    name: str = ""

    @property
    def location(self) -> Location:
        """Where it is."""
        return Location(self.file, self.row, self.name)


class BadExamples:
    """Record of the invalid examples of a data set of ``population`` examples; each is counted once."""

    def __init__(self, policy: Policy, population: int) -> None:
        self.policy, self.population = policy, population
        self.entries: list[BadExample] = []
        self.count = 0
        # memory pages of zeros are not allocated until they are written to
        self._seen = np.zeros(population, dtype=bool)

    def add(self, row: int | None, location: Location, why: str) -> None:
        """Record an invalid example by its row in the data set; ``None`` for one that is read only once.

        Raises:
            BadData: the policy is ``stop``, or too many examples are invalid.
        """
        if self.policy == "stop":
            raise BadData(
                f"{location} is invalid: {why}. Fix or remove it, or skip invalid examples with data.on_bad_data=skip."
            )
        if row is not None:
            if self._seen[row]:
                return
            self._seen[row] = True
        self.count += 1
        if len(self.entries) < LISTED:
            self.entries.append(BadExample(location.file, location.row, why, location.name))
        if too_many(self.count, self.population):
            raise BadData(
                f"At least {self.count:,} of {self.population:,} examples are invalid, but at most a tenth may be "
                f"skipped; the last: {location}, {why}. Check the data, data.scale and likelihood.kind."
            )

    def stop(self, found: Sequence[tuple[Location, str]], *, all_known: bool) -> None:
        """Stop with all invalid examples that are known: their number, and the first few by name with the reason.

        Args:
            found: location of each, and why it is invalid.
            all_known: whether there are no others.

        Raises:
            BadData: always.
        """
        if len(found) == 1:
            self.add(None, *found[0])
        # the advice at the end of each reason is not repeated
        (first, why), *others = [(location, why.partition(". ")[0]) for location, why in found]
        named = [f"{location} ({reason})" for location, reason in others[: NAMED - 1]]
        rest = [f"{len(found) - NAMED:,} more"] if len(found) > NAMED else []
        raise BadData(
            f"{first} is invalid: {why}. So are {'; '.join([*named, *rest])}: "
            f"{'' if all_known else 'at least '}{len(found):,} of {self.population:,} examples. Fix or remove them, or "
            "skip invalid examples with data.on_bad_data=skip."
        )

    def merge(self, other: "BadExamples") -> None:
        """Add the examples of another record."""
        self.count += other.count
        self.entries = (self.entries + other.entries)[:LISTED]

    def state(self) -> dict[str, Any]:
        """State for the other processes: invalid rows, count and list, as plain data."""
        entries = [asdict(entry) for entry in self.entries]
        return {"rows": self.rows().tolist(), "count": self.count, "entries": entries}

    def merge_states(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Merge the states of all processes, each example once.

        Examples without a row were found before training, and so by every process.
        """
        rows = sorted({row for state in states for row in state["rows"]})
        self.count = len(rows) + max(state["count"] - len(state["rows"]) for state in states)
        self._seen[rows] = True
        entries = dict.fromkeys(BadExample(**entry) for state in states for entry in state["entries"])
        self.entries = list(entries)[:LISTED]

    def rows(self) -> Array:
        """Rows of the invalid examples, in ascending order."""
        return np.flatnonzero(self._seen)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the metadata of a run: empty if no example is invalid."""
        if not self.count:
            return {}
        return {"policy": self.policy, "count": self.count, "listed": [asdict(entry) for entry in self.entries]}


def too_many(count: int, population: int) -> bool:
    """Whether so many examples are invalid that the data as a whole is refused."""
    return count > max(1, MOST * population) or 0 < count == population


def find_nonfinite(values: Array, *, missing: bool = False) -> dict[int, str]:
    """Indices of raw examples (n, ...) that hold NaN or infinity, with the reason; columns are counted from 0.

    With ``missing``, NaN marks a missing cell and is valid.
    """
    if values.dtype.kind != "f":
        return {}
    valid = ~np.isinf(values) if missing else np.isfinite(values)
    if valid.all():
        return {}
    flat = valid.reshape(len(values), -1)
    found = {}
    for row in np.flatnonzero(~flat.all(axis=1)).tolist():
        column = int(np.argmin(flat[row]))
        which = f"column {column}" if values.ndim == 2 else f"{int((~flat[row]).sum())} of its values"
        found[row] = f"it holds {'infinity' if missing else 'NaN or infinity'} ({which})"
    return found


def find_refused(x: Tensor, check: Check) -> dict[int, str]:
    """Indices of the examples of ``x`` (n, ...) that ``check`` refuses, with the reason, found by bisection."""
    try:
        check(x)
    except BadData as error:
        if len(x) == 1:
            return {0: one_line(error)}
    else:
        return {}
    half = len(x) // 2
    return find_refused(x[:half], check) | {half + row: why for row, why in find_refused(x[half:], check).items()}


def merged(*found: Mapping[int, str]) -> dict[int, str]:
    """Union of invalid examples in ascending order; the first reason of each is kept."""
    union: dict[int, str] = {}
    for reasons in found:
        union = {**reasons, **union}
    return dict(sorted(union.items()))
