"""Examples in memory as a source: an array, or a sparse matrix that is converted to rows of numbers when it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from isthmus.data.base import Array, Location
from isthmus.data.sources.base import RawChunk, Source
from isthmus.data.sources.recordings import Recordings
from isthmus.errors import BadData


@dataclass(frozen=True, eq=False)
class Examples(Source):
    """Examples as aligned arrays.

    Args:
        x: raw values, (N, ...); an array, a memory map, or a scipy sparse matrix in a format with rows.
        labels: class of each example (digit, person, anomaly 0/1), (N,), integers or strings.
        group: group of each example (person, object), (N,); a split keeps each group in one set.
        names: name of each example, (N,), such as the index of a table.
        noisy: the given input of each example, of the shape of ``x``, if examples are pairs of input and target.
        name: name for messages.
        file: file of the examples, empty if they have none.
        first: row of the first example, for locations.
        row_title: what the names are.
        faults: examples that could not be decoded, by row, and why.
        located: source that the examples were read from and that locates them, if it is not one file.
        brightest: value of full brightness, if the format of the files states it.
        axes: meaning of the axes of one example, if it is known.

    Raises:
        BadData: the arrays differ in length, or ``x`` holds no example.
    """

    x: Any
    labels: Array | None = None
    group: Array | None = None
    names: Array | None = None
    noisy: Array | None = None
    name: str = "array"
    file: str = ""
    first: int = 0
    row_title: str = ""
    faults: Mapping[int, str] = field(default_factory=dict)
    located: Source | None = None
    brightest: float | None = None
    axes: str = ""

    def __post_init__(self) -> None:
        """Check that the arrays are aligned."""
        what = "The data" if self.name == "array" else repr(self.name)
        if self.x.ndim < 2:
            recording = self.x.ndim == 1 and self.x.dtype.kind in "buif"
            cut = ", or set data.window if it is a recording that is to be cut into windows" if recording else ""
            raise BadData(
                f"{what} must be a table (N, D) or images (N, H, W[, C]), but has shape {self.x.shape}. "
                f"Pass one row per example{cut}."
            )
        if 0 in self.x.shape:
            raise BadData(f"{what} holds no example (its shape is {self.x.shape}). Pass at least one.")
        for name in ("labels", "group", "names"):
            values = getattr(self, name)
            if values is not None and values.shape != (len(self),):
                plural = "groups" if name == "group" else name
                raise BadData(
                    f"There are {len(self)} examples but {plural} of shape {values.shape}. "
                    f"Pass one entry of {plural} per example."
                )
        if self.noisy is not None and self.noisy.shape != self.x.shape:
            raise BadData(
                f"The inputs have shape {self.noisy.shape}, but their targets have shape {self.x.shape}. Pass one "
                "target of the same shape per input."
            )

    def __len__(self) -> int:
        """Number of examples."""
        return int(self.x.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of one raw example."""
        return tuple(self.x.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Data type of the values."""
        kind: np.dtype[Any] = np.dtype(self.x.dtype)
        return kind

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``, without a copy if they are in an array."""
        faults = {row - start: why for row, why in self.faults.items() if start <= row < stop}
        return RawChunk(_dense(self.x[start:stop]), faults)

    def at(self, rows: Array) -> RawChunk:
        """The examples at ``rows``, in any order."""
        faults: dict[int, str] = {}
        if self.faults:
            faults = {i: self.faults[row] for i, row in enumerate(rows.tolist()) if row in self.faults}
        return RawChunk(_dense(self.x[rows]), faults)

    def locate(self, row: int) -> Location:
        """Location of an example: its row counted from ``first``, its name, and the file if one was given."""
        if self.located is not None:
            return self.located.locate(row)
        name = "" if self.names is None else str(self.names[row])
        return Location(self.file, self.first + row, name)

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some examples, if there are any."""
        return None if self.labels is None else self.labels[rows]

    def groups(self) -> Array | None:
        """The group of each example, if there are any."""
        return self.group

    def names_of(self, rows: Array) -> Array | None:
        """The names of some examples, if there are any."""
        return None if self.names is None else self.names[rows]

    def recordings(self) -> Recordings | None:
        """Those of the source that the examples were read from, if it knows of any."""
        return None if self.located is None else self.located.recordings()

    def inputs(self) -> Source | None:
        """The given inputs, if examples are pairs of input and target."""
        return None if self.noisy is None else replace(self, x=self.noisy, noisy=None)


def _dense(values: Any) -> Array:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)
