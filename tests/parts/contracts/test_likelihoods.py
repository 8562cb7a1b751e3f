"""What every likelihood head keeps to, whichever options it has."""

import pytest
import torch
from torch import nn

from isthmus.errors import BadData, BadOption, ShapeError
from isthmus.models.recipe import LikelihoodPart, options_of
from isthmus.parts.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistics,
    Gaussian,
    Laplace,
    PixelGaussian,
    StudentT,
)
from isthmus.parts.protocols import Likelihood

SPACES = [(), (3,), (2, 3)]
NOTABLE: dict[str, list[object]] = {
    "scale": [0.05, 3.0],
    "df": [1.5, 30.0],
    "min_scale": [0.3],
    "levels": [2, 17],
    "components": [2],
    "from_mean": [True],
}
CASES = [(kind, {}) for kind in LIKELIHOODS] + [
    (kind, {option: value})
    for kind, part in LIKELIHOODS.items()
    for option in options_of(part).model_fields
    for value in NOTABLE.get(option, ())
]
each = pytest.mark.parametrize(("kind", "options"), CASES)


def made(kind: str, options: dict[str, object], shape: tuple[int, ...] = (4,)) -> nn.Module:
    return LikelihoodPart(kind=kind, **options).make(shape=shape)


def data(head: nn.Module, *shape: int) -> torch.Tensor:
    """Values in [0, 1] that the head can describe."""
    x = torch.rand(shape, dtype=torch.float64)
    return (x * (head.levels - 1)).round() / (head.levels - 1) if hasattr(head, "levels") else x


def log_prob_by_feature(p: torch.distributions.Distribution, x: torch.Tensor) -> torch.Tensor:
    return p.base_dist.log_prob(x) if isinstance(p, torch.distributions.Independent) else p.log_prob_by_feature(x)


def features(head: nn.Module, d: int, space: tuple[int, ...] = (), batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, head.width(d), *space, dtype=torch.float64)


@each
def test_a_likelihood_is_a_module_that_keeps_its_protocol(kind, options):
    head = made(kind, options)
    assert isinstance(head, Likelihood)
    assert isinstance(head, nn.Module)


@each
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("d", [1, 4])
def test_a_likelihood_turns_width_features_into_a_distribution_over_d_values(kind, options, space, d):
    head = made(kind, options, (d, *space)).double()
    p = head(features(head, d, space))
    assert (tuple(p.batch_shape), tuple(p.event_shape)) == ((3,), (d, *space))
    assert p.mean.shape == p.mode.shape == p.sample().shape == (3, d, *space)
    assert p.sample((5, 2)).shape == (5, 2, 3, d, *space)
    assert not p.sample().requires_grad
    assert p.log_prob(p.mean).shape == (3,)
    assert p.log_prob(p.sample((5, 2))).shape == (5, 2, 3)


@each
@pytest.mark.parametrize("space", SPACES)
def test_the_mode_and_a_draw_are_data_that_the_likelihood_can_describe(kind, options, space):
    head = made(kind, options, (4, *space)).double()
    p = head(10 * features(head, 4, space, batch=50))
    for x in (p.mode, p.sample()):
        head.check(x)
        assert bool(torch.isfinite(p.log_prob(x)).all())


@each
@pytest.mark.parametrize("space", SPACES)
def test_the_mean_lies_in_the_range_of_the_data_between_levels_too(kind, options, space):
    head = made(kind, options, (4, *space)).double()
    p = head(10 * features(head, 4, space, batch=50))
    if hasattr(head, "levels"):
        # a sum of masses; it may leave [0, 1] by their rounding
        assert p.mean.min() >= -1e-12
        assert p.mean.max() <= 1 + 1e-12
    else:
        head.check(p.mean)


@each
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sample", [(), (2,)])
def test_the_log_likelihood_is_the_sum_of_those_of_the_values(kind, options, space, training, sample):
    head = made(kind, options, (4, *space)).double().train(training)
    p, x = head(features(head, 4, space)), data(head, *sample, 3, 4, *space)
    each_value = log_prob_by_feature(p, x)
    assert each_value.shape == x.shape
    total = each_value.flatten(len(sample) + 1).sum(-1)
    # sums of 24 terms, of size up to 1e3 for the narrowest scale, in two orders
    torch.testing.assert_close(p.log_prob(x), total, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_a_likelihood_says_whether_its_data_are_finitely_many_values(kind):
    grid = kind in ("bernoulli", "categorical", "discretized_logistics")
    assert LIKELIHOODS[kind].discrete is grid


@each
@pytest.mark.parametrize("space", SPACES)
def test_a_log_likelihood_has_a_gradient_to_every_feature_and_every_parameter(kind, options, space):
    head = made(kind, options, (4, *space)).double()
    h = features(head, 4, space).requires_grad_()
    head(h).log_prob(torch.rand(3, 4, *space, dtype=torch.float64)).sum().backward()
    assert bool((h.grad != 0).all())
    assert all(p.grad is not None and bool(p.grad.any()) for p in head.parameters())


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_likelihood_keeps_the_precision_of_its_features(kind, options, dtype):
    head = made(kind, options).to(dtype)
    p = head(features(head, 4).to(dtype))
    assert p.mean.dtype == p.mode.dtype == p.sample().dtype == p.log_prob(p.mean).dtype == dtype


@each
def test_each_example_has_a_likelihood_of_its_own(kind, options):
    head = made(kind, options).double().eval()
    h, x = features(head, 4), data(head, 3, 4)
    alone = torch.cat([head(h[i : i + 1]).log_prob(x[i : i + 1]) for i in range(3)])
    # sums of 4 terms: the order of summation moves the last digits alone
    torch.testing.assert_close(alone, head(h).log_prob(x), rtol=16 * torch.finfo(torch.float64).eps, atol=1e-15)


@each
def test_a_likelihood_is_restored_by_its_state(kind, options):
    one, other = made(kind, options).double(), made(kind, options).double()
    h, x = features(one, 4), data(one, 3, 4)
    if hasattr(one, "meet"):
        one.init_from_data(x)
    one(h).log_prob(x)
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    one.eval(), other.eval()
    assert one(h).mean.equal(other(h).mean)
    assert one(h).log_prob(x).equal(other(h).log_prob(x))


@each
def test_a_likelihood_in_evaluation_is_the_same_every_time(kind, options):
    head = made(kind, options).double().eval()
    h, x = features(head, 4), data(head, 3, 4)
    assert head(h).mean.equal(head(h).mean)
    assert head(h).log_prob(x).equal(head(h).log_prob(x))


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_a_likelihood_says_what_it_is_and_what_its_options_mean(kind):
    part = LIKELIHOODS[kind]
    assert part.__doc__.strip()
    assert part.width.__doc__.strip()
    assert part.check.__doc__.strip()
    assert all(f"{name}:" in part.__doc__ for name in options_of(part).model_fields)


@each
@pytest.mark.parametrize("place", [0, 5])
def test_every_likelihood_refuses_data_that_is_not_a_number(kind, options, place):
    x = torch.rand(2, 3)
    x.view(-1)[place] = float("nan")
    with pytest.raises(BadData, match=r"(?i)nan"):
        made(kind, options).check(x)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_likelihood_accepts_zeros_ones_and_what_lies_between(kind, options, dtype):
    head = made(kind, options)
    for x in (torch.zeros(2, 3), torch.ones(2, 3), data(head, 2, 3, 2)):
        assert head.check(x.to(dtype)) is None


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ([-0.001, 1.0], r"\[-0\.001, 1\]"),
        ([0.0, 1.001], r"\[0, 1\.001\]"),
        ([0.0, 255.0], r"\[0, 255\]"),
        ([float("-inf"), 0.5], r"\[-inf, 0\.5\]"),
        ([0.5, float("inf")], r"\[0\.5, inf\]"),
        ([0.5, float("nan")], r"\[nan, nan\]"),
    ],
)
def test_a_bernoulli_refuses_values_outside_zero_and_one_and_says_what_came(values, span):
    message = rf"^A Bernoulli likelihood requires values in \[0, 1\], but the data spans {span}\. For real values set"
    with pytest.raises(BadData, match=message):
        Bernoulli().check(torch.tensor([values]))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("gaussian", "Gaussian"),
        ("shared_gaussian", "Gaussian"),
        ("optimal_gaussian", "Gaussian"),
        ("pixel_gaussian", "Gaussian"),
        ("laplace", "Laplace"),
        ("student_t", "Student-t"),
    ],
)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_density_of_real_numbers_accepts_any_finite_number_and_refuses_the_rest(kind, name, value):
    head = made(kind, {})
    assert head.check(torch.tensor([[-1e30, 255.0, 1e30]])) is None
    message = rf"^A {name} likelihood requires finite values, but the data contains NaN or infinity\. Remove or imp"
    with pytest.raises(BadData, match=message):
        head.check(torch.tensor([[0.0, value]]))


def test_a_continuous_bernoulli_refuses_values_outside_zero_and_one():
    message = (
        r"^A continuous Bernoulli likelihood requires values in \[0, 1\], but the data spans \[0, 1\.5\]\. For real"
    )
    with pytest.raises(BadData, match=message):
        ContinuousBernoulli().check(torch.tensor([[0.0, 1.5]]))


@pytest.mark.parametrize(
    ("head", "name"), [(Categorical, "categorical"), (DiscretizedLogistics, "discretized logistic")]
)
def test_gray_levels_are_accepted_in_either_precision_and_what_lies_between_is_refused(head, name):
    for levels in (2, 17, 256, 1 << 16):
        for dtype in (torch.float32, torch.float64):
            x = torch.arange(levels, dtype=dtype) / (levels - 1)
            assert head(levels=levels).check(x[None]) is None
    many = torch.zeros(2500, 2)
    many[2400, 1] = 0.25
    message = rf"^A {name} likelihood with 3 levels requires values k/2, but the data contains 0\.25\. Set likelihood\."
    with pytest.raises(BadData, match=message):
        head(levels=3).check(many)
    with pytest.raises(BadData, match=rf"^A {name} likelihood with 3 levels"):
        head(levels=3).check(torch.tensor([[0.0, 0.51, 1.0]]))
    with pytest.raises(
        BadData, match=rf"^A {name} likelihood requires values in \[0, 1\], but the data spans \[0, 255\]"
    ):
        head().check(torch.tensor([[0.0, 255.0]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(0.0), r"^likelihood\.scale must be above 0 and at most 1e\+06, but is 0\.$"),
        (lambda: Gaussian(-1.0), r"^likelihood\.scale must be above 0 and at most 1e\+06, but is -1\.$"),
        (lambda: Gaussian(2e6), r"^likelihood\.scale must be above 0 and at most 1e\+06, but is 2e\+06\.$"),
        (lambda: Gaussian(float("nan")), r"^likelihood\.scale must be above 0 and at most 1e\+06, but is nan\.$"),
        (lambda: Laplace(0.0), r"^likelihood\.scale must be above 0"),
        (lambda: StudentT(4.0, 0.0), r"^likelihood\.scale must be above 0"),
        (lambda: StudentT(1.0), r"^likelihood\.df must be above 1 and at most 1e\+06, but is 1\.$"),
        (lambda: PixelGaussian(0.0), r"^likelihood\.min_scale must be above 0 and at most 1e\+06, but is 0\.$"),
        (lambda: Categorical(1), r"^likelihood\.levels must be at least 2 and at most 65536, but is 1\.$"),
        (lambda: Categorical(65537), r"^likelihood\.levels must be at least 2 and at most 65536, but is 65537\.$"),
        (lambda: DiscretizedLogistics(0), r"^likelihood\.components must be at least 1 and at most 100, but is 0\.$"),
        (lambda: DiscretizedLogistics(101), r"^likelihood\.components must be at least 1 and at most 100, but is 101"),
        (lambda: DiscretizedLogistics(5, 1), r"^likelihood\.levels must be at least 2 and at most 65536, but is 1\.$"),
        (
            lambda: Bernoulli(from_mean=True),
            r"^A Bernoulli likelihood with from_mean=True requires the shape .* Pass it as in Bernoulli\(",
        ),
    ],
)
def test_an_option_out_of_range_is_refused_in_one_sentence(make, message):
    with pytest.raises(BadOption, match=message):
        make()


@pytest.mark.parametrize(
    ("head", "h", "message"),
    [
        (
            PixelGaussian(),
            torch.zeros(1, 3),
            r"^A pixel-wise Gaussian likelihood requires a mean .* was given 3 features",
        ),
        (
            Categorical(4),
            torch.zeros(1, 6),
            r"^A categorical likelihood requires 4 features per value, but was given 6",
        ),
        (
            DiscretizedLogistics(2),
            torch.zeros(1, 7),
            r"^A discretized logistic likelihood requires 6 features .* given 7 features\. ",
        ),
    ],
)
def test_features_that_do_not_divide_among_the_values_are_refused(head, h, message):
    with pytest.raises(ShapeError, match=message):
        head(h)


def test_the_logits_of_a_bernoulli_cannot_overflow_its_loss():
    p = Bernoulli()(torch.tensor([[1e4, -1e4]]))
    assert p.log_prob(torch.tensor([[1.0, 0.0]])).item() == 0.0
    assert p.log_prob(torch.tensor([[0.0, 1.0]])).item() == -2e4
