"""Whether two ways of taking the same step agree, up to rounding."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from isthmus.training.steps.eager import Step

TOLERANCES = {None: 1e-3, torch.bfloat16: 5e-2}
"""Largest relative difference in norm that counts as rounding, by the precision of the networks."""
COUNT = "step"
"""Name of the number of steps in the state of an optimizer."""

State = dict[str, Tensor]
"""Tensors that a step changes, by name: weights, buffers, and the optimizers' state."""


def state_of(step: Step) -> State:
    """The tensors that a step changes."""
    found: State = {name: p.detach() for name, p in step.objective.named_parameters()}
    found |= dict(step.objective.named_buffers())
    for i, optimizer in enumerate(step.optimizers):
        for j, state in enumerate(optimizer.state.values()):
            found |= {f"{name} of optimizer {i}, {j}": v for name, v in state.items() if isinstance(v, Tensor)}
    return found


def copied(state: Mapping[str, Tensor]) -> State:
    """Copies of all tensors."""
    return {name: value.clone() for name, value in state.items()}


def restore(state: Mapping[str, Tensor], saved: Mapping[str, Tensor], *, counts: bool) -> None:
    """Set tensors to saved values; to 0 where none is saved: the state of an optimizer before its first step.

    Args:
        state: the tensors to set.
        saved: their values.
        counts: whether to set numbers of steps too.
    """
    with torch.no_grad():
        for name, value in state.items():
            if not counts and name.startswith(COUNT):
                continue
            if name in saved:
                value.copy_(saved[name])
            else:
                value.zero_()


def difference(
    before: Mapping[str, Tensor], expected: Mapping[str, Tensor], found: Mapping[str, Tensor], tolerance: float
) -> str | None:
    """The first tensor whose change differs from the expected change by more than ``tolerance``, as a clause."""
    for name, value in expected.items():
        start = before.get(name)
        change = value if start is None else value - start
        size, error = _norm(change), _norm(found[name] - value)
        # what rounding alone may change where nothing is expected to
        least = _norm(value) * torch.finfo(value.dtype).eps if value.is_floating_point() else 0.0
        if not error <= tolerance * size + least:
            return f"{name} differs by {error / size if size else math.inf:.1%} of its change"
    return None


def _norm(value: Tensor) -> float:
    return float(torch.linalg.vector_norm(value.double()))
