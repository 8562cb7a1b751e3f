"""What was guessed about the layout and the unit of the values, beside what was guessed about a table."""

import numpy as np
from torch import Tensor

from isthmus.data.dataset import Dataset
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.stored_array import StoredArray
from isthmus.data.transforms.axes import CANONICAL, CHANNELS, kind_of
from isthmus.data.transforms.contract import DataContract
from isthmus.options import DataOptions

FEWEST = 2
"""Values that can be called equal."""
DARK = 8
"""How many times brighter than the brightest value an image could be for that to be worth a note."""


def guesses(
    contract: DataContract, dataset: Dataset, options: DataOptions, largest: float | None = None
) -> tuple[str, ...]:
    """All that was guessed about a data set, one sentence each, with the option that overrides it.

    Args:
        contract: what was decided on its training set.
        dataset: the data set, with what was guessed while it was read.
        options: options of the data, which say what needed no guess.
        largest: largest value of the training set, if it is known.
    """
    source = dataset.train
    found = list(dataset.notes)
    if _is_array(dataset) and options.layout == "auto" and contract.row is None:
        found += _axes(contract.axes, contract.shape)
    if contract.on_pixels:
        brightest = contract.scaling.scale[0]
        if source.brightest is None:
            what = "Bytes" if source.dtype == np.uint8 else "16-bit numbers"
            found.append(f"{what} are brightness from 0 to {brightest:,.0f} (data.scale=none leaves them as numbers).")
        if largest is not None and largest < brightest / DARK:
            words = f"The brightest value is {largest:,.0f} of {brightest:,.0f}"
            found.append(f"{words}; data.scale=minmax uses the full range.")
    elif contract.scaling.kind == "auto" and contract.images and source.dtype == np.uint8:
        found.append("Bytes are all 0 or 1, so they are numbers (data.scale=pixels makes them brightness).")
    return tuple(found)


def nothing_to_learn(contract: DataContract, x: Tensor, notes: tuple[str, ...], background: str) -> tuple[str, ...]:
    """A note if all model inputs ``x`` of a training set are equal, as those of white ink before white are."""
    # one example tells for almost all data, so that large ones are not read again
    if x.numel() < FEWEST or any(bool((part != x.flatten()[0]).any()) for part in (x[:1], x)):
        return ()
    value = float(contract.scaling.invert(x[:1]).flatten()[0])
    ink = f"; data.background shows what is transparent before another color than {background}"
    return (f"All values are the same, {value:g}{ink if any('data.background' in note for note in notes) else ''}.",)


def _axes(axes: str, shape: tuple[int, ...]) -> list[str]:
    """What was guessed about the axes of an array whose examples have the ``shape`` as model input."""
    kind, order = kind_of(shape), f"(N, {', '.join(axes)})"
    if kind == "table":
        return []
    if axes == "HW":
        return [
            f"Three axes are {order}, gray images (data.layout=NTC makes them sequences); reshape the array to (N, D) "
            "if each row is a table."
        ]
    channels = shape[CANONICAL[kind].index("C")]
    if kind == "sequences":
        why = "whose units differ" if channels > 1 else "as the other axis is longer"
        words = f"Three axes are {order}, sequences of {_counted(channels)}, {why}"
        return [f"{words} (data.layout=NHW makes them gray images)."]
    end = "last" if axes.endswith("C") else "first"
    other = "N" + CANONICAL[kind] if end == "last" else f"N{'F' * (kind == 'frames')}HWC"
    length = f"that axis has length {channels}" if channels in CHANNELS else "that axis is the shortest"
    frames = " or data.layout=NFHW for frames" if channels not in CHANNELS and axes == "CHW" else ""
    count = {"images": "Four", "frames": "Five"}[kind]
    return [f"{count} axes are {order}, channels {end}, as {length}; set data.layout={other}{frames} if not."]


def _counted(channels: int) -> str:
    """A number of channels in words."""
    return "1 channel" if channels == 1 else f"{channels} channels"


def _is_array(dataset: Dataset) -> bool:
    """Whether the training set is an array that says nothing about its axes."""
    source = dataset.train
    plain = isinstance(source, Examples) and source.located is None
    # named data sets state their terms
    arrays = plain or isinstance(source, NumpyFile | StoredArray)
    return not dataset.provenance.terms and not source.axes and arrays
