"""What every latent head keeps to, whichever options it has."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from isthmus.errors import BadOption
from isthmus.functional import ACTIVATIONS
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import LatentPart, options_of
from isthmus.parts.latents import LATENTS, Deterministic, Gaussian
from isthmus.parts.likelihoods import Bernoulli
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Capability, Latent

SPACES = [(), (3,), (2, 3)]
NAMES = {"activation": ACTIVATIONS}
CASES = [(kind, {}) for kind in LATENTS] + [
    (kind, {option: value})
    for kind, part in LATENTS.items()
    for option in options_of(part).model_fields
    for value in NAMES.get(option, ())
]
each = pytest.mark.parametrize(("kind", "options"), CASES)
in_spaces = [
    (kind, options, space) for kind, options in CASES for space in SPACES if not (kind == "full_gaussian" and space)
]
each_in_space = pytest.mark.parametrize(("kind", "options", "space"), in_spaces)
HOME: dict[str, dict[str, object]] = {
    "categorical": {"classes": 2},
    "quantized": {"codebook_size": 8, "codebook_dim": 2},
    **{kind: {"k": 2} for kind in ("top_k", "batch_top_k", "k_sparse")},
}
"""Options that suit a code of a few values."""


def made(kind: str, options: dict[str, object], d: int = 4) -> nn.Module:
    return LatentPart(kind=kind, size=d, **(HOME.get(kind, {}) | options)).make(size=d, shape=(9,))


def features(latent: nn.Module, d: int, space: tuple[int, ...] = (), batch: int = 3) -> torch.Tensor:
    """Features away from the kink of relu, where every activation has a slope."""
    return torch.rand(batch, latent.width(d), *space, dtype=torch.float64) + 0.5


@each
def test_a_latent_is_a_module_that_keeps_its_protocol(kind, options):
    latent = made(kind, options)
    assert isinstance(latent, Latent)
    assert isinstance(latent, nn.Module)
    assert isinstance(latent.provides, frozenset)
    assert all(isinstance(offer, Capability) for offer in latent.provides)


@each_in_space
@pytest.mark.parametrize("d", [2, 4])
def test_a_latent_turns_width_features_into_a_code_of_d_values(kind, options, space, d):
    latent = made(kind, options, d).double()
    q = latent(features(latent, d, space))
    assert (tuple(q.batch_shape), tuple(q.event_shape)) == ((3,), (d, *space))
    assert q.mean.shape == q.rsample().shape == (3, d, *space)
    assert q.rsample((5,)).shape == (5, 3, d, *space)


@each_in_space
def test_a_draw_has_a_gradient_to_every_feature_that_it_depends_on(kind, options, space):
    """A smooth code depends on all; a sparse or discrete one on some, and its own term reaches its parameters."""
    latent = made(kind, options)
    h = features(latent, 4, space).requires_grad_()
    z = latent.double()(h).rsample()
    (z * torch.randn_like(z)).sum().backward()
    assert bool(torch.isfinite(h.grad).all())
    assert bool(h.grad.any())
    if Capability.DIFFERENTIABLE in latent.provides:
        assert bool((h.grad != 0).all())
    if not hasattr(latent, "auxiliary_name"):
        assert all(p.grad is not None and bool(p.grad.any()) for p in latent.parameters())


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_latent_keeps_the_precision_of_its_features(kind, options, dtype):
    latent = made(kind, options).to(dtype)
    q = latent(features(latent, 4).to(dtype))
    assert q.mean.dtype == q.rsample().dtype == q.variance.dtype == dtype


@each
def test_each_example_has_a_posterior_of_its_own(kind, options):
    latent = made(kind, options).double().eval()
    h = features(latent, 4)
    alone = torch.cat([latent(row[None]).mean for row in h])
    # a lone row may take another vector path of the processor, a few last digits away
    torch.testing.assert_close(alone, latent(h).mean, rtol=8 * torch.finfo(torch.float64).eps, atol=1e-16)


@each
def test_a_latent_is_restored_by_its_state(kind, options):
    one, other = made(kind, options).double(), made(kind, options).double()
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    h = features(one, 4)
    one, other = one.eval(), other.eval()
    assert one(h).mean.equal(other(h).mean)


@each
def test_the_mean_of_a_latent_in_evaluation_is_the_same_every_time(kind, options):
    latent = made(kind, options).double().eval()
    h = features(latent, 4)
    assert latent(h).mean.equal(latent(h).mean)


@each_in_space
def test_a_latent_keeps_what_it_promises_of_its_code(kind, options, space):
    latent = made(kind, options).double()
    h = 5 * torch.randn(50, latent.width(4), *space, dtype=torch.float64)
    q = latent(h)
    if Capability.DENSITY in latent.provides:
        assert q.log_prob(q.rsample()).shape == (50,)
        assert bool(torch.isfinite(q.log_prob(q.rsample())).all())
    else:
        with pytest.raises(NotImplementedError):
            q.log_prob(q.rsample())
    if Capability.DIAGONAL in latent.provides:
        assert Capability.GAUSSIAN in latent.provides
        z = q.rsample()
        diagonal = Independent(Normal(q.mean, q.stddev), z.ndim - 1)
        # a density of up to 24 values; z - mean loses the digits of the mean
        torch.testing.assert_close(q.log_prob(z), diagonal.log_prob(z), rtol=1e-11, atol=1e-11)
    if Capability.UNIT_INTERVAL in latent.provides:
        assert 0 <= q.mean.min() <= q.mean.max() <= 1
    if Capability.DIFFERENTIABLE in latent.provides:
        some = features(latent, 4, space).requires_grad_()
        assert torch.autograd.gradcheck(lambda v: latent(v).mean, some)


@pytest.mark.parametrize("kind", LATENTS)
def test_a_latent_says_what_it_is_and_what_its_options_mean(kind):
    assert LATENTS[kind].__doc__.strip()
    assert LATENTS[kind].width.__doc__.strip()
    assert all(f"{name}:" in LATENTS[kind].__doc__ for name in options_of(LATENTS[kind]).model_fields)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_deterministic_code_is_the_activation_of_its_features_with_no_spread(name):
    h = torch.randn(4, 3, dtype=torch.float64)
    q = Deterministic(name)(h)
    assert q.mean.equal(ACTIVATIONS[name](h))
    assert q.rsample().equal(q.mean)
    assert q.sample().equal(q.mean)
    assert q.mode.equal(q.mean)
    assert q.variance.equal(torch.zeros_like(h))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_only_a_sigmoid_promises_the_unit_interval(name):
    promised = Capability.UNIT_INTERVAL in Deterministic(name).provides
    assert promised == (name == "sigmoid")


def test_an_unknown_activation_of_the_code_is_refused_with_the_nearest():
    with pytest.raises(BadOption, match=r"^The code's activation cannot be 'rellu'; did you mean 'relu'\? Allowed: "):
        Deterministic("rellu")


@pytest.mark.parametrize("space", SPACES)
def test_a_gaussian_reads_the_mean_first_and_then_the_log_of_the_standard_deviation(space):
    mean, log_std = torch.randn(2, 3, 4, *space, dtype=torch.float64)
    q = Gaussian()(torch.cat([mean, log_std], 1))
    assert q.mean.equal(mean)
    torch.testing.assert_close(q.stddev, log_std.exp(), rtol=4 * torch.finfo(torch.float64).eps, atol=0)


@pytest.mark.parametrize("log_std", [-60.0, -20.0, 20.0, 60.0])
def test_a_scale_far_away_is_not_cut_off_and_its_gradient_brings_it_back(log_std):
    h = torch.tensor([[0.5, log_std]], dtype=torch.float64, requires_grad=True)
    q = Gaussian()(h)
    assert q.stddev.item() == pytest.approx(math.exp(log_std), rel=1e-14)
    z = torch.tensor([[0.5 + math.exp(log_std)]], dtype=torch.float64)
    q.log_prob(z).backward()
    # d/dlog sigma of -(z - mu)^2 / (2 sigma^2) - log sigma is ((z - mu) / sigma)^2 - 1, and z - mu rounds to 0 or sigma
    expected = ((z.item() - 0.5) / math.exp(log_std)) ** 2 - 1
    assert h.grad[0, 1].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_divergence_stays_finite_where_the_scale_underflows(dtype):
    model = Autoencoder(nn.Identity(), nn.Linear(1, 2), Gaussian(), Bernoulli(), shape=(2,)).to(dtype)
    trace = model(torch.tensor([[2.0, -1000.0]], dtype=dtype))
    # 1/2 (4 + 0 - 1) + 1000
    assert KL(StandardNormal())(model, trace).item() == pytest.approx(1001.5, rel=1e-6)
