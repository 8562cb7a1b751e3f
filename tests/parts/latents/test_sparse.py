"""Sparse codes and penalties: what stays, what is counted, and the gradients that their papers write down."""

import math
from statistics import NormalDist

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, kl_divergence

from isthmus import likelihoods, nets, zoo
from isthmus.distributions import Dirac
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.latents import BatchTopK, Deterministic, Gaussian, JumpReLU, KSparse, TopK
from isthmus.parts.latents.sparse import keep_largest
from isthmus.parts.nets.mlp import UnitLinear
from isthmus.parts.penalties import L1, KLSparsity
from isthmus.parts.protocols import Capability, Trace
from isthmus.parts.schedules import Schedule

EPS = torch.finfo(torch.float64).eps
D, UNITS = 6, 10
spaces = pytest.mark.parametrize("space", [(), (3, 2)])
ranked = pytest.mark.parametrize("make", [TopK, KSparse])
both = pytest.mark.parametrize("make", [TopK, BatchTopK])


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def same(got: Tensor, expected: Tensor) -> None:
    """Equal up to a few hundred roundings: sums of at most 60 terms, a logarithm and a product in each."""
    torch.testing.assert_close(got, expected, rtol=512 * EPS, atol=512 * EPS)


def active(z: Tensor) -> Tensor:
    return (z != 0).flatten(1).sum(1)


def linear(latent: nn.Module, likelihood: nn.Module | None = None) -> Autoencoder:
    """A linear autoencoder from 6 values to 10 units and back, with a bias that is not zero."""
    likelihood = likelihoods.Gaussian() if likelihood is None else likelihood
    model = Autoencoder(nn.Linear(D, UNITS), nn.Linear(UNITS, D), latent, likelihood, shape=(D,)).double()
    nn.init.normal_(model.decoder.bias)
    return model


def coded(z: Tensor, gather: object = None) -> Trace:
    """A trace of which a penalty on the code sees the code alone."""
    q = Dirac(z)
    return Trace(z, z, q, z, q, **({} if gather is None else {"gather": gather}))


# Penalties


@spaces
def test_the_l1_penalty_is_the_sum_of_absolute_values_and_homogeneous(space):
    z, model = draw(5, 4, *space), linear(Deterministic())
    value = L1()(model, coded(z))
    same(value, torch.stack([row.abs().sum() for row in z]))
    same(L1()(model, coded(-3 * z)), 3 * value)


@pytest.mark.parametrize("target", [0.0, 0.05, 0.5, 1.0])
def test_the_sparsity_of_units_is_the_divergence_of_two_bernoullis_summed_over_units(target):
    z = torch.rand(7, 4, dtype=torch.float64)
    value = KLSparsity(target)(linear(Deterministic()), coded(z))
    rho = torch.full((4,), target, dtype=torch.float64)
    assert value.shape == ()
    same(value, kl_divergence(Bernoulli(rho), Bernoulli(z.mean(0))).sum())


def test_the_sparsity_of_units_is_zero_where_each_unit_has_the_target_on_average_and_positive_elsewhere():
    z = torch.tensor([[0.0, 0.3], [0.5, 0.2]], dtype=torch.float64)
    model = linear(Deterministic())
    same(KLSparsity(0.25)(model, coded(z)), torch.zeros((), dtype=torch.float64))
    assert KLSparsity(0.2)(model, coded(z)) > 0
    assert KLSparsity(0.3)(model, coded(z)) > 0


def test_the_units_of_a_map_are_its_channels():
    z = torch.rand(5, 4, 3, 2, dtype=torch.float64)
    model, rows = linear(Deterministic()), z.movedim(1, -1).reshape(-1, 4)
    same(KLSparsity()(model, coded(z)), KLSparsity()(model, coded(rows)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("use", [0.0, 1.0])
def test_the_sparsity_of_units_stays_finite_where_a_unit_is_always_off_or_always_on(use, dtype):
    z = torch.full((3, 2), use, dtype=dtype, requires_grad=True)
    value = KLSparsity()(linear(Deterministic()), coded(z))
    value.backward()
    # at most log(1 / eps) nats for each of the two units
    assert 0 < value.item() < -2 * math.log(torch.finfo(dtype).eps)
    assert bool(torch.isfinite(z.grad).all())


def test_two_shards_of_unequal_size_give_the_sparsity_of_the_whole_batch_and_together_its_gradient():
    z, model = torch.rand(7, 4, dtype=torch.float64, requires_grad=True), linear(Deterministic())
    whole = KLSparsity()(model, coded(z))
    mine, theirs = z[:3], z[3:]
    one = KLSparsity()(model, coded(mine, lambda t: torch.cat([t, theirs])))
    other = KLSparsity()(model, coded(theirs, lambda t: torch.cat([mine, t])))
    same(one, whole)
    same(other, whole)
    assert KLSparsity()(model, coded(mine)).item() != pytest.approx(whole.item(), rel=1e-3)
    same(*(torch.autograd.grad(value, z, retain_graph=True)[0] for value in (one, whole)))


def test_the_sparsity_of_units_reads_the_mean_of_the_posterior_and_l1_the_code_that_was_decoded():
    model, mean, z = linear(Deterministic()), torch.rand(3, 4).double(), torch.rand(3, 4).double()
    trace = Trace(z, z, Dirac(mean), z, Dirac(z))
    same(KLSparsity()(model, trace), KLSparsity()(model, coded(mean)))
    same(L1()(model, trace), L1()(model, coded(z)))


@pytest.mark.parametrize("latent", [Deterministic(), Deterministic("relu"), Gaussian(), TopK()])
def test_the_sparsity_of_units_refuses_a_code_outside_the_unit_interval(latent):
    model = Autoencoder(nn.Linear(D, 2 * D), nn.LazyLinear(D), latent, likelihoods.Gaussian(), shape=(D,))
    with pytest.raises(IncompatibleParts, match=r"^Penalty kl_sparsity requires a code in \[0, 1\], which latent "):
        Objective(model, {KLSparsity(): 1.0})


# What is kept


@spaces
@pytest.mark.parametrize("k", [1, 2, 5])
def test_exactly_k_values_stay_and_they_are_the_largest(k, space):
    h = draw(8, 4, *space) if space else draw(8, 12)
    z = keep_largest(h, k)
    assert z.shape == h.shape
    assert active(z).tolist() == [k] * 8
    kept = z != 0
    assert z[kept].equal(h[kept])
    least = h.masked_fill(~kept, math.inf).flatten(1).amin(1)
    assert bool((least >= h.masked_fill(kept, -math.inf).flatten(1).amax(1)).all())


def test_of_equal_values_no_more_than_k_stay():
    assert active(keep_largest(torch.ones(3, 5), 2)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("training", [True, False])
def test_a_top_k_code_keeps_k_of_positive_features_and_no_negative_one(training):
    latent = TopK(k=3).train(training)
    positive = draw(8, 10).abs() + 0.1
    assert active(latent(positive).mean).tolist() == [3] * 8
    few = torch.tensor([[-1.0, 2.0, -3.0, 0.5]])
    assert latent(few).mean.tolist() == [[0.0, 2.0, 0.0, 0.5]]
    assert not bool(latent(-positive).mean.any())


@spaces
@pytest.mark.parametrize("more", [0, 1, 1000])
@pytest.mark.parametrize("training", [True, False])
def test_with_k_of_the_size_of_the_code_nothing_is_cut(space, more, training):
    h = draw(5, 4, *space)
    k = 4 * math.prod(space) + more
    assert TopK(k=k).train(training)(h).mean.equal(F.relu(h))
    assert KSparse(k=float(k)).train(training)(h).mean.equal(h)
    batch = BatchTopK(k=k)
    for _ in range(3):
        assert batch(h).mean.equal(F.relu(h))
    # positive features too leave no threshold behind
    batch(h.abs() + 1)
    assert batch.eval()(h).mean.equal(F.relu(h))


@ranked
def test_only_what_is_kept_gets_a_gradient_and_gets_it_unchanged(make):
    h = (draw(6, 8).abs() + 0.1).requires_grad_()
    slope = draw(6, 8)
    z = make(k=3.0 if make is KSparse else 3)(h).mean
    (z * slope).sum().backward()
    assert h.grad.equal(torch.where(z != 0, slope, 0.0))


def test_a_k_sparse_code_ranks_values_and_not_magnitudes_and_rectifies_nothing():
    h = torch.tensor([[-9.0, 1.0, -2.0, -3.0]])
    assert KSparse(k=2.0)(h).mean.tolist() == [[0.0, 1.0, -2.0, 0.0]]


def test_the_k_of_a_k_sparse_code_falls_along_its_schedule_and_is_final_in_evaluation():
    latent = KSparse(k=Schedule(4, "linear", start=20, fraction=0.5))
    h = draw(3, 50)
    counts = [active(latent(h, progress).mean)[0].item() for progress in (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)]
    assert counts == [20, 16, 12, 4, 4, 4]
    assert active(latent.eval()(h).mean).tolist() == [4, 4, 4]


@pytest.mark.parametrize(("alpha", "kept"), [(1.0, 4), (1.5, 6), (0.5, 2), (0.01, 1), (100.0, 50)])
def test_alpha_changes_the_number_kept_in_evaluation_alone(alpha, kept):
    latent, h = KSparse(k=4.0, alpha=alpha), draw(3, 50)
    assert active(latent(h).mean).tolist() == [4, 4, 4]
    assert active(latent.eval()(h).mean).tolist() == [kept] * 3


@spaces
def test_a_batch_keeps_k_values_an_example_on_average_and_they_are_the_largest_of_the_batch(space):
    h = draw(8, 6, *space).abs() + 0.1
    h[0] += 10
    z = BatchTopK(k=2)(h).mean
    kept = z != 0
    assert int(kept.sum()) == 16
    assert z[kept].equal(h[kept])
    assert h[kept].min() >= h[~kept].max()
    assert active(z)[0] > 2


def test_in_evaluation_a_batch_code_does_not_depend_on_its_neighbors():
    latent = BatchTopK(k=2)
    latent(draw(8, 10))
    latent.eval()
    h = draw(8, 10)
    together = latent(h).mean
    assert together.equal(torch.cat([latent(row[None]).mean for row in h]))
    assert together.flip(0).equal(latent(h.flip(0)).mean)


def test_after_one_batch_the_threshold_keeps_of_that_batch_what_the_rank_kept():
    latent, h = BatchTopK(k=2).double(), draw(8, 10)
    kept = latent(h).mean
    assert latent.threshold.item() == kept[kept > 0].min().item()
    assert latent.eval()(h).mean.equal(kept)


def test_the_threshold_is_the_mean_of_the_smallest_values_kept_and_forgets_beyond_its_memory():
    latent = BatchTopK(k=1, averaging_steps=3).double()
    smallest, expected = [], 0.0
    for step in range(1, 7):
        z = latent(draw(4, 5)).mean
        smallest.append(z[z > 0].min().item())
        expected += (smallest[-1] - expected) / min(step, 3)
        assert latent.threshold.item() == pytest.approx(expected, rel=1e-14)
        if step <= 3:
            assert latent.threshold.item() == pytest.approx(sum(smallest) / step, rel=1e-14)
    latent.eval()(draw(4, 5))
    assert latent.threshold.item() == pytest.approx(expected, rel=1e-14)


def test_a_batch_with_too_few_positive_features_cuts_nothing_and_pulls_the_threshold_to_zero():
    latent, h = BatchTopK(k=3).double(), -draw(4, 5).abs()
    h[:, 0] *= -1
    assert latent(h).mean.equal(F.relu(h))
    assert latent.threshold.item() == 0


@pytest.mark.parametrize("latent", [TopK(), BatchTopK(), JumpReLU(), KSparse()])
def test_a_sparse_code_offers_real_numbers_and_neither_a_slope_everywhere_nor_a_density(latent):
    assert latent.provides == {Capability.REAL}


# Dead units


def starved(make: type[nn.Module], likelihood: nn.Module | None = None, **options: float) -> tuple[Autoencoder, Trace]:
    """A linear autoencoder with dead units, of which all features are positive but one's, and a trace of it.

    Two or so of the first six units win everywhere; whoever else is dead by then is read from the latent.
    """
    latent = make(k=2, dead_after=3, **options)
    model = linear(latent, likelihood)
    with torch.no_grad():
        model.encoder.bias[:6] += 50
        model.encoder.bias[6:9] += 3
        model.encoder.bias[9] -= 50
    x = torch.rand(5, D, dtype=torch.float64)
    for _ in range(3):
        trace = model(x)
    return model, trace


@both
def test_a_unit_is_dead_after_so_many_training_steps_without_use_and_alive_at_its_next_use(make):
    latent = make(k=1, dead_after=3, size=3)
    one, other = torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[0.5, 1.0, 0.0]])
    for expected in (0, 0, 2):
        latent(one)
        assert int(latent.units.dead.sum()) == expected
    assert latent.units.idle.tolist() == [0, 3, 3]
    latent.eval()(other)
    assert latent.units.idle.tolist() == [0, 3, 3]
    latent.train()(other)
    assert latent.units.idle.tolist() == [1, 0, 4]


@both
def test_the_units_of_a_map_are_counted_by_channel_also_where_their_number_was_not_known(make):
    latent = make(k=1)
    h = torch.zeros(2, 3, 2, 2)
    h[1, 2, 0, 1] = 1.0
    latent(h)
    assert latent.units.idle.tolist() == [1, 1, 0]


@both
def test_without_dead_units_their_loss_is_exactly_zero_and_still_a_function_of_the_encoder(make):
    model = linear(make(k=2))
    value = model.latent.auxiliary_loss(model, model(torch.rand(5, D).double()))
    assert value.tolist() == [0.0] * 5
    value.sum().backward()
    assert all(p.grad is not None and not bool(p.grad.any()) for p in model.encoder.parameters())


@both
def test_an_accelerator_which_is_not_asked_whether_units_are_dead_gets_the_same_zero(make):
    model = linear(make(k=2))
    trace = model(torch.rand(5, D).double())
    none = torch.zeros(UNITS, dtype=torch.bool)
    value = model.latent.units.residual_error(model, trace, none)
    assert value.tolist() == [0.0] * 5
    gradients = torch.autograd.grad(value.sum(), list(model.parameters()), allow_unused=True)
    assert not any(bool(g.any()) for g in gradients if g is not None)


@both
def test_a_weight_of_zero_asks_nothing_of_dead_units(make):
    model, trace = starved(make, aux_weight=0.0)
    assert bool(model.latent.units.dead.any())
    assert model.latent.auxiliary_loss(model, trace).tolist() == [0.0] * 5


@both
@pytest.mark.parametrize("count", [1, 3, 256])
def test_the_loss_of_dead_units_is_the_papers_with_a_linear_decoder_and_squared_error(make, count):
    model, trace = starved(make, aux_weight=0.25, aux_k=count)
    dead = model.latent.units.dead
    assert 0 < int(dead.sum()) < UNITS
    value = model.latent.auxiliary_loss(model, trace)

    features = model.encoder(trace.x).relu()[:, dead]
    places = features.topk(min(count, int(dead.sum())), 1).indices
    chosen = torch.zeros_like(features).scatter(1, places, features.gather(1, places))
    residual = (trace.x - trace.p.mean).detach()
    expected = 0.25 * (residual - chosen @ model.decoder.weight[:, dead].T).square().sum(1)
    same(value, expected)

    parameters = list(model.parameters())
    got = torch.autograd.grad(value.sum(), parameters, retain_graph=True, allow_unused=True)
    wanted = torch.autograd.grad(expected.sum(), parameters, allow_unused=True)
    for a, b in zip(got, wanted, strict=True):
        # features of about 50 and weights of about 1 cancel in the difference of two outputs: 1e3 more roundings
        none = torch.zeros(())
        torch.testing.assert_close(
            a if a is not None else none, b if b is not None else torch.zeros_like(a), rtol=1e-9, atol=1e-9
        )
    encoder = dict(zip((n for n, _ in model.named_parameters()), got, strict=True))["encoder.weight"]
    # all but the unit whose feature is negative, where enough may take part
    assert int(encoder[dead].any(1).sum()) == int(dead.sum()) - 1 or count < int(dead.sum())
    assert bool(encoder[dead].any())
    assert not bool(encoder[~dead].any())


@both
def test_the_loss_of_dead_units_asks_of_the_mean_whatever_the_likelihood(make):
    model, trace = starved(make, likelihoods.Bernoulli(), aux_weight=1.0)
    extra = torch.where(model.latent.units.dead, model.encoder(trace.x).relu(), 0.0)
    expected = (trace.x - torch.sigmoid(model.decoder(trace.z + extra))).square().sum(1)
    same(model.latent.auxiliary_loss(model, trace), expected)


@both
def test_dead_channels_of_a_convolutional_code_get_a_gradient(make):
    likelihood, latent = likelihoods.Bernoulli(), make(k=4, dead_after=1)
    pair = nets.conv((1, 8, 8), None, latent, likelihood, channels=(4, 6))
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(1, 8, 8))
    with torch.no_grad():
        model.encoder[-1].bias[:] = torch.tensor([9.0, 9.0, 9.0, 1.0, 1.0, 1.0])
    trace = model(torch.rand(3, 1, 8, 8))
    assert latent.units.dead[3:].all()
    value = latent.auxiliary_loss(model, trace)
    assert value.shape == (3,)
    value.sum().backward()
    assert bool(model.encoder[-1].weight.grad[3:].flatten(1).any(1).all())


@both
def test_the_loss_of_dead_units_enters_the_objective_once_and_under_its_name(make):
    model, trace = starved(make, aux_weight=0.5)
    objective = Objective(model)
    loss = objective(trace.x)
    assert set(loss.terms) == {"reconstruction", "dead_units"}
    assert loss.terms["dead_units"] > 0
    same(loss.terms["dead_units"], model.latent.auxiliary_loss(model, model(trace.x)).mean())
    same(loss.total, loss.terms["reconstruction"] + loss.terms["dead_units"])


@both
def test_in_evaluation_dead_units_add_nothing_so_that_epochs_compare_by_their_fit(make):
    model, trace = starved(make, aux_weight=0.5)
    loss = Objective(model).eval()(trace.x)
    assert bool(model.latent.units.dead.any())
    assert loss.terms["dead_units"].item() == 0
    assert loss.total.equal(loss.terms["reconstruction"])


# Learned thresholds


@spaces
def test_a_jump_relu_passes_what_exceeds_the_threshold_of_its_unit(space):
    latent = JumpReLU(size=3).double()
    theta = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    latent.log_threshold.data = theta.log()
    h = draw(9, 3, *space) * 2
    z = latent(h).mean
    for j in range(3):
        assert z[:, j].equal(torch.where(h[:, j] > latent.log_threshold[j].exp(), h[:, j], 0.0))


def test_the_slopes_of_a_jump_relu_are_those_of_its_paper():
    latent = JumpReLU(threshold=0.4, bandwidth=0.2, size=4).double()
    latent.log_threshold.data = torch.tensor([0.3, 0.4, 0.5, 0.6], dtype=torch.float64).log()
    h, up = torch.rand(50, 4, dtype=torch.float64).requires_grad_(), draw(50, 4)
    theta = latent.log_threshold.detach().exp()
    kernel = ((h.detach() - theta) / 0.2).abs() < 0.5
    assert bool(kernel.any(0).all())
    (latent(h).mean * up).sum().backward()
    same(h.grad, torch.where(h.detach() > theta, up, 0.0))
    # d/dtheta = -(theta / eps) K((h - theta) / eps), and d theta / d log theta = theta
    same(latent.log_threshold.grad, (up * -(theta / 0.2) * kernel).sum(0) * theta)


@spaces
def test_the_count_of_active_values_and_its_slope_are_those_of_the_paper(space):
    latent = JumpReLU(l0_weight=0.7, threshold=0.4, bandwidth=0.3).double()
    model = Autoencoder(nn.Identity(), nn.Identity(), latent, likelihoods.Gaussian(), shape=(4, *space)).double()
    latent.log_threshold.data.fill_(math.log(0.4))
    h = torch.rand(50, 4, *space, dtype=torch.float64).requires_grad_()
    value = latent.auxiliary_loss(model, model(h))
    same(value, 0.7 * active(latent(h).mean).double())
    value.sum().backward()
    assert h.grad is None
    kernel = ((h.detach() - 0.4) / 0.3).abs() < 0.5
    expected = -(0.7 / 0.3) * kernel.double().transpose(0, 1).flatten(1).sum(1) * 0.4
    same(latent.log_threshold.grad, expected)


def test_the_slope_of_the_count_is_on_average_that_of_the_expected_count():
    # features at the quantiles of N(0, 1): the expected count is 1 - Phi(theta), its slope -phi(theta)
    normal, n, theta, width = NormalDist(), 20_000, 0.6, 0.2
    h = torch.tensor([[normal.inv_cdf((i + 0.5) / n)] for i in range(n)], dtype=torch.float64)
    latent = JumpReLU(l0_weight=1.0, threshold=theta, bandwidth=width).double()
    model = Autoencoder(nn.Identity(), nn.Identity(), latent, likelihoods.Gaussian(), shape=(1,)).double()
    latent.log_threshold.data.fill_(math.log(theta))
    latent.auxiliary_loss(model, model(h)).mean().backward()
    slope = latent.log_threshold.grad.item() / theta
    # smoothing errs by width^2 / 24 * |phi''| < 7e-4, counting by 2 / (n width) = 5e-4
    assert slope == pytest.approx(-normal.pdf(theta), abs=1.2e-3)


def test_the_price_of_an_active_value_follows_its_schedule():
    latent = JumpReLU(l0_weight=Schedule(2.0, "linear", fraction=1.0), threshold=0.1)
    model = linear(latent)
    x = torch.rand(4, D, dtype=torch.float64)
    half, whole = (latent.auxiliary_loss(model, model(x, progress=p)) for p in (0.5, 1.0))
    assert bool(whole.any())
    same(2 * half, whole)
    assert not bool(latent.auxiliary_loss(model, model(x, progress=0.0)).any())


def test_the_thresholds_of_a_code_whose_width_the_net_decides_are_made_when_parts_meet_and_are_restored():
    def built() -> Autoencoder:
        latent, likelihood = JumpReLU(threshold=0.3), likelihoods.Bernoulli()
        pair = nets.conv((1, 8, 8), None, latent, likelihood, channels=(4, 6))
        return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(1, 8, 8))

    one, other = built(), built()
    torch.testing.assert_close(one.latent.log_threshold.detach().exp(), torch.full((6,), 0.3))
    nn.init.normal_(one.latent.log_threshold)
    other.load_state_dict(one.state_dict(), strict=True)
    assert other.latent.log_threshold.equal(one.latent.log_threshold)


def test_a_sparse_code_remembers_the_features_it_was_cut_from():
    h = draw(3, 5)
    for latent in (TopK(k=1), BatchTopK(k=1), JumpReLU()):
        q = latent(h)
        assert isinstance(q, Dirac)
        assert q.features is h


# Directions of unit length


@pytest.mark.parametrize("widths", [(), (7,), (7, 5)])
def test_the_columns_that_a_code_is_written_with_have_unit_norm_whatever_the_weights(widths):
    latent, likelihood = Deterministic(), likelihoods.Gaussian()
    pair = nets.mlp((2, 3), 4, latent, likelihood, widths=widths, unit_norm=True)
    kinds = [type(m) for m in pair.decoder.modules() if isinstance(m, nn.Linear)]
    assert kinds == [UnitLinear, *[nn.Linear] * len(widths)]
    first = pair.decoder[0].double()
    first.weight.data = 7 * draw(*first.weight.shape)
    columns = first(torch.eye(4, dtype=torch.float64)) - first.bias
    same(columns.norm(dim=1), torch.ones(4, dtype=torch.float64))
    same(columns.T * first.weight.norm(dim=0), first.weight)


def test_the_gradient_of_a_column_of_unit_norm_is_orthogonal_to_it():
    layer = UnitLinear(4, 6).double()
    layer(draw(9, 4)).square().sum().backward()
    same((layer.weight.grad * layer.weight).sum(0), torch.zeros(4, dtype=torch.float64))
    assert bool(layer.weight.grad.any(0).all())


@pytest.mark.parametrize("make", [nets.linear, nets.mlp])
def test_each_unit_first_looks_for_the_direction_that_it_writes(make):
    pair = make((6,), 4, TopK(), likelihoods.Gaussian(), unit_norm=True)
    writer = pair.decoder[0].weight
    reader = pair.encoder[-1].weight
    torch.testing.assert_close(reader, writer.T / writer.T.norm(dim=1, keepdim=True), rtol=1e-6, atol=1e-7)
    assert reader.data_ptr() != writer.data_ptr()


def test_a_latent_of_more_features_than_values_starts_as_it_would():
    pair = nets.linear((6,), 4, Gaussian(), likelihoods.Gaussian(), unit_norm=True)
    assert pair.encoder[-1].weight.shape == (8, 6)


@pytest.mark.parametrize("make", [nets.linear, nets.mlp])
def test_a_tied_decoder_has_no_columns_to_normalize(make):
    message = (
        r"^net\.unit_norm=true normalizes the decoder's weights, but with net\.tied=true the decoder has no weights "
        r"of its own\. Set net\.tied=false or net\.unit_norm=false\.$"
    )
    with pytest.raises(BadOption, match=message):
        make((6,), 4, Deterministic(), likelihoods.Gaussian(), tied=True, unit_norm=True)


# Options, recipes, and the whole


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (TopK, {"k": 0}, r"^latent\.k must be at least 1 and at most .*, but is 0\.$"),
        (TopK, {"aux_weight": -1.0}, r"^latent\.aux_weight must be at least 0 and at most 1e\+06, but is -1\.$"),
        (TopK, {"aux_k": 0}, r"^latent\.aux_k must be at least 1 "),
        (TopK, {"dead_after": 0}, r"^latent\.dead_after must be at least 1 "),
        (BatchTopK, {"k": 0}, r"^latent\.k must be at least 1 "),
        (BatchTopK, {"averaging_steps": 0}, r"^latent\.averaging_steps must be at least 1 "),
        (KSparse, {"k": 0.0}, r"^latent\.k must be at least 1 "),
        (KSparse, {"k": Schedule(2, "linear", start=0, fraction=0.5)}, r"^latent\.k must be at least 1 "),
        (KSparse, {"alpha": 0.0}, r"^latent\.alpha must be above 0 "),
        (JumpReLU, {"l0_weight": -0.1}, r"^latent\.l0_weight must be at least 0 "),
        (JumpReLU, {"threshold": 0.0}, r"^latent\.threshold must be above 0 "),
        (JumpReLU, {"bandwidth": 0.0}, r"^latent\.bandwidth must be above 0 "),
        (KLSparsity, {"target": 1.1}, r"^penalties\.kl_sparsity\.target must be at least 0 and at most 1, but is 1\.1"),
    ],
)
def test_an_option_out_of_range_is_refused_in_one_sentence(make, options, message):
    with pytest.raises(BadOption, match=message):
        make(**options)


def test_the_l1_recipe_has_the_tutorials_weight_in_nats_per_example():
    recipe = zoo.recipe("sparse_l1")
    # the tutorial: 1e-4 |z| beside a mean over 784 pixels; here a sum over them
    assert recipe.penalties["l1"].weight.value == pytest.approx(784e-4)
    objective = recipe.build((1, 28, 28))
    assert objective.model.code_shape == (32,)


def test_the_k_sparse_recipe_is_tied_and_its_k_falls_over_half_the_run():
    objective = zoo.recipe("k_sparse").build((1, 8, 8))
    assert objective.model.latent.k == Schedule(25, "linear", start=100, fraction=0.5)
    assert [name.rsplit(".")[-1] for name, _ in objective.model.decoder.named_parameters()] == ["bias"]


@pytest.mark.parametrize("name", ["top_k", "batch_top_k", "jump_relu"])
def test_a_dictionary_recipe_has_a_linear_decoder_of_unit_columns_and_squared_error(name):
    model = zoo.recipe(name).build((1, 8, 8)).model
    assert [type(m) for m in model.decoder.modules() if isinstance(m, nn.Linear)] == [UnitLinear]
    assert isinstance(model.likelihood, likelihoods.Gaussian)
    assert model.code_shape == (512,)
    assert name == "jump_relu" or model.latent.units.weight == 1


def test_a_top_k_autoencoder_finds_the_directions_that_sparse_examples_are_made_of():
    n, dim, active_features, size, steps = 32, 16, 2, 64, 400
    directions = F.normalize(torch.randn(n, dim), dim=1)
    latent, likelihood = TopK(k=active_features, dead_after=50, size=size), likelihoods.Gaussian()
    pair = nets.linear((dim,), size, latent, likelihood, unit_norm=True)
    objective = Objective(Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(dim,))).train()
    optimizer = torch.optim.Adam(objective.parameters(), 0.02)
    for step in range(steps):
        chosen = torch.rand(128, n).argsort(1).argsort(1) < active_features
        x = (chosen * (0.5 + torch.rand(128, n))) @ directions
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        optimizer.zero_grad()
        objective(x).total.backward()
        optimizer.step()
    found = F.normalize(pair.decoder[0].weight.detach(), dim=0)
    # 64 random directions in 16 dimensions come within a cosine of 0.56 of each on average; recovery is 1
    assert (directions @ found).amax(1).mean() > 0.95
