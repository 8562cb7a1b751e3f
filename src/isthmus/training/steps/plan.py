"""Whether a run is trained with a compiled step: decided by the plan of the run before it starts, never by a clock.

The decision is the same on every machine with a compiler, and a resumed run takes the same step as before.
"""

import warnings

from torch import nn

from isthmus.models.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.parts.nets.conv import Upsample, UpsampledConv
from isthmus.training.steps.compiler import compiler
from isthmus.training.steps.updates import UPDATED

WAIT = 10.0
"""Seconds that a step takes to compile, where the code is not in the cache (docs/speed.md)."""
SAVED, SAVED_PER_MILLION = 0.3e-3, 0.8e-3
"""Seconds that a compiled step saves, and further ones per million weights: less than measured (docs/speed.md)."""
WAIT_OF_CONVOLUTIONS, SAVED_BY_CONVOLUTIONS = 20.0, 2e-3
"""The same of networks with convolutions, whose step saves time beside them only."""
SLOWER = (nn.modules.pooling._MaxPoolNd, Upsample, UpsampledConv)
"""Layers that a compiled step computes more slowly."""


def compiles(objective: Objective, options: TrainingOptions, steps: int, device: str, processes: int) -> bool:
    """Whether a run is trained with a compiled step; with ``training.compile=on`` wherever a step can be compiled.

    Args:
        objective: the objective.
        options: training options.
        steps: number of steps of the run.
        device: kind of the device.
        processes: number of processes that train together.
    """
    possible = options.optimizer in UPDATED and device == "cpu" and processes == 1
    if options.compile == "off" or not possible:
        return False
    if options.compile == "auto" and not _pays(objective, steps):
        return False
    if compiler() is None:
        warnings.warn(
            "The training step is not compiled, because there is no C++ compiler on this machine. Install g++ to train "
            "faster, or set training.compile=off.",
            stacklevel=2,
        )
        return False
    return True


def _pays(objective: Objective, steps: int) -> bool:
    """Whether the steps save more time than a compilation takes; unknown for parts from outside Isthmus and torch."""
    layers = list(objective.modules())
    known = all(type(layer).__module__.split(".")[0] in ("isthmus", "torch") for layer in layers)
    if not known or any(isinstance(layer, SLOWER) for layer in layers):
        return False
    if any(isinstance(layer, nn.modules.conv._ConvNd) for layer in layers):
        return steps * SAVED_BY_CONVOLUTIONS > WAIT_OF_CONVOLUTIONS
    weights = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    return steps * (SAVED + SAVED_PER_MILLION * weights / 1e6) > WAIT
