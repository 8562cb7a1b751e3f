"""The loss: its parts, its weights over a run, and its mean over the batch."""

import math

import pytest
import torch
from torch import Tensor, nn

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption
from isthmus.functional import kl_standard_normal, squared_error
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Corrupted, Trace, alone
from isthmus.parts.schedules import Schedule

EPS = torch.finfo(torch.float64).eps
SHAPE = (2, 3)


class Energy(nn.Module):
    """A penalty for tests: half the squared norm of the code."""

    name = "energy"
    requires = frozenset()

    def forward(self, model: Autoencoder, trace: Trace) -> Tensor:
        return 0.5 * trace.z.square().sum(1)


class Batch(nn.Module):
    """A penalty of the whole batch; it keeps the trace that it saw."""

    name = "batch"
    requires = frozenset()

    def forward(self, model: Autoencoder, trace: Trace) -> Tensor:
        self.trace = trace
        return trace.gather(trace.z).square().mean()


def autoencoder(gaussian: bool = True, scale: float = 0.5) -> Autoencoder:
    latent = latents.Gaussian() if gaussian else latents.Deterministic()
    likelihood = likelihoods.Gaussian(scale)
    pair = nets.mlp(SHAPE, 2, latent, likelihood, widths=(5,))
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=SHAPE).double()


def data(n: int = 4) -> Tensor:
    return torch.randn(n, *SHAPE, dtype=torch.float64)


def test_the_loss_of_a_plain_autoencoder_is_minus_the_log_likelihood_in_nats_for_each_example():
    model, x = autoencoder(gaussian=False), data()
    loss = Objective(model)(x)
    constant = 6 * math.log(0.5 * math.sqrt(2 * math.pi))
    expected = [squared_error(row[None], model.reconstruct(row[None])).item() / (2 * 0.25) + constant for row in x]
    assert loss.total.item() == pytest.approx(math.fsum(expected) / 4, rel=1e-13)
    assert list(loss.terms) == ["reconstruction"]
    assert loss.terms["reconstruction"].equal(loss.total)


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("step", [0, 1, 5, 10, 19])
def test_the_total_is_the_reconstruction_plus_each_weight_of_the_step_times_its_unweighted_part(shape, step):
    length = {} if shape == "constant" else {"steps": 10}
    schedule = Schedule(3.0, shape, start=0.5, **length)
    model, x = autoencoder(), data()
    objective = Objective(model, {KL(StandardNormal()): schedule, Energy(): 0.25})
    torch.manual_seed(5)
    loss = objective(x, step=step, total=20)
    torch.manual_seed(5)
    trace = model(x)
    parts = {
        "reconstruction": -trace.p.log_prob(x).mean().item(),
        "kl": kl_standard_normal(trace.q.mean, trace.q.stddev).mean().item(),
        "energy": (trace.z**2).sum().item() / 8,
    }
    t = min(1.0, step / 10)
    weight = {
        "constant": 3.0,
        "linear": 0.5 + 2.5 * t,
        "cosine": 0.5 + 2.5 * (1 - math.cos(math.pi * t)) / 2,
    }[shape]
    assert list(loss.terms) == list(parts)
    assert {k: v.item() for k, v in loss.terms.items()} == pytest.approx(parts, rel=1e-13)
    assert loss.total.item() == pytest.approx(
        parts["reconstruction"] + weight * parts["kl"] + 0.25 * parts["energy"], rel=1e-13
    )
    assert objective.weights(step, 20) == pytest.approx({"kl": weight, "energy": 0.25}, rel=1e-13)


def test_the_loss_of_a_corrupted_input_is_measured_against_the_clean_one():
    class Double(nn.Module):
        def forward(self, x: Tensor, progress: float = 1.0) -> Corrupted:
            return Corrupted(2 * x)

    model, x = autoencoder(gaussian=False), data()
    model.corruption = Double()
    out = model.output(model.posterior(2 * x).mean).mean
    expected = squared_error(x, out) / (2 * 0.25) + 6 * math.log(0.5 * math.sqrt(2 * math.pi))
    assert Objective(model).train()(x).total.item() == pytest.approx(expected.mean().item(), rel=1e-13)


@pytest.mark.parametrize("length", [{"fraction": 0.5}, {"steps": 5}])
def test_without_a_length_of_the_run_the_final_weights_count(length):
    objective = Objective(autoencoder(), {KL(StandardNormal()): Schedule(3.0, "linear", **length)})
    assert objective.weights(0, 0) == {"kl": 3.0}
    assert objective.weights(0, 10) == {"kl": 0.0}
    x = data()
    loss = objective(x)
    assert loss.total.item() == pytest.approx((loss.terms["reconstruction"] + 3 * loss.terms["kl"]).item(), rel=4 * EPS)


def test_named_parts_add_up_to_the_loss_with_final_weights():
    objective = Objective(autoencoder(), {KL(StandardNormal()): Schedule(3.0, "linear", steps=5), Energy(): 0.5})
    assert objective.total({"reconstruction": 2.0, "kl": 4.0, "energy": 8.0}) == 18.0
    loss = objective(data())
    assert objective.total({k: v.item() for k, v in loss.terms.items()}) == pytest.approx(loss.total.item(), rel=1e-14)


def test_the_loss_is_a_mean_over_examples_by_count():
    """Two batches of unlike size, weighted by their counts, are the whole."""
    objective = Objective(autoencoder(gaussian=False), {Energy(): 2.0})
    x = data(10)
    whole, few, many = objective(x), objective(x[:3]), objective(x[3:])
    assert (3 * few.total + 7 * many.total).item() / 10 == pytest.approx(whole.total.item(), rel=1e-13)
    for name in whole.terms:
        joined = (3 * few.terms[name] + 7 * many.terms[name]) / 10
        assert joined.item() == pytest.approx(whole.terms[name].item(), rel=1e-13)
    assert objective(torch.cat([x, x, x])).total.item() == pytest.approx(whole.total.item(), rel=1e-13)


def test_the_gradient_of_the_total_is_the_weighted_sum_of_the_gradients_of_the_parts():
    objective, x = Objective(autoencoder(), {KL(StandardNormal()): 0.5}), data()
    torch.manual_seed(5)
    loss = objective(x)
    wanted = list(objective.parameters())
    of = [torch.autograd.grad(v, wanted, retain_graph=True, allow_unused=True) for v in loss.terms.values()]
    total = torch.autograd.grad(loss.total, wanted)
    for reconstruction, kl, both in zip(*of, total, strict=True):
        expected = reconstruction + (0 if kl is None else 0.5 * kl)
        torch.testing.assert_close(both, expected, rtol=1e-12, atol=1e-14)


def test_a_penalty_learns_how_far_the_run_is_how_many_examples_there_are_and_how_to_gather():
    penalty = Batch()
    objective, x = Objective(autoencoder(), {penalty: 1.0}), data()
    objective(x, step=5, total=20, population=77, gather=lambda v: torch.cat([v, v]))
    assert (penalty.trace.progress, penalty.trace.population) == (0.25, 77)
    assert penalty.trace.gather(x).shape == (8, 2, 3)
    objective(x)
    assert (penalty.trace.progress, penalty.trace.population) == (1.0, 0)
    assert penalty.trace.gather is alone
    assert alone(x) is x


def test_penalties_of_one_name_are_numbered():
    objective = Objective(autoencoder(), {Energy(): 1.0, KL(StandardNormal()): 1.0, Energy(): 2.0, Energy(): 3.0})
    assert list(objective.penalties) == ["energy", "kl", "energy_2", "energy_3"]
    assert objective.weights(0, 0) == {"energy": 1.0, "kl": 1.0, "energy_2": 2.0, "energy_3": 3.0}
    parts = objective(data()).terms
    assert parts["energy"].equal(parts["energy_3"])


def test_the_prior_that_a_penalty_compares_with_is_the_one_that_samples_are_drawn_from():
    model, prior = autoencoder(), StandardNormal()
    assert Objective(model).model.prior is None
    Objective(model, {Energy(): 1.0, KL(prior): 1.0})
    assert model.prior is prior
    Objective(model, {KL(StandardNormal()): 1.0})
    assert model.prior is prior


def test_the_parameters_of_the_model_and_of_the_penalties_belong_to_the_objective():
    class Learned(Energy):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

    model, penalty = autoencoder(), Learned()
    names = dict(Objective(model, {penalty: 1.0}).named_parameters())
    assert names["penalties.energy.scale"] is penalty.scale
    assert {id(p) for p in names.values()} == {id(p) for p in [*model.parameters(), penalty.scale]}


def test_a_weight_below_zero_is_refused():
    message = r"^The weight of penalty energy must be at least 0, but is -1\.$"
    with pytest.raises(BadOption, match=message):
        Objective(autoencoder(), {Energy(): -1.0})
    with pytest.raises(BadOption, match=message):
        Objective(autoencoder(), {Energy(): Schedule(-1.0, "linear", fraction=0.5)})
    with pytest.raises(BadOption, match=r"^The weight of penalty energy must be at least 0"):
        Objective(autoencoder(), {Energy(): Schedule(1.0, "linear", start=-1.0, fraction=0.5)})
    assert Objective(autoencoder(), {Energy(): 0.0}).weights(0, 1) == {"energy": 0.0}


def test_the_refusal_of_a_start_below_zero_names_the_start():
    with pytest.raises(BadOption, match=r"^The weight of penalty energy must be at least 0, but is -1\.$"):
        Objective(autoencoder(), {Energy(): Schedule(2.0, "linear", start=-1.0, fraction=0.5)})


def test_a_weight_that_is_no_number_of_use_is_refused():
    with pytest.raises(BadOption, match=r"^A schedule's value must be a finite number, but is nan\.$"):
        Objective(autoencoder(), {Energy(): float("nan")})
