"""A trained run meets data: its own again, split as it was, or other data of the same shape."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus.data.arrays import counted
from isthmus.data.base import Array, Dataset, Examples, Provenance
from isthmus.data.catalogue import load
from isthmus.data.large import stored_like
from isthmus.data.opening import opened, streamed
from isthmus.data.prepare import Part, Prepared, binarised
from isthmus.data.sifting import admitted
from isthmus.data.sources import ArraySource, Source
from isthmus.data.stored import Stored
from isthmus.errors import BadData
from isthmus.fitting import place_of, prepared, source_of
from isthmus.metrics.evaluation import evaluate
from isthmus.metrics.importance import Listener
from isthmus.options import DataOptions
from isthmus.run import Run


def data_of(run: Run, data: str | Path | None = None) -> Prepared:
    """The data of a run, split as it was for training; or other ``data``, of the same shape, treated the same way.

    Of other data the test part is what is to be measured: its own test part, or else all of it.

    Raises:
        BadData: the data was only in memory, its files are no longer those the run was trained on, or the
            likelihood cannot describe it.
        ShapeError: other data of another shape.
    """
    if data is None or source_of(data) == run.facts.source:
        if run.data is not None:
            return run.data
        if not run.facts.source:
            raise BadData("The run was trained on data that only memory held. Name the data with --data.")
        try:
            ready = prepared(run.facts.source, _as_trained(run), run.facts.seed)
        except BadData as error:
            raise BadData(
                f"The data that the run was trained on cannot be read again: {error} Or name other data with --data."
            ) from error
        _check_same(run, ready)
        return admitted(ready, run.model.likelihood.check)  # type: ignore[arg-type]
    part, dataset = _further(run, data)
    own = dataset is not None and dataset.test is not None
    return Prepared(
        train=part,
        valid=None,
        test=part,
        shape=run.facts.shape,
        scaling=run.scaling,
        images=run.facts.images,
        dynamic=False,
        name=Path(data).name if dataset is None else dataset.name,
        provenance=Provenance(str(data)) if dataset is None else dataset.provenance,
        held_out="test part" if own else "none",
        label_names=() if dataset is None else dataset.label_names,
    )


def examples(run: Run, source: str, *, clean: bool = True) -> tuple[Tensor | Stored, Array | None]:
    """All examples of a data set as the model takes them: train, valid and test part in order; and their labels.

    What is not ``clean`` is only input, never a target: it is neither binarised nor held against the likelihood.
    Large data stays on the disk, and so does data whose bad examples are to be skipped: each keeps its row.
    """
    stored = _stored(run, source, clean=clean)
    if stored is not None:
        labels = stored.source.labels(np.arange(len(stored)))
        return stored, None if labels is None else counted({"train": labels}, repr(stored.source.name))[0]["train"]
    dataset = load(source, _options(run), seed=run.facts.seed)
    parts = [part for part in (dataset.train, dataset.valid, dataset.test) if part is not None]
    known = [part.labels for part in parts if part.labels is not None]
    labels = np.concatenate(known) if len(known) == len(parts) else None
    if run.recipe.data.on_bad == "skip":
        every = ArraySource(np.concatenate([part.x for part in parts]), dataset.name, file=dataset.name)
        return _treated_on_disk(run, every, clean=clean), labels
    return torch.cat([_treated(run, part, dataset, clean=clean) for part in parts]), labels


def measured_part(data: Prepared) -> Part:
    """The part that evaluation uses: the test part, or else what was held out, or else all there is."""
    return data.test or data.valid or data.train


def part_name(data: Prepared) -> str:
    """Which part evaluation uses, in words, with its number of examples."""
    part = measured_part(data)
    own = {"test part": "the test part", "held-out part": "the run's own held-out part", "none": "all of the data"}
    which = own[data.held_out]
    if data.test is None:
        which = "the validation part" if data.valid is not None else "the training part (nothing is held out)"
    return f"{which} of {data.name}, {len(part):,} example{'s' if len(part) > 1 else ''}"


def measured(
    run: Run, data: Prepared, *, importance_samples: int = 0, listener: Listener | None = None
) -> tuple[dict[str, float], str]:
    """The figures of a run on the part that evaluation uses, and which part that is, with its number of examples."""
    x = measured_part(data).x
    seed = run.facts.seed
    figures = evaluate(run.objective, x, seed=seed, importance_samples=importance_samples, listener=listener)
    return figures, part_name(data)


def _further(run: Run, data: str | Path) -> tuple[Part, Dataset | None]:
    """What is to be measured of other data, and the data set that it is of, where it is in memory."""
    stored = _stored(run, data)
    if stored is not None:
        return Part(stored), None
    dataset = load(data, _options(run), seed=run.facts.seed)
    whole = dataset.test or dataset.train
    if run.recipe.data.on_bad == "skip":
        return Part(_treated_on_disk(run, ArraySource(whole.x, dataset.name, file=dataset.name))), dataset
    return Part(_treated(run, whole, dataset), whole.labels), dataset


def _as_trained(run: Run) -> DataOptions:
    """The options of the run's own data: what was read whole is read whole again, on whatever machine."""
    options = run.recipe.data
    return options if options.memory == "stream" else options.model_copy(update={"memory": "whole"})


def _options(run: Run) -> DataOptions:
    """The options for other data: its own size decides whether it is streamed."""
    return run.recipe.data.model_copy(update={"memory": "auto", "on_bad": "stop"})


def _stored(run: Run, data: str | Path, *, clean: bool = True) -> Stored | None:
    """Other data as it stays on the disk, if it does: where it is large, or a folder with pictures to be skipped."""
    place, options = place_of(data), _options(run)
    source = streamed(place, options)
    if source is None and run.recipe.data.on_bad == "skip" and isinstance(place, Path):
        source = opened(place, options)
    return None if source is None else _treated_on_disk(run, source, clean=clean)


def _treated_on_disk(run: Run, source: Source, *, clean: bool = True) -> Stored:
    """Further examples that stay where they are, treated as :func:`_treated` treats those in memory."""
    options = run.recipe.data
    # what was loaded has its shape already
    options = options.model_copy(update={"shape": None}) if isinstance(source, ArraySource) else options
    stored = stored_like(source, run.facts.shape, run.scaling, options, run.facts.seed, clean=clean)
    if clean:
        stored.demand(run.model.likelihood.check)  # type: ignore[arg-type]
    return stored


def _treated(run: Run, part: Examples, dataset: Dataset, *, clean: bool = True) -> Tensor:
    """Further examples, scaled as the run's own; as targets also binarised, and refused where p cannot make them."""
    x = run.prepared(part.x, pixels=dataset.pixels)
    if clean:
        x = binarised(x, run.recipe.data, run.facts.seed, dataset.name)
        run.model.likelihood.check(x)  # type: ignore[operator]
    return x


def _check_same(run: Run, ready: Prepared) -> None:
    before = {f["name"]: f["sha256"] for f in run.facts.provenance.get("files", [])}
    for file in ready.provenance.files:
        if before.get(file.name, file.sha256) != file.sha256:
            raise BadData(
                f"{file.name!r} is not the file that the run was trained on (its SHA-256 differs), so its parts "
                "would differ too. Bring the file back, or name other data with --data."
            )
