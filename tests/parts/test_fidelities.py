"""The term that asks the output to be like the input: plain, and importance-weighted."""

import math

import pytest
import torch
from oracles import log_importance_weights
from torch import Tensor
from torch.distributions import MultivariateNormal

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.functional import kl_standard_normal, log_mean_exp
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.exact import probabilistic_pca
from isthmus.models.objective import Objective
from isthmus.models.recipe import FidelityPart, options_of
from isthmus.parts.fidelities import FIDELITIES, ImportanceWeighted, LogLikelihood
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Capability, Penalty

SHAPE = (5,)


def autoencoder(latent: torch.nn.Module | None = None) -> Autoencoder:
    latent = latents.Gaussian() if latent is None else latent
    likelihood = likelihoods.Bernoulli()
    pair = nets.mlp(SHAPE, 2, latent, likelihood, widths=(6,), activation="tanh")
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=SHAPE).double()


def examples(n: int = 4) -> Tensor:
    return torch.rand(n, *SHAPE, dtype=torch.float64)


def weighted(samples: int, gradient: str = "reparameterized") -> ImportanceWeighted:
    return ImportanceWeighted(StandardNormal(), samples=samples, gradient=gradient)


@pytest.mark.parametrize("kind", FIDELITIES)
def test_a_fidelity_keeps_the_protocol_of_a_term_and_says_what_its_options_mean(kind):
    part = FidelityPart(kind=kind).make(prior=StandardNormal())
    assert isinstance(part, Penalty)
    assert all(isinstance(need, Capability) for need in part.requires)
    assert all(f"{name}:" in FIDELITIES[kind].__doc__ for name in options_of(FIDELITIES[kind]).model_fields)
    model = autoencoder()
    value = part(model, model(examples()))
    assert value.shape == (4,)
    assert bool(torch.isfinite(value).all())


def test_the_plain_fidelity_is_minus_the_log_likelihood_of_the_clean_input():
    model, x = autoencoder(), examples()
    trace = model(x)
    assert LogLikelihood()(model, trace).equal(-trace.p.log_prob(x))


def test_one_sample_is_the_evidence_lower_bound_of_the_same_draw():
    model, x = autoencoder(), examples()
    trace = model(x)
    density = StandardNormal().distribution(model).log_prob(trace.z) - trace.q.log_prob(trace.z)
    elbo = trace.p.log_prob(x) + density
    # five products and sums of order 1 to 10 in another order
    torch.testing.assert_close(-weighted(1)(model, trace), elbo, rtol=1e-13, atol=1e-13)


def test_one_sample_is_on_average_reconstruction_and_divergence():
    model = autoencoder()
    x = examples(1).expand(40_000, *SHAPE)
    with torch.no_grad():
        trace = model(x)
        sampled = weighted(1)(model, trace)
        exact = -trace.p.log_prob(x) + kl_standard_normal(trace.q.loc, trace.q.scale)
    error = (sampled - exact).std() / 200
    assert abs((sampled - exact).mean()) < 5 * error


def test_the_exact_posterior_makes_the_bound_the_log_density_for_any_number_of_samples():
    x = torch.randn(60, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    model = probabilistic_pca(x, 2)
    w, noise = model.decoder.weight.detach(), model.likelihood.scale**2
    covariance = w @ w.T + noise * torch.eye(6, dtype=torch.float64)
    exact = MultivariateNormal(x.mean(0), covariance).log_prob(x)
    for samples in (1, 2, 7):
        bound = -weighted(samples)(model, model(x))
        # eigenvalues over four decades: 1e-16 * 1e4 * a few dozen operations
        torch.testing.assert_close(bound, exact, rtol=1e-10, atol=1e-10)


def test_the_bound_rises_with_the_number_of_samples_and_stays_below_the_log_density():
    model = Objective(autoencoder(), fidelity=weighted(1)).model
    x = examples(1)
    with torch.no_grad():
        bounds = {k: -weighted(k)(model, model(x.expand(4000, *SHAPE))) for k in (1, 4, 16)}
        log_p = log_mean_exp(log_importance_weights(model, x, 200_000)).item()
    means = {k: b.mean().item() for k, b in bounds.items()}
    errors = {k: 5 * b.std().item() / math.sqrt(4000) for k, b in bounds.items()}
    assert means[1] + errors[1] < means[4] - errors[4] < means[4] + errors[4] < means[16] + errors[16]
    assert means[16] < log_p + errors[16]


def test_the_gradient_is_the_average_of_the_samples_gradients_by_their_normalized_weights():
    model, x = autoencoder(), examples(1)
    torch.manual_seed(3)
    weighted(3)(model, model(x)).sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    torch.manual_seed(3)
    trace = model(x)
    z = trace.q.rsample(torch.Size((3,)))
    prior = StandardNormal().distribution(model)
    log_w = [model.output(v).log_prob(x) + prior.log_prob(v) - trace.q.log_prob(v) for v in z]
    share = torch.softmax(torch.stack(log_w).detach().flatten(), 0)
    expected = torch.autograd.grad(
        -sum(s * w.sum() for s, w in zip(share, log_w, strict=True)), list(model.parameters())
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def gradients(gradient: str, samples: int, draws: int) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and standard error of the gradient of each parameter over ``draws`` passes of one example."""
    torch.manual_seed(0)
    model = autoencoder()
    x = examples(1)
    found: list[list[Tensor]] = [[] for _ in model.parameters()]
    for _ in range(draws):
        model.zero_grad()
        weighted(samples, gradient)(model, model(x.expand(64, *SHAPE))).mean().backward()
        for kept, p in zip(found, model.parameters(), strict=True):
            kept.append(p.grad.clone())
    greedy = [torch.stack(g) for g in found]
    return [g.mean(0) for g in greedy], [g.std(0) / math.sqrt(draws) for g in greedy]


def test_the_doubly_reparameterized_gradient_has_the_same_mean():
    mean, error = gradients("reparameterized", 4, 300)
    other, other_error = gradients("doubly_reparameterized", 4, 300)
    for a, b, ea, eb in zip(mean, other, error, other_error, strict=True):
        # 5 standard errors; about 70 numbers are compared
        assert bool(((a - b).abs() <= 5 * (ea.square() + eb.square()).sqrt() + 1e-12).all())


def test_the_doubly_reparameterized_gradient_leaves_that_of_the_decoder_as_it_is():
    model, x = autoencoder(), examples()
    grads = []
    for gradient in ("reparameterized", "doubly_reparameterized"):
        torch.manual_seed(5)
        model.zero_grad()
        weighted(6, gradient)(model, model(x)).sum().backward()
        grads.append([p.grad.clone() for p in model.decoder.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_the_doubly_reparameterized_gradient_of_the_exact_posterior_is_zero():
    x = torch.randn(60, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    model = probabilistic_pca(x, 2)
    weighted(5, "doubly_reparameterized")(model, model(x)).mean().backward()
    size = max(p.grad.abs().max().item() for p in model.decoder.parameters())
    # at the exact posterior the weights do not depend on z, so nothing pulls at the encoder, draw by draw
    assert max(p.grad.abs().max().item() for p in model.encoder.parameters()) < 1e-9 * max(1.0, size)


def test_the_bound_makes_the_model_generative_and_is_the_whole_loss():
    model = autoencoder()
    objective = Objective(model, fidelity=weighted(3))
    loss = objective(examples())
    assert list(loss.terms) == ["bound"]
    assert loss.total.equal(loss.terms["bound"])
    assert model.generative
    assert objective.total({"bound": 3.0}) == 3.0


def test_a_divergence_beside_the_bound_is_refused():
    message = (
        r"^The importance-weighted bound contains the prior already, so penalty kl would count it twice\. Remove the "
        r"penalty \(penalties\.kl=null\), or set fidelity\.kind=likelihood\.$"
    )
    with pytest.raises(IncompatibleParts, match=message):
        Objective(autoencoder(), {KL(StandardNormal()): 1.0}, weighted(3))


@pytest.mark.parametrize("gradient", ["reparameterized", "doubly_reparameterized"])
def test_the_bound_needs_a_density(gradient):
    with pytest.raises(
        IncompatibleParts, match=r"^Fidelity bound requires a .*, which latent Deterministic does not provide\. "
    ):
        Objective(autoencoder(latents.Deterministic()), fidelity=weighted(3, gradient))


def test_options_out_of_range_are_refused():
    with pytest.raises(BadOption, match=r"^fidelity\.samples must be at least 1"):
        weighted(0)
    with pytest.raises(BadOption, match=r"^fidelity\.gradient cannot be 'double_rep.*'; did you mean 'doubly_rep"):
        weighted(2, "double_reparameterized")
