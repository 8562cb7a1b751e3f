"""What was read of a table, for the tests of its formats."""

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.sources.arrays import Examples


def values(found: Dataset) -> np.ndarray:
    """The numbers of all rows."""
    assert isinstance(found.train, Examples)
    return np.asarray(found.train.x)


def features(found: Dataset) -> tuple[str, ...]:
    """The names of the columns of x."""
    assert found.schema is not None
    return found.schema.features


def said(found: Dataset, text: str) -> bool:
    """Whether a note has a text."""
    return any(text in note for note in found.notes)
