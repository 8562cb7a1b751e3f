"""Preparation of new data for a trained model with the scaling that was fitted to its training data."""

from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.streaming.choice import is_8bit_source
from isthmus.data.streaming.lazy import StoredTensor, layout_of
from isthmus.data.streaming.sources import Source
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.checks import (
    SPLITS,
    apply_scaling,
    channels_first,
    check_finite,
    check_unit,
    draw_bernoulli,
)
from isthmus.data.transforms.scaling import BRIGHTEST, Scaling
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions


def transform_like_training(x: Array, shape: tuple[int, ...], scaling: Scaling, images: bool, pixels: bool) -> Tensor:
    """New raw data as model inputs, (N, D) or (N, C, H, W).

    With the scaling ``auto``, 8-bit images and images in [0, 1] are both mapped to [0, 1].

    Args:
        x: raw data, (N, D), (N, H, W) or (N, H, W, C).
        shape: shape of one training example.
        scaling: scaling of the training data.
        images: whether the examples are images.
        pixels: whether ``x`` holds 8-bit brightness.

    Raises:
        ShapeError: examples of another shape than ``shape``.
        BadData: values that are not finite, or not in the units of the training data.
    """
    fits = (x.ndim in (3, 4)) if images else (x.ndim == 2)
    tensor = channels_first(x, images) if fits else None
    check_shape(tuple(x.shape[1:]) if tensor is None else tuple(tensor.shape[1:]), shape)
    assert tensor is not None
    check_finite(x, "The data")
    scaling, unit = scaling_of(scaling, images=images, pixels=pixels)
    if unit:
        check_trained_on_pixels(x)
    return apply_scaling(tensor, scaling, "The data")


def lazy_like_training(
    source: Source, shape: tuple[int, ...], scaling: Scaling, options: DataOptions, seed: int, *, clean: bool = True
) -> StoredTensor:
    """New data on disk as model inputs of ``shape``, scaled by ``scaling`` when they are read.

    Data that is not ``clean`` is used as input only, never as target, and is not binarized.

    Raises:
        ShapeError: examples of another shape.
        BadData: values that are not in the units of the training data.
    """
    layout = layout_of(source, options.shape)
    check_shape(layout.shape, shape)
    scaling, unit = scaling_of(scaling, images=layout.images, pixels=is_8bit_source(source))
    binary = clean and options.binarize != "none"
    bad_examples = BadExamples(options.on_bad_data, len(source))
    stored = StoredTensor(source, layout, scaling, bad_examples, bernoulli_seed=seed if binary else None)
    if unit:
        stored.add_check(check_trained_on_pixels)
    if binary:
        stored.add_check(lambda x: check_unit(x, f"{source.name!r}", options))
    return stored


def check_shape(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Refuse examples of another shape than the model was trained on.

    Raises:
        ShapeError: the shapes differ.
    """
    if given != tuple(shape):
        raise ShapeError(
            f"The data has examples of shape {given}, but the model was trained on examples of shape {tuple(shape)}. "
            "Pass data of that shape."
        )


def scaling_of(scaling: Scaling, *, images: bool, pixels: bool) -> tuple[Scaling, bool]:
    """The scaling of new data to the units of the training data, and whether its values must be in [0, 1]."""
    trained_on_pixels = scaling.scale == (BRIGHTEST,)
    if scaling.kind != "auto" or pixels == trained_on_pixels:
        return scaling, False
    if pixels:
        # a table of small integers may look like pixels, so only images are scaled
        return (Scaling("auto", (0.0,), (BRIGHTEST,)) if images else scaling), False
    return Scaling("auto", (0.0,), (1.0,)), True


def check_trained_on_pixels(x: Array | Tensor) -> None:
    """Refuse values that are not in [0, 1], for a model that was trained on pixels divided by 255.

    Raises:
        BadData: some values are outside [0, 1].
    """
    if len(x) and (x.min() < 0 or x.max() > 1):
        raise BadData(
            f"The data has values from {x.min():g} to {x.max():g} of type {x.dtype}, but the model was trained on "
            "8-bit pixels divided by 255. Pass 8-bit pixels (uint8), or values in [0, 1]."
        )


def draw_binary(x: Tensor, options: DataOptions, seed: int, name: str) -> Tensor:
    """Examples sampled once as 0 and 1 with ``seed`` if ``options.binarize`` is set, else unchanged.

    Raises:
        BadData: values outside [0, 1].
    """
    if options.binarize == "none":
        return x
    check_unit(x, f"{name!r}", options)
    return draw_bernoulli(x, seed, len(SPLITS))
