"""Two ways of taking a step agree up to rounding, where a gradient is zero too; NaN and wrong tensors are noticed."""

import torch
from torch import Tensor

from isthmus.training.steps.comparison import State, difference, losses_differ

TOLERANCE = 1e-3
START = {("weight", "a"): torch.zeros(100), ("weight", "b"): torch.zeros(4), ("buffer", "mean"): torch.zeros(4)}


def after(a: Tensor, b: Tensor, gradient_of_b: Tensor) -> State:
    """A state after a first step of Adam, which moves every weight by the learning rate whatever its gradient is."""
    return {
        ("weight", "a"): a,
        ("weight", "b"): b,
        ("buffer", "mean"): torch.ones(4),
        ("exp_avg", "a"): torch.full((100,), 0.1),
        ("exp_avg", "b"): gradient_of_b,
    }


A, B = torch.full((100,), 0.01), torch.full((4,), 0.01)
EXPECTED = after(A, B, torch.full((4,), 0.1))


def test_rounding_is_no_difference() -> None:
    assert difference(START, EXPECTED, after(A * (1 + 1e-5), B, torch.full((4,), 0.1)), TOLERANCE) is None


def test_another_change_is_named_with_its_size() -> None:
    found = difference(START, EXPECTED, after(A * 1.1, B, torch.full((4,), 0.1)), TOLERANCE)
    assert found == "compiled, it changes a differently (by 10.0% of its change)"
    found = difference(START, EXPECTED, after(A, B, torch.full((4,), 0.2)), TOLERANCE)
    assert found == "compiled, it changes exp_avg of b differently (by 100.0% of its change)"


def test_a_weight_whose_gradient_is_rounding_alone_may_move_the_other_way() -> None:
    noise = torch.full((4,), 1e-8)
    assert difference(START, after(A, B, noise), after(A, -B, -noise), TOLERANCE) is None
    # one with a gradient may not
    assert difference(START, EXPECTED, after(A, -B, torch.full((4,), 0.1)), TOLERANCE) is not None


def test_values_that_are_not_finite_are_noticed_wherever_they_are() -> None:
    noise = torch.full((4,), 1e-8)
    for key in EXPECTED:
        found = {name: value.clone() for name, value in after(A, B, noise).items()}
        found[key][1] = torch.nan
        assert difference(START, after(A, B, noise), found, TOLERANCE) is not None, key


def test_losses_are_compared_with_the_largest_of_them() -> None:
    expected = torch.tensor([100.0, 99.0, 1e-6])
    assert losses_differ(["loss", "reconstruction", "kl"], expected, expected + 1e-3, TOLERANCE) is None
    found = losses_differ(["loss", "reconstruction", "kl"], expected, torch.tensor([100.0, 50.0, 0.0]), TOLERANCE)
    assert found == "compiled, reconstruction is 50 instead of 99"
    assert losses_differ(["loss"], torch.ones(1), torch.full((1,), torch.nan), TOLERANCE) is not None
