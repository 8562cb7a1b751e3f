"""What every likelihood head keeps to, whichever options it has."""

import pytest
import torch
from torch import nn

from isthmus.errors import BadData, BadOption
from isthmus.likelihoods import LIKELIHOODS, Bernoulli, Gaussian
from isthmus.recipe import LikelihoodPart, options_of
from isthmus.trace import Likelihood

SPACES = [(), (2, 3)]
NOTABLE = {"scale": [0.05, 3.0]}
CASES = [(kind, {}) for kind in LIKELIHOODS] + [
    (kind, {option: value})
    for kind, part in LIKELIHOODS.items()
    for option in options_of(part).model_fields
    for value in NOTABLE.get(option, ())
]
each = pytest.mark.parametrize(("kind", "options"), CASES)


def made(kind: str, options: dict[str, object]) -> nn.Module:
    return LikelihoodPart(kind=kind, **options).make(shape=(4,))


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
    head = made(kind, options)
    p = head(features(head, d, space))
    assert (tuple(p.batch_shape), tuple(p.event_shape)) == ((3,), (d, *space))
    assert p.mean.shape == p.sample().shape == (3, d, *space)
    assert p.log_prob(p.mean).shape == (3,)


@each
@pytest.mark.parametrize("space", SPACES)
def test_the_mean_and_a_draw_are_data_that_the_likelihood_can_describe(kind, options, space):
    head = made(kind, options)
    p = head(10 * features(head, 4, space, batch=50))
    for x in (p.mean, p.sample()):
        head.check(x)
        assert bool(torch.isfinite(p.log_prob(x)).all())


@each
@pytest.mark.parametrize("space", SPACES)
def test_a_log_likelihood_has_a_gradient_to_every_feature_and_every_parameter(kind, options, space):
    head = made(kind, options).double()
    h = features(head, 4, space).requires_grad_()
    head(h).log_prob(torch.rand(3, 4, *space, dtype=torch.float64)).sum().backward()
    assert bool((h.grad != 0).all())
    assert all(p.grad is not None and bool(p.grad.any()) for p in head.parameters())


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_likelihood_keeps_the_precision_of_its_features(kind, options, dtype):
    head = made(kind, options).to(dtype)
    p = head(features(head, 4).to(dtype))
    assert p.mean.dtype == p.sample().dtype == p.log_prob(p.mean).dtype == dtype


@each
def test_each_example_has_a_likelihood_of_its_own(kind, options):
    head = made(kind, options).double().eval()
    h, x = features(head, 4), torch.rand(3, 4, dtype=torch.float64)
    alone = torch.cat([head(h[i : i + 1]).log_prob(x[i : i + 1]) for i in range(3)])
    # sums of 4 terms: the order of summation moves the last digits alone
    torch.testing.assert_close(alone, head(h).log_prob(x), rtol=16 * torch.finfo(torch.float64).eps, atol=1e-15)


@each
def test_a_likelihood_is_restored_by_its_state(kind, options):
    one, other = made(kind, options).double(), made(kind, options).double()
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    h = features(one, 4)
    assert one(h).mean.equal(other(h).mean)


@each
def test_a_likelihood_in_evaluation_is_the_same_every_time(kind, options):
    head = made(kind, options).double().eval()
    h, x = features(head, 4), torch.rand(3, 4, dtype=torch.float64)
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
    for x in (torch.zeros(2, 3), torch.ones(2, 3), torch.rand(2, 3, 2)):
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
    message = rf"^A Bernoulli likelihood describes values in \[0, 1\], but the data spans {span}\. Map it there with "
    with pytest.raises(BadData, match=message):
        Bernoulli().check(torch.tensor([values]))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_gaussian_refuses_what_is_not_finite(value):
    message = r"^A Gaussian likelihood describes finite numbers, but the data holds NaN or infinity\. Remove or fill"
    with pytest.raises(BadData, match=message):
        Gaussian().check(torch.tensor([[0.0, value]]))


def test_a_gaussian_accepts_any_finite_number():
    assert Gaussian().check(torch.tensor([[-1e30, 255.0, 1e30]])) is None


@pytest.mark.parametrize(("scale", "shown"), [(0.0, "0"), (-1.0, "-1"), (2e6, "2e\\+06"), (float("nan"), "nan")])
def test_a_gaussian_refuses_a_scale_that_is_not_positive_or_is_too_large(scale, shown):
    with pytest.raises(BadOption, match=rf"^likelihood\.scale must be above 0 and at most 1e\+06, but is {shown}\.$"):
        Gaussian(scale)


def test_the_logits_of_a_bernoulli_cannot_overflow_its_loss():
    p = Bernoulli()(torch.tensor([[1e4, -1e4]]))
    assert p.log_prob(torch.tensor([[1.0, 0.0]])).item() == 0.0
    assert p.log_prob(torch.tensor([[0.0, 1.0]])).item() == -2e4
