"""Data for a trained run: its own, split as for training, or other data, transformed in the same way."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array, Dataset, Examples, Provenance
from isthmus.data.formats.arrays import encode_labels
from isthmus.data.loading import as_path, dataset_of, prepare, source_name
from isthmus.data.preparing.new_data import draw_binary, lazy_like_training
from isthmus.data.preparing.prepared import PreparedData, PreparedSplit
from isthmus.data.preparing.screening import screened
from isthmus.data.streaming.choice import open_source, source_if_streamed
from isthmus.data.streaming.lazy import StoredTensor
from isthmus.data.streaming.sources import ArraySource, Source
from isthmus.errors import BadData
from isthmus.options import DataOptions
from isthmus.runs.origin import may_open
from isthmus.runs.run import Run

NewData = str | Path | Array | Tensor
"""Data for a trained run: the name of a data set, a path, or an array or tensor in the units of the training data."""


def data_for(run: Run, data: NewData | None = None) -> PreparedData:
    """The data of a run, split as for training; or other ``data`` of the same shape, transformed in the same way.

    The test set of the result is that of the other data, or all of it if it has none.

    Raises:
        BadData: the data was only in memory, its files changed after training, a run of unknown origin names files
            outside the permitted folders, or the likelihood cannot describe the data.
        ShapeError: other data of another shape.
    """
    named = isinstance(data, str | Path)
    if data is None or (named and source_name(data) == run.metadata.source):
        return run.data if run.data is not None else _own_data(run, named=named)
    split, dataset = _other_data(run, data)
    own = dataset is not None and dataset.test is not None
    return PreparedData(
        train=split,
        valid=None,
        test=split,
        shape=run.metadata.shape,
        scaling=run.scaling,
        images=run.metadata.images,
        dynamic=False,
        name=dataset.name if dataset is not None else Path(data).name if isinstance(data, str | Path) else "array",
        provenance=Provenance(source_name(data) or "array") if dataset is None else dataset.provenance,
        held_out="test set" if own else "none",
        label_names=() if dataset is None else dataset.label_names,
    )


def inputs_for(
    run: Run, data: NewData, *, clean: bool = True, target: bool = True
) -> tuple[Tensor | StoredTensor, Array | None]:
    """Model inputs of all examples of a data set: training, validation and test set in order; and their labels.

    Data that is not a ``target`` is an input only, so it need not lie in the support of the likelihood; if it is not
    ``clean`` either, it is not binarized. Large data is read lazily, and so is data whose invalid examples are skipped:
    each keeps its row.
    """
    stored = _stored(run, data, clean=clean, target=target)
    if stored is not None:
        raw = stored.source.labels(np.arange(len(stored)))
        return stored, None if raw is None else encode_labels({"train": raw}, repr(stored.source.name))[0]["train"]
    dataset = dataset_of(data, _options(run), run.metadata.seed)
    splits = [split for split in (dataset.train, dataset.valid, dataset.test) if split is not None]
    known = [split.labels for split in splits if split.labels is not None]
    labels = np.concatenate(known) if len(known) == len(splits) else None
    if run.recipe.data.on_bad_data == "skip":
        every = ArraySource(np.concatenate([split.x for split in splits]), dataset.name, file=dataset.name)
        return _on_disk(run, every, clean=clean, target=target), labels
    return torch.cat([_in_memory(run, split, dataset, clean=clean, target=target) for split in splits]), labels


def evaluation_split(data: PreparedData) -> PreparedSplit:
    """The split that is evaluated: the test set, or else the validation set, or else the training set."""
    return data.test or data.valid or data.train


def describe_split(data: PreparedData) -> str:
    """The name of the split that is evaluated, with its number of examples."""
    split = evaluation_split(data)
    own = {"test set": "the test set", "held-out set": "the held-out test set", "none": "all examples"}
    which = own[data.held_out]
    if data.test is None:
        which = "the validation set" if data.valid is not None else "the training set (nothing is held out)"
    return f"{which} of {data.name}, {len(split):,} example{'s' if len(split) > 1 else ''}"


def _own_data(run: Run, *, named: bool) -> PreparedData:
    """The data that the run was trained on, read again; ``named`` is whether the user passed its name."""
    source = run.metadata.source
    if not source:
        raise BadData("The run was trained on data that was only in memory. Pass data=... to name the data.")
    if not named and not may_open(source, run.metadata.machine.get("source_signature"), run.folder):
        raise BadData(
            f"The run was not trained by this user, and its data {source!r} lies outside its folder and the current "
            "one. Pass data=... to name the data that may be read."
        )
    try:
        data = prepare(source, _as_trained(run), run.metadata.seed)
    except BadData as error:
        raise BadData(
            f"The data that the run was trained on cannot be read again: {error} Or pass data=... to use other data."
        ) from error
    _check_unchanged(run, data)
    return screened(data, run.model.likelihood.check)


def _other_data(run: Run, data: NewData) -> tuple[PreparedSplit, Dataset | None]:
    """The split of other data that is evaluated, and its data set if that is in memory."""
    stored = _stored(run, data)
    if stored is not None:
        return PreparedSplit(stored), None
    dataset = dataset_of(data, _options(run), run.metadata.seed)
    examples = dataset.test or dataset.train
    if run.recipe.data.on_bad_data == "skip":
        return PreparedSplit(_on_disk(run, ArraySource(examples.x, dataset.name, file=dataset.name))), dataset
    return PreparedSplit(_in_memory(run, examples, dataset), examples.labels), dataset


def _as_trained(run: Run) -> DataOptions:
    """The data options of the run, with data that was in memory for training read into memory on any machine."""
    options = run.recipe.data
    return options if options.memory == "stream" else options.model_copy(update={"memory": "whole"})


def _options(run: Run) -> DataOptions:
    """The options for other data, whose size decides whether it is streamed."""
    return run.recipe.data.model_copy(update={"memory": "auto", "on_bad_data": "stop"})


def _stored(run: Run, data: NewData, *, clean: bool = True, target: bool = True) -> StoredTensor | None:
    """Other data, read lazily if it is large or if invalid examples are skipped; else ``None``."""
    path, options = as_path(data), _options(run)
    source = source_if_streamed(path, options)
    if source is None and run.recipe.data.on_bad_data == "skip" and isinstance(path, Path):
        source = open_source(path, options)
    return None if source is None else _on_disk(run, source, clean=clean, target=target)


def _on_disk(run: Run, source: Source, *, clean: bool = True, target: bool = True) -> StoredTensor:
    """Other examples, read lazily and transformed as by :func:`_in_memory`."""
    options = run.recipe.data
    # loaded arrays have their shape already
    options = options.model_copy(update={"shape": None}) if isinstance(source, ArraySource) else options
    stored = lazy_like_training(source, run.metadata.shape, run.scaling, options, run.metadata.seed, clean=clean)
    if clean and target:
        stored.add_check(run.model.likelihood.check)
    return stored


def _in_memory(run: Run, examples: Examples, dataset: Dataset, *, clean: bool = True, target: bool = True) -> Tensor:
    """Other examples, scaled and binarized as the training data; targets are checked against the likelihood."""
    x = run.to_tensor(examples.x, pixels=dataset.pixels)
    if clean:
        x = draw_binary(x, run.recipe.data, run.metadata.seed, dataset.name)
    if clean and target:
        run.model.likelihood.check(x)
    return x


def _check_unchanged(run: Run, data: PreparedData) -> None:
    before = {f["name"]: f["sha256"] for f in run.metadata.provenance.get("files", [])}
    for file in data.provenance.files:
        if before.get(file.name, file.sha256) != file.sha256:
            raise BadData(
                f"{file.name!r} is not the file that the run was trained on (its SHA-256 differs), so its splits would "
                "differ too. Restore the file, or pass data=... to use other data."
            )
