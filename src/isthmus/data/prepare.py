"""From raw arrays to tensors: values checked, scaled by the training part, made binary where asked, channels first.

Tables become (N, D) and images (N, C, H, W), float32 and contiguous.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array, Dataset, Examples, Provenance
from isthmus.data.scaling import BRIGHTEST, Scaling, measure
from isthmus.data.splits import HeldOut, Split
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions

PIECE = 2**24
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Part:
    """One part: ``x`` (N, D) or (N, C, H, W), float32, and ``labels`` (N,) where known."""

    x: Tensor
    labels: Array | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)


@dataclass(frozen=True)
class Prepared:
    """All that a run needs of its data.

    ``shape`` is that of one example, (D,) or (C, H, W). ``dynamic`` says that the training pixels are
    probabilities, to be drawn as 0 or 1 at every read; validation and test part are drawn already.
    """

    train: Part
    valid: Part | None
    test: Part | None
    shape: tuple[int, ...]
    scaling: Scaling
    images: bool
    dynamic: bool
    name: str
    provenance: Provenance
    held_out: HeldOut
    label_names: tuple[str, ...] = ()


def prepare(split: Split, dataset: Dataset, options: DataOptions, seed: int) -> Prepared:
    """The tensors of a split of ``dataset``; ``seed`` draws binary pixels.

    Raises:
        BadData: values that are not finite, or outside [0, 1] where they are to be binarised.
    """
    # in the source's order, so that the row in a message is the row of the file
    for part in PARTS:
        source: Examples | None = getattr(dataset, part)
        if source is not None:
            check_finite(source.x, f"The {part} part of {dataset.name!r}")
    first = _channels_first(split.train.x, dataset.images)
    scaling = measure(first, options.scale, images=dataset.images, pixels=dataset.pixels)
    parts = {part: _prepared(part, getattr(split, part), dataset, scaling, options, seed) for part in PARTS}
    train = parts["train"]
    assert train is not None
    return Prepared(
        train,
        parts["valid"],
        parts["test"],
        shape=tuple(train.x.shape[1:]),
        scaling=scaling,
        images=dataset.images,
        dynamic=options.binarise == "dynamic",
        name=dataset.name,
        provenance=dataset.provenance,
        held_out=split.held_out,
        label_names=dataset.label_names,
    )


def _prepared(
    part: str, examples: Examples | None, dataset: Dataset, scaling: Scaling, options: DataOptions, seed: int
) -> Part | None:
    """One part, scaled and made binary where the options ask for it."""
    if examples is None:
        return None
    what = f"The {part} part of {dataset.name!r}"
    x = _scaled(_channels_first(examples.x, dataset.images), scaling, what)
    if options.binarise != "none":
        _check_unit(x, what, options)
        if options.binarise == "static" or part != "train":
            x = _drawn(x, seed, PARTS.index(part))
    return Part(x, examples.labels)


def prepare_like(x: Array, shape: tuple[int, ...], scaling: Scaling, images: bool, pixels: bool) -> Tensor:
    """Further raw data as tensors, the way the training data went: (N, D) or (N, C, H, W).

    ``x`` is (N, D), (N, H, W) or (N, H, W, C), and ``pixels`` says that it is 8-bit brightness. With the
    scaling ``auto``, images of either kind meet in [0, 1].

    Raises:
        ShapeError: examples of another shape than ``shape``.
        BadData: values that are not finite, or in other units than the training data's.
    """
    fits = (x.ndim in (3, 4)) if images else (x.ndim == 2)
    tensor = _channels_first(x, images) if fits else None
    if tensor is None or tuple(tensor.shape[1:]) != tuple(shape):
        came = tuple(x.shape[1:]) if tensor is None else tuple(tensor.shape[1:])
        raise ShapeError(
            f"The data has examples of shape {came}, but the model was trained on examples of shape {tuple(shape)}. "
            "Give data of that shape."
        )
    check_finite(x, "The data")
    if scaling.kind == "auto":
        scaling = _auto(x, scaling, images, pixels)
    return _scaled(tensor, scaling, "The data")


def _auto(x: Array, scaling: Scaling, images: bool, pixels: bool) -> Scaling:
    """The scaling that brings further data to the units of the training data."""
    trained_on_pixels = scaling.scale == (BRIGHTEST,)
    if pixels == trained_on_pixels:
        return scaling
    if pixels:
        # a table of small whole numbers may look like pixels; only images are
        return Scaling("auto", (0.0,), (BRIGHTEST,)) if images else scaling
    if len(x) and (x.min() < 0 or x.max() > 1):
        raise BadData(
            f"The data has values from {x.min():g} to {x.max():g} of type {x.dtype}, but the model was trained on "
            "8-bit pixels divided by 255. Give 8-bit pixels (uint8), or values in [0, 1]."
        )
    return Scaling("auto", (0.0,), (1.0,))


def binarised(x: Tensor, options: DataOptions, seed: int, name: str) -> Tensor:
    """Further examples drawn as 0 and 1 where ``options`` ask for it, once and by the seed.

    Raises:
        BadData: values outside [0, 1].
    """
    if options.binarise == "none":
        return x
    _check_unit(x, f"{name!r}", options)
    return _drawn(x, seed, len(PARTS))


def check_finite(x: Array, what: str) -> None:
    """Refuse NaN and infinity; rows and columns are counted from 0.

    Raises:
        BadData: with the number of such values, the first row and, in a table, its column.
    """
    if x.dtype.kind != "f":
        return
    step = max(1, PIECE // max(1, x[:1].size))
    bad = [~np.isfinite(x[start : start + step]) for start in range(0, len(x), step)]
    count = sum(int(piece.sum()) for piece in bad)
    if count == 0:
        return
    start, piece = next((step * number, piece) for number, piece in enumerate(bad) if piece.any())
    place = np.argwhere(piece)[0]
    column = f", column {place[1]}" if x.ndim == 2 else ""
    raise BadData(
        f"{what} holds {count} values that are not finite (NaN or infinite), the first in row "
        f"{start + place[0]}{column} (counted from 0). Fill them, or take those rows or columns out."
    )


def _channels_first(x: Array, images: bool) -> Tensor:
    """The array as a tensor (N, C, H, W) or (N, D), of its own type where torch has it."""
    if x.dtype.kind == "u" and x.dtype.itemsize > 1:
        x = x.astype(np.float64)
    # torch takes neither foreign byte order nor negative strides nor read-only memory
    x = np.require(x, dtype=x.dtype.newbyteorder("="), requirements=["C", "W"])
    if x.dtype.kind == "f" and x.dtype.itemsize not in (4, 8):
        x = x.astype(np.float32 if x.dtype.itemsize == 2 else np.float64)
    tensor = torch.from_numpy(x)
    if not images:
        return tensor
    return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.movedim(-1, 1)


def _scaled(x: Tensor, scaling: Scaling, what: str) -> Tensor:
    """Scaled values as float32, in memory of their own."""
    out = scaling.apply(x).to(torch.float32).contiguous()
    if not torch.isfinite(out).all():
        raise BadData(
            f"{what} holds values too large for 32-bit numbers. Set data.scale=standard or data.scale=minmax."
        )
    return out


def _check_unit(x: Tensor, what: str, options: DataOptions) -> None:
    """Only values in [0, 1] are probabilities of a 1."""
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        advice = (
            "Clip the values to the range of the training part, or leave data.binarise out."
            if options.scale == "minmax"
            else "Bring them there with --set data.scale=minmax, or leave data.binarise out."
        )
        raise BadData(
            f"{what} has values from {low:g} to {high:g}, but data.binarise={options.binarise} needs values "
            f"in [0, 1]. {advice}"
        )


def _drawn(x: Tensor, seed: int, part: int) -> Tensor:
    """One Bernoulli(x) draw of each value; each part has a stream of its own. 0 and 1 stay as they are."""
    state = int(np.random.SeedSequence([seed, part]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(state)
    return (torch.rand(x.shape, generator=generator) < x).to(torch.float32)
