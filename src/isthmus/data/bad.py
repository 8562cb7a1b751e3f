"""Bad examples: what is found about each, and what is done with it.

An example is bad when it cannot be decoded (a damaged picture), holds NaN or infinity, or lies where the likelihood
has no density. The policy is ``stop`` (the default: one sentence with file and row) or ``skip``: such examples are
left out, counted, and the first hundred of them listed.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from isthmus.data.base import Array, Place
from isthmus.errors import BadData, one_line

Policy = Literal["stop", "skip"]
Check = Callable[[Tensor], None]
"""Raises ``BadData`` where a likelihood cannot describe some example of (n, ...)."""

LISTED = 100
"""Bad examples that are listed one by one."""
MOST = 0.1
"""Share of bad examples above which they are no accidents: the data is another than was thought."""
PATIENCE = 100
"""Examples that are seen before that share is held against them."""


@dataclass(frozen=True)
class Entry:
    """One bad example: its file (empty where only memory holds it), its row in it, counted from 0, and why."""

    file: str
    row: int
    why: str


class Ledger:
    """The bad examples of one data set of ``population`` examples, each counted once however often it is met."""

    def __init__(self, policy: Policy, population: int) -> None:
        self.policy, self.population = policy, population
        self.entries: list[Entry] = []
        self.count = 0
        # pages of zeros take no memory until they are written to
        self._seen = np.zeros(population, dtype=bool)

    def meet(self, row: int | None, place: Place, why: str) -> None:
        """Note a bad example by its row in the data set; ``None`` for one that is met only once.

        Raises:
            BadData: the policy is to stop, or too many are bad.
        """
        if self.policy == "stop":
            raise BadData(
                f"{place} is bad: {why}. Mend it or take it out, or leave such examples out with --on-bad-data skip "
                "(data.on_bad=skip)."
            )
        if row is not None:
            if self._seen[row]:
                return
            self._seen[row] = True
        self.count += 1
        if len(self.entries) < LISTED:
            self.entries.append(Entry(place.file, place.row, why))
        if self.count > max(PATIENCE, MOST * self.population) or self.count == self.population:
            raise BadData(
                f"{self.count:,} of {self.population:,} examples are bad, too many to be accidents; the last: {place}, "
                f"{why}. At most a tenth is left out. Look at the data, its scaling and the likelihood."
            )

    def absorb(self, other: "Ledger") -> None:
        """Count and list what another ledger met too."""
        self.count += other.count
        self.entries = (self.entries + other.entries)[:LISTED]

    def rows(self) -> Array:
        """The rows of the bad examples, rising."""
        return np.flatnonzero(self._seen)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the record of a run: empty where nothing is bad."""
        if not self.count:
            return {}
        return {"policy": self.policy, "count": self.count, "listed": [asdict(entry) for entry in self.entries]}


def unfinite(values: Array) -> dict[int, str]:
    """The examples of raw values (n, ...) that hold NaN or infinity, and why; columns are counted from 0."""
    if values.dtype.kind != "f":
        return {}
    fine = np.isfinite(values)
    if fine.all():
        return {}
    flat = fine.reshape(len(values), -1)
    found = {}
    for row in np.flatnonzero(~flat.all(axis=1)).tolist():
        column = int(np.argmin(flat[row]))
        where = f"column {column}" if values.ndim == 2 else f"{int((~flat[row]).sum())} of its values"
        found[row] = f"it holds NaN or infinity ({where})"
    return found


def refused(x: Tensor, check: Check) -> dict[int, str]:
    """The examples of ``x`` (n, ...) that ``check`` refuses, and why; found by halving."""
    try:
        check(x)
    except BadData as error:
        if len(x) == 1:
            return {0: one_line(error)}
    else:
        return {}
    half = len(x) // 2
    return refused(x[:half], check) | {half + row: why for row, why in refused(x[half:], check).items()}


def merged(*found: Mapping[int, str]) -> dict[int, str]:
    """All that is bad, by rising index; the first reason counts."""
    together: dict[int, str] = {}
    for reasons in found:
        together = {**reasons, **together}
    return dict(sorted(together.items()))
