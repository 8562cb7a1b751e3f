"""Each optimizer does what its paper says on a problem with a known answer; rates follow their schedule."""

import math

import pytest
import torch
from torch import nn

from isthmus import fit, latents, likelihoods, nets
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.training import engine
from isthmus.training.optimizers import Adam, momentum_at, optimizers, rate_at, set_pace


def quadratic(options: TrainingOptions, steps: int = 400) -> float:
    """Distance from the minimum of |W - I|^2 + |b|^2 after some steps with a cosine rate."""
    layer = nn.Linear(4, 4)
    tools = optimizers(options, layer)
    for step in range(steps):
        set_pace(tools, rate_at(step, steps, options), options.momentum)
        loss = (layer.weight - torch.eye(4)).square().sum() + layer.bias.square().sum()
        for tool in tools:
            tool.zero_grad()
        loss.backward()
        for tool in tools:
            tool.step()
    return loss.item()


@pytest.mark.parametrize(
    ("name", "rate"), [("adam", 0.05), ("adamw", 0.05), ("sgd", 0.02), ("nesterov", 0.02), ("muon", 0.1)]
)
def test_every_optimizer_finds_the_minimum_of_a_quadratic(name: str, rate: float) -> None:
    options = TrainingOptions.model_validate({"optimizer": name, "learning_rate": rate, "schedule": "cosine"})
    assert quadratic(options) < 1e-3


def test_muon_takes_the_matrices_and_adamw_the_rest() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    muon, adamw = optimizers(TrainingOptions(optimizer="muon"), net)
    assert isinstance(muon, torch.optim.Muon)
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(3, 8)]
    assert isinstance(adamw, Adam)
    assert all(g["decoupled_weight_decay"] for g in adamw.param_groups)
    assert sum(len(g["params"]) for g in adamw.param_groups) == 3


def test_muon_without_a_matrix_is_adamw_alone() -> None:
    assert len(optimizers(TrainingOptions(optimizer="muon"), nn.Conv2d(1, 2, 3))) == 1


def autoencoder(*widths: int, tied: bool = False, data: int = 12) -> Objective:
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.mlp((data,), 3, latent, likelihood, widths=widths, tied=tied)
    return Objective(Autoencoder(pair.encoder, pair.decoder, latent, likelihood))


def of_muon(objective: Objective) -> list[torch.Size]:
    tools = [t for t in optimizers(TrainingOptions(optimizer="muon"), objective) if isinstance(t, torch.optim.Muon)]
    return [p.shape for t in tools for g in t.param_groups for p in g["params"]]


def test_muon_leaves_the_layers_that_read_and_write_the_data_to_adamw() -> None:
    objective = autoencoder(8, 5)
    assert of_muon(objective) == [(5, 8), (3, 5), (5, 3), (8, 5)]
    _, adamw = optimizers(TrainingOptions(optimizer="muon"), objective)
    left = [p.shape for g in adamw.param_groups for p in g["params"]]
    assert [shape for shape in left if len(shape) == 2] == [(8, 12), (12, 8)]
    assert sum(len(shape) == 1 for shape in left) == 6


def test_muon_takes_every_matrix_of_a_tied_net_but_the_one_that_faces_the_data() -> None:
    assert of_muon(autoencoder(8, 5, tied=True)) == [(5, 8), (3, 5)]


def test_muon_takes_the_dense_layers_inside_a_convolutional_net() -> None:
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.conv((1, 8, 8), 3, latent, likelihood, channels=(2,))
    objective = Objective(Autoencoder(pair.encoder, pair.decoder, latent, likelihood))
    assert of_muon(objective) == [(3, 32), (32, 3)]


def test_what_muon_leaves_over_wide_data_learns_at_its_share_of_the_rate() -> None:
    _, adamw = optimizers(TrainingOptions(optimizer="muon"), autoencoder(8, 5, data=4096))
    shares = {tuple(p.shape): g["share"] for g in adamw.param_groups for p in g["params"]}
    assert shares[8, 4096] == 0.25
    assert shares[4096, 8] == 1


@pytest.mark.parametrize(("decay", "decoupled"), [(0.0, False), (0.1, False), (0.1, True)])
def test_the_short_step_of_adam_gives_the_bits_of_torchs(decay: float, decoupled: bool) -> None:
    """With two groups, a layer without gradients, and a rate that changes."""
    ended = []
    for kind in (torch.optim.Adam, Adam):
        torch.manual_seed(0)
        layers = nn.ModuleList([nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(2, 2)])
        groups = [{"params": list(layers[0].parameters())}, {"params": list(layers[1:].parameters()), "share": 0.5}]
        tool = kind(groups, 0.1, weight_decay=decay, decoupled_weight_decay=decoupled, fused=True)
        for step in range(4):
            set_pace([tool], 0.1 / (step + 1), 0.9)
            tool.zero_grad()
            layers[1](layers[0](torch.randn(7, 5))).square().sum().backward()
            tool.step()
        ended.append([p.detach().clone() for p in layers.parameters()])
    for torchs, ours in zip(*ended, strict=True):
        assert torchs.equal(ours)


def test_frozen_weights_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    (adam,) = optimizers(TrainingOptions(), layer)
    assert [p.shape for g in adam.param_groups for p in g["params"]] == [(2, 2)]


def test_adam_decays_through_the_gradient_and_adamw_apart_from_it() -> None:
    """One step from gradient zero: Adam's L2 term is normalized to a full step, AdamW shrinks by rate * decay."""
    moved = {}
    for name in ("adam", "adamw"):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.data.fill_(2.0)
        layer.weight.grad = torch.zeros(1, 1)
        options = TrainingOptions.model_validate({"optimizer": name, "learning_rate": 0.1, "weight_decay": 0.5})
        optimizers(options, layer)[0].step()
        moved[name] = layer.weight.item()
    assert moved["adam"] == pytest.approx(2.0 - 0.1, abs=1e-5)
    assert moved["adamw"] == pytest.approx(2.0 * (1 - 0.1 * 0.5), abs=1e-6)


def test_the_cosine_rate_follows_its_formula_after_a_linear_rise() -> None:
    options = TrainingOptions(learning_rate=2.0, schedule="cosine", warmup=0.2)
    rises = [rate_at(step, 100, options) for step in range(20)]
    assert rises == pytest.approx([2.0 * (s + 1) / 21 for s in range(20)])
    for step in range(20, 101):
        assert rate_at(step, 100, options) == pytest.approx(1 + math.cos(math.pi * (step - 20) / 80))


def test_the_constant_rate_is_constant() -> None:
    assert {rate_at(step, 10, TrainingOptions(learning_rate=0.3)) for step in range(10)} == {0.3}


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_momentum_that_rises_in_stages_is_that_of_the_recursion(optimizer: str) -> None:
    """On w^2 / 2: v = mu_t v + w, then w loses rate * v, or with Nesterov rate * (w + mu_t v)."""
    options = TrainingOptions.model_validate(
        {"optimizer": optimizer, "learning_rate": 0.1, "momentum": 0.8, "momentum_stage": 2}
    )
    layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    layer.weight.data.fill_(1.0)
    tools, w, v = optimizers(options, layer), 1.0, 0.0
    for step, momentum in enumerate([0.5, 0.5, 0.75, 0.75, 0.8, 0.8, 0.8]):
        set_pace(tools, 0.1, momentum_at(step, options))
        layer.weight.grad = layer.weight.detach().clone()
        tools[0].step()
        v = momentum * v + w
        w -= 0.1 * (w + momentum * v if optimizer == "nesterov" else v)
        assert layer.weight.item() == pytest.approx(w, rel=1e-12)


def test_a_run_takes_every_step_at_the_momentum_of_its_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(engine, "set_pace", lambda tools, rate, momentum: seen.append(momentum))
    options = {
        "training.optimizer": "sgd",
        "training.momentum_stage": 2,
        "training.steps": 5,
        "training.batch_size": 10,
    }
    fit("linear", torch.rand(30, 6).numpy(), options=options)
    assert seen == [0.5, 0.5, 0.75, 0.75, 1 - 1 / 6]


def test_layers_wider_than_the_bound_learn_at_a_share_of_the_rate() -> None:
    net = nn.Sequential(nn.Linear(4096, 2), nn.Linear(1024, 2), nn.Conv2d(3, 2, 5))
    (adam,) = optimizers(TrainingOptions(), net)
    set_pace([adam], 0.8, 0.9)
    rates = {tuple(p.shape): group["lr"] for group in adam.param_groups for p in group["params"]}
    assert rates[2, 4096] == pytest.approx(0.8 * 1024 / 4096)
    assert rates[2, 1024] == rates[2, 3, 5, 5] == rates[2,] == 0.8


def test_one_adam_step_moves_the_output_of_a_wide_layer_no_further_than_that_of_a_narrow_one() -> None:
    """The first step of Adam moves each weight by the rate, so an output by the rate times the inputs' sum."""
    moved = []
    for inputs in (1024, 8192):
        layer, x = nn.Linear(inputs, 1, bias=False), torch.ones(1, inputs)
        before = layer(x).item()
        (adam,) = optimizers(TrainingOptions(), layer)
        set_pace([adam], 1e-3, 0.9)
        layer(x).sum().backward()
        adam.step()
        moved.append(before - layer(x).item())
    assert moved[0] == pytest.approx(1.024, rel=1e-3)
    assert moved[1] == pytest.approx(moved[0], rel=1e-3)
