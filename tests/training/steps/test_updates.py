"""The updates of a compiled step are those of torch's optimizers, in float64 over many steps."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Muon, Optimizer

from isthmus.training.fused_adam import Adam
from isthmus.training.steps.updates import UPDATES, buffers_of

F64 = torch.float64
CASES = {
    "adam": lambda p: Adam(p, 0.03, fused=True),
    "adam, L2 penalty": lambda p: Adam(p, 0.03, weight_decay=0.2, fused=True),
    "adam, other averages": lambda p: Adam(p, 0.03, betas=(0.5, 0.9), fused=True),
    "adamw": lambda p: Adam(p, 0.03, weight_decay=0.2, fused=True, decoupled_weight_decay=True),
    "descent": lambda p: SGD(p, 0.03, fused=True),
    "momentum": lambda p: SGD(p, 0.03, 0.9, fused=True),
    "momentum, L2 penalty": lambda p: SGD(p, 0.03, 0.9, weight_decay=0.2, fused=True),
    "nesterov": lambda p: SGD(p, 0.03, 0.9, nesterov=True, fused=True),
    "muon": lambda p: Muon(p, 0.03, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"),
}


def torchs(make: object, start: Tensor, gradients: list[Tensor], rates: list[float]) -> tuple[Tensor, Optimizer]:
    """The weight after torch's own steps."""
    p = nn.Parameter(start.clone())
    optimizer = make([p])
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        p.grad = gradient.clone()
        optimizer.step()
    return p.detach(), optimizer


def ours(make: object, start: Tensor, gradients: list[Tensor], rates: list[float]) -> Tensor:
    """The weight after updates of tensors alone; only the shape of the state comes from torch."""
    p = nn.Parameter(start.clone())
    optimizer = make([p])
    p.grad = torch.zeros_like(p)
    optimizer.step()
    state = [torch.zeros_like(value) for value in buffers_of(optimizer, p)]
    update, weight, group = UPDATES[type(optimizer)], start.clone(), optimizer.param_groups[0]
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        group["lr"] = rate
        pace = [torch.tensor(number, dtype=F64) for number in update.pace(group, step)]
        weight = update.updated(weight, gradient.clone(), state, pace, group)
    return weight


@pytest.mark.parametrize("name", CASES)
def test_an_update_is_that_of_torch(name: str) -> None:
    start = torch.randn(7, 5, dtype=F64)
    gradients = [torch.randn(7, 5, dtype=F64) for _ in range(12)]
    rates = [0.03 * (1 - step / 12) for step in range(12)]
    expected, _ = torchs(CASES[name], start, gradients, rates)
    found = ours(CASES[name], start, gradients, rates)
    assert not expected.allclose(start, atol=1e-3)
    # torch orthogonalizes in bfloat16, with the same operations; all else is float64
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_a_momentum_that_changes_from_step_to_step_is_read_at_each() -> None:
    group = {"lr": 0.1, "momentum": 0.5}
    assert UPDATES[SGD].pace(group, 3) == (0.1, 0.5)
    group["momentum"] = 0.9
    assert UPDATES[SGD].pace(group, 4) == (0.1, 0.9)


def test_adams_rate_is_corrected_for_the_start_of_its_averages() -> None:
    corrected, root, rate = UPDATES[Adam].pace({"lr": 0.1, "betas": (0.9, 0.99)}, 2)
    assert corrected == pytest.approx(0.1 / (1 - 0.81))
    assert root == pytest.approx((1 - 0.99**2) ** 0.5)
    assert rate == 0.1
