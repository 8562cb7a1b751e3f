"""Loading and preparation of data given as a name, a path, an array, a tensor or a stream."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from isthmus.data.base import Array, Dataset, Examples, Provenance
from isthmus.data.catalogue.table import is_named, load_dataset
from isthmus.data.formats.arrays import encode_labels, is_8bit, standardize_layout
from isthmus.data.preparing.in_memory import prepare_in_memory
from isthmus.data.preparing.new_data import draw_binary, transform_like_training
from isthmus.data.preparing.on_disk import prepare_on_disk
from isthmus.data.preparing.prepared import PreparedData, PreparedSplit
from isthmus.data.preparing.streams import Stream, prepare_stream
from isthmus.data.streaming.choice import source_if_streamed
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions, TrainingOptions

Data = str | Path | Array | Tensor | Stream | Iterator[Array]


def as_stream(data: Data, training: TrainingOptions) -> Data:
    """An iterator as a stream whose population is the examples of all steps; other data unchanged.

    Raises:
        BadOption: ``training.steps`` is not set, so the population is not known.
    """
    if not isinstance(data, Iterator):
        return data
    if training.steps is None:
        raise BadOption(
            "The number of examples of an iterator is not known. Set training.steps, or pass "
            "isthmus.data.preparing.streams.Stream(chunks, population=...), with the number of examples per epoch."
        )
    return Stream(data, training.steps * training.batch_size)


def prepare(data: Data, options: DataOptions, seed: int, *, labels: Array | None = None) -> PreparedData:
    """Data as model inputs, split by ``seed``; large data stays on disk.

    ``labels`` are the classes of an array in memory, (N,).

    Raises:
        BadData: data that cannot be read or used.
    """
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, Stream):
        return prepare_stream(data, options, seed)
    if not isinstance(data, Tensor | np.ndarray | str | Path):
        raise BadData(
            f"Data of type {type(data).__name__} is not supported. Pass an array, a tensor, a path, a stream, or the "
            "name of a data set."
        )
    source = source_if_streamed(as_path(data), options)
    if labels is not None and (source is not None or not isinstance(data, Tensor | np.ndarray)):
        raise BadData("labels=... are for an array in memory. For a table, pass the name of the column with labels.")
    if source is not None:
        return prepare_on_disk(source, str(data) if isinstance(data, str | Path) else "array", options, seed)
    return prepare_in_memory(dataset_of(data, options, seed, labels), options, seed)


def with_validation(prepared: PreparedData, valid: Data, options: DataOptions, seed: int) -> PreparedData:
    """Prepared data with another validation set, transformed as the training set.

    Raises:
        IsthmusError: examples of another shape or in other units, or data that is not in memory.
    """
    if hasattr(valid, "to_numpy"):
        valid = valid.to_numpy()
    if not isinstance(valid, Tensor | np.ndarray | str | Path):
        raise BadData(f"A validation set of type {type(valid).__name__} is not supported. Pass an array or a path.")
    dataset = dataset_of(valid, options.model_copy(update={"memory": "whole"}), seed)
    x = transform_like_training(
        dataset.train.x, prepared.shape, prepared.scaling, prepared.images, pixels=dataset.pixels
    )
    split = PreparedSplit(draw_binary(x, options, seed, "The validation set"), dataset.train.labels)
    return replace(prepared, valid=split)


def as_path(data: str | Path | Array | Tensor) -> str | Path | Array | Tensor:
    """A string that is not the name of a data set as a path; other data unchanged."""
    return Path(data).expanduser() if isinstance(data, str) and not is_named(data) else data


def source_name(data: object) -> str:
    """The name or absolute path that loads ``data`` again; empty for data in memory."""
    if isinstance(data, str) and is_named(data):
        return data
    return str(Path(data).expanduser().resolve()) if isinstance(data, str | Path) else ""


def dataset_of(
    data: str | Path | Array | Tensor, options: DataOptions, seed: int, labels: Array | None = None
) -> Dataset:
    """The data set of a name or path; or of an array or tensor, as a training set with the classes ``labels`` (N,)."""
    if isinstance(data, str | Path):
        return load_dataset(data, options, seed=seed)
    x = data.detach().cpu().numpy() if isinstance(data, Tensor) else np.asarray(data)
    x = standardize_layout(x, options.shape, "The array")
    known, names = ({}, ()) if labels is None else encode_labels({"train": np.asarray(labels)}, "the array")
    return Dataset(
        "array",
        Examples(x, known.get("train")),
        images=x.ndim > 2,
        pixels=is_8bit([x]),
        label_names=names,
        provenance=Provenance("array"),
    )
