"""Discrete codes: one-hot, from a codebook, rounded; against torch, brute force, and the closed forms of the papers."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from oracles import log_importance_weights
from torch import Tensor, nn
from torch.distributions import (
    Independent,
    Normal,
    OneHotCategorical,
    RelaxedOneHotCategorical,
    kl_divergence,
)

import isthmus
from isthmus import zoo
from isthmus.distributions import NearestCodeword, OneHot, straight_through
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.parts import fidelities
from isthmus.parts.latents import Categorical, Deterministic, FiniteScalar, Quantized
from isthmus.parts.latents.quantized import BLOCK, nearest
from isthmus.parts.likelihoods import Bernoulli
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal, UniformCategorical
from isthmus.parts.schedules import Schedule

EPS = torch.finfo(torch.float64).eps
SPACES = [(), (3,), (2, 3)]
every_space = pytest.mark.parametrize("space", SPACES)


def same(got: Tensor, expected: Tensor, terms: int = 64) -> None:
    """Equal up to that many roundings."""
    torch.testing.assert_close(got, expected, rtol=terms * EPS, atol=terms * EPS)


def to_torch(value: Tensor, classes: int) -> Tensor:
    """(..., B, g * classes, *space) of up to two axes before B, as torch's (..., B, *space, g, classes)."""
    return value.unflatten(1, (-1, classes)).movedim(1, -1).movedim(1, -1)


def pair(space: tuple[int, ...], groups: int = 2, classes: int = 3) -> tuple[OneHot, OneHotCategorical]:
    logits = 2 * torch.randn(5, groups * classes, *space, dtype=torch.float64)
    theirs = OneHotCategorical(logits=to_torch(logits, classes))
    return OneHot(logits, classes), Independent(theirs, theirs.logits.ndim - 2)


def codes_model(latent: nn.Module, d: int) -> Autoencoder:
    """An autoencoder whose encoder is the identity, so that the features are the data."""
    return Autoencoder(nn.Identity(), nn.Linear(d, d).double(), latent.double(), Bernoulli(), shape=(d,))


# --- one-hot codes


@every_space
def test_moments_density_entropy_and_divergence_of_one_hot_codes_are_those_of_torch(space):
    ours, theirs = pair(space)
    assert (tuple(ours.batch_shape), tuple(ours.event_shape)) == ((5,), (6, *space))
    for name in ("mean", "mode", "variance"):
        same(to_torch(getattr(ours, name), 3), getattr(theirs, name))
    z = ours.sample()
    same(ours.log_prob(z), theirs.log_prob(to_torch(z, 3)))
    assert ours.log_prob(ours.sample((4, 2))).shape == (4, 2, 5)
    same(ours.log_prob(z.expand(4, 2, *z.shape))[3, 1], ours.log_prob(z))
    same(ours.entropy(), theirs.entropy())
    uniform = OneHot(torch.zeros(6, *space, dtype=torch.float64), 3, batch=0)
    flat = Independent(OneHotCategorical(logits=torch.zeros(*space, 2, 3).double()), len(space) + 1)
    same(ours.kl_to(uniform), kl_divergence(theirs, flat))
    # KL to the uniform is the sum over groups of log classes, less the entropy
    same(ours.kl_to(uniform), 2 * math.prod(space) * math.log(3) - ours.entropy())
    other, theirs_too = pair(space)
    same(ours.kl_to(other), kl_divergence(theirs, theirs_too))


def test_the_logits_of_one_hot_codes_are_normalized_and_in_their_places():
    ours, theirs = pair((2,))
    same(to_torch(ours.logits, 3), theirs.base_dist.logits)


@every_space
def test_the_masses_of_all_one_hot_codes_add_to_one(space):
    logits = torch.randn(1, 4, *space, dtype=torch.float64)
    n = 2 * math.prod(space)
    eye = torch.eye(2, dtype=torch.float64)
    log_p = []
    for choice in itertools.islice(itertools.product(range(2), repeat=n), 1 << 12):
        groups = eye[list(choice)].reshape(2, *space, 2).movedim(-1, 1)
        log_p.append(OneHot(logits, 2).log_prob(groups.flatten(0, 1)[None]))
    assert len(log_p) == 2**n
    # 2^n terms
    same(torch.stack(log_p).exp().sum(), torch.tensor(1.0, dtype=torch.float64), terms=2**n + 64)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("draw", ["sample", "hard", "soft"])
def test_draws_have_the_probabilities_of_the_code_at_every_temperature(draw, temperature):
    logits = torch.randn(1, 6, 1, dtype=torch.float64)
    q = OneHot(logits, 3, temperature=temperature, hard=draw == "hard")
    n = 20_000
    z = q.sample((n,)) if draw == "sample" else q.rsample((n,))
    split = z.unflatten(2, (2, 3))
    torch.testing.assert_close(split.sum(3), torch.ones(n, 1, 2, 1).double(), rtol=0, atol=8 * EPS)
    if draw == "soft":
        assert ((z > 0) & (z < 1)).double().mean() > 0.5
        # its largest value has the probabilities of the one-hot code (Maddison et al., 2017, proposition 1 c)
        split = F.one_hot(split.argmax(3), 3).movedim(-1, 3).double()
    else:
        assert bool(((z == 0) | (z == 1)).all())
    p = torch.softmax(logits.unflatten(1, (2, 3)), 2)[0]
    # five standard errors of a share
    assert bool(((split.mean(0)[0] - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all())


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_soft_draw_has_the_density_of_the_concrete_distribution(temperature):
    """Moments of its logarithm against those that torch's own relaxed distribution draws."""
    logits = torch.tensor([[0.5, -1.0, 0.2]], dtype=torch.float64)
    n = 20_000
    ours = OneHot(logits, 3, temperature=temperature, hard=False).rsample((n,)).log()
    theirs = RelaxedOneHotCategorical(torch.tensor(temperature).double(), logits=logits).rsample((n,)).log()
    for a, b in ((ours, theirs), (ours.square(), theirs.square())):
        # five standard errors of a difference of two means
        assert bool(((a.mean(0) - b.mean(0)).abs() < 5 * ((a.var(0) + b.var(0)) / n).sqrt()).all())


@every_space
def test_a_hard_draw_has_the_gradient_of_the_soft_one(space):
    logits = torch.randn(5, 6, *space, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 6, *space, dtype=torch.float64)
    grads = []
    for hard in (True, False):
        torch.manual_seed(3)
        z = OneHot(logits, 3, temperature=0.7, hard=hard).rsample()
        grads += torch.autograd.grad((weight * z).sum(), logits)
    assert grads[0].equal(grads[1])
    assert bool(grads[0].any())


def test_the_soft_draw_is_the_softmax_of_logits_and_gumbel_noise_over_the_temperature():
    logits = torch.randn(5, 6, dtype=torch.float64)
    torch.manual_seed(3)
    z = OneHot(logits, 3, temperature=0.7, hard=False).rsample()
    torch.manual_seed(3)
    noise = -torch.empty(5, 2, 3, dtype=torch.float64).exponential_().log()
    same(z.unflatten(1, (2, 3)), torch.softmax((logits.reshape(5, 2, 3).log_softmax(2) + noise) / 0.7, 2))


def test_a_plain_sample_has_no_gradient():
    assert not OneHot(torch.randn(5, 6, requires_grad=True), 3).sample().requires_grad
    assert OneHot(torch.randn(5, 6, requires_grad=True), 3).has_rsample


@pytest.mark.parametrize(
    "prior",
    [
        Independent(Normal(torch.zeros(6), torch.ones(6)), 1),
        OneHot(torch.zeros(6), 2, batch=0),
        OneHot(torch.zeros(9), 3, batch=0),
    ],
)
def test_a_divergence_from_anything_but_such_codes_is_refused(prior):
    message = r"^A categorical latent requires a prior .* same 3 classes, but the prior is .* prior\.kind=uniform\.$"
    with pytest.raises(IncompatibleParts, match=message):
        OneHot(torch.zeros(5, 6), 3).kl_to(prior)


def test_the_gradient_passes_straight_through_and_the_value_keeps_every_bit():
    h = torch.randn(1000, dtype=torch.float64, requires_grad=True)
    value = (1e-9 * torch.randn(1000, dtype=torch.float64)).requires_grad_()
    z = straight_through(value, 3 * h)
    assert z.equal(value)
    z.sum().backward()
    assert h.grad.equal(torch.full_like(h, 3.0))
    assert value.grad is None


# --- the categorical latent


def test_the_temperature_follows_the_run():
    latent = Categorical(3, Schedule(0.5, "linear", start=1.0, fraction=0.5))
    h = torch.zeros(2, 6)
    assert [latent(h, p).temperature for p in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.75, 0.5, 0.5]
    assert latent(h).temperature == 0.5
    assert Categorical(3, 2.0)(h, 0.0).temperature == 2.0
    assert [Categorical(3)(h, p).temperature for p in (0.0, 0.5, 1.0)] == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("straight", [True, False])
def test_codes_are_relaxed_in_training_alone_and_only_where_asked(straight):
    latent = Categorical(3, straight_through=straight)
    h = torch.randn(4, 6, requires_grad=True)
    for training in (True, False):
        z = latent.train(training)(h).rsample()
        one_hot = bool(((z == 0) | (z == 1)).all())
        assert one_hot == (straight or not training)


def test_the_mean_of_a_categorical_code_is_its_probabilities_and_the_mode_the_code_itself():
    h = torch.randn(4, 6, 2, dtype=torch.float64)
    q = Categorical(3)(h)
    same(q.mean, torch.softmax(h.unflatten(1, (2, 3)), 2).flatten(1, 2))
    assert q.mode.sum().item() == 4 * 2 * 2
    same(q.log_prob(q.mode), q.mean.unflatten(1, (2, 3)).amax(2).log().flatten(1).sum(1))


def categorical_model() -> Autoencoder:
    latent = Categorical(3)
    return Autoencoder(nn.Linear(7, 6), nn.Linear(6, 7), latent, Bernoulli(), shape=(7,)).double()


def test_the_uniform_prior_draws_every_code_equally_often_and_knows_its_mass():
    prior = UniformCategorical().distribution(categorical_model())
    assert (tuple(prior.batch_shape), tuple(prior.event_shape)) == ((), (6,))
    n = 9000
    z = prior.sample((n,))
    assert z.dtype == torch.float64
    same(prior.log_prob(z), torch.full((n,), -2 * math.log(3), dtype=torch.float64))
    counts = torch.bincount(3 * z[:, :3].argmax(1) + z[:, 3:].argmax(1), minlength=9)
    # five standard errors of a count with p = 1/9
    assert bool(((counts - n / 9).abs() < 5 * math.sqrt(n * 8 / 81)).all())


def test_the_uniform_prior_refuses_a_code_that_is_not_one_hot():
    model = codes_model(Deterministic(), 4)
    message = (
        r"^The uniform prior requires one-hot codes, but those of Deterministic are not\. Use "
        r"latent\.kind=categorical, or another prior\.kind\.$"
    )
    with pytest.raises(IncompatibleParts, match=message):
        UniformCategorical().distribution(model)


def test_the_penalty_of_a_categorical_model_is_its_exact_divergence_and_a_gaussian_prior_is_refused():
    model, x = categorical_model(), torch.rand(5, 7, dtype=torch.float64)
    objective = Objective(model, {KL(UniformCategorical()): 1.0})
    q = model.posterior(x)
    same(objective(x).terms["kl"], (2 * math.log(3) - q.entropy()).mean())
    assert model.generative
    assert model.sample(3).shape == (3, 7)
    with pytest.raises(IncompatibleParts, match=r"prior\.kind=uniform"):
        Objective(categorical_model(), {KL(StandardNormal()): 1.0})(x)


def test_importance_weights_of_one_hot_codes_average_to_the_evidence():
    model, x = categorical_model(), torch.rand(2, 7, dtype=torch.float64)
    Objective(model, fidelity=fidelities.ImportanceWeighted(UniformCategorical()))
    eye = torch.eye(3, dtype=torch.float64)
    exact = torch.stack(
        [model.output(torch.cat([a, b])[None]).log_prob(x) - math.log(9) for a in eye for b in eye]
    ).logsumexp(0)
    n = 20_000
    w = (log_importance_weights(model, x, n) - exact).exp()
    # five standard errors of the mean of the weights, which the evidence is
    assert bool(((w.mean(0) - 1).abs() < 5 * w.std(0) / math.sqrt(n)).all())


# --- vector quantization


def codebook_latent(codebook_size: int = 6, codebook_dim: int = 2, **options: object) -> Quantized:
    """A latent whose codebook has met data, as after training."""
    latent = Quantized(codebook_size, codebook_dim, **options).double()
    latent.idle.zero_()
    latent.sums.copy_(latent.codebook) if not latent.learns else None
    return latent


@every_space
def test_each_group_becomes_its_nearest_codeword_by_brute_force(space):
    latent = codebook_latent().eval()
    h = torch.randn(5, 4, *space, dtype=torch.float64)
    q = latent(h)
    rows = h.unflatten(1, (2, 2)).movedim(2, -1)
    squared = (rows[..., None, :] - latent.codebook).square().sum(-1)
    assert q.index.equal(squared.argmin(-1))
    assert q.mean.unflatten(1, (2, 2)).movedim(2, -1).equal(latent.codebook[squared.argmin(-1)])
    assert (tuple(q.batch_shape), tuple(q.event_shape)) == ((5,), (4, *space))


def test_more_vectors_than_a_block_are_told_apart_as_well():
    codebook = torch.tensor([[0.0], [1.0]])
    rows = (torch.arange(BLOCK + 3) % 2)[:, None].float()
    assert nearest(rows, codebook).equal(rows[:, 0].long())


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_a_codeword_maps_to_itself(update):
    latent = codebook_latent(update=update).eval()
    h = latent.codebook.detach()
    q = latent(h)
    assert q.index.flatten().equal(torch.arange(6))
    assert q.mean.equal(h)


@every_space
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_the_gradient_passes_unchanged_to_the_features_and_not_to_the_codebook(update, space):
    latent = codebook_latent(update=update)
    h = torch.randn(5, 4, *space, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(h)
    (latent(h).rsample() * weight).sum().backward()
    assert h.grad.equal(weight)
    assert latent.codebook.grad is None


def test_the_codebook_is_a_parameter_only_where_it_learns_by_gradient():
    assert [n for n, _ in Quantized(update="gradient").named_parameters()] == ["codebook"]
    assert not list(Quantized(update="ema").parameters())


@pytest.mark.parametrize("beta", [0.25, 2.0])
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_the_own_term_is_its_formula_and_sends_its_gradients_where_they_belong(update, beta):
    latent = codebook_latent(update=update, commitment=beta)
    model = codes_model(latent, 4).eval()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    trace = model(x)
    term = latent.auxiliary_loss(model, trace)
    error = (x - trace.z).square().sum(1).detach()
    same(term, (beta + (update == "gradient")) * error)
    term.sum().backward()
    same(x.grad, (2 * beta * (x - trace.z)).detach())
    if update == "gradient":
        pull = torch.zeros_like(latent.codebook)
        pull.index_add_(0, trace.q.index.flatten(), 2 * (trace.z - x).detach().reshape(-1, 2))
        same(latent.codebook.grad, pull)
    objective = Objective(model)
    same(objective(x).terms["commitment"], term.mean())
    parts = objective(x)
    same(parts.total, parts.terms["reconstruction"] + term.mean())


def test_the_first_training_step_starts_every_codeword_from_the_batch():
    latent = Quantized(8, 2, restart_after=0).double()
    h = torch.randn(40, 2, dtype=torch.float64)
    before = latent.codebook.clone()
    seen = latent(h).codeword
    assert not latent.codebook.equal(before)
    # what was decoded are vectors of the batch themselves
    assert bool((seen[:, None] == h).all(2).any(1).all())
    after = latent.codebook.clone()
    latent(h + 1)
    assert (latent.codebook - after).abs().max() < 1, "a second start"
    assert not torch.equal(latent.codebook, after)


def test_counts_start_as_if_all_codewords_had_been_used_alike():
    latent = Quantized(8, 2, decay=0.999999).double()
    q = latent(torch.randn(40, 2, dtype=torch.float64))
    # one step moves a mean of 5 counts by at most 40 * 1e-6 / 5 of the distance of two features, below 10
    torch.testing.assert_close(latent.codebook[q.index.flatten()], q.codeword, rtol=0, atol=1e-4)
    # one step moves a count of 5 by at most 40 * 1e-6
    torch.testing.assert_close(latent.usage, torch.full((8,), 5.0, dtype=torch.float64), rtol=0, atol=4.1e-5)
    assert torch.distributions.Categorical(latent.usage).perplexity().item() == pytest.approx(8, abs=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_codeword_is_the_running_mean_of_its_features_in_closed_form(decay):
    latent = codebook_latent(codebook_size=3, decay=decay, restart_after=0)
    centers = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    latent.codebook.copy_(centers)
    latent.sums.copy_(centers)
    # each step has 1, 2 and 3 features within 1 of each center, so that no assignment changes
    which = torch.tensor([0, 1, 1, 2, 2, 2])
    steps = [centers[which] + 0.5 * torch.rand(6, 2, dtype=torch.float64) for _ in range(4)]
    for h in steps:
        latent(h)
    counts, sums = torch.ones(3, dtype=torch.float64) * decay**4, centers * decay**4
    for s, h in enumerate(steps):
        share = (1 - decay) * decay ** (3 - s)
        counts = counts + share * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        sums = sums + share * torch.stack([h[which == k].sum(0) for k in range(3)])
    same(latent.usage, counts)
    smooth = (counts + 1e-5) / (counts.sum() + 3e-5) * counts.sum()
    same(latent.codebook, sums / smooth[:, None])
    # the smoothing moves a mean of up to 10 by 1e-5 of a count of at least 1
    torch.testing.assert_close(latent.codebook, sums / counts[:, None], rtol=0, atol=2e-4)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_a_codeword_starts_anew_after_so_many_steps_without_use_and_no_other_moves(update):
    latent = codebook_latent(codebook_size=3, decay=0.5, restart_after=4, update=update)
    with torch.no_grad():
        latent.codebook.copy_(torch.tensor([[0.0, 0.0], [5.0, 0.0], [1e3, 1e3]]))
    latent.sums.copy_(latent.codebook) if update == "ema" else None
    h = torch.tensor([[0.0, 0.0], [5.0, 0.0]], dtype=torch.float64).repeat(5, 1) + torch.rand(10, 2).double() / 10
    for _ in range(4):
        latent(h)
        assert latent.codebook[2].min() > 900
    assert latent.idle.tolist() == [0, 0, 4]
    before = latent.codebook[:2].detach().clone()
    q = latent(h)
    # from here on it stands for a vector of the batch; one step moves the other means by less than the noise
    assert latent.codebook[2].max() < 6
    assert (latent.codebook[:2] - before).abs().max() <= (0.1 if update == "ema" else 0)
    assert latent.idle[2] <= 1
    assert bool((q.index == 2).any())


def test_a_single_use_ends_the_wait_of_a_codeword():
    latent = codebook_latent(codebook_size=3, restart_after=100)
    latent.codebook.copy_(torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]]))
    latent.idle.copy_(torch.tensor([7, 7, 7]))
    latent(torch.tensor([[0.0, 0.0], [0.0, 0.1], [5.0, 0.0]], dtype=torch.float64))
    assert latent.idle.tolist() == [0, 0, 8]


def test_no_codeword_starts_anew_where_that_is_switched_off():
    latent = codebook_latent(codebook_size=2, restart_after=0, decay=0.5)
    latent.codebook.copy_(torch.tensor([[0.0, 0.0], [1e3, 1e3]]))
    latent.sums.copy_(latent.codebook)
    for _ in range(20):
        latent(torch.rand(10, 2).double())
    assert latent.idle.tolist() == [0, 20]
    # its count and its sum fade alike, save for the smoothing, which 2^20 makes as large as the count
    assert latent.codebook[1].min() > 10


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_evaluation_changes_nothing(update):
    latent = Quantized(6, 2, update=update).double()
    h = torch.randn(10, 4, dtype=torch.float64)
    for _ in range(2):
        before = {name: value.clone() for name, value in latent.state_dict().items()}
        latent.eval()(h)
        assert all(before[name].equal(value) for name, value in latent.state_dict().items())
        latent.train()(h)


def test_restarts_bring_a_collapsed_codebook_back_to_life():
    """The first batch is one point, where all codewords start, and the first of them serves alone."""
    centers = 10 * torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    latent = Quantized(16, 2, decay=0.8, restart_after=10)
    latent(torch.zeros(64, 2))
    assert latent.idle.count_nonzero() == 15
    for _ in range(200):
        latent(centers[torch.randint(16, (64,))])
    # restarts fall on one of 16 places at random: sixteen such choices take 10.3 of them, with sd 1.2
    assert latent.eval()(centers).index.unique().numel() >= 6
    assert torch.distributions.Categorical(latent.usage).perplexity() > 4


# --- finite scalars


@pytest.mark.parametrize("levels", [(2,), (3,), (4,), (5,), (8, 5), (8, 5, 5, 5), (8, 6, 5)])
def test_every_code_of_the_grid_is_reached_and_no_other(levels):
    n, latent = len(levels), FiniteScalar(levels)
    line = torch.linspace(-6, 6, 401, dtype=torch.float64)
    z = latent(line[:, None].expand(-1, n)).mean
    for i, level in enumerate(levels):
        low = -(level // 2)
        grid = torch.arange(low, low + level, dtype=torch.float64) / (level // 2)
        assert z[:, i].unique().equal(grid)
        assert bool((z[1:, i] >= z[:-1, i]).all())
    assert latent.codes == math.prod(levels)
    if latent.codes <= 40:
        h = torch.cartesian_prod(*[line[::8]] * n).reshape(-1, n)
        assert len(latent(h).mean.unique(dim=0)) == latent.codes


def squashed(h: Tensor, level: int) -> Tensor:
    """The bound of appendix A.1 of the paper, for one number of levels."""
    half = (level - 1) * (1 - 1e-3) / 2
    offset = 0.0 if level % 2 else 0.5
    return torch.tanh(h + math.tan(offset / half)) * half - offset


@every_space
def test_values_are_those_of_the_paper_and_levels_repeat_along_the_code(space):
    levels = (8, 5, 3)
    h = 2 * torch.randn(5, 6, *space, dtype=torch.float64)
    z = FiniteScalar(levels)(h).mean
    for i in range(6):
        level = levels[i % 3]
        same(z[:, i], squashed(h[:, i], level).round() / (level // 2))


@pytest.mark.parametrize("level", [3, 5, 7, 8, 16])
def test_features_whose_bound_is_a_code_are_mapped_to_that_code(level):
    half = (level - 1) * (1 - 1e-3) / 2
    offset = 0.0 if level % 2 else 0.5
    low = -(level // 2)
    # the outermost levels lie just beyond the bound, so the next to them are the last with an inverse
    inner = torch.arange(low + 1, low + level - 1, dtype=torch.float64)
    h = torch.atanh((inner + offset) / half) - math.tan(offset / half)
    same(FiniteScalar((level,))(h[:, None]).mean[:, 0], inner / (level // 2))


@pytest.mark.parametrize("level", [5, 8])
def test_rounding_passes_the_gradient_of_the_bound(level):
    h = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(h)
    (FiniteScalar((level,))(h).rsample() * weight).sum().backward()
    expected = torch.autograd.grad((squashed(h, level) / (level // 2) * weight).sum(), h)[0]
    same(h.grad, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_bound_keeps_its_precision(dtype):
    latent = FiniteScalar((8, 5)).to(dtype)
    z = latent(torch.randn(4, 2, dtype=dtype)).mean
    assert z.dtype == dtype
    assert not latent.state_dict()


# --- where parts meet


@pytest.mark.parametrize(
    ("latent", "what"),
    [
        (Categorical(3), r"one value per class \(latent\.classes\)"),
        (Quantized(4, 3), r"the values of one codeword \(latent\.codebook_dim\)"),
        (FiniteScalar((5, 5, 5)), r"one value per entry of latent\.levels"),
    ],
)
def test_a_code_that_is_not_made_of_whole_groups_is_refused(latent, what):
    message = (
        rf"^A code of 7 values cannot be split into groups of 3, {what}\. Set latent\.size \(for feature maps the last "
        r"entry of net\.channels\) to a multiple of 3, such as 9\.$"
    )
    assert latent.width(6) == 6
    with pytest.raises(BadOption, match=message):
        latent.width(7)
    with pytest.raises(BadOption, match=message):
        latent(torch.zeros(2, 7))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Categorical(1), r"latent\.classes must be at least 2"),
        (lambda: Categorical(3, 0.0), r"latent\.temperature must be at least 0\.01"),
        (lambda: Categorical(3, Schedule(0.5, "linear", start=0.0, fraction=1.0)), r"latent\.temperature must be at"),
        (lambda: Quantized(1), r"latent\.codebook_size must be at least 2"),
        (lambda: Quantized(codebook_dim=0), r"latent\.codebook_dim must be at least 1"),
        (lambda: Quantized(commitment=-1.0), r"latent\.commitment must be at least 0"),
        (lambda: Quantized(update="mean"), r"latent\.update cannot be 'mean'"),
        (lambda: Quantized(decay=1.0), r"latent\.decay must be at least 0 and at most"),
        (lambda: Quantized(restart_after=-1), r"latent\.restart_after must be at least 0"),
        (lambda: FiniteScalar(()), r"latent\.levels is empty"),
        (lambda: FiniteScalar((5, 1)), r"latent\.levels must be at least 2"),
    ],
)
def test_an_option_out_of_range_is_refused(make, message):
    with pytest.raises(BadOption, match=rf"^{message}"):
        make()


@pytest.mark.parametrize("latent", [Quantized(4, 2), FiniteScalar((5,))])
def test_codes_from_a_finite_set_have_no_density_and_no_slope(latent):
    assert not latent.provides
    with pytest.raises(NotImplementedError):
        latent(torch.zeros(2, 4)).log_prob(torch.zeros(2, 4))
    with pytest.raises(IncompatibleParts, match=r"^Penalty kl requires "):
        Objective(codes_model(latent, 4), {KL(StandardNormal()): 1.0})


def small(name: str) -> Recipe:
    size = {"net.widths": [8]} if name != "vq_vae" else {"latent.codebook_size": 8}
    return zoo.recipe(name).with_options(size)


@pytest.mark.parametrize("name", ["categorical_vae", "vq_vae", "fsq"])
def test_a_saved_run_gives_equal_codes_and_images(name, tmp_path):
    x = torch.rand(48, 8, 8).numpy()
    recipe = small(name).with_options({"training.steps": 6, "training.batch_size": 12})
    run = isthmus.fit(recipe, x)
    run.save(tmp_path)
    again = isthmus.load(tmp_path)
    assert (run.encode(x) == again.encode(x)).all()
    assert (run.reconstruct(x) == again.reconstruct(x)).all()
    state = run.model.state_dict()
    assert all(state[n].equal(v) for n, v in again.model.state_dict().items())
    if name == "vq_vae":
        assert {"latent.codebook", "latent.usage", "latent.sums", "latent.idle"} <= state.keys()
        assert bool((again.model.latent.idle >= 0).all())
    q = again.model.posterior(again.model.inputs(torch.from_numpy(x)))
    assert isinstance(q, NearestCodeword) == (name == "vq_vae")


def test_only_the_categorical_recipe_can_sample():
    assert small("categorical_vae").build((1, 8, 8)).model.sample(2).shape == (2, 1, 8, 8)
    for name in ("vq_vae", "fsq"):
        with pytest.raises(IncompatibleParts, match=r"^This autoencoder has no prior"):
            small(name).build((1, 8, 8)).model.sample(2)


def test_the_recipes_have_the_codes_they_are_known_for():
    assert zoo.categorical_vae().build((7,)).model.code_shape == (200,)
    assert zoo.categorical_vae(variables=3, classes=4, hidden=(5,)).build((7,)).model.code_shape == (12,)
    assert zoo.vq_vae().build((1, 28, 28)).model.code_shape == (16, 7, 7)
    assert zoo.vq_vae(codebook_size=9, channels=(4, 6)).build((3, 20, 33)).model.latent.codebook.shape == (9, 6)
    assert zoo.fsq().build((7,)).model.latent.codes == 1000
    assert zoo.fsq(latent=6, levels=(3, 5), hidden=(5,)).build((7,)).model.latent.codes == 15
