"""What does not go together in training, found before the first step."""

import warnings
from typing import Any

from torch import nn

from isthmus.data.flow import Flowing
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.exact import closed_form
from isthmus.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.training.batches import Supply
from isthmus.training.searches import METHODS


def check_batches(objective: Objective, batches: Supply[Any]) -> None:
    """Refuse batches too small for what the networks do with them.

    Raises:
        BadOption: batch normalisation of one example.
    """
    normed = (nn.BatchNorm1d, nn.BatchNorm2d)
    if batches.smallest < 2 and any(isinstance(m, normed) for m in objective.modules()):
        raise BadOption(
            "Batch normalisation needs at least two examples in a batch, but a batch here has one. Use another "
            "net.norm, a larger training.batch, or more data."
        )


def check_tools(options: TrainingOptions, objective: Objective, batches: Supply[Any]) -> None:
    """Refuse an optimiser that cannot do what the run asks of it.

    Raises:
        BadOption: Nesterov without momentum; line searches in low precision, with clipped gradients, or by several
            processes.
        IncompatibleParts: line searches against an adversary, whose loss they would have to hold still.
    """
    if options.optimiser == "exact":
        closed_form(objective)
        if options.clip is not None or options.weight_decay or options.precision == "bf16":
            raise BadOption(
                "training.optimiser=exact takes no gradient and no step, so clip, weight_decay and bf16 have no "
                "meaning. Leave them out."
            )
        if batches.dynamic or batches.shift or isinstance(batches.x, Flowing):
            raise BadOption(
                "training.optimiser=exact needs examples that stay as they are, but these are a stream or drawn "
                "afresh at every read. Store them, and leave data.shift and data.binarise=dynamic out."
            )
    if options.optimiser == "nesterov" and not options.momentum:
        raise BadOption(
            "training.optimiser=nesterov looks ahead along its momentum, but training.momentum is 0. Raise it, or use "
            "sgd."
        )
    if options.optimiser not in METHODS:
        return
    processes = batches.share.world
    what = f"training.optimiser={options.optimiser} searches along lines"
    if options.precision == "bf16":
        raise BadOption(f"{what}, which bf16 products are too coarse for. Set training.precision=32, or leave it out.")
    if options.clip is not None:
        raise BadOption(f"{what}, so there is no gradient to clip. Leave training.clip out.")
    if options.weight_decay:
        raise BadOption(f"{what} of the loss, which training.weight_decay is no part of. Leave it out.")
    if processes > 1:
        raise BadOption(f"{what} on one machine only, but {processes} processes share the work. Use adam or muon.")
    if objective.critics:
        raise IncompatibleParts(
            f"{what} of one loss, but {' and '.join(objective.critics)} trains an adversary too. Use adam or muon."
        )


def products(options: TrainingOptions) -> str:
    """The precision of the networks by name: line searches compare losses that differ by less than bf16 can tell."""
    return "32" if options.optimiser in (*METHODS, "exact") else options.precision


def warn_of_unfinished(objective: Objective, total: int) -> None:
    """Warn of a warm-up that a run of ``total`` steps is too short for."""
    for name, schedule in objective.schedules.items():
        if schedule.unfinished(total):
            reached = schedule(total - 1, total)
            warnings.warn(
                f"The warm-up of penalty {name} takes {schedule.steps} steps, but the run has {total}: its "
                f"weight ends at {reached:.3g} of {schedule.value:g}. Give it as a fraction of the run "
                f"(penalties.{name}.weight.fraction), or train longer.",
                stacklevel=5,
            )
