"""What is decided on the training data: whether values are brightness, the scaling, and the means of the features."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.sources.base import Source
from isthmus.data.transforms.axes import PICTURES, unit_axis
from isthmus.data.transforms.axes import Kind as ExampleKind
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.layout import Layout
from isthmus.data.transforms.pixels import PixelTensor
from isthmus.data.transforms.scaling import BRIGHTEST, BRIGHTEST_OF, Kind, Scaling, by_unit, centered, measure
from isthmus.options import DataOptions

READ = 2**23
"""Bytes in which bright pixels are looked for at a time: 8 MiB."""
ROUNDING = 1e-5
"""How far gray levels may lie outside of [0, 1] after 32-bit numbers were scaled back."""
SAMPLED_VALUES, SAMPLED_ROWS = 2**22, 4096
"""Size of the sample in which large offsets are looked for, and of that which gives the means of data on disk."""


def undecided(dataset: Dataset, layout: Layout, options: DataOptions) -> DataContract:
    """The contract before anything is fitted to the training data."""
    return DataContract(layout.shape, row=layout.row, axes=layout.axes, missing=options.missing, schema=dataset.schema)


def sample_size(source: Source) -> int:
    """Number of examples of the sample in which large offsets are looked for."""
    return max(2, min(SAMPLED_ROWS, SAMPLED_VALUES // math.prod(source.shape)))


def brightness_of(dataset: Dataset, scale: Kind, kind: ExampleKind, values: Array | None = None) -> float | None:
    """The value of full brightness by which values are divided; ``None`` if they are numbers, or scaled otherwise.

    The format of pictures states it. Unsigned bytes, and 16-bit numbers of images and frames, are brightness if some of
    them are above 1.

    Args:
        dataset: the data set.
        scale: the option ``data.scale``.
        kind: kind of the examples.
        values: what is looked at in place of the whole training set.
    """
    source = dataset.train
    stated = source.brightest or BRIGHTEST_OF.get(source.dtype.name)
    if scale == "pixels" or (scale == "auto" and dataset.pixels):
        return stated or BRIGHTEST
    if scale != "auto" or dataset.pixels is False or source.brightest is not None:
        return source.brightest if scale == "auto" and dataset.pixels is None else None
    if stated is None or (source.dtype != np.uint8 and kind not in PICTURES):
        return None
    chunks = (chunk.values for _, chunk in source.pieces(READ)) if values is None else [values]
    return stated if any(bool((chunk > 1).any()) for chunk in chunks) else None


def brightnesses(dataset: Dataset, scale: Kind, kind: ExampleKind) -> tuple[float | None, float | None]:
    """The value by which values are divided (:func:`brightness_of`), and that of full brightness in the training data.

    The second is known also if the option ``data.scale`` fits a scale to it. With ``data.scale=none``, arrays are
    numbers.
    """
    divisor = brightness_of(dataset, scale, kind)
    if scale == "none" or kind not in PICTURES:
        return divisor, dataset.train.brightest
    return divisor, divisor if scale == "auto" else brightness_of(dataset, "auto", kind)


def fit_scaling(x: Tensor | Iterator[Tensor], sample: Tensor, kind: Kind, *, brightest: float | None) -> Scaling:
    """The scaling of raw training data ``x``, (N, ...) or chunks of it.

    Where no scaling is wanted, large offsets of columns or channels, found in a ``sample``, are subtracted still.
    """
    scaling = measure(x, kind, brightest=brightest)
    if unit_axis(sample.shape[1:]) is None or scaling.scale != (1.0,) or kind not in ("auto", "none"):
        return scaling
    return centered(scaling, sample)


def fitted(contract: DataContract, source: Source, x: Tensor | PixelTensor) -> DataContract:
    """The contract with what depends on model inputs ``x``: the meaning of a byte, and means by feature or channel."""
    means = _means(x, one=unit_axis(contract.shape) is None)
    brightest = 1.0 if contract.brightest is None and _on_gray_levels(contract, source, x) else contract.brightest
    fill = tuple(means.nan_to_num(nan=0.0).tolist())
    return replace(contract, byte=_byte(contract, source, x), brightest=brightest, fill=fill)


def _means(x: Tensor | PixelTensor, *, one: bool) -> Tensor:
    """Mean of each unit, or the ``one`` mean of all values, without missing ones."""
    if isinstance(x, PixelTensor):
        return x.mean().reshape(1)
    values = by_unit(x)
    means = x.mean().reshape(1) if one else values.mean(0)
    if bool(means.isnan().any()):
        means = x.nanmean().reshape(1) if one else values.nanmean(0)
    return means


def _byte(contract: DataContract, source: Source, x: Tensor | PixelTensor) -> float:
    """What a byte of 255 stands for in images: brightness, if training was on pixels or on gray levels in [0, 1]."""
    if contract.kind not in PICTURES or contract.scaling.kind != "auto":
        return 1.0
    if contract.on_pixels or source.dtype == np.uint8:
        return BRIGHTEST if contract.on_pixels else 1.0
    return BRIGHTEST if _are_gray_levels(x) else 1.0


def _on_gray_levels(contract: DataContract, source: Source, x: Tensor | PixelTensor) -> bool:
    """Whether a scale was fitted to images of gray levels in [0, 1]."""
    fits = contract.kind in PICTURES and contract.scaling.kind in ("minmax", "standard")
    if not fits or source.dtype.kind != "f":
        return False
    return _are_gray_levels(contract.scaling.invert(x[:SAMPLED_ROWS]), ROUNDING)


def _are_gray_levels(x: Tensor | PixelTensor, slack: float = 0.0) -> bool:
    """Whether numbers lie in [0, 1], up to ``slack``, and some of them between 0 and 1."""
    head = x[:SAMPLED_ROWS]
    gray = bool(((head > slack) & (head < 1 - slack)).any())
    return gray and float(head.min()) >= -slack and float(head.max()) <= 1 + slack
