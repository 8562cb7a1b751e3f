"""Each optimiser does what its paper says on a problem with a known answer; rates follow their schedule."""

import math

import pytest
import torch
from torch import nn

from isthmus.options import TrainingOptions
from isthmus.training.optimisers import optimisers, rate_at, set_rate


def quadratic(options: TrainingOptions, steps: int = 400) -> float:
    """Distance from the minimum of |W - I|^2 + |b|^2 after some steps with a cosine rate."""
    layer = nn.Linear(4, 4)
    tools = optimisers(options, layer)
    for step in range(steps):
        set_rate(tools, rate_at(step, steps, options))
        loss = (layer.weight - torch.eye(4)).square().sum() + layer.bias.square().sum()
        for tool in tools:
            tool.zero_grad()
        loss.backward()
        for tool in tools:
            tool.step()
    return loss.item()


@pytest.mark.parametrize(("name", "rate"), [("adam", 0.05), ("adamw", 0.05), ("sgd", 0.02), ("muon", 0.1)])
def test_every_optimiser_finds_the_minimum_of_a_quadratic(name: str, rate: float) -> None:
    options = TrainingOptions.model_validate({"optimiser": name, "rate": rate, "schedule": "cosine"})
    assert quadratic(options) < 1e-3


def test_muon_takes_the_matrices_and_adamw_the_rest() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    muon, adamw = optimisers(TrainingOptions(optimiser="muon"), net)
    assert isinstance(muon, torch.optim.Muon)
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(3, 8)]
    assert isinstance(adamw, torch.optim.AdamW)
    assert sum(len(g["params"]) for g in adamw.param_groups) == 3


def test_muon_without_a_matrix_is_adamw_alone() -> None:
    assert len(optimisers(TrainingOptions(optimiser="muon"), nn.Conv2d(1, 2, 3))) == 1


def test_frozen_weights_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    (adam,) = optimisers(TrainingOptions(), layer)
    assert [p.shape for g in adam.param_groups for p in g["params"]] == [(2, 2)]


def test_adam_decays_through_the_gradient_and_adamw_apart_from_it() -> None:
    """One step from gradient zero: Adam's L2 term is normalised to a full step, AdamW shrinks by rate * decay."""
    moved = {}
    for name in ("adam", "adamw"):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.data.fill_(2.0)
        layer.weight.grad = torch.zeros(1, 1)
        options = TrainingOptions.model_validate({"optimiser": name, "rate": 0.1, "weight_decay": 0.5})
        optimisers(options, layer)[0].step()
        moved[name] = layer.weight.item()
    assert moved["adam"] == pytest.approx(2.0 - 0.1, abs=1e-5)
    assert moved["adamw"] == pytest.approx(2.0 * (1 - 0.1 * 0.5), abs=1e-6)


def test_the_cosine_rate_follows_its_formula_after_a_linear_rise() -> None:
    options = TrainingOptions(rate=2.0, schedule="cosine", warmup=0.2)
    rises = [rate_at(step, 100, options) for step in range(20)]
    assert rises == pytest.approx([2.0 * (s + 1) / 21 for s in range(20)])
    for step in range(20, 101):
        assert rate_at(step, 100, options) == pytest.approx(1 + math.cos(math.pi * (step - 20) / 80))


def test_the_constant_rate_is_constant() -> None:
    assert {rate_at(step, 10, TrainingOptions(rate=0.3)) for step in range(10)} == {0.3}


def test_layers_wider_than_the_bound_learn_at_a_share_of_the_rate() -> None:
    net = nn.Sequential(nn.Linear(4096, 2), nn.Linear(1024, 2), nn.Conv2d(3, 2, 5))
    (adam,) = optimisers(TrainingOptions(), net)
    set_rate([adam], 0.8)
    rates = {tuple(p.shape): group["lr"] for group in adam.param_groups for p in group["params"]}
    assert rates[2, 4096] == pytest.approx(0.8 * 1024 / 4096)
    assert rates[2, 1024] == rates[2, 3, 5, 5] == rates[2,] == 0.8


def test_one_adam_step_moves_the_output_of_a_wide_layer_no_further_than_that_of_a_narrow_one() -> None:
    """The first step of Adam moves each weight by the rate, so an output by the rate times the inputs' sum."""
    moved = []
    for inputs in (1024, 8192):
        layer, x = nn.Linear(inputs, 1, bias=False), torch.ones(1, inputs)
        before = layer(x).item()
        (adam,) = optimisers(TrainingOptions(), layer)
        set_rate([adam], 1e-3)
        layer(x).sum().backward()
        adam.step()
        moved.append(before - layer(x).item())
    assert moved[0] == pytest.approx(1.024, rel=1e-3)
    assert moved[1] == pytest.approx(moved[0], rel=1e-3)
