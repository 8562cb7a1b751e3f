"""Whether two ways of taking the same step agree, up to rounding."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from isthmus.training.steps.eager import Step

TOLERANCES = {None: 1e-3, torch.bfloat16: 5e-2}
"""Largest relative difference in norm that counts as rounding, by the precision of the networks."""
NOISE = 0.02
"""Part of the tolerance that a gradient may differ by, relative to the gradient of all weights. Where a gradient is 0
but for rounding, as that of a bias before batch normalization, its own size is no measure."""
COUNT = "step"
"""Name of the number of steps in the state of an optimizer."""
WEIGHT = "weight"
GRADIENTS = ("exp_avg", "momentum_buffer")
"""Tensors in the state of optimizers that are means of gradients."""

State = dict[tuple[str, str], Tensor]
"""Tensors that a step changes, by kind (weights, buffers, each kind of tensor in the optimizers' state) and name."""


def state_of(step: Step) -> State:
    """The tensors that a step changes."""
    names = {id(p): name for name, p in step.objective.named_parameters()}
    found: State = {(WEIGHT, name): p.detach() for name, p in step.objective.named_parameters()}
    found |= {("buffer", name): value for name, value in step.objective.named_buffers()}
    for optimizer in step.optimizers:
        for parameter, state in optimizer.state.items():
            found |= {(kind, names[id(parameter)]): v for kind, v in state.items() if isinstance(v, Tensor)}
    return found


def copied(state: Mapping[tuple[str, str], Tensor]) -> State:
    """Copies of all tensors."""
    return {key: value.clone() for key, value in state.items()}


def restore(state: State, saved: State, *, counts: bool) -> None:
    """Set tensors to saved values; to 0 where none is saved: the state of an optimizer before its first step.

    Args:
        state: the tensors to set.
        saved: their values.
        counts: whether to set numbers of steps too.
    """
    with torch.no_grad():
        for key, value in state.items():
            if not counts and key[0] == COUNT:
                continue
            if key in saved:
                value.copy_(saved[key])
            else:
                value.zero_()


def difference(before: State, expected: State, found: State, tolerance: float) -> str | None:
    r"""The first tensor that is not changed as expected, up to ``tolerance``, as a clause; ``None`` if all are.

    Optimizers that divide by the size of a gradient move each weight by about its sign. A relative error t of the
    gradients turns the sign of about a part t of them, so changes of weights may differ by :math:`2 \sqrt t`.
    """
    changes = {key: value - before[key] if key in before else value for key, value in expected.items()}
    sizes = {key: _norm(change) for key, change in changes.items()}
    kinds = dict.fromkeys(kind for kind, _ in expected)
    totals = {kind: math.hypot(*(size for key, size in sizes.items() if key[0] == kind)) for kind in kinds}
    noise = NOISE * tolerance
    # optimizers that divide by the size of a gradient move such weights by rounding errors
    noisy = {name for (kind, name), size in sizes.items() if kind in GRADIENTS and size <= noise * totals[kind]}
    for (kind, name), size in sizes.items():
        allowed = 2 * math.sqrt(tolerance) if kind == WEIGHT else tolerance
        error = _norm(found[kind, name] - expected[kind, name])
        least = _norm(expected[kind, name]) * torch.finfo(torch.float32).eps
        if not (error <= allowed * size + noise * totals[kind] + least or (name in noisy and math.isfinite(error))):
            what = name if kind in (WEIGHT, "buffer") else f"{kind} of {name}"
            by = f"by {error / size:.1%} of its change" if size and math.isfinite(error) else f"by {error:.3g}"
            return f"compiled, it changes {what} differently ({by})"
    return None


def losses_differ(names: Iterable[str], expected: Tensor, found: Tensor, tolerance: float) -> str | None:
    """The first loss that is not as expected, relative to the largest of them, as a clause."""
    largest = float(expected.abs().max())
    for name, one, other in zip(names, expected.tolist(), found.tolist(), strict=True):
        if not abs(one - other) <= tolerance * largest:
            return f"compiled, {name} is {other:.6g} instead of {one:.6g}"
    return None


def _norm(value: Tensor) -> float:
    return float(torch.linalg.vector_norm(value.double()))
