"""Finding where a number that is not finite came from: the batch is at hand, the layer and the part are looked for."""

import torch
from torch import Tensor, nn

from isthmus.objective import Objective


def finite(value: Tensor) -> bool:
    """Whether every value is a finite number."""
    return bool(torch.isfinite(value).all())


def locate(objective: Objective, x: Tensor, step: int, total: int) -> str:
    """One clause that names the first weight, or else layer and part of the loss, that is not finite for ``x``."""
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
            parts = objective(x, step=step, total=total, corrupt=True).parts
    finally:
        for handle in handles:
            handle.remove()
    bad = [f"{name} is {value.item()}" for name, value in parts.items() if not finite(value)]
    where = f"first in layer {found[0]}" if found else "in no layer's output, so in the loss itself"
    return f"the part {', '.join(bad) or 'sum of all parts is not finite'}, {where}"
