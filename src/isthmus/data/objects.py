"""Python objects as examples: arrays of every kind, tensors, pairs, and sets that give one example at a time.

All objects pass through these functions, so ``fit``, ``encode`` and a stream take the same ones.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from numbers import Real
from typing import Any, NamedTuple, cast

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures import common_format, image_header, is_picture, read_image
from isthmus.data.tables.frames import is_table
from isthmus.errors import BadData, BadOption, one_line
from isthmus.options import DataOptions

BATCH = 256
"""Examples of an iterable of single examples that are joined to a chunk."""
INPUT_KEYS = ("x", "image", "images", "img", "pixel_values", "input", "inputs", "data", "features")
LABEL_KEYS = ("label", "labels", "y", "class", "target", "targets")
PAIR_KEYS = (("noisy", "clean"), ("input", "target"), ("inputs", "targets"), ("corrupted", "clean"))
"""Names of inputs and their targets."""


class Pair(NamedTuple):
    """Examples, and their labels or targets, or ``None``."""

    x: Array
    y: Array | None = None


def as_array(value: object, what: str = "The data", options: DataOptions | None = None) -> Array:
    """Any array-like object as an array: masked cells become NaN, and tensors lose their gradient and their device.

    ``options`` say the size and the background of images of Pillow.

    Raises:
        BadData: an object that is not an array of numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        if not np.ma.is_masked(value):
            return np.asarray(value.data)
        kind = np.float64 if value.dtype.kind in "biu" else value.dtype
        return np.where(np.ma.getmaskarray(value), np.nan, value.data).astype(kind)
    if isinstance(value, np.ndarray):
        return _numbers(value)
    if is_picture(value):
        return read_image(cast(Any, value))
    if is_pictures(value):
        return _pictures(value, what, options or DataOptions())
    if is_tensor(value):
        return _from_tensor(value)
    if isinstance(value, list | tuple) and value and any(map(is_tensor, value)):
        value = [as_array(item, what) for item in value]
    if isinstance(value, list | tuple):
        shapes = {item.shape for item in value if isinstance(item, np.ndarray) or is_tensor(item)}
        if len(shapes) > 1:
            few = " and ".join(str(tuple(shape)) for shape in sorted(shapes)[:2])
            raise BadData(
                f"{what} of type {type(value).__name__} holds arrays of {len(shapes)} shapes, such as {few}. Pass "
                "examples of one shape, or set data.window to cut a list of recordings into windows."
            )
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadData(
            f"{what} of type {type(value).__name__} cannot be converted to an array: {one_line(error)}. Pass one row "
            "of numbers per example, all of one length."
        ) from error
    if array.dtype == object and array.ndim == 0:
        raise BadData(
            f"{what} of type {type(value).__name__} is not supported. Pass an array, a tensor, a table, a data set or "
            "loader of torch, a path, a stream, or the name of a data set."
        )
    return _numbers(array)


def is_pictures(value: object) -> bool:
    """Whether an object is a list of images of Pillow."""
    return isinstance(value, list | tuple) and bool(value) and all(map(is_picture, value))


def as_listed(data: Any) -> Any:
    """Images of Pillow, alone or with labels or targets, as a list of examples; other objects as they are."""
    if is_picture(data):
        return [data]
    if isinstance(data, tuple) and len(data) == 2 and is_pictures(data[0]) and len(data[0]) == len(data[1]):
        return list(zip(*data, strict=True))
    return list(data) if is_pictures(data) else data


def rows_of_pictures(data: Any) -> Any:
    """Images of Pillow by column, as a batch of Hugging Face, or one row of them, as a list of rows; others unchanged.

    >>> rows_of_pictures({"image": [0, 1]})
    {'image': [0, 1]}
    """
    key = next((name for name in INPUT_KEYS if name in data), None)
    if key is None or any(is_pictures(value) for name, value in data.items() if name != key):
        return data
    if is_picture(data[key]):
        return [dict(data)]
    if not is_pictures(data[key]):
        return data
    count = len(data[key])
    aligned = {name: value for name, value in data.items() if hasattr(value, "__len__") and len(value) == count}
    return [dict(zip(aligned, row, strict=True)) for row in zip(*aligned.values(), strict=True)]


def _pictures(images: Any, what: str, options: DataOptions) -> Array:
    """Images of Pillow in one format."""
    wanted = common_format(Counter(map(image_header, images)), options, what)
    return np.stack([read_image(image, wanted) for image in images])


def _numbers(array: Array) -> Array:
    """An array of Python numbers as float64, with NaN for ``None`` and other missing values; others unchanged."""
    if array.dtype != object or not all(_is_number(item) for item in array.flat):
        return array
    items = [item if isinstance(item, Real | np.bool_) else np.nan for item in array.flat]
    return np.array(items, np.float64).reshape(array.shape)


def _is_number(item: object) -> bool:
    """Whether an object is a real number, or marks a missing one."""
    return item is None or isinstance(item, Real | np.bool_) or type(item).__name__ == "NAType"


def is_tensor(value: object) -> bool:
    """Whether an object is a torch tensor; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _from_tensor(value: Any) -> Array:
    """The values of a tensor of any layout and device; types that NumPy lacks become float32.

    Raises:
        BadData: a tensor without values, such as one on the device ``meta``, or with rows of different lengths.
    """
    torch = sys.modules["torch"]
    try:
        value = value.detach().cpu()
        value = value.dequantize() if value.is_quantized else value
        value = value.to_dense() if value.layout is not torch.strided else value
        if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
            value = value.float()
        array: Array = value.resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise BadData(
            f"A tensor of type {value.dtype} on {value.device} cannot be converted to an array: {one_line(error)}. "
            "Pass a dense tensor of numbers."
        ) from error
    return array


def columns(data: Any, window: int | None) -> Any:
    """A recording of single numbers (T,) as (T, 1), also in a pair with labels; other data unchanged."""
    if window is None:
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return columns(data[0], window), data[1]
    return data[:, None] if (isinstance(data, np.ndarray) or is_tensor(data)) and data.ndim == 1 else data


def is_recordings(value: object) -> bool:
    """Whether an object is a list of recordings: tables, arrays of several axes, or traces of different lengths."""
    if not isinstance(value, list) or not value:
        return False
    if all(map(is_table, value)):
        return True
    arrays = [item for item in value if isinstance(item, np.ndarray) or is_tensor(item)]
    axes = {item.ndim for item in arrays}
    if len(arrays) < len(value) or len(axes) > 1:
        return False
    # traces of one length may be the rows of one recording
    return min(axes) > 1 or (axes == {1} and len({len(item) for item in arrays}) > 1)


def time_first(recordings: list[Any], layout: str) -> list[Array]:
    """Recordings as arrays of one type with time first, from the axes that the option ``data.layout`` says.

    Raises:
        BadData: letters that do not fit.
    """
    arrays = [as_array(item) for item in recordings]
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    order = layout.replace("N", "") if layout != "auto" else ""
    axis = next((order.index(letter) for letter in "TF" if letter in order), 0)
    if order and len(order) != arrays[0].ndim and not (order == "T" and arrays[0].shape[1:] == (1,)):
        raise BadData(
            f"A recording has shape {arrays[0].shape}, but data.layout={layout} says {order} of each. Set one letter "
            "per axis, such as TC."
        )
    kind = np.result_type(*arrays)
    return [np.moveaxis(array, axis, 0).astype(kind, copy=False) for array in arrays]


def is_sparse(value: object) -> bool:
    """Whether an object is a scipy sparse matrix or array."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz")


def is_loader(value: object) -> bool:
    """Whether an object is a torch ``DataLoader``, or is used like one."""
    return hasattr(value, "dataset") and hasattr(value, "batch_size") and hasattr(value, "__iter__")


def loaded_in_order(loader: Any) -> Any | None:
    """The data set of a loader that gives all its items as they are, in order or shuffled; else ``None``.

    Its items have a fixed order, unlike what a shuffling loader gives.
    """
    torch = sys.modules.get("torch")
    if torch is None or not is_items(loader.dataset):
        return None
    plain = getattr(loader, "collate_fn", None) is torch.utils.data.default_collate
    samplers = (torch.utils.data.SequentialSampler, torch.utils.data.RandomSampler)
    whole = type(getattr(loader, "sampler", None)) in samplers and not getattr(loader, "drop_last", False)
    whole = whole and getattr(loader.sampler, "num_samples", len(loader.dataset)) == len(loader.dataset)
    return loader.dataset if plain and whole and not getattr(loader.sampler, "replacement", False) else None


def is_items(value: object) -> bool:
    """Whether an object gives one example per index, such as a torch or Hugging Face ``Dataset``."""
    plain = isinstance(value, list | tuple | str | bytes | np.ndarray | Mapping) or is_tensor(value)
    return not plain and not is_sparse(value) and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def is_records(value: object) -> bool:
    """Whether an object has rows with named fields: an array of records, or a list of mappings from names to values."""
    if isinstance(value, np.ndarray):
        return value.dtype.names is not None
    rows = isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) and row for row in value)
    return rows and all(np.ndim(field) == 0 and not is_tensor(field) for row in value for field in row.values())  # type: ignore[attr-defined]


def is_listed(value: object) -> bool:
    """Whether an object is a list of single examples (x, y), or of mappings such as ``{"image": x}``."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, Mapping) or _is_example(item) for item in value)


def _is_example(item: object) -> bool:
    """Whether an object is a tuple (x, y) of one example, not a batch of them; or an image of Pillow."""
    if is_picture(item) or (isinstance(item, tuple) and len(item) == 2 and is_picture(item[0])):
        return True
    if not isinstance(item, tuple) or len(item) != 2 or not (isinstance(item[0], np.ndarray) or is_tensor(item[0])):
        return False
    return item[0].ndim == 1 or (item[0].ndim > 1 and np.ndim(item[1]) == 0)


def is_pair(value: object) -> bool:
    """Whether an object is a pair (x, y) of arrays, or a list with the tensors of a batch.

    Raises:
        BadData: a tuple of arrays of different lengths.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    x, y = value
    arrays = [item for item in (x, y) if isinstance(item, np.ndarray) or is_tensor(item)]
    if len(arrays) < 2 or x.ndim < 2:
        return False
    if isinstance(value, tuple) and y.ndim and len(x) != len(y):
        raise BadData(
            f"A pair has {len(x):,} examples, but {len(y):,} labels or targets. Pass one of each per example."
        )
    return y.ndim > 0 and len(x) == len(y)


def pair_of(batch: object) -> Pair:
    """The examples of a batch, and their labels or targets.

    A batch is an array; a tuple or list of x, y and more; or a mapping with an entry such as ``image`` or ``x``.
    """
    if isinstance(batch, Pair):
        return batch
    if isinstance(batch, list) and is_listed(batch) and not is_pictures(batch):
        return joined([pair_of(item) for item in batch])
    x, y = parts_of(batch)
    return Pair(as_array(x), None if y is None else as_array(y))


def parts_of(batch: object) -> tuple[Any, Any]:
    """The examples of a batch as they are, and their labels or targets, or ``None``."""
    if isinstance(batch, Mapping):
        key = next((name for name in INPUT_KEYS if name in batch), None)
        if key is None:
            key = next((name for name, value in batch.items() if np.ndim(as_array(value)) > 0), next(iter(batch), ""))
        label = next((name for name in LABEL_KEYS if name in batch and name != key), None)
        return batch[key], None if label is None else batch[label]
    if isinstance(batch, tuple | list) and batch and (is_pair(batch) or _holds_example(batch)):
        return batch[0], batch[1] if len(batch) > 1 else None
    return batch, None


def as_batch(batch: object) -> Pair:
    """The examples of a batch as :func:`pair_of`; a row of numbers or an (x, y) with one label is a batch of one."""
    pair = pair_of(batch)
    single = (
        is_picture(parts_of(batch)[0])
        or pair.x.ndim == 1
        or (pair.y is not None and pair.y.ndim == 0 and pair.x.ndim > 0)
    )
    return Pair(pair.x[None], None if pair.y is None else pair.y[None]) if single else pair


def _holds_example(item: tuple[Any, ...] | list[Any]) -> bool:
    """Whether a tuple or list starts with an example, and is not itself a row of numbers."""
    if is_picture(item[0]):
        return len(item) == 1 or not is_picture(item[-1]) or isinstance(item, tuple)
    return np.ndim(item[0]) > 0 and (isinstance(item, tuple) or is_tensor(item[0]) or len(item) == 1)


def as_chunk(chunk: object) -> Array:
    """The raw examples (n, ...) of a chunk of a stream."""
    return as_batch(chunk).x


class Chunks:
    """Chunks of an iterable of single examples, such as a torch ``IterableDataset``; iterated anew each time."""

    def __init__(self, items: Iterable[object]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Pair]:
        """Chunks of at most ``BATCH`` examples."""
        remaining = iter(self.items)
        while several := list(islice(remaining, BATCH)):
            yield joined([pair_of(item) for item in several])


def joined(pairs: list[Pair]) -> Pair:
    """Single examples stacked to arrays.

    Raises:
        BadData: examples of different shapes.
    """
    shapes = {pair.x.shape for pair in pairs}
    if len(shapes) > 1:
        few = sorted(shapes)[:2]
        raise BadData(f"The examples have different shapes, such as {few[0]} and {few[1]}. Pass examples of one shape.")
    y = [pair.y for pair in pairs if pair.y is not None]
    aligned = len(y) == len(pairs) and len({value.shape for value in y}) == 1
    return Pair(np.stack([pair.x for pair in pairs]), np.stack(y) if aligned else None)


def collected(chunks: Iterable[object], limit: int) -> Pair:
    """All chunks of an iterable that ends, joined; of at most ``limit`` bytes as 32-bit numbers.

    Raises:
        BadData: it holds nothing.
        BadOption: it is larger, or has no end.
    """
    x: list[Array] = []
    y: list[Array | None] = []
    size = 0
    for chunk in chunks:
        pair = as_batch(chunk)
        x.append(pair.x)
        y.append(pair.y)
        size += 4 * pair.x.size
        if size > limit:
            raise BadOption(
                f"The data gave more than {limit / 2**30:.1f} GiB and did not end, so it cannot be held in memory, and "
                "the number of its examples is not known. Set training.steps, or pass "
                "isthmus.data.samplers.streams.Stream(chunks, population=...), with the number of examples per epoch."
            )
    if not x:
        raise BadData("The data holds no example. Pass at least one.")
    shapes = {values.shape[1:] for values in x}
    if len(shapes) > 1 or x[0].ndim < 2:
        raise BadData(
            f"The chunks of the data have examples of shapes {', '.join(map(str, sorted(shapes)[:3]))}, but chunks "
            "(n, ...) of n examples of one shape are required. Wrap a single example in a list."
        )
    known = [values for values in y if values is not None]
    return Pair(np.concatenate(x), np.concatenate(known) if len(known) == len(x) else None)
