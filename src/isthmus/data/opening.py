"""Opening of data as a data set of sources: a name, a path, or a Python object of any kind.

Paths are read in ``readers``, and objects converted in ``objects``.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.base import Provenance, texts
from isthmus.data.catalogue.table import is_named, load_dataset
from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import check_size
from isthmus.data.memory import held, is_streamed, memorized, memory_limit
from isthmus.data.objects import (
    Chunks,
    Pair,
    as_array,
    as_listed,
    collected,
    columns,
    is_items,
    is_listed,
    is_loader,
    is_pair,
    is_recordings,
    is_records,
    is_sparse,
    loaded_in_order,
    rows_of_pictures,
    time_first,
)
from isthmus.data.readers.datasets import dataset_of_frame, dataset_of_splits, named_labels, shaped_like
from isthmus.data.readers.paths import read_path
from isthmus.data.readers.stores import dataset_of_arrays
from isthmus.data.samplers.streams import Stream, in_order
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import Source, row_bytes
from isthmus.data.sources.items import Items
from isthmus.data.sources.joined import Joined
from isthmus.data.storage.remote import is_address
from isthmus.data.tables.frames import is_table, to_frame
from isthmus.data.tables.reading import check_extra
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.axes import Kind, examples_first
from isthmus.data.transforms.contract import DataContract
from isthmus.data.windowing import cut, windowed
from isthmus.errors import BadData, IsthmusError, ShapeError
from isthmus.options import DataOptions, TrainingOptions

if TYPE_CHECKING:
    import pandas as pd

Data = Any
"""Examples in any form that :func:`open_data` takes."""
IN_MEMORY = Provenance("array")
RECORDED: dict[Kind, tuple[str, ...]] = {
    "table": (),
    "sequences": ("TC", "CT", "NTC", "NCT"),
    "images": (),
    "frames": ("NHW", "NHWC", "NCHW", "NFHW", "NFHWC", "NFCHW"),
}
"""Orders of the axes of recordings that are tried for new windows, by the kind of windows."""


def open_data(
    data: Data,
    options: DataOptions,
    *,
    seed: int = 0,
    labels: object = None,
    targets: object = None,
    schema: Schema | None = None,
    training: TrainingOptions | None = None,
) -> Dataset | Stream:
    """The data set of a name, a path or an object; or a stream, whose number of examples is not known.

    Args:
        data: the name of a data set; a path; an array, tensor, masked array, memory map or sparse matrix (N, ...); a
            data frame of pandas, polars or Arrow; a data set or loader of torch or Hugging Face; a pair (x, y) of
            arrays; a mapping of arrays such as ``{"x_train": ..., "x_test": ...}``; a stream; or an iterable of chunks.
        options: options of the data.
        seed: seed with which the patches of photographs are sampled.
        labels: class of each example of data in memory, (N,).
        targets: what is to be reconstructed from each example of data in memory, of its shape.
        schema: columns of the training table, for new data.
        training: options of the training, which say how many examples of an iterable are used.

    Raises:
        BadData: data that cannot be read or used; the message says why.
    """
    if options.window is not None and is_recordings(data):
        opened, options = _recordings(data, options, labels, targets, schema)
    else:
        opened = _opened(columns(data, options.window), cut(options), seed, labels, targets, schema, training)
    return windowed(opened, options)


def _opened(
    data: Data,
    options: DataOptions,
    seed: int,
    labels: object,
    targets: object,
    schema: Schema | None,
    training: TrainingOptions | None,
) -> Dataset | Stream:
    """The rows of the data, before windows are cut."""
    opened: Dataset | Stream
    if isinstance(data, Stream):
        opened = data
    elif isinstance(data, str) and is_named(data):
        opened = load_dataset(data, options, seed=seed)
    elif isinstance(data, str | Path):
        opened = _path(data, options, schema, seed)
    elif is_table(data):
        opened = dataset_of_frame(to_frame(data), options, "table", schema)
    elif is_records(data):
        opened = _records(data, options, schema)
    elif isinstance(data, tuple) and len(data) == 2 and is_table(data[0]):
        labels, targets = (labels, data[1]) if _is_matrix(data[1]) else (data[1], targets)
        opened = dataset_of_frame(to_frame(data[0]), options, "table", schema)
    else:
        opened = _object(data, options, training, schema)
    if labels is None and targets is None:
        return opened
    if isinstance(opened, Stream) or isinstance(data, str | Path) or not isinstance(opened.train, Examples):
        raise BadData(
            "labels=... and targets=... are for examples in memory. For a table, pass the name of the column with "
            "labels."
        )
    return _with(opened, opened.train, labels, targets, options.layout)


def _recordings(
    data: list[Any], options: DataOptions, labels: object, targets: object, schema: Schema | None
) -> tuple[Dataset | Stream, DataOptions]:
    """The rows of a list of recordings in memory, and the options with what their axes mean.

    Raises:
        BadData: recordings of different columns, or labels of rows instead of recordings.
    """
    if not is_table(data[0]):
        data = time_first(data, options.layout)
        options = options.model_copy(update={"layout": "NHW" if data[0].ndim == 3 else "auto"})
    known = as_array([] if labels is None else labels, "The labels")
    if targets is not None or (labels is not None and known.shape != (len(data),)):
        raise BadData(
            f"A list of {len(data)} recordings takes one label per recording (labels=...), and no targets. Join "
            "them to one array for more."
        )
    sources: list[Source] = []
    notes = tuple[str, ...]()
    for number, recording in enumerate(data):
        own = _opened(recording, cut(options), 0, None, None, schema, None)
        assert isinstance(own, Dataset)
        schema, notes = schema or own.schema, tuple(dict.fromkeys(notes + own.notes))
        rows = named_labels(own)
        assert isinstance(rows, Examples)
        sources.append(replace(rows, name=f"recording {number}"))
    joined = Joined("array", sources, [str(number) for number in range(len(data))], texts(known))
    return Dataset("array", memorized(joined), schema=schema, notes=notes), options


def open_like(
    data: Data, options: DataOptions, contract: DataContract, *, seed: int = 0, order: str = "auto"
) -> Dataset | Stream:
    """New data for a trained model, whose arrays have their axes in the ``order`` of training or the examples first.

    Raises:
        IsthmusError: data that cannot be read or used.
    """
    # chunks of an iterator are read once, and their examples are first
    moved = order != "auto" and not order.startswith("N") and not isinstance(data, Iterator | Stream)
    layouts: tuple[str, ...] = (order, "auto") if moved else ("auto",)
    if options.window is not None:
        # of windows, the order is that of the recordings; it is known which have the shape of training
        layouts = (order, *(RECORDED[contract.kind] if not isinstance(data, Iterator | Stream) else ()))
    refused: list[IsthmusError] = []
    for layout in layouts:
        try:
            own = options.model_copy(update={"layout": layout})
            opened = open_data(data, own, seed=seed, schema=contract.schema)
            if isinstance(opened, Dataset):
                contract.layout_for(opened.train)
            return opened
        except IsthmusError as error:
            refused.append(error)
    # another shape says more than an order of axes that is not known
    raise next((error for error in refused if isinstance(error, ShapeError)), refused[0])


def _path(data: str | Path, options: DataOptions, schema: Schema | None, seed: int) -> Dataset:
    """The data set of a path; a misspelled name of a data set is refused as such."""
    if isinstance(data, str) and not is_address(data) and not Path(data).expanduser().exists():
        return load_dataset(data, options, seed=seed)
    return read_path(data, options, schema)


def _records(data: Any, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of rows with named fields."""
    check_extra("An array or a list of records")
    import pandas as pd

    return dataset_of_frame(pd.DataFrame(data), options, "table", schema)


def _with(dataset: Dataset, examples: Examples, labels: object, targets: object, layout: str) -> Dataset:
    """A data set in memory with labels or targets."""
    names = dataset.label_names
    if labels is not None:
        known = {"train": as_array(labels, "The labels")}
        labeled = dataset_of_splits("array", {"train": as_array(examples.x)}, known, IN_MEMORY)
        assert isinstance(labeled.train, Examples)
        examples, names = replace(examples, labels=labeled.train.labels), labeled.label_names or names
    if targets is not None:
        x = as_array(examples.x)
        if is_table(targets) and dataset.schema is not None:
            targets = dataset.schema.matrix(to_frame(targets), "The table of targets")
        examples = replace(
            examples, x=shaped_like(x, examples_first(as_array(targets, "The targets"), layout)), noisy=x
        )
    return replace(dataset, train=examples, label_names=names)


def _object(
    data: Data, options: DataOptions, training: TrainingOptions | None, schema: Schema | None
) -> Dataset | Stream:
    """The data set of an object that is neither a name, a path nor a table."""
    if options.labels is not None and schema is None and not isinstance(data, Mapping):
        raise BadData(
            f"data.labels={options.labels} names a column of a table, but the data is not a table. Pass the labels as "
            "an array (labels=...), or leave it out."
        )
    data = as_listed(data)
    tables = data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else ()
    if any(is_table(table) for table in tables):
        raise BadData(
            f"A {type(data).__name__} of tables is not supported. Pass one table, joined with pandas.concat; or a pair "
            "(table, targets); or a validation table as valid=..."
        )
    if isinstance(data, Mapping) and options.key is None and options.labels is None:
        data = rows_of_pictures(data)
    if isinstance(data, Mapping):
        arrays = {str(key): as_array(value, options=options) for key, value in data.items()}
        return dataset_of_arrays(arrays, "array", IN_MEMORY, options)
    if is_sparse(data):
        return _held(Examples((data.T if options.layout == "DN" else data).tocsr()), options)
    if is_loader(data):
        items = loaded_in_order(data)
        if items is None:
            return _iterable(data, options, training, schema)
        return _object(items, options, training, schema)
    if isinstance(data, tuple) and not options.layout.startswith(("auto", "N")):
        data = tuple(examples_first(as_array(values), options.layout) for values in data)
    # a list of two arrays is two examples
    if isinstance(data, tuple) and is_pair(data):
        return _of_pair(_matching(Pair(as_array(data[0]), as_array(data[1]))))
    if is_listed(data) or (is_items(data) and not hasattr(data, "__array__")):
        if _is_tabular(data):
            return dataset_of_frame(data.to_pandas(), options, "table", schema)
        return _of_items(Items(data, options), options)
    if isinstance(data, Iterable) and not hasattr(data, "__array__") and not isinstance(data, list | tuple | str):
        return _iterable(data if isinstance(data, Iterator) else Chunks(data), options, training, schema)
    return _held(Examples(examples_first(as_array(data), options.layout)), options)


def _of_items(items: Items, options: DataOptions) -> Dataset:
    """A data set of items, in memory or where they are."""
    if is_streamed(len(items) * math.prod(items.shape), options):
        return Dataset("array", items, notes=items.notes, streamed=True)
    check_size(len(items) * row_bytes(items), "The data set")
    dataset = _of_pair(items.pair())
    assert isinstance(dataset.train, Examples)
    known = replace(dataset.train, brightest=items.brightest, axes=items.axes)
    return replace(dataset, train=known, notes=items.notes)


def _is_tabular(data: Any) -> bool:
    """Whether a Hugging Face data set has rows of single values, like a table."""
    return callable(getattr(data, "to_pandas", None)) and all(
        isinstance(value, int | float | str | None) for value in dict(data[0]).values()
    )


def _is_matrix(value: object) -> bool:
    """Whether an object holds several values per row."""
    return getattr(value, "ndim", 2) > 1 if is_table(value) else as_array(value).ndim > 1


def _peeked(chunks: Iterator[object]) -> tuple[object, Iterator[object]]:
    """The first chunk, and all of them."""
    first = next(chunks, None)
    return first, chunks if first is None else chain([first], chunks)


def _joined(chunks: Iterable[object]) -> "pd.DataFrame":
    """The rows of all tables, with the columns of the first."""
    import pandas as pd

    frames = [to_frame(chunk) for chunk in chunks]
    return pd.concat([in_order(frame, list(frames[0].columns)) for frame in frames], ignore_index=True)


def _iterable(
    chunks: Iterable[object], options: DataOptions, training: TrainingOptions | None, schema: Schema | None
) -> Dataset | Stream:
    """A stream of as many examples as the steps of the training use; without steps, all examples in memory."""
    if training is not None and training.steps is not None:
        return Stream(chunks, training.steps * training.batch_size)
    first, chunks = _peeked(iter(chunks))
    if is_table(first):
        return dataset_of_frame(_joined(chunks), options, "table", schema)
    return _of_pair(collected(chunks, memory_limit()))


def _of_pair(pair: Pair) -> Dataset:
    """A data set in memory of examples and their labels or targets; other values beside them are left out."""
    y = None if pair.y is None else shaped_like(pair.x, pair.y)
    usable = y is not None and (y.shape == pair.x.shape or (y.size == len(pair.x) and _are_classes(y)))
    return dataset_of_splits("array", {"train": pair.x}, {"train": y} if usable and y is not None else {}, IN_MEMORY)


def _matching(pair: Pair) -> Pair:
    """A pair whose y can be labels or targets.

    Raises:
        BadData: it has several values per example, but not those of a target.
    """
    y = pair.y
    if y is not None and y.size > len(y) and shaped_like(pair.x, y).shape != pair.x.shape:
        raise BadData(
            f"A pair (x, y) has inputs of shape {pair.x.shape}, but targets of shape {y.shape}. Pass one target of the "
            "same shape per input, or one label per example."
        )
    return pair


def _are_classes(y: Any) -> bool:
    return y.dtype.kind in "biuUS" or (y.dtype.kind == "f" and bool((y == y.round()).all()))


def _held(source: Source, options: DataOptions) -> Dataset:
    source, streamed = held(source, options)
    return Dataset("array", source, streamed=streamed)


def source_name(data: object) -> str:
    """The name, address or absolute path that loads ``data`` again; empty for data in memory."""
    if isinstance(data, str) and (is_named(data) or is_address(data)):
        return data
    return str(Path(data).expanduser().resolve()) if isinstance(data, str | Path) else ""
