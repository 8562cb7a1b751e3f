"""Critics: what they say where they know nothing and where they know all, and whom their gradients reach."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from isthmus import latents, likelihoods, nets
from isthmus.distributions import Dirac
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.penalties import Adversarial, FactorVAE
from isthmus.parts.penalties.adversarial import permuted
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Trace

EPS = torch.finfo(torch.float64).eps


def adversarial(critic=nets.critic, size: int | None = 3, **options: object) -> nn.Module:
    return Adversarial(StandardNormal(), size, critic, widths=(8,), **options).double()


def factor(critic=nets.critic, size: int | None = 3, **options: object) -> nn.Module:
    return FactorVAE(size, critic, widths=(8,), **options).double()


each = pytest.mark.parametrize("make", [adversarial, factor])


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def same(got: Tensor, expected: Tensor | float) -> None:
    """Equal up to 100 roundings, of means over some ten terms."""
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=got.dtype), rtol=100 * EPS, atol=100 * EPS)


def means(values: Tensor, expected: float) -> bool:
    """Whether draws have a mean, by 5 standard errors."""
    return abs(values.mean().item() - expected) < 5 * values.std().item() / math.sqrt(len(values))


def model(size: int = 3) -> Autoencoder:
    latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    pair = nets.mlp((9,), size, latent, likelihood, widths=(8,))
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(9,)).double()


def traced(z: Tensor) -> Trace:
    """A trace in which only the codes matter."""
    x = torch.rand(len(z), 9, dtype=z.dtype)
    return Trace(x, x, Dirac(z), z, Independent(Normal(x, 1.0), 1))


class Known(nn.Module):
    """A critic whose logits are known."""

    def __init__(self, logit) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, z: Tensor) -> Tensor:
        return self.logit(z)[:, None]


def constant(value: float):
    return lambda inputs, outputs, widths: Known(lambda z: value + 0 * z[:, 0])


def test_a_critic_that_knows_nothing_costs_twice_log_2_and_a_code_log_2():
    z = normal(6, 3)
    same(adversarial(constant(0.0)).critic_loss(model(), traced(z)).mean(), 2 * math.log(2))
    same(adversarial(constant(0.0))(model(), traced(z)), [math.log(2)] * 6)
    same(factor(constant(0.0)).critic_loss(model(), traced(z)).mean(), 2 * math.log(2))
    same(factor(constant(0.0))(model(), traced(z)), [0.0] * 6)


def test_a_sure_critic_is_paid_for_being_right_about_each_side():
    # the logit is the first coordinate: shifted codes are told from draws of the prior, and the prior's pass
    first = lambda inputs, outputs, widths: Known(lambda z: -z[:, 0])  # noqa: E731
    penalty, parts, trace = adversarial(first, gradient_penalty=0.0), model(), traced(2 + normal(6, 3))
    torch.manual_seed(2)
    drawn = normal(6, 3)
    torch.manual_seed(2)
    right = -torch.log(torch.sigmoid(-drawn[:, 0])).mean() - torch.log(1 - torch.sigmoid(-trace.z[:, 0])).mean()
    same(penalty.critic_loss(parts, trace).mean(), right)
    same(penalty(parts, trace), -torch.log(torch.sigmoid(-trace.z[:, 0])))


def test_the_slope_of_a_critic_at_draws_of_the_prior_is_held_back():
    bowl = lambda inputs, outputs, widths: Known(lambda z: 0.3 * z.square().sum(1))  # noqa: E731
    parts, trace = model(), traced(20 + normal(6, 3))
    values = {}
    for gradient_penalty in (0.0, 1.0, 4.0):
        torch.manual_seed(2)
        drawn = normal(6, 3)
        torch.manual_seed(2)
        with torch.no_grad():
            values[gradient_penalty] = (
                adversarial(bowl, gradient_penalty=gradient_penalty).critic_loss(parts, trace).mean()
            )
    for gradient_penalty in (1.0, 4.0):
        # the logit's slope is 0.6 z
        slope = (0.6 * drawn).square().sum(1).mean()
        same(values[gradient_penalty] - values[0.0], 0.5 * gradient_penalty * slope)
    assert adversarial().gradient_penalty == 1
    with pytest.raises(BadOption, match=r"^gradient_penalty must be at least 0, but is -1\.$"):
        adversarial(gradient_penalty=-1.0)


@pytest.mark.parametrize("logit", [-2.0, 0.7])
def test_the_ratio_is_the_logit_and_codes_are_the_side_that_it_speaks_for(logit):
    penalty, z = factor(constant(logit)), normal(6, 3)
    d = 1 / (1 + math.exp(-logit))
    same(penalty(model(), traced(z)), [math.log(d / (1 - d))] * 6)
    same(penalty.critic_loss(model(), traced(z)).mean(), -math.log(d) - math.log(1 - d))
    # codes on the diagonal: permuting them leaves it, and the critic is asked to know
    line = torch.arange(40.0).double()[:, None].expand(40, 2)
    on_it = lambda inputs, outputs, widths: Known(lambda z: torch.where(z[:, 0] == z[:, 1], 9.0, -9.0))  # noqa: E731
    assert factor(on_it, 2).critic_loss(model(), traced(line)).mean() < 1.0


def test_with_the_best_critic_the_mean_ratio_is_the_total_correlation():
    rho, n = 0.6, 4000
    a, b = normal(n), normal(n)
    z = torch.stack([a, rho * a + math.sqrt(1 - rho**2) * b], 1)
    covariance = torch.tensor([[1, rho], [rho, 1]]).double()
    joint = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance)
    alone = Independent(Normal(torch.zeros(2).double(), 1.0), 1)
    best = lambda inputs, outputs, widths: Known(lambda z: joint.log_prob(z) - alone.log_prob(z))  # noqa: E731
    penalty = factor(best, 2)
    assert means(penalty(model(), traced(z)), -0.5 * math.log(1 - rho**2))
    # it is the best: a critic of any other logit, such as one that is less or more sure, pays more
    found = penalty.critic_loss(model(), traced(z)).mean()
    for share in (0.5, 1.5):
        other = lambda i, o, w, s=share: Known(lambda z: s * (joint.log_prob(z) - alone.log_prob(z)))  # noqa: E731
        torch.manual_seed(0)
        assert factor(other, 2).critic_loss(model(), traced(z)).mean() > found


def test_with_the_best_critic_of_two_gaussians_the_losses_are_those_of_the_known_ratio():
    n, shift = 20_000, 1.5
    z = shift + normal(n, 1)
    ratio = lambda inputs, outputs, widths: Known(lambda z: shift**2 / 2 - shift * z[:, 0])  # noqa: E731
    # at the best critic both sides are mistaken alike: E_p[1 - D] = E_q[D], the overlap of the two
    d_codes = 1 - torch.exp(-adversarial(ratio, 1)(model(), traced(z)))
    d_prior = torch.sigmoid(shift**2 / 2 - shift * normal(n))
    assert means(1 - d_codes - (1 - d_prior), 0.0)


@each
def test_the_penalty_sends_no_gradient_to_the_critic_and_the_critic_none_to_the_model(make):
    parts, penalty = model(), make()
    objective = Objective(parts, {penalty: 2.0})
    loss = objective(torch.rand(6, 9, dtype=torch.float64))
    loss.total.backward(retain_graph=True)
    assert all(p.grad is None for p in penalty.critic.parameters())
    assert all(p.grad is not None and bool(p.grad.any()) for p in parts.encoder.parameters())
    parts.zero_grad(set_to_none=True)
    (critic_loss,) = loss.critics.values()
    critic_loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in penalty.critic.parameters())
    assert all(p.grad is None for p in parts.parameters())


@each
def test_one_pass_backward_gives_each_player_the_gradient_of_its_own_loss(make):
    parts, penalty = model(), make()
    x = torch.rand(6, 9, dtype=torch.float64)
    grads = []
    for sums in (True, False):
        torch.manual_seed(1)
        penalty.zero_grad()
        trace = parts(x)
        mine, theirs = penalty(parts, trace).mean(), penalty.critic_loss(parts, trace).mean()
        (mine + theirs if sums else theirs).backward()
        grads.append([p.grad.clone() for p in penalty.critic.parameters()])
    assert all(a.equal(b) for a, b in zip(*grads, strict=True))


@each
def test_the_penalty_has_the_gradient_of_the_critic_at_the_codes(make):
    penalty, z = make(), normal(6, 3).requires_grad_()
    (got,) = torch.autograd.grad(penalty(model(), traced(z)).sum(), z)
    logits = penalty.critic(z).squeeze(1)
    value = nn.functional.softplus(-logits) if isinstance(penalty, Adversarial) else logits
    same(got, torch.autograd.grad(value.sum(), z)[0])


@each
def test_the_loss_of_a_critic_falls_while_the_model_is_frozen(make):
    penalty, parts = make(), model()
    corner = torch.rand(200, 1, dtype=torch.float64).expand(200, 3)
    z = 2 * corner + 0.1 * normal(200, 3)
    tool = torch.optim.Adam(penalty.critic.parameters(), 0.01)
    values = []
    for _ in range(100):
        tool.zero_grad()
        loss = penalty.critic_loss(parts, traced(z)).mean()
        loss.backward()
        tool.step()
        values.append(loss.item())
    # below what a critic that knows nothing pays
    assert sum(values[-10:]) / 10 < min(2 * math.log(2), sum(values[:10]) / 10) - 0.2


def test_permuted_codes_keep_each_coordinate_and_lose_what_they_share():
    line = torch.arange(5.0).double()[:, None].expand(5, 2)
    shuffled = [permuted(line) for _ in range(2000)]
    assert all(p.sort(0).values.equal(line) for p in shuffled)
    # each of the five values is as likely beside each of the others: 1 time in 5
    for value in range(5):
        beside = torch.stack([(p[p[:, 0] == 0][0, 1] == value).double() for p in shuffled])
        assert means(beside, 0.2)
    # and either coordinate is shuffled
    for axis in range(2):
        assert means(torch.stack([(p[0, axis] == 0).double() for p in shuffled]), 0.2)


@each
def test_maps_are_flattened_and_one_example_is_enough(make):
    penalty = make(size=4)
    parts = model(4)
    parts.code_shape = (4, 1)
    z = normal(5, 4, 1)
    same(penalty(parts, traced(z)), penalty(parts, traced(z.flatten(1))))
    for batch in (1, 5):
        assert penalty(parts, traced(z[:batch])).shape == (batch,)
        loss = penalty.critic_loss(parts, traced(z[:batch]))
        assert loss.shape == (batch,)
        assert bool(torch.isfinite(loss).all())


@each
def test_a_critic_has_the_widths_that_were_asked_for_one_logit_and_its_share_of_the_rate(make):
    penalty = make(critic_lr_ratio=0.25)
    sizes = [(m.in_features, m.out_features) for m in penalty.critic.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(3, 8), (8, 1)]
    assert penalty.critic_lr_ratio == 0.25
    assert make().critic_lr_ratio == 1.0


@each
def test_a_critic_without_a_size_or_with_a_share_of_zero_is_refused(make):
    with pytest.raises(
        BadOption, match=r"^A critic requires a vector code, but latent\.size is not set\. Set latent\.size=16\.$"
    ):
        make(size=None)
    with pytest.raises(BadOption, match=r"^critic_lr_ratio must be above 0 and at most 1000, but is 0\.$"):
        make(critic_lr_ratio=0.0)


@each
def test_codes_of_another_size_are_refused_in_both_roles(make):
    message = (
        r"^The critic was built for codes of 3 values, but the latent gives 4\. Build the penalty with the number of "
    )
    penalty = make()
    for role in (penalty, penalty.critic_loss):
        with pytest.raises(IncompatibleParts, match=message):
            role(model(), traced(normal(2, 4)))
