"""Runs in processes of their own, one after another, and the options they are given."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tasks import COMPETITORS, HERE, RECIPES, TASKS, Settings, Task, environment, splits

Run = dict[str, Any]
"""What ``one_run.py`` has found: ``reached``, ``seconds`` of training, ``epochs``, ``valid`` and ``test`` figures,
``track``, ``step`` and ``settings``."""


@dataclass(frozen=True)
class Field:
    """The data of a task on disk, and when a run ends."""

    name: str
    data: Path
    images: int
    goal: float
    limit: float

    @property
    def task(self) -> Task:
        """What is waited for."""
        return TASKS[self.name]

    def run(self, who: str, seed: int, settings: Settings, *, limit: float | None = None, test: bool = True) -> Run:
        """One run; a failed one reaches nothing and says why.

        Args:
            who: competitor.
            seed: seed of weights and batches.
            settings: options.
            limit: seconds after which to give up, where it is less than that of the task.
            test: whether the test images are looked at.
        """
        competitor, limit = COMPETITORS[who], min(self.limit, limit or self.limit)
        spec = {"task": self.name, "who": who, "seed": seed, "goal": self.goal, "limit": limit, "test": test}
        spec |= {"settings": settings, "data": str(self.data)}
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            command = [str(competitor.python), str(HERE / "one_run.py"), json.dumps(spec), str(result)]
            seen = environment(competitor, Path(folder) / "compiled")
            ended = subprocess.run(command, env=seen, capture_output=True, text=True, check=False)
            if not result.exists():
                return {"reached": False, "settings": settings, "seed": seed, "failed": ended.stderr[-1000:]}
            found: Run = json.loads(result.read_text())
        return found | {"seed": seed}


def prepared(name: str, folder: Path, limit: float, *, trial: bool) -> Field:
    """The images of a task in a file, the same for all."""
    found = splits(TASKS[name], trial=trial)
    np.savez(folder / f"{name}.npz", **found)
    goal = TASKS[name].easy if trial else TASKS[name].goal
    return Field(name, folder / f"{name}.npz", len(found["train"]), goal, limit)


def resolved(net: str, changes: Settings, images: int) -> Settings:
    """The options of training and the initial weights of a recipe with ``changes``, none left to be decided."""
    from isthmus import zoo
    from isthmus.training.optimizers import run_length

    name, common = RECIPES[net]
    recipe = getattr(zoo, name)().with_options({**common, **changes})
    training = recipe.training
    steps, epochs = run_length(training, -(-images // training.batch_size))
    kept = ("optimizer", "learning_rate", "schedule", "batch_size", "weight_decay")
    found = {f"training.{key}": getattr(training, key) for key in kept}
    found |= {f"training.{key}": value for key in ("warmup", "gradient_clip") if (value := getattr(training, key))}
    length = {"training.steps": steps} if training.steps else {"training.epochs": epochs}
    net_options = recipe.net.model_dump()
    usual = {"init": "glorot", "activation": "relu"}
    return found | length | {f"net.{key}": net_options.get(key, value) for key, value in usual.items()}


def fastest(field: Field, who: str, seed: int, choices: list[Settings]) -> tuple[Run, list[Run]]:
    """The run that reaches the figure first, and all of them; each has as long as the best one before it."""
    best: Run | None = None
    tried = []
    for settings in choices:
        limit = best["seconds"] if best is not None and best["reached"] else None
        run = field.run(who, seed, settings, limit=limit)
        tried.append(run)
        if best is None or ahead(field.task, run, best):
            best = run
    assert best is not None
    return best, tried


def ahead(task: Task, run: Run, other: Run) -> bool:
    """Whether a run is better than another one: by time where it reaches the figure, else by its last figure."""
    if run["reached"] != other["reached"]:
        return bool(run["reached"])
    if run["reached"]:
        return bool(run["seconds"] < other["seconds"])
    if "failed" in run or "failed" in other:
        return "failed" not in run
    return task.sign * run["valid"] > task.sign * other["valid"]
