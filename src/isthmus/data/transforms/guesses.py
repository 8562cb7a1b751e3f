"""What was guessed about the layout and the unit of the values, beside what was guessed about a table."""

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import Source
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.stored_array import StoredArray
from isthmus.data.transforms.contract import DataContract


def guesses(contract: DataContract, dataset: Dataset) -> tuple[str, ...]:
    """All that was guessed about a data set, one sentence each, with the option that overrides it.

    Args:
        contract: what was decided on its training set.
        dataset: the data set, with what was guessed while it was read.
    """
    source = dataset.train
    found = list(dataset.notes)
    if _is_array(dataset):
        found += _axes(contract, source)
    if contract.scaling.kind == "auto" and contract.on_pixels:
        found.append("Bytes are brightness from 0 to 255 (data.scale=none leaves them as numbers).")
    elif contract.scaling.kind == "auto" and contract.images and source.dtype == np.uint8:
        found.append("Bytes are all 0 or 1, so they are numbers (data.scale=pixels makes them brightness).")
    return tuple(found)


def _axes(contract: DataContract, source: Source) -> list[str]:
    """What was guessed about the axes of an array."""
    shape = source.shape
    if len(shape) == 2:
        return ["Three axes are (N, H, W), gray images; reshape the array to (N, D) if each row is a table."]
    if len(shape) == 3:
        order = "(N, C, H, W), channels first" if shape == contract.shape and shape[-1] not in (1, 3, 4) else ""
        order = order or "(N, H, W, C), channels last"
        return [f"Four axes are {order}, as that axis has length {contract.shape[0]}; transpose the array if not."]
    return []


def _is_array(dataset: Dataset) -> bool:
    """Whether the training set is an array that says nothing about its axes."""
    source = dataset.train
    plain = isinstance(source, Examples) and source.located is None
    # named data sets state their terms
    return not dataset.provenance.terms and (plain or isinstance(source, NumpyFile | StoredArray))
