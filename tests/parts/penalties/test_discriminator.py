"""Critics of outputs: their losses, what their gradients reach and how long they are, and the gradient penalty."""

import math

import pytest
import torch
from torch import Tensor, nn

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.fidelities import Inversion, LogLikelihood
from isthmus.parts.nets.critic import Judgment
from isthmus.parts.penalties import Discriminator
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Trace

SHAPE, SIZE = (1, 8, 8), 3
EPS = torch.finfo(torch.float64).eps
each_likelihood = pytest.mark.parametrize("likelihood", ["bernoulli", "optimal_gaussian"])


class Known(nn.Module):
    """A critic with a known logit, and the example itself as its feature."""

    def __init__(self, logit) -> None:
        super().__init__()
        self.logit = logit
        self.unused = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Judgment:
        return Judgment(self.unused * self.logit(x), (x, 2 * x))


def known(logit):
    return lambda shape, channels, hidden, norm: Known(logit)


def mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)


def same(got: Tensor, expected: Tensor | float, roundings: float = 1000) -> None:
    rounding = roundings * EPS
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=got.dtype), rtol=rounding, atol=rounding)


def model(latent: str = "gaussian", likelihood: str = "bernoulli") -> Autoencoder:
    head = latents.LATENTS[latent]()
    output = likelihoods.LIKELIHOODS[likelihood]()
    pair = nets.mlp(SHAPE, SIZE, head, output, widths=(8,))
    return Autoencoder(pair.encoder, pair.decoder, head, output, shape=SHAPE).double()


def penalty(critic=nets.data_critic, **options: object) -> Discriminator:
    made = Discriminator(SHAPE, critic, StandardNormal(), **({"channels": (4,), "hidden": 5} | options))
    return made.double()


def images(n: int = 6) -> Tensor:
    return torch.rand(n, *SHAPE, dtype=torch.float64)


def trace_of(parts: Autoencoder, x: Tensor) -> Trace:
    torch.manual_seed(1)
    trace: Trace = parts(x)
    return trace


def gradients(module: nn.Module, value: Tensor) -> dict[str, Tensor]:
    """The gradients of the parameters of a module, where there are any."""
    for p in module.parameters():
        p.grad = None
    value.backward(retain_graph=True)
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def norm_of(found: dict[str, Tensor]) -> float:
    return math.sqrt(sum(g.square().sum().item() for g in found.values()))


@pytest.mark.parametrize("judged", ["decoded", "samples", "both"])
def test_a_critic_that_knows_nothing_costs_twice_log_2_and_an_output_log_2(judged):
    parts = model()
    parts.prior = StandardNormal()
    made = penalty(known(lambda x: 0 * mean(x)), judged=judged)
    trace = trace_of(parts, images())
    same(made(parts, trace), [math.log(2)] * 6)
    same(made.critic_loss(parts, trace), [2 * math.log(2)] * 6)


def test_both_games_have_the_losses_of_their_papers():
    parts, x = model(), images()
    trace = trace_of(parts, x)
    d = lambda v: 8 * mean(v) - 3  # noqa: E731
    real, made = d(x), d(trace.p.mean)
    logistic, hinge = (penalty(known(d), loss=loss, r1=0.0, ratio=None) for loss in ("logistic", "hinge"))
    same(logistic(parts, trace), -torch.log(torch.sigmoid(made)))
    same(logistic.critic_loss(parts, trace), -torch.log(torch.sigmoid(real)) - torch.log(1 - torch.sigmoid(made)))
    same(hinge(parts, trace), -made)
    same(hinge.critic_loss(parts, trace), (1 - real).clamp(min=0) + (1 + made).clamp(min=0))


@pytest.mark.parametrize("ratio", [None, 0.5])
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_decoder_is_pushed_up_the_score_of_the_critic(ratio, loss):
    parts, x = model(), images()
    made = penalty(loss=loss, ratio=ratio)
    trace = trace_of(parts, x)
    before = made.critic(trace.p.mean).logits.mean().item()
    found = gradients(parts, made(parts, trace).mean())
    with torch.no_grad():
        for name, p in parts.named_parameters():
            if name in found:
                p -= 1e-3 * found[name] / norm_of(found)
        assert made.critic(parts.output(trace.z).mean).logits.mean().item() > before


@pytest.mark.parametrize("ratio", [None, 0.5])
@each_likelihood
def test_the_gradient_reaches_the_decoder_but_neither_encoder_nor_critic(ratio, likelihood):
    parts = model(likelihood=likelihood)
    made = penalty(ratio=ratio)
    trace = trace_of(parts, images())
    value = made(parts, trace).mean()
    found = gradients(parts, value)
    assert norm_of({n: g for n, g in found.items() if n.startswith("decoder")}) > 0
    assert not any(n.startswith("encoder") and g.abs().max() > 0 for n, g in found.items())
    assert all(p.grad is None for p in made.critic.parameters())


def test_the_critic_learns_and_the_model_gets_nothing_from_its_loss():
    parts, made = model(), penalty()
    trace = trace_of(parts, images())
    made(parts, trace)
    found = gradients(made.critic, made.critic_loss(parts, trace).mean())
    assert norm_of(found) > 0
    assert all(p.grad is None for p in parts.parameters())


@each_likelihood
@pytest.mark.parametrize("ratio", [0.25, 2.0])
def test_the_balanced_gradient_is_a_share_of_that_of_the_likelihood_at_the_output(likelihood, ratio):
    """At the features of the decoder, by autograd alone."""
    parts, x = model(likelihood=likelihood), images()
    trace = trace_of(parts, x)
    made = penalty(ratio=ratio)
    of_image = torch.autograd.grad(LogLikelihood()(parts, trace).sum(), trace.h, retain_graph=True)[0]
    blocked = parts.decoded(trace.z.detach())
    # the same output, whose features are a leaf here
    leaf = blocked.detach().requires_grad_()
    plain = torch.autograd.grad(-torch.log(torch.sigmoid(made.critic(parts.output_of(leaf).mean).logits)).sum(), leaf)[
        0
    ]
    frozen = Trace(trace.x, trace.x_in, trace.q, trace.z.detach(), trace.p, h=leaf)
    found = torch.autograd.grad(made(parts, frozen).sum(), leaf)[0]
    same(found.norm() / of_image.norm(), ratio)
    same(found / found.norm(), plain / plain.norm())


def test_the_value_is_that_of_the_loss_whatever_the_ratio():
    parts = model()
    trace = trace_of(parts, images())
    torch.manual_seed(3)
    plain = penalty(ratio=None)
    torch.manual_seed(3)
    balanced = penalty(ratio=0.5, matching=0.7)
    same(balanced(parts, trace), plain(parts, trace).detach())
    with torch.no_grad():
        same(balanced(parts, trace), plain(parts, trace))


def test_feature_matching_pulls_the_output_towards_the_data_and_reaches_the_encoder():
    parts, x = model(), images()
    trace = trace_of(parts, x)
    # the logit does not depend on the output, so all of the gradient is that of the features
    made = penalty(known(lambda v: 0 * mean(v)), matching=0.5)
    found = gradients(parts, made(parts, trace).mean())
    assert norm_of({n: g for n, g in found.items() if n.startswith("encoder")}) > 0
    before = (trace.p.mean - x).square().sum().item()
    with torch.no_grad():
        for name, p in parts.named_parameters():
            if name in found:
                p -= 1e-3 * found[name] / norm_of(found)
        torch.manual_seed(1)
        assert (parts(x).p.mean - x).square().sum().item() < before


def test_the_gradient_penalty_is_that_of_autograd_on_its_share_of_the_batch():
    parts, x = model(), images(8)
    made, without = penalty(r1=3.0, r1_share=0.5), penalty(r1=0.0)
    without.critic.load_state_dict(made.critic.state_dict())
    trace = trace_of(parts, x)
    for each in (made, without):
        each(parts, trace)
    with_it, plain = made.critic_loss(parts, trace), without.critic_loss(parts, trace)
    slopes = []
    for one in x[:4]:
        leaf = one[None].clone().requires_grad_()
        slopes.append(torch.autograd.grad(made.critic(leaf).logits.sum(), leaf)[0].square().sum())
    same((with_it - plain).mean(), 0.5 * 3.0 * torch.stack(slopes).mean())
    whole = penalty(r1=3.0, r1_share=1.0)
    whole.critic.load_state_dict(made.critic.state_dict())
    whole(parts, trace)
    assert (whole.critic_loss(parts, trace) - plain > 0).all()


def test_the_gradient_penalty_is_trained_through():
    made, parts = penalty(r1=1e6, r1_share=1.0), model()
    trace = trace_of(parts, images())
    made(parts, trace)
    value = made.critic_loss(parts, trace).mean()
    found = gradients(made.critic, value)
    with torch.no_grad():
        for name, p in made.critic.named_parameters():
            if name in found:
                p -= 1e-4 * found[name] / norm_of(found)
    assert made.critic_loss(parts, trace).mean() < value


def test_with_a_fixed_encoder_the_decoder_runs_once():
    parts, made = model(), penalty(matching=0.5)
    parts.encoder.requires_grad_(False)
    objective = Objective(parts, {made: 1.0})
    runs = []
    parts.decoder.register_forward_hook(lambda *_: runs.append(1))
    objective.train()(images())
    assert len(runs) == 1
    parts.encoder.requires_grad_(True)
    runs.clear()
    objective(images())
    assert len(runs) == 2


def test_an_implicit_model_judges_decoded_samples_and_inverts_them():
    parts = model()
    fidelity = Inversion(StandardNormal())
    objective = Objective(parts, {penalty(ratio=None): 1.0}, fidelity).train()
    assert parts.generative
    found = objective(images())
    assert sorted(found.terms) == ["discriminator", "inversion"]
    inversion = gradients(parts, found.terms["inversion"])
    assert not any(n.startswith("decoder") for n in inversion)
    assert any(n.startswith("encoder") for n in inversion)
    game = gradients(parts, found.terms["discriminator"])
    assert not any(n.startswith("encoder") for n in game)
    trace = fidelity.trace(parts, images(), 1.0, 0, lambda v: v)
    same(fidelity(parts, trace), -parts.posterior(trace.p.mean).log_prob(trace.z))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "wasserstein"}, "loss cannot be 'wasserstein'"),
        ({"judged": "all"}, "judged cannot be 'all'"),
        ({"ratio": 0.0}, "ratio must be above 0"),
        ({"r1": -1.0}, "r1 must be at least 0"),
        ({"r1_share": 0.0}, "r1_share must be above 0"),
        ({"critic_lr_ratio": 0.0}, "critic_lr_ratio"),
        ({"norm": "batch"}, "norm cannot be 'batch'"),
        ({"channels": ()}, "net.channels is empty"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(BadOption, match=message):
        penalty(**options)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (2, 50), (9,), (1, 1, 1), (3, 2, 4, 5)])
@pytest.mark.parametrize("norm", ["none", "layer", "group", "spectral"])
def test_a_critic_judges_examples_of_any_shape(shape, norm):
    critic = nets.data_critic(shape, (8, 12, 16), 5, norm)
    x = torch.rand(4, *shape)
    judged = critic(x)
    assert judged.logits.shape == (4,)
    assert all(len(f) == 4 for f in judged.features)
    # no example sees another one
    assert torch.allclose(critic.eval()(x[:1]).logits, critic(x).logits[:1], atol=1e-5)
