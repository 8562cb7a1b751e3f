"""Isthmus as a user calls it: ``isthmus.fit`` with a callback that looks at validation images after every epoch."""

from typing import Any

import lightning_fabric  # noqa: F401  loaded by the first fit; imports do not count for anyone
import numpy as np
import torch
import torch._dynamo
import torch._inductor.compile_fx
from figures import Coder
from judge import Judge
from tasks import RECIPES, TASKS, Spec
from torch import Tensor

from isthmus import fit
from isthmus.models.autoencoder import Autoencoder
from isthmus.training.callbacks import TrainingState
from isthmus.training.engine import Engine
from isthmus.training.steps.compiled import CompiledStep


def coder_of(model: Autoencoder) -> Coder:
    """The networks of a model."""

    def encode(x: Tensor) -> Tensor:
        q = model.posterior(x)
        return torch.cat([q.loc, q.log_scale], 1) if hasattr(q, "log_scale") else model.encode(x)

    return Coder(encode, model.decode)


def step_of(engine: Engine) -> dict[str, Any]:
    """How the engine has taken its steps, and why they are not compiled, where that was tried."""
    taken = engine.take_step
    refusal = taken.refusal if isinstance(taken, CompiledStep) else None
    return {
        "precision": "float32" if engine.precision is None else "bfloat16",
        "compiled": isinstance(taken, CompiledStep) and refusal is None,
        **({"refusal": refusal} if refusal else {}),
    }


def train(spec: Spec, images: np.ndarray, judge: Judge) -> Coder:
    """Train until the judge ends it, or the schedule of the learning rate does."""
    recipe, changes = RECIPES[TASKS[spec["task"]].net]
    judge.start()

    def look(state: TrainingState) -> None:
        if judge.ends(coder_of(state.model)):
            state.stop()
        judge.step = step_of(state._engine)

    # the judge has the validation images, and the figure is that of the weights it has seen
    options = {**changes, "data.test": 0, "data.validation": 0, "training.keep": "last", **spec["settings"]}
    run = fit(recipe, images, seed=spec["seed"], options=options, callbacks=[look])
    return coder_of(run.model)
