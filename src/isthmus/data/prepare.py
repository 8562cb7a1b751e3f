"""From raw arrays to tensors: values checked, scaled by the training part, made binary where asked, channels first.

Tables become (N, D) and images (N, C, H, W), float32 and contiguous.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from isthmus.data.bad import Ledger
from isthmus.data.base import Array, Dataset, Examples, Place, Provenance
from isthmus.data.scaling import BRIGHTEST, Scaling, measure
from isthmus.data.splits import HeldOut, Split
from isthmus.data.stored import Lazy
from isthmus.data.treatment import PARTS, channels_first, check_finite, check_unit, drawn, scaled
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions

FEW_BYTES = 2**26
"""Bytes of some examples of a streamed part, as 32-bit numbers: 64 MiB."""


@dataclass(frozen=True)
class Part:
    """One part: ``x`` (N, D) or (N, C, H, W), float32, and ``labels`` (N,) where known.

    A training part that is streamed is not in memory, and has no labels. ``where`` tells the place of an example in the
    source by its number in the part.
    """

    x: Tensor | Lazy
    labels: Array | None = None
    where: Callable[[int], Place] = field(default=partial(Place, ""), compare=False, repr=False)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    @property
    def tensor(self) -> Tensor:
        """``x`` of a part that is in memory, as all are but a streamed one."""
        assert isinstance(self.x, Tensor)
        return self.x

    def few(self, count: int, seed: int) -> "Part":
        """This part in memory: as it is, or of a streamed one ``count`` examples drawn at random, 64 MiB at most."""
        if isinstance(self.x, Tensor):
            return self
        most = max(1, FEW_BYTES // (4 * self.x.shape[1:].numel()))
        return Part(self.x.sample(min(count, most), seed))


@dataclass(frozen=True)
class Prepared:
    """All that a run needs of its data.

    ``shape`` is that of one example, (D,) or (C, H, W). ``dynamic`` says that the training pixels are
    probabilities, to be drawn as 0 or 1 at every read; validation and test part are drawn already. ``ledger`` counts
    and lists the bad examples that were left out.
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
    ledger: Ledger = field(default_factory=lambda: Ledger("stop", 0), compare=False, repr=False)

    @property
    def streamed(self) -> bool:
        """Whether the training part is not in memory."""
        return not isinstance(self.train.x, Tensor)


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
    first = channels_first(split.train.x, dataset.images)
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
    x = scaled(channels_first(examples.x, dataset.images), scaling, what)
    if options.binarise != "none":
        check_unit(x, what, options)
        if options.binarise == "static" or part != "train":
            x = drawn(x, seed, PARTS.index(part))
    rows, file = examples.numbers, dataset.name
    return Part(x, examples.labels, where=lambda index: Place(file, int(rows[index])))


def prepare_like(x: Array, shape: tuple[int, ...], scaling: Scaling, images: bool, pixels: bool) -> Tensor:
    """Further raw data as tensors, the way the training data went: (N, D) or (N, C, H, W).

    ``x`` is (N, D), (N, H, W) or (N, H, W, C), and ``pixels`` says that it is 8-bit brightness. With the
    scaling ``auto``, images of either kind meet in [0, 1].

    Raises:
        ShapeError: examples of another shape than ``shape``.
        BadData: values that are not finite, or in other units than the training data's.
    """
    fits = (x.ndim in (3, 4)) if images else (x.ndim == 2)
    tensor = channels_first(x, images) if fits else None
    check_shape(tuple(x.shape[1:]) if tensor is None else tuple(tensor.shape[1:]), shape)
    assert tensor is not None
    check_finite(x, "The data")
    scaling, unit = scaling_of(scaling, images=images, pixels=pixels)
    if unit:
        check_trained_on_pixels(x)
    return scaled(tensor, scaling, "The data")


def check_shape(came: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Refuse further examples of another shape than the model was trained on.

    Raises:
        ShapeError: they are.
    """
    if came != tuple(shape):
        raise ShapeError(
            f"The data has examples of shape {came}, but the model was trained on examples of shape {tuple(shape)}. "
            "Give data of that shape."
        )


def scaling_of(scaling: Scaling, *, images: bool, pixels: bool) -> tuple[Scaling, bool]:
    """The scaling that brings further data to the units of the training data, and whether it must be in [0, 1]."""
    trained_on_pixels = scaling.scale == (BRIGHTEST,)
    if scaling.kind != "auto" or pixels == trained_on_pixels:
        return scaling, False
    if pixels:
        # a table of small whole numbers may look like pixels; only images are
        return (Scaling("auto", (0.0,), (BRIGHTEST,)) if images else scaling), False
    return Scaling("auto", (0.0,), (1.0,)), True


def check_trained_on_pixels(x: Array | Tensor) -> None:
    """Refuse values that are not in [0, 1], for a model that was trained on pixels divided by 255.

    Raises:
        BadData: there are some.
    """
    if len(x) and (x.min() < 0 or x.max() > 1):
        raise BadData(
            f"The data has values from {x.min():g} to {x.max():g} of type {x.dtype}, but the model was trained on "
            "8-bit pixels divided by 255. Give 8-bit pixels (uint8), or values in [0, 1]."
        )


def binarised(x: Tensor, options: DataOptions, seed: int, name: str) -> Tensor:
    """Further examples drawn as 0 and 1 where ``options`` ask for it, once and by the seed.

    Raises:
        BadData: values outside [0, 1].
    """
    if options.binarise == "none":
        return x
    check_unit(x, f"{name!r}", options)
    return drawn(x, seed, len(PARTS))
