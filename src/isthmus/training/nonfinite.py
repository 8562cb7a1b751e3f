"""Values that are not finite: their source (the first weight, or the first layer and the term), and the error."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from isthmus.errors import Diverged
from isthmus.models.objective import Objective
from isthmus.options import TrainingOptions


def finite(value: Tensor) -> bool:
    """Whether all values are finite."""
    return bool(torch.isfinite(value).all())


def diverged(options: TrainingOptions, epoch: int, where: str, batch: str = "") -> Diverged:
    """The error for a loss that is not finite in ``epoch`` (numbered from 0), with its source."""
    kept = "The best weights before that are kept" if epoch else "No epoch was finished, so no weights are kept"
    return Diverged(
        f"Training diverged in epoch {epoch + 1}{batch}: {where}. {kept}. Lower training.learning_rate "
        f"(now {options.learning_rate:g}) or set training.gradient_clip=1."
    )


def locate(objective: Objective, x: Tensor, step: int, total: int, x_in: Tensor | None = None) -> str:
    """A clause that names the first weight that is not finite, or else the first layer and the terms of the loss."""
    for name, parameter in objective.named_parameters():
        if not finite(parameter):
            return f"the weights {name} are no longer finite (the gradient of an earlier batch overflowed)"
    found: list[str] = []

    def watch(name: str, layer: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not found and not finite(output):
                found.append(f"{name} ({type(layer).__name__})")

        handles.append(layer.register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, layer in objective.model.named_modules():
        if not list(layer.children()):
            watch(name, layer)
    try:
        with torch.no_grad():
            terms = objective(x, x_in=x_in, step=step, total=total, corrupt=True).terms
    finally:
        for handle in handles:
            handle.remove()
    bad = [f"{name} is {value.item()}" for name, value in terms.items() if not finite(value)]
    where = f"first in layer {found[0]}" if found else "in no layer's output, so in the loss itself"
    return f"the term {', '.join(bad)}, {where}" if bad else f"the sum of all terms is not finite, {where}"


def check_finite(options: TrainingOptions, epoch: int, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Check the losses of an epoch by split and name, whose steps were not all checked.

    Raises:
        Diverged: one is not finite.
    """
    for split, losses in metrics.items():
        for name, value in losses.items():
            if not math.isfinite(value):
                raise diverged(options, epoch, f"the {split} {name} is {value} at its end")
