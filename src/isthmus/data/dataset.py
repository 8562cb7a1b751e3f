"""A data set of up to three sources, before it is prepared."""

from dataclasses import dataclass, field

from isthmus.data.base import Provenance
from isthmus.data.sources.base import Source
from isthmus.data.tables.schema import Schema


@dataclass(frozen=True)
class Dataset:
    """Raw data in up to three splits, as provided by the source.

    Args:
        name: name of the data set.
        train: training set.
        valid: validation set; ``None`` where the source has none, and a split makes one.
        test: test set; likewise.
        pixels: whether 8-bit values are brightness, to be divided by 255; ``None`` if that is to be decided by the
            training set: unsigned bytes, some of them above 1.
        label_names: names of the integer labels.
        provenance: origin, terms and credit.
        schema: columns of a table that has names.
        notes: what was guessed while reading, one sentence each.
        streamed: whether the examples are too large for memory, or are to stay on disk.
    """

    name: str
    train: Source
    valid: Source | None = None
    test: Source | None = None
    pixels: bool | None = None
    label_names: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance("array"))
    schema: Schema | None = None
    notes: tuple[str, ...] = ()
    streamed: bool = False

    @property
    def splits(self) -> dict[str, Source]:
        """The splits that the source has, by name."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: source for name, source in named.items() if source is not None}
