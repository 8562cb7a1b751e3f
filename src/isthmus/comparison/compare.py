"""Comparison of runs on one data set: what each is measured by, and the sheets of its samples and reconstructions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isthmus.comparison.judge import Judge, Progress, judge_for, random_judge
from isthmus.comparison.measures import MEANINGS, Reference, of_reconstructions, of_samples
from isthmus.data.prepared import PreparedData, PreparedSplit
from isthmus.errors import BadData, BadOption, IncompatibleParts, check_choice
from isthmus.models.seeding import derive_seed
from isthmus.runs import densities
from isthmus.runs.data import NewData, data_for, evaluation_split
from isthmus.runs.run import Run
from isthmus.runs.start import cost_of

SHEET = 48
"""Samples of a sheet."""
LARGEST = 10_000
"""Examples with which samples are compared, at most."""
SPLITS = ("test", "valid")


@dataclass(frozen=True)
class Compared:
    """What was measured of one model.

    Attributes:
        name: name of the model.
        cost: updates and seconds of its training, with those of the run it started from.
        reconstructions: measures of its reconstructions.
        samples: measures of its samples, by the density of the codes.
        likelihoods: log-likelihood of held-out codes under each of these, in nats.
        shown: reconstructions, and samples by density, as model outputs.
    """

    name: str
    cost: dict[str, float]
    reconstructions: dict[str, float]
    samples: dict[str, dict[str, float]]
    likelihoods: dict[str, float] = field(default_factory=dict)
    shown: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the examples."""
        names = ("name", "cost", "reconstructions", "samples", "likelihoods")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Comparison:
    """All models of a comparison.

    Attributes:
        data: name of the data set and of the split that was compared with.
        judge: the judge in words.
        floor: measures of training examples in place of samples: what a perfect model has.
        models: the models, in order.
        originals: the examples that were reconstructed first.
    """

    data: str
    judge: str
    floor: dict[str, float]
    models: list[Compared]
    originals: Tensor = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the examples."""
        models = [model.to_dict() for model in self.models]
        return {"data": self.data, "judge": self.judge, "floor": self.floor, "models": models, "meanings": MEANINGS}


def compare(
    runs: Mapping[str, Run],
    data: NewData | None = None,
    *,
    kinds: Sequence[str] = (),
    split: str = "test",
    seed: int = 0,
    progress: Progress = lambda doing: None,
) -> Comparison:
    """Compare runs that were trained on one data set.

    Args:
        runs: runs by the name that stands for each.
        data: the data set; by default that of the first run.
        kinds: densities to sample from; by default the prior, where there is one, and ``auto``.
        split: the split to compare with: ``test``; or ``valid``, for choices between models.
        seed: seed of all samples.
        progress: called with what is being done.

    Raises:
        BadOption: no runs.
        BadData: runs whose examples differ in shape or units.
    """
    if not runs:
        raise BadOption("There are no runs to compare. Pass at least one.")
    check_choice("split", split, SPLITS)
    first = next(iter(runs.values()))
    for name, run in runs.items():
        if run.metadata.shape != first.metadata.shape or run.scaling != first.scaling:
            raise BadData(f"{name!r} was trained on examples of another shape or scale. Compare runs on the same data.")
    prepared = data_for(first, data)
    reference = _reference(prepared, split, progress)
    models = []
    for name, run in runs.items():
        progress(f"measuring {name}")
        models.append(_compared(name, run, reference, kinds or _usual(run), seed, progress))
    floor = of_samples(reference, reference.train[: reference.samples])
    title = f"{prepared.name}, {len(reference.x):,} {split} examples"
    return Comparison(title, str(reference.judge), floor, models, reference.x[:SHEET])


def _reference(prepared: PreparedData, split: str, progress: Progress) -> Reference:
    chosen = evaluation_split(prepared) if split == "test" else prepared.valid
    if chosen is None:
        raise BadData("The data has no validation set to compare with. Set data.validation, or use split=test.")
    some = chosen.at_most(LARGEST, 0)
    judge: Judge = judge_for(prepared, progress)
    train = _shuffled(prepared.train)
    return Reference(some.tensor, train, judge, random_judge(prepared))


def _shuffled(split: PreparedSplit) -> Tensor:
    """Training examples in random order, at most as many as are needed."""
    x = split.at_most(LARGEST, 0).tensor
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]


def _usual(run: Run) -> list[str]:
    """The densities that are compared by default."""
    return [densities.PRIOR, densities.AUTO] if run.model.generative else [densities.AUTO]


def _compared(
    name: str, run: Run, reference: Reference, kinds: Sequence[str], seed: int, progress: Progress
) -> Compared:
    """Measure a run."""
    samples: dict[str, dict[str, float]] = {}
    likelihoods: dict[str, float] = {}
    shown: dict[str, Tensor] = {}
    for kind in kinds:
        try:
            found = densities.density_of(run, kind, progress=progress)
        except IncompatibleParts:
            # such as the prior of a model without one
            continue
        if found.kind in samples:
            continue
        drawn = derive_seed(seed, "compare", found.kind) % 2**31
        y = densities.sample(run, reference.samples, density=found.kind, seed=drawn).cpu()
        samples[found.kind], shown[found.kind] = of_samples(reference, y), y[:SHEET]
        likelihoods[found.kind] = found.held_out
    shown["reconstructions"] = run.model.reconstruct(reference.x[:SHEET]).cpu()
    return Compared(
        name, cost_of(run), of_reconstructions(reference, run.model.reconstruct), samples, likelihoods, shown
    )
