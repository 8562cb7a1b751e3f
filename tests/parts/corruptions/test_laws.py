"""Corruptions keep the rates and laws they state; the emphasized fidelity weighs what they touched."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from isthmus import latents, likelihoods, nets
from isthmus.distributions import IndependentBernoulli
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.recipe import FidelityPart, options_of
from isthmus.parts.corruptions import Blocks, Degradation, GaussianNoise, Identity, Masking, SaltAndPepper
from isthmus.parts.fidelities import FIDELITIES, Emphasized, LogLikelihood, log_prob_by_feature
from isthmus.parts.hooks import MeanAndCovariance

EPS = torch.finfo(torch.float64).eps


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def near(hits: Tensor, share: float) -> None:
    """The share of hits is ``share`` within five standard errors of so many independent trials."""
    error = math.sqrt(share * (1 - share) / hits.numel())
    assert abs(hits.double().mean().item() - share) <= 5 * error


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("kind", [Masking, SaltAndPepper])
def test_each_value_is_touched_with_the_probability_that_was_asked(kind, share):
    x = torch.rand(200, 3, 10, 10).double()
    near(kind(share)(x).mask, share)


def test_a_hole_is_0_and_values_fall_on_their_own():
    x = torch.ones(4000, 3, 1, 1)
    x_in, mask, _ = Masking(0.5)(x)
    assert x_in.equal((~mask).float())
    for pair in ((0, 1), (0, 2), (1, 2)):
        near(mask[:, list(pair)].all(1), 0.25)


def test_each_example_has_its_own_strength_between_the_least_and_the_most():
    x = torch.zeros(2000, 1, 20, 20).double()
    shares = Masking(0.8, least=0.2)(x).mask.double().flatten(1).mean(1)
    scales = GaussianNoise(0.5, least=0.1)(x).x.flatten(1).std(1)
    for found, (low, high), error in ((shares, (0.2, 0.8), 0.025), (scales, (0.1, 0.5), 0.02)):
        # uniform, apart from the error of 400 values: quantiles within 5 standard errors of 2,000 examples
        grid = torch.linspace(0.1, 0.9, 9).double()
        expected = low + (high - low) * grid
        assert (found.quantile(grid) - expected).abs().max() < 5 * (high - low) * 0.5 / math.sqrt(2000) + error
    with pytest.raises(BadOption, match=r"^corruption\.least must be"):
        Masking(0.5, least=1.5)


def test_a_degradation_is_noise_or_missing_values_and_never_both():
    x = torch.rand(2000, 2, 6, 6)
    x_in, mask, _ = Degradation(scale=0.4, fraction=0.9, noisy=0.3)(x)
    noisy = (x_in != x).flatten(1).all(1) & ~x_in.isnan().flatten(1).any(1)
    near(noisy, 0.3)
    assert mask[noisy].all()
    assert x_in[noisy].min() >= 0
    assert x_in[noisy].max() <= 1
    with_holes = x_in[~noisy]
    assert with_holes.isnan().equal(mask[~noisy])
    assert with_holes[~mask[~noisy]].equal(x[~noisy][~mask[~noisy]])
    # the mean of a share that is uniform between 0 and 0.9
    assert abs(mask[~noisy].double().mean().item() - 0.45) < 5 * 0.9 / math.sqrt(12 * 1400)


def test_strengths_of_their_own_and_missing_values_have_no_closed_moments():
    clean = MeanAndCovariance(torch.zeros(2), torch.eye(2))
    for corruption in (Masking(least=0.0), Masking(as_missing=True), GaussianNoise(least=0.0)):
        with pytest.raises(IncompatibleParts, match="has no closed-form moments"):
            corruption.moments(clean)


@pytest.mark.parametrize("kind", [Masking, SaltAndPepper])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 20), (2, 3, 4, 5)])
def test_whole_pixels_touch_all_channels_together_and_pixels_on_their_own(kind, shape):
    x_in, mask, _ = kind(0.3, whole_pixels=True)(torch.rand(300, *shape))
    if len(shape) == 4:
        near(mask[:, 0, 0] & mask[:, 1, 0], 0.09)  # each frame on its own
        x_in, mask = x_in.flatten(0, 1), mask.flatten(0, 1)
    assert mask.equal(mask[:, :1].expand_as(mask))
    if kind is SaltAndPepper:
        assert x_in[mask.all(1, keepdim=True).expand_as(mask)].unique().tolist() == [0, 1]
        black, white = (x_in == 0).sum(1), (x_in == 1).sum(1)
        assert bool(((black == 3) | (white == 3))[mask[:, 0]].all())
    near(mask[:, 0], 0.3)


@pytest.mark.parametrize("kind", [Masking, SaltAndPepper])
def test_the_values_of_a_row_are_never_one_pixel(kind):
    mask = kind(0.3, whole_pixels=True)(torch.rand(5000, 2)).mask
    near(mask, 0.3)
    # together they would both be touched in 30 % of rows, on their own in 9 %
    near(mask.all(1), 0.09)


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_salt_is_as_frequent_as_pepper_and_neither_is_anything_but_0_or_1(share):
    x_in, mask, _ = SaltAndPepper(share)(torch.rand(300, 100))
    assert x_in[mask].unique().tolist() == [0, 1]
    near(x_in == 1, share / 2)
    near(x_in == 0, share / 2)


@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_the_noise_is_gaussian_of_the_scale_that_was_asked(scale):
    n = 100_000
    x = torch.randn(n // 10, 10, dtype=torch.float64)
    noise = (GaussianNoise(scale)(x).x - x) / scale
    # squared standard errors of the mean of the 1st, 2nd, 4th power of n standard normals: 1, 2 and 96, over n
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert abs(noise.pow(power).mean().item() - moment) <= 5 * math.sqrt(spread / n)
    # the noise does not depend on the value
    assert abs((noise * x).mean().item()) <= 5 / math.sqrt(n)


def test_clipping_cuts_the_noisy_value_at_0_and_1_and_nothing_else():
    x = torch.rand(50, 20)
    torch.manual_seed(3)
    free, mask, _ = GaussianNoise(0.5)(x)
    torch.manual_seed(3)
    assert GaussianNoise(0.5, clip=True)(x).x.equal(free.clamp(0, 1))
    assert bool((free < 0).any() and (free > 1).any())
    assert bool(mask.all())


@pytest.mark.parametrize("shape", [(13,), (1, 8, 8), (3, 7, 10), (2, 13)])
@pytest.mark.parametrize("block", [1, 3, 20])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
def test_blocks_go_whole_and_as_many_as_were_asked_to_within_one(shape, block, share):
    x = torch.ones(2000, *shape)
    x_in, mask, _ = Blocks(share, block_size=block)(x)
    assert x_in.equal((~mask).float())
    space = shape if len(shape) == 1 else shape[1:]
    cells = torch.zeros(space, dtype=torch.long)
    for axis, side in enumerate(space):
        place = torch.arange(side).div(block, rounding_mode="floor").reshape(-1, *(1,) * (len(space) - axis - 1))
        cells = cells * -(-side // block) + place
    number = int(cells.max()) + 1
    flat = mask.reshape(2000, -1, cells.numel())
    assert flat.equal(flat[:, :1].expand_as(flat))
    first = [int((cells.flatten() == cell).nonzero()[0]) for cell in range(number)]
    gone = flat[:, 0, first]
    assert flat[:, 0].equal(gone[:, cells.flatten()])
    assert bool(((gone.sum(1) - share * number).abs() < 1).all())
    for cell in range(number):
        near(gone[:, cell], share)


def test_a_block_lies_in_one_frame_and_covers_its_channels():
    mask = Blocks(0.5, block_size=4)(torch.ones(2000, 3, 2, 4, 8)).mask
    assert mask.equal(mask[:, :, :1].expand_as(mask))
    halves = mask[:, :, 0].unflatten(-1, (2, 4))
    assert halves.equal(halves[..., :1, :, :1].expand_as(halves))
    gone = halves[:, :, 0, :, 0].flatten(1)
    assert bool((gone.sum(1) == 3).all())  # half of two blocks in each of three frames
    for block in range(6):
        near(gone[:, block], 0.5)
    # two blocks of six without replacement, in whatever frames they are: 1/2 * 2/5
    near(gone[:, 0] & gone[:, 2], 0.2)


def test_a_block_needs_a_side():
    with pytest.raises(BadOption, match=r"^corruption.block_size must be at least 1 and at most 65536, but is 0\.$"):
        Blocks(block_size=0)


def model_of(likelihood: torch.nn.Module, corruption: torch.nn.Module) -> Autoencoder:
    latent = latents.Deterministic()
    encoder, decoder, _ = nets.mlp((2, 3, 3), 4, latent, likelihood, widths=(6,))
    return Autoencoder(encoder, decoder, latent, likelihood, corruption, shape=(2, 3, 3)).double()


def same(got: Tensor, expected: Tensor) -> None:
    """Equal up to 64 roundings; sums are of 18 terms."""
    torch.testing.assert_close(got, expected, rtol=64 * EPS, atol=64 * EPS)


each_likelihood = pytest.mark.parametrize("likelihood", [likelihoods.Bernoulli, likelihoods.Gaussian])


@each_likelihood
def test_emphasis_weighs_corrupted_and_intact_values_as_the_formula_says(likelihood):
    model = model_of(likelihood(), Masking(0.4)).train()
    trace = model(torch.rand(5, 2, 3, 3).double())
    if likelihood is likelihoods.Bernoulli:
        r = trace.p.mean
        log_p = trace.x * r.log() + (1 - trace.x) * (1 - r).log()
    else:
        log_p = -0.5 * (trace.x - trace.p.mean).square() - 0.5 * math.log(2 * math.pi)
    for alpha, beta in ((1.0, 0.5), (1.0, 0.0), (0.0, 2.0), (0.3, 0.1)):
        expected = [
            sum(-(alpha if hit else beta) * v for v, hit in zip(row.tolist(), hits.tolist(), strict=True))
            for row, hits in zip(log_p.flatten(1), trace.mask.flatten(1), strict=True)
        ]
        same(Emphasized(alpha, beta)(model, trace), torch.tensor(expected, dtype=torch.float64))


@each_likelihood
@pytest.mark.parametrize("corruption", [Masking(0.4), GaussianNoise(), SaltAndPepper(0.4), Blocks(), Identity()])
def test_equal_weights_and_a_clean_input_are_the_plain_fidelity(likelihood, corruption):
    model = model_of(likelihood(), corruption)
    x = torch.rand(5, 2, 3, 3).double()
    for trace, fidelity in ((model.train()(x), Emphasized(1.0, 1.0)), (model.eval()(x), Emphasized(3.0, 0.0))):
        same(fidelity(model, trace), LogLikelihood()(model, trace))


def test_emphasis_on_noise_that_touches_everything_scales_the_whole():
    model = model_of(likelihoods.Bernoulli(), GaussianNoise()).train()
    trace = model(torch.rand(5, 2, 3, 3).double())
    same(Emphasized(0.7, 0.1)(model, trace), 0.7 * LogLikelihood()(model, trace))


def test_values_without_weight_send_no_gradient_back():
    model = model_of(likelihoods.Gaussian(), Masking(0.5)).train()
    trace = model(torch.rand(4, 2, 3, 3).double())
    mean = trace.p.mean
    (gradient,) = torch.autograd.grad(Emphasized(1.0, 0.0)(model, trace).sum(), mean)
    same(gradient, torch.where(trace.mask, mean - trace.x, 0.0).detach())


def test_an_objective_takes_emphasis_as_its_fidelity():
    model = model_of(likelihoods.Bernoulli(), Masking(1.0)).train()
    x = torch.rand(4, 2, 3, 3).double()
    loss = Objective(model, fidelity=Emphasized(0.25, 1.0)).train()(x)
    plain = Objective(model).train()(x)
    same(loss.total, 0.25 * plain.total)
    assert loss.terms.keys() == {"reconstruction"}


@pytest.mark.parametrize(
    "p",
    [
        IndependentBernoulli(torch.randn(4, 2, 3).double()),
        Independent(Normal(torch.randn(4, 2, 3).double(), 0.5), 2),
    ],
)
def test_the_likelihood_of_each_value_adds_up_to_that_of_the_example(p):
    x = torch.rand(4, 2, 3).double()
    values = log_prob_by_feature(p, x)
    assert values.shape == x.shape
    same(values.flatten(1).sum(1), p.log_prob(x))


@pytest.mark.parametrize(
    "p",
    [
        MultivariateNormal(torch.zeros(4, 3), torch.eye(3)),
        Independent(MultivariateNormal(torch.zeros(4, 2, 3), torch.eye(3)), 1),
    ],
)
def test_values_that_depend_on_each_other_are_refused_in_one_sentence(p):
    name = type(p).__name__
    with pytest.raises(
        IncompatibleParts,
        match=rf"^An emphasized fidelity requires the likelihood of each value, but {name} provides only that of a "
        r"whole example\. Use likelihood\.kind=bernoulli or gaussian, or fidelity\.kind=likelihood\.$",
    ):
        log_prob_by_feature(p, torch.zeros(p.batch_shape + p.event_shape))


def test_weights_of_emphasis_out_of_range_are_refused():
    with pytest.raises(BadOption, match=r"^fidelity.corrupted must be at least 0 and at most 1e\+06, but is -1\.$"):
        Emphasized(corrupted=-1.0)
    with pytest.raises(BadOption, match=r"^fidelity.intact must be at least 0 and at most 1e\+06, but is -1\.$"):
        Emphasized(intact=-1.0)
    message = r"^fidelity.corrupted and fidelity.intact are both 0\. Set at least one of them above 0\.$"
    with pytest.raises(BadOption, match=message):
        Emphasized(0.0, 0.0)


def test_emphasis_is_a_kind_of_fidelity_whose_options_are_explained():
    made = FidelityPart.model_validate({"kind": "emphasized", "intact": 0.25}).make()
    assert isinstance(made, Emphasized)
    assert (made.corrupted, made.intact) == (1.0, 0.25)
    assert all(f"{name}:" in Emphasized.__doc__ for name in options_of(FIDELITIES["emphasized"]).model_fields)


@pytest.mark.parametrize("fraction", [1e-12, 0.3])
def test_moments_of_replaced_values_keep_a_small_variance_beside_a_large_mean(fraction: float) -> None:
    mean, variance = 1e8, 2.0
    clean = MeanAndCovariance(torch.full((1,), mean).double(), torch.full((1, 1), variance).double())
    found = Masking(fraction).moments(clean).covariance.item()
    keep = 1 - fraction
    expected = Fraction(keep) * Fraction(variance) + Fraction(keep) * Fraction(fraction) * Fraction(mean) ** 2
    assert found == pytest.approx(float(expected), rel=1e-12)
