"""Trains recipes in one of several processes, and writes their loss curves: what test_processes.py launches.

    python together.py OUT STRATEGY RECIPE ...

So that curves can be compared to rounding, the processes here draw what one process would draw for the whole batch,
and keep their own rows; in use each draws its own noise.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from isthmus import fit
from isthmus.models.seeding import RandomState, derive_seed
from isthmus.training.distributed import processes
from isthmus.training.engine import Engine

X = np.random.default_rng(5).random((71, 8, 8)).astype(np.float32)
OPTIONS: dict[str, object] = {
    "training.batch_size": 22,
    "training.epochs": 2,
    "training.steps": None,
    "training.precision": "32",
    "data.validation": 0,
    "data.test": 0,
    "data.random_shift": 0,
    "data.random_flip": False,
    "data.random_rotation": 0,
    "data.random_scale": 0,
}
"""71 examples in batches of 22, 22, 22 and 5: the last is dealt out unevenly. Each process augments its own rows."""
AS_A_WHOLE = {
    "randn": lambda size, _args: torch.randn(size),
    "rand": lambda size, _args: torch.rand(size),
    "randn_like": lambda size, _args: torch.randn(size),
    "rand_like": lambda size, _args: torch.rand(size),
    "bernoulli_": lambda size, args: torch.bernoulli(torch.full(size, float(args[1]))),
    "exponential_": lambda size, _args: torch.empty(size).exponential_(),
    "normal": lambda size, _args: torch.randn(size),
}


class Shared(TorchDispatchMode):
    """Samples for ``total`` examples, of which this process keeps every ``world``-th, starting at ``rank``."""

    def __init__(self, own: int, total: int, rank: int, world: int) -> None:
        super().__init__()
        self.own, self.total, self.rank, self.world = own, total, rank, world

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = call.overloadpacket.__name__
        if name not in AS_A_WHOLE:
            return call(*args, **(kwargs or {}))
        size = list(args[0].shape if isinstance(args[0], Tensor) else args[0])
        axes = [axis for axis, length in enumerate(size) if length == self.own]
        if axes:
            size[axes[0]] = self.total
        drawn = AS_A_WHOLE[name](size, args)
        if axes:
            drawn = drawn[(slice(None),) * axes[0] + (slice(self.rank, None, self.world),)]
        if name == "normal":
            return args[0] + args[1] * drawn
        return args[0].copy_(drawn) if name.endswith("_") else drawn.clone()


step, built = Engine._step, Engine.__init__


def shared_step(self: Engine, x: Tensor) -> Any:
    with Shared(len(x), self.batches.count(self.at.batch), self.processes.rank, self.processes.world):
        return step(self, x)


def calm(self: Engine, objective: Any, *arguments: Any, **more: Any) -> None:
    """Codewords start where they are: which rows they would be set to is each process's own draw."""
    latent = objective.model.latent
    if hasattr(latent, "codebook"):
        latent.idle.zero_()
    built(self, objective, *arguments, **more)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    Engine._step = shared_step  # type: ignore[method-assign]
    Engine.__init__ = calm  # type: ignore[method-assign]
    Engine._noise = lambda self: RandomState(derive_seed(self.seed, "noise"), self.fabric.device)  # type: ignore[method-assign]
    out, strategy, *names = sys.argv[1:]
    curves = {}
    for name in names:
        recipe, *changes = name.split("+")
        options = OPTIONS | {path: json.loads(value) for path, value in (change.split("=") for change in changes)}
        run = fit(recipe, X, options=options, strategy=strategy)
        norms = {key: float(value.double().norm()) for key, value in run.objective.state_dict().items()}
        curves[name] = {"losses": [row["train"] for row in run.history], "norms": norms}
    if processes.number() == 0:
        Path(out).write_text(json.dumps(curves))


if __name__ == "__main__":
    main()
    # as the command does: gloo's threads may abort a process that lets Python shut down (isthmus.cli.app.script)
    os._exit(0)
