"""Data for a trained run: its own, split as for training, or other data, transformed in the same way."""

import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data, open_like, source_name
from isthmus.data.prepared import PreparedData, PreparedSplit, screened
from isthmus.data.preparing import prepare
from isthmus.data.samplers.stored import LazyTensor, StoredTensor
from isthmus.data.samplers.streams import Stream
from isthmus.data.sources.base import Source
from isthmus.data.sources.joined import Joined
from isthmus.data.sources.windows import Windows
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.binary import check_unit, draw_bernoulli
from isthmus.data.transforms.fitting import ROUNDING
from isthmus.data.transforms.labels import encode_labels
from isthmus.data.transforms.splits import SPLITS
from isthmus.errors import BadData, IncompatibleParts
from isthmus.options import DataOptions
from isthmus.parts.likelihoods.support import clip_to_support, rows_outside
from isthmus.runs.origin import may_open
from isthmus.runs.run import Run

NewData = Any
"""Data for a trained run, in the units of the training data: the name of a data set, a path, or an array, table or
other object that :func:`isthmus.data.opening.open_data` takes."""
Use = Literal["input", "noisy", "target", "scored"]
MARGIN = 0.05
"""How far from 0 and 1 a number must be to count as one between, after 32-bit numbers were scaled back."""
NOISE = 8.0
"""How far outside [0, 1] noisy images may be, for a model that was trained on pixels."""


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
    dataset = _opened(run, data)
    inputs = _inputs(run, dataset, dataset.test or dataset.train, "target")
    split = PreparedSplit(
        inputs.x,
        inputs.labels,
        names=inputs.names,
        inputs=inputs.given,
        file=dataset.name,
        row_title=inputs.row_title,
    )
    return PreparedData(
        train=split,
        valid=None,
        test=split,
        contract=run.contract,
        dynamic=False,
        name=dataset.name,
        provenance=dataset.provenance,
        held_out="test set" if dataset.test is not None else "none",
        label_names=inputs.label_names,
    )


@dataclass(frozen=True)
class Inputs:
    """Model inputs of all examples of a data set, in the order of the data: training, validation and test set.

    Attributes:
        x: (N, *D); lazily read if it is large or if invalid examples are skipped, so that each keeps its row.
        labels: class of each example as an integer, (N,), where known.
        label_names: names of the classes.
        names: name of each example, (N,), where known.
        row_title: what the names are, such as ``file``.
        name: name of the data set.
        given: what the encoder sees, if the examples are pairs of input and target; of the shape of ``x``.
        axes: letters of the axes of a raw example, such as ``CHW``; empty if results have others.
        starts: first example of each recording, from 0.
    """

    x: Tensor | LazyTensor
    labels: Array | None = None
    label_names: tuple[str, ...] = ()
    names: Array | None = None
    row_title: str = ""
    name: str = "array"
    given: Tensor | None = None
    axes: str = ""
    starts: tuple[int, ...] = (0,)


def inputs_for(run: Run, data: NewData, use: Use = "target", labels: str | None = None) -> Inputs:
    """Model inputs of all examples of a data set, transformed by the contract of the run.

    Args:
        run: a trained run.
        data: the examples.
        use: what they are for: an ``input`` need not lie in the support of the likelihood; a ``noisy`` one is not
            binarized either; a ``target`` must; what is to be ``scored`` may lie anywhere.
        labels: column or array of ``data`` with the labels to return; by default those that the run knows.

    Raises:
        IsthmusError: data that cannot be read, of another shape, or not in the units of the training data.
    """
    dataset = _opened(run, data, labels)
    source = dataset.train
    if len(dataset.splits) > 1:
        source = Joined(dataset.name, list(dataset.splits.values()))
    return _inputs(run, dataset, source, use)


def model_inputs(run: Run, data: NewData) -> Tensor:
    """Model inputs of all examples in memory, as they are: not binarized, and not checked against the likelihood."""
    dataset = _opened(run, data)
    return _view(run, dataset.train, "noisy").load()[0]


def _inputs(run: Run, dataset: Dataset, source: Source, use: Use) -> Inputs:
    """The examples of a source as model inputs; of pairs, the inputs where no targets are needed."""
    noisy, given = source.inputs(), None
    if noisy is not None and use in ("input", "noisy"):
        source = noisy
    elif noisy is not None:
        given = _view(run, noisy, "noisy").load()[0]
    view = _view(run, source, use)
    x: Tensor | StoredTensor = view
    if dataset.streamed or run.recipe.data.on_bad_data == "skip":
        _prepare_lazy(run, view, use)
    else:
        x = view.load()[0]
        if use == "target":
            x = _in_range(run, x)
        if _binary(run, use):
            x = draw_bernoulli(x, run.metadata.seed, len(SPLITS), shared=True)
        if bool(x.isnan().any()):
            _accept_missing(run, use)
        if use == "target":
            run.model.check(x)
        _warn_of_other_units(run, x, source)
    rows = np.arange(len(source))
    labels, label_names = _encoded(dataset, source, rows)
    names = source.names_of(rows)
    recordings = source.recordings()
    starts = (0,) if recordings is None else tuple(recordings.starts.tolist())
    return Inputs(x, labels, label_names, names, source.row_title, dataset.name, given, _axes(run, source), starts)


def _encoded(dataset: Dataset, source: Source, rows: Array) -> tuple[Array | None, tuple[str, ...]]:
    """The labels of some rows of a source as integers, where it has any, and the names of their classes."""
    labels = source.labels_of(rows)
    encoded, names = ({}, ()) if labels is None else encode_labels({"train": labels}, repr(source.name))
    return encoded.get("train"), dataset.label_names or names


def _axes(run: Run, source: Source) -> str:
    """The axes that results like the examples of a source have; empty if they differ from those of the examples."""
    layout = run.contract.layout_for(source)
    # a recording of single numbers has no axis of channels, but its rows have
    single = isinstance(source, Windows) and layout.axes == "TC" and source.shape[-1] == 1
    return "" if layout.recolor or layout.row or single else layout.axes


def _view(run: Run, source: Source, use: Use) -> StoredTensor:
    """The examples of a source through the contract of the run, with the checks that their use needs."""
    options, contract = run.recipe.data, run.contract
    binary = _binary(run, use)
    view = StoredTensor(
        source,
        contract,
        BadExamples(options.on_bad_data, len(source)),
        missing=options.on_bad_data == "stop",
        bernoulli_seed=run.metadata.seed if binary else None,
    )
    if contract.in_unit_interval(source):
        words, slack = contract.pixel_words, NOISE if use == "noisy" else 0.0 if contract.on_pixels else ROUNDING
        view.add_check(lambda x: check_trained_on_pixels(contract.brightness(x), words, slack))
    if contract.on_brightness and not contract.on_pixels and source.dtype.kind in "ui":
        view.add_check(_check_gray_levels)
    if binary and use != "scored" and contract.scaling.kind != "minmax":
        view.add_check(partial(check_unit, what=f"{source.name!r}", options=options))
    return view


def _prepare_lazy(run: Run, view: StoredTensor, use: Use) -> None:
    """Let missing cells of examples that are read on demand pass if the model can leave them out, and check targets."""
    if view.missing and view.source.dtype.kind == "f":
        try:
            _accept_missing(run, use)
        except IncompatibleParts:
            view.missing = False
    if use != "target":
        return
    if run.contract.scaling.kind == "minmax":
        view.clip = partial(clip_to_support, likelihood=run.model.likelihood)
    view.add_check(run.model.check)


def _binary(run: Run, use: Use) -> bool:
    return run.recipe.data.binarize != "none" and use != "noisy"


def _accept_missing(run: Run, use: Use) -> None:
    """Let the model leave out missing cells; the encoder sees their mean in the training data instead.

    Raises:
        IncompatibleParts: the likelihood, or another part that compares examples, cannot leave them out.
    """
    fill = run.contract.fill_tensor()
    if use in ("target", "scored"):
        run.objective.accept_missing(fill)
    else:
        run.model.fill = fill.to(run.model.like)


def _in_range(run: Run, x: Tensor) -> Tensor:
    """Targets with values outside the range of the training data clipped to the support of the likelihood."""
    if run.contract.scaling.kind != "minmax":
        return x
    inside = clip_to_support(x, run.model.likelihood)
    rows = int(rows_outside(x, run.model.likelihood).sum()) if inside is not x else 0
    if rows:
        warnings.warn(
            f"{rows:,} of {len(x):,} examples have values outside the range of the training data, and are clipped to "
            "it. An anomaly score counts how far outside they are.",
            stacklevel=2,
        )
    return inside


def _warn_of_other_units(run: Run, x: Tensor, source: Source) -> None:
    """Warn of images whose values are probably in other units than those that the model was trained on."""
    contract = run.contract
    if len(x) and contract.scale_of_pixels and source.dtype.kind == "f" and source.brightest is None:
        values = contract.scaling.invert(x.nan_to_num(nan=0.0))
        between = bool(((values > MARGIN) & (values < 1 - MARGIN)).any())
        if between and not contract.in_unit_interval(source) and float(values.max()) <= 1 + MARGIN:
            warnings.warn(
                f"The data has values up to {float(values.max()):g}, but the model was trained on "
                f"{contract.pixel_words} from 0 to {contract.brightest:,.0f}. Pass values in "
                "these units, or whole numbers of 8 or 16 bits.",
                stacklevel=2,
            )
    if run.contract.on_brightness and len(x):
        largest = float(x.nan_to_num(nan=0.0).max())
        if largest > 1 + NOISE:
            warnings.warn(
                f"The data has values up to {largest:g}, but the model was trained on gray levels in [0, 1]. If these "
                "are 8-bit pixels, pass them as bytes (uint8), or divide them by 255.",
                stacklevel=2,
            )


def _check_gray_levels(x: Tensor) -> None:
    """Refuse whole numbers above 1 that are not bytes, for a model that was trained on gray levels in [0, 1].

    Raises:
        BadData: there are such numbers.
    """
    if len(x) and float(x.nan_to_num(nan=0.0).max()) > 1:
        raise BadData(
            f"The data has whole numbers up to {float(x.nan_to_num(nan=0.0).max()):g}, but the model was trained on "
            "gray levels in [0, 1]. Pass 8-bit pixels as bytes (uint8) or 16-bit ones as uint16, or values in "
            "[0, 1]."
        )


def check_trained_on_pixels(x: Tensor, words: str = "8-bit pixels divided by 255", slack: float = 0.0) -> None:
    """Refuse values that are not in [0, 1], for a model that was trained on pixels, such as ``words`` says.

    Raises:
        BadData: some values are outside [0, 1] by more than ``slack``.
    """
    seen = x[~x.isnan()]
    if len(seen) and (float(seen.min()) < -slack or float(seen.max()) > 1 + slack):
        raise BadData(
            f"The data has values from {float(seen.min()):g} to {float(seen.max()):g} of a type that "
            f"is not whole numbers, but the model was trained on {words}. Pass 8-bit pixels (uint8), or values in "
            "[0, 1]."
        )


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


def own_source(run: Run, *, named: bool) -> str:
    """Name or path of the data that the run was trained on; ``named`` is whether the user passed it.

    Raises:
        BadData: it was in memory, or may not be read.
    """
    source = run.metadata.source
    if not source:
        raise BadData("The run was trained on data that was only in memory. Pass data=... to name the data.")
    if not named and not may_open(source, run.metadata.machine.get("source_signature"), run.folder):
        raise BadData(
            f"The run was not trained by this user, and its data {source!r} lies outside its folder and the current "
            "one. Pass data=... to name the data that may be read."
        )
    return source


def _own_data(run: Run, *, named: bool) -> PreparedData:
    """The data that the run was trained on, read again."""
    source = own_source(run, named=named)
    try:
        data = prepare(source, _as_trained(run), run.metadata.seed)
    except BadData as error:
        raise BadData(
            f"The data that the run was trained on cannot be read again: {error} Or pass data=... to use other data."
        ) from error
    _check_unchanged(run, data)
    return screened(data, run.model)


def _opened(run: Run, data: NewData, labels: str | None = None) -> Dataset:
    """Other data as a data set, with the columns of the training table; ``labels`` names those of other labels.

    Raises:
        BadData: it cannot be read, or is a stream.
    """
    options, contract = _options(run), run.contract
    if labels is not None:
        options = options.model_copy(update={"labels": labels})
        if contract.schema is not None:
            contract = replace(contract, schema=contract.schema.with_labels(labels))
    return _finite(open_like(data, options, contract, seed=run.metadata.seed, order=options.layout))


def labels_of(run: Run, labels: str, split: PreparedSplit) -> tuple[Array | None, tuple[str, ...]]:
    """Other labels of a split of the data that a run was trained on, by the column or array that holds them.

    Raises:
        BadData: the data was only in memory, or cannot be read.
    """
    dataset = _opened(run, own_source(run, named=False), labels)
    rows = np.arange(len(split)) if split.rows is None else split.rows
    return _encoded(dataset, dataset.train, rows)


def opened_freely(run: Run, data: NewData) -> Dataset:
    """Other data as a data set, of examples of any shape."""
    return _finite(open_data(data, _options(run), seed=run.metadata.seed, schema=run.contract.schema))


def _finite(dataset: Dataset | Stream) -> Dataset:
    if isinstance(dataset, Stream):
        raise BadData("A stream has no end, so it can only be trained on. Pass its examples as arrays.")
    return dataset


def _as_trained(run: Run) -> DataOptions:
    """The data options of the run, with data that was in memory for training read into memory on any machine."""
    options = run.recipe.data
    return options if options.memory == "stream" else options.model_copy(update={"memory": "whole"})


def _options(run: Run) -> DataOptions:
    """The options for other data, whose size decides whether it is streamed, and which need not have labels."""
    known = run.contract.schema is not None
    changes = {"memory": "auto", "labels": run.recipe.data.labels if known else None}
    return run.recipe.data.model_copy(update=changes)


def _check_unchanged(run: Run, data: PreparedData) -> None:
    before = {f["name"]: f["sha256"] for f in run.metadata.provenance.get("files", [])}
    for file in data.provenance.files:
        if before.get(file.name, file.sha256) != file.sha256:
            raise BadData(
                f"{file.name!r} is not the file that the run was trained on (its SHA-256 differs), so its splits would "
                "differ too. Restore the file, or pass data=... to use other data."
            )
