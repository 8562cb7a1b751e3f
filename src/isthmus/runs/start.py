"""Starting a run from the weights of another one: fine-tuning, or another stage of training."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isthmus.data.opening import Data
from isthmus.data.prepared import PreparedData
from isthmus.errors import BadData, BadOption, IncompatibleParts
from isthmus.models.objective import FROZEN, Objective
from isthmus.options import TrainingOptions
from isthmus.runs.loading import load
from isthmus.runs.run import Run

BEFORE = "before"
"""Name of the cost of earlier training in the outcome of a run."""
PARTS = ("encoder", "latent", "decoder", "likelihood", "prior")
"""Parts of a model that take over weights, each as a whole."""


@dataclass(frozen=True)
class Start:
    """The run whose weights another one starts with.

    Attributes:
        run: the run.
        digest: SHA-256 of its weights, by which a resumed run recognizes it.
    """

    run: Run
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """What a run that starts with it records."""
        place = "" if self.run.folder is None else str(self.run.folder)
        return {"recipe": self.run.recipe.name, "folder": place, "weights": self.digest}


def cost_of(run: Run) -> dict[str, float]:
    """Updates and seconds of the training of a run, with those of the run it started from."""
    steps = run.history[-1]["step"] if run.history else 0
    before = run.metadata.outcome.get(BEFORE, {})
    own = {"updates": steps, "seconds": float(run.metadata.outcome.get("seconds", 0.0))}
    return {name: value + before.get(name, 0) for name, value in own.items()}


def start_of(run: Run | Path | str) -> Start:
    """A run, or that in a folder, as a start.

    Raises:
        BadRun: the folder holds no run.
    """
    run = run if isinstance(run, Run) else load(run)
    found = hashlib.sha256()
    for name, value in sorted(run.model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return Start(run, found.hexdigest())


def check_seed_of_start(start: Start | None, seed: int, source: str) -> None:
    """Refuse a seed that would split the same data otherwise than for the run it starts from.

    Raises:
        BadOption: the seeds differ.
    """
    if start is None:
        return
    before = start.run.metadata
    if source and source == before.source and seed != before.seed:
        raise BadOption(
            f"seed={seed} would hold out other examples of {before.data} than the run it starts from, which was "
            f"trained on some of them. Use seed={before.seed}, or leave it out."
        )


def take_over(objective: Objective, start: Start, options: TrainingOptions) -> None:
    """Load the weights of a run into the parts of a model that are like its own; a warning names the others.

    Raises:
        IncompatibleParts: a part whose weights are not trained is another one, or no part is alike.
    """
    new = [name for name in PARTS if not _taken(getattr(start.run.model, name), getattr(objective.model, name))]
    whole = f"the run {start.run.recipe.name} on {start.run.metadata.data}"
    for name in new:
        if name in FROZEN[options.stage]:
            raise IncompatibleParts(
                f"The {name} differs from that of {whole}, but training.stage={options.stage} does not train it. Use "
                "the recipe of that run, or leave out the options that change this part."
            )
    if {"encoder", "decoder"} <= set(new):
        raise IncompatibleParts(
            f"Neither encoder nor decoder has weights like those of {whole}, so nothing would be taken over. Use its "
            "recipe, with the same net and latent.size."
        )
    if new:
        warnings.warn(f"The {' and '.join(new)} of {whole} differ, so they start with new weights.", stacklevel=4)


def _taken(source: nn.Module | None, target: nn.Module | None) -> bool:
    """Load the weights of a part into another one, if their names and shapes are the same."""
    if source is None or target is None:
        return True
    weights, own = source.state_dict(), target.state_dict()
    if {name: v.shape for name, v in weights.items()} != {name: v.shape for name, v in own.items()}:
        return False
    target.load_state_dict(weights)
    return True


def data_or_that_of(start: Start | None, data: Data | PreparedData | None) -> Data | PreparedData:
    """The data, by default that of the run to start from, which is read again unless it was in memory only.

    Raises:
        BadOption: there is neither data nor a run.
        BadData: the data of the run was in memory only, and is no longer.
    """
    if data is not None:
        return data
    if start is None:
        raise BadOption(
            "fit needs data: an array, a table, the name of a data set or a path. Pass it after the recipe."
        )
    run = start.run
    if run.metadata.source:
        return run.metadata.source
    if run.data is None:
        raise BadData("The run to start from was trained on data that was only in memory. Pass data=... again.")
    return run.data
