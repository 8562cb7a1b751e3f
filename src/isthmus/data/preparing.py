"""Preparation of data for a run: one pipeline, whatever the source.

    source -> layout -> schema -> split -> transform -> sampler

The last step depends on size alone: all splits are loaded into memory, or the training set stays on disk and only the
validation and test set are loaded (at most 5,000 and 10,000 random rows, and at most 128 MiB each), or a stream is
read as it comes (``samplers.streams``).
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array, Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.opening import Data, open_data, open_like
from isthmus.data.prepared import PreparedData, PreparedSplit
from isthmus.data.samplers.stored import StoredTensor
from isthmus.data.samplers.streams import HEAD, Stream, StreamTensor, head_of
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import BLOCK, Source, row_bytes
from isthmus.data.transforms.bad_examples import BadExamples, find_nonfinite
from isthmus.data.transforms.binary import check_unit, draw_bernoulli
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.fitting import (
    brightnesses,
    fit_scaling,
    fitted,
    sample_size,
    undecided,
)
from isthmus.data.transforms.guesses import guesses, nothing_to_learn
from isthmus.data.transforms.labels import encode_labels
from isthmus.data.transforms.layout import Layout, check_order, layout_of
from isthmus.data.transforms.missing import MissingCells, check_few_invalid, missing_in, survey
from isthmus.data.transforms.pixels import PixelTensor
from isthmus.data.transforms.splits import SPLITS, HeldOut, draw_held_out, fractions_on_disk, held_out_on_disk, split
from isthmus.data.windowing import cut, divided
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions, TrainingOptions

MOST_BYTES = 2**27
"""Largest held-out set of data on disk as 32-bit numbers, in bytes: 128 MiB."""
COARSE = 2**24
"""Size of a block, in bytes, above which so few fit into a pool that the shuffle is coarse: 16 MiB."""


@dataclass(frozen=True)
class _Pipeline:
    """The steps between the sources of a data set and the tensors of its splits.

    Attributes:
        dataset: the sources.
        options: options of the data.
        seed: seed of the split and of binary pixels.
        layout: meaning of the axes of the training set.
        contract: what was decided so far.
        bad_examples: record of invalid examples.
    """

    dataset: Dataset
    options: DataOptions
    seed: int
    layout: Layout
    contract: DataContract
    bad_examples: BadExamples

    def view(self, source: Source, excluded: Array | None = None, *, missing: bool = True) -> StoredTensor:
        """The examples of a source through the contract; invalid ones are skipped if the options say so."""
        layout = self.layout if source.shape == self.dataset.train.shape else None
        missing = missing and self.options.on_bad_data == "stop"
        sets = list(self.dataset.splits.values())
        # given inputs of pairs are not a set of their own
        before = next((n for n, known in enumerate(sets) if known is source), 0)
        first = sum(map(len, sets[:before]))
        return StoredTensor(
            source, self.contract, self.bad_examples, excluded, layout=layout, missing=missing, first=first
        )

    def loaded(self, source: Source, rows: Array) -> tuple[Tensor, Array]:
        """The valid ones of some rows of a source as model inputs, and their rows."""
        view = self.view(source)
        if self.options.binarize != "none" and self.options.on_bad_data == "skip":
            view.checks.append(lambda x: check_unit(x, repr(self.dataset.name), self.options))
        return view.load(rows)

    def pixels(self, source: Source, rows: Array) -> PixelTensor | None:
        """Some rows of a source as bytes, if they are many 8-bit images that need not become other numbers."""
        if self.options.binarize == "static" or source.inputs() is not None:
            return None
        return self.view(source).load_pixels(rows)

    def split_of(
        self,
        name: str,
        source: Source,
        x: Tensor | PixelTensor,
        kept: Array,
        *,
        what: str = "",
        purpose: int | None = None,
    ) -> PreparedSplit:
        """A split in memory from model inputs and their rows in a source, binarized as the options say.

        ``what`` names it in messages, and ``purpose`` separates its binary samples from those of other splits.
        """
        what = what or f"The {name} split of {self.dataset.name!r}"
        if isinstance(x, PixelTensor):
            if self.options.binarize == "dynamic":
                check_unit(x.extremes(), what, self.options)
        elif self.options.binarize != "none":
            if name != "train" and self.contract.scaling.kind == "minmax":
                # the range is that of the training set
                x = x.clamp(0, 1)
            check_unit(x, what, self.options)
            if self.options.binarize == "static" or name != "train":
                x = draw_bernoulli(x, self.seed, SPLITS.index(name) if purpose is None else purpose)
        noisy = source.inputs()
        inputs = None if noisy is None else self.view(noisy).load(kept)[0]
        if inputs is not None and len(inputs) != len(x):
            raise BadData(f"Some given inputs of {self.dataset.name!r} are invalid. Remove these pairs.")
        own = source is self.dataset.train
        file = self.dataset.name if own else f"{self.dataset.name} ({name} split)"
        names = source.names_of(kept)
        return PreparedSplit(x, source.labels_of(kept), kept, names, inputs, file, source.row_title)


def prepare(
    data: Data,
    options: DataOptions,
    seed: int,
    *,
    labels: object = None,
    targets: object = None,
    training: TrainingOptions | None = None,
) -> PreparedData:
    """Data in any form (:func:`isthmus.data.opening.open_data`) as model inputs, split by ``seed``.

    Raises:
        BadData: data that cannot be read or used.
    """
    opened = open_data(data, options, seed=seed, labels=labels, targets=targets, training=training)
    return (
        prepare_stream(opened, options, seed) if isinstance(opened, Stream) else prepare_dataset(opened, options, seed)
    )


def with_validation(prepared: PreparedData, valid: Data, options: DataOptions, seed: int) -> PreparedData:
    """Prepared data with another validation set, transformed as the training set.

    Raises:
        IsthmusError: examples of another shape or in other units, or data that is not in memory.
    """
    whole = options.model_copy(update={"memory": "whole"})
    opened = open_like(valid, whole, prepared.contract, seed=seed, order=options.layout)
    if isinstance(opened, Stream):
        raise BadData("A validation set must be in memory, not a stream. Pass its examples as arrays.")
    source, contract, missing = opened.train, prepared.contract, prepared.missing
    bad = BadExamples(options.on_bad_data, len(source))
    if bad.policy == "stop":
        missing += survey(source, contract, "The validation set")
    pipeline = _Pipeline(opened, options, seed, contract.layout_for(source), contract, bad)
    loaded = pipeline.loaded(source, np.arange(len(source)))
    split = pipeline.split_of("valid", source, *loaded, what="The validation set", purpose=len(SPLITS))
    if split.labels is not None:
        split = replace(split, labels=encode_labels({"valid": split.labels}, "the validation set")[0]["valid"])
    return replace(prepared, valid=split, missing=missing)


def prepare_dataset(dataset: Dataset, options: DataOptions, seed: int) -> PreparedData:
    """A data set as model inputs, split by ``seed``.

    Raises:
        BadData: invalid examples that are not to be skipped, or too few valid ones; values outside [0, 1] to be
            binarized.
        BadOption: ``data.binarize=static`` for data on disk, whose samples would have to be stored.
    """
    dataset, options = divided(dataset, options), cut(options)
    check_order(dataset, options.layout)
    layout = layout_of(dataset.train, options.shape, options.layout, options.missing)
    for name, source in dataset.splits.items():
        if source.shape != dataset.train.shape:
            raise BadData(
                f"{dataset.name!r} has a train split with examples of shape {dataset.train.shape}, but a {name} split "
                f"with examples of shape {source.shape}. Pass examples of the same shape."
            )
    contract = undecided(dataset, layout, options)
    bad = BadExamples(options.on_bad_data, sum(map(len, dataset.splits.values())))
    pipeline = _Pipeline(dataset, options, seed, layout, contract, bad)
    return _on_disk(pipeline) if dataset.streamed else _in_memory(pipeline)


def _in_memory(pipeline: _Pipeline) -> PreparedData:
    """All splits loaded into memory."""
    dataset, options = pipeline.dataset, pipeline.options
    missing = MissingCells()
    if options.on_bad_data == "skip":
        check_few_invalid(dataset)
    else:
        # in the order of the source, so that the row in a message is that of the file
        for name, source in dataset.splits.items():
            missing += survey(source, pipeline.contract, f"The {name} split of {dataset.name!r}")
    rows = split(dataset, options, pipeline.seed)
    pipeline = replace(pipeline, contract=_fitted(pipeline, rows.train))
    splits: dict[str, PreparedSplit] = {}
    for name in SPLITS:
        own = getattr(rows, name)
        source = dataset.train if own is not None else getattr(dataset, name)
        if source is not None:
            own = np.arange(len(source)) if own is None else own
            pixels = pipeline.pixels(source, own) if name == "train" else None
            found = pipeline.loaded(source, own) if pixels is None else (pixels, own)
            splits[name] = pipeline.split_of(name, source, *found)
    return _prepared(pipeline, splits, rows.held_out, missing)


def _on_disk(pipeline: _Pipeline) -> PreparedData:
    """The training set on disk, the held-out sets in memory."""
    dataset, options, seed = pipeline.dataset, pipeline.options, pipeline.seed
    source = dataset.train
    if options.binarize == "static":
        raise BadOption(
            "data.binarize=static samples every example once and stores it, but this data stays on disk. Set "
            "data.binarize=dynamic, or write the binary data to a file first."
        )
    if source.inputs() is not None:
        raise BadOption("Pairs of input and target must be in memory. Set data.memory=whole.")
    _warn_of_coarse_shuffle(source)
    provided = {name: split for name, split in dataset.splits.items() if name != "train"}
    most = largest_held_out(pipeline.contract.shape)
    drawn = held_out_on_disk(source, fractions_on_disk(dataset, options), seed, most)
    excluded = drawn.excluded
    contract, missing = _fitted_on_disk(pipeline, excluded)
    pipeline = replace(pipeline, contract=contract)
    splits = {
        name: pipeline.split_of(name, own, *pipeline.loaded(own, np.arange(len(own)))) for name, own in provided.items()
    }
    held = {"valid": drawn.valid, "test": drawn.test}
    splits |= _drawn(pipeline, held, np.sort(np.concatenate(list(held.values()))))
    missing = sum((missing_in(part.tensor, part.locate) for part in splits.values()), missing)
    train = pipeline.view(source, excluded, missing=bool(missing))
    if options.binarize == "dynamic":
        train.add_check(lambda x: check_unit(x, f"{source.name!r}", options))
    splits["train"] = PreparedSplit(train, file=source.name)
    held_out: HeldOut = "test set" if "test" in provided else "held-out set" if len(drawn.test) else "none"
    return _prepared(pipeline, splits, held_out, missing)


def _drawn(pipeline: _Pipeline, held: dict[str, Array], rows: Array) -> dict[str, PreparedSplit]:
    """The held-out sets of data on disk in random order; their ascending ``rows`` are read in one pass."""
    source, splits = pipeline.dataset.train, {}
    x, kept = pipeline.loaded(source, rows) if len(rows) else (torch.zeros(0), rows)
    for name, own in held.items():
        mine = np.flatnonzero(np.isin(kept, own))
        if len(own) and not len(mine):
            raise BadData(
                f"All {len(own)} examples of the {name} split of {source.name!r} are invalid. Check the data."
            )
        order = np.random.default_rng([pipeline.seed, SPLITS.index(name)]).permutation(mine)
        if len(order):
            splits[name] = pipeline.split_of(name, source, x[torch.from_numpy(order)], kept[order])
    return splits


def largest_held_out(shape: tuple[int, ...]) -> int:
    """Largest number of examples of this shape in a held-out set of data on disk."""
    return max(1, MOST_BYTES // (4 * max(1, math.prod(shape))))


def prepare_stream(flow: Stream, options: DataOptions, seed: int) -> PreparedData:
    """Prepare a stream for a run: its head gives the held-out sets and the contract, and the rest is trained on.

    Raises:
        BadData: it ends within its head, or has invalid examples that are not to be skipped.
        BadOption: ``data.binarize=static``, whose samples would have to be stored.
    """
    if options.binarize == "static":
        raise BadOption(
            "data.binarize=static stores its samples, which a stream does not support. Set data.binarize=dynamic."
        )

    def sizes(values: int) -> list[int]:
        most = largest_held_out((values,))
        return [len(rows) for rows in draw_held_out(flow.population, options, seed, "the stream", most)]

    head, left = head_of(flow, lambda values: HEAD * sum(sizes(values)) or 1)
    test, valid = sizes(int(np.prod(head.shape[1:])))
    dataset = Dataset("stream", Examples(head, name="the stream"), provenance=Provenance("stream"))
    check_order(dataset, options.layout)
    layout = layout_of(dataset.train, options.shape, options.layout, options.missing)
    contract = undecided(dataset, layout, options)
    bad = BadExamples(options.on_bad_data, flow.population + len(head))
    pipeline = _Pipeline(dataset, options, seed, layout, contract, bad)
    missing = MissingCells() if bad.policy == "skip" else survey(dataset.train, contract, "The stream")
    pipeline = replace(pipeline, contract=_fitted(pipeline, np.arange(len(head))))
    like = pipeline.view(dataset.train, missing=bool(missing))
    if options.binarize == "dynamic":
        like.add_check(lambda x: check_unit(x, "The stream", options))
    x = like.sample(len(head), seed)
    contract = fitted(pipeline.contract, dataset.train, x)
    splits = {"train": PreparedSplit(StreamTensor(flow, like, left))}
    for name, rows in (("valid", slice(valid)), ("test", slice(valid, valid + test))):
        drawn = x[rows]
        if options.binarize == "dynamic":
            drawn = draw_bernoulli(drawn, seed, SPLITS.index(name))
        if len(drawn):
            splits[name] = PreparedSplit(drawn)
    return _prepared(replace(pipeline, contract=contract), splits, "held-out set" if test else "none", missing)


def _prepared(
    pipeline: _Pipeline, splits: dict[str, PreparedSplit], held_out: HeldOut, missing: MissingCells
) -> PreparedData:
    """The prepared data of some splits, with labels as integers."""
    dataset, contract = pipeline.dataset, pipeline.contract
    known = {name: split.labels for name, split in splits.items() if split.labels is not None}
    encoded, label_names = encode_labels(known, repr(dataset.name)) if known else ({}, ())
    splits = {name: replace(split, labels=encoded.get(name)) for name, split in splits.items()}
    x = splits["train"].x
    largest = None
    if isinstance(x, Tensor | PixelTensor):
        contract = fitted(contract, dataset.train, x)
        values = x if isinstance(x, Tensor) else x.extremes()
        largest = float(values.max()) * contract.scaling.scale[0] if contract.on_pixels else None
    notes = guesses(contract, dataset, pipeline.options, largest)
    if isinstance(x, Tensor | PixelTensor):
        notes += nothing_to_learn(contract, values, notes, pipeline.options.background)
    return PreparedData(
        splits["train"],
        splits.get("valid"),
        splits.get("test"),
        contract,
        dynamic=pipeline.options.binarize == "dynamic",
        name=dataset.name,
        provenance=dataset.provenance,
        held_out=held_out,
        label_names=dataset.label_names or label_names,
        bad_examples=pipeline.bad_examples,
        missing=missing,
        notes=notes,
    )


def _fitted(pipeline: _Pipeline, rows: Array) -> DataContract:
    """The contract with the scaling of some rows in memory."""
    source, options = pipeline.dataset.train, pipeline.options
    whole = options.scale in ("minmax", "standard")
    values = source.at(rows if whole else np.sort(rows[: sample_size(source)])).values
    values = pipeline.contract.without_sentinels(values)
    if options.on_bad_data == "skip":
        values = np.delete(values, list(find_nonfinite(values)), axis=0)
    raw = pipeline.layout.tensor(values)
    contract = pipeline.contract
    divisor, brightest = brightnesses(pipeline.dataset, options.scale, contract.kind)
    scaling = fit_scaling(raw, raw, options.scale, brightest=divisor)
    return replace(contract, scaling=scaling, brightest=brightest)


def _fitted_on_disk(pipeline: _Pipeline, excluded: Array) -> tuple[DataContract, MissingCells]:
    """The contract of the training set on disk; and the missing cells of the examples that were read."""
    contract, view = pipeline.contract, pipeline.view(pipeline.dataset.train, excluded)
    head = next(view.raw())[: sample_size(view.source)]
    missing = missing_in(head, view.locate)

    def chunks() -> Iterator[Tensor]:
        nonlocal missing
        missing = MissingCells()
        for chunk in view.raw():
            missing += missing_in(chunk, view.locate, missing.of)
            yield chunk

    divisor, brightest = brightnesses(pipeline.dataset, pipeline.options.scale, contract.kind)
    scaling = fit_scaling(chunks(), head, pipeline.options.scale, brightest=divisor)
    contract = replace(contract, scaling=scaling, brightest=brightest)
    return fitted(contract, view.source, scaling.apply(head).float()), missing


def _warn_of_coarse_shuffle(source: Source) -> None:
    """Warn that a file of few and large row groups is shuffled coarsely."""
    largest = int(np.diff(source.cuts()).max()) * row_bytes(source)
    if largest > COARSE and len(source.cuts()) > 2 and not source.scattered:
        rows = max(1, BLOCK // row_bytes(source))
        warnings.warn(
            f"{source.name!r} has row groups of {largest / 2**20:,.0f} MiB, so examples are shuffled among few of them "
            f"at a time. Write the file again with row_group_size={rows} for a finer shuffle.",
            stacklevel=3,
        )
