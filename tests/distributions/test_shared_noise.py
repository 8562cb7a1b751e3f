"""Shared noise: a sample of an example is a function of the example and the seed alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical

from isthmus.distributions import DiagonalGaussian, IndependentBernoulli
from isthmus.distributions.shared_noise import SharedNoise

LOC = torch.arange(12.0).reshape(4, 3)
FAMILIES: dict[str, Callable[[Tensor], Distribution]] = {
    "diagonal": lambda loc: DiagonalGaussian(loc, torch.zeros_like(loc)),
    "torch": lambda loc: Independent(Normal(loc, torch.ones_like(loc)), 1),
    "bernoulli": lambda loc: IndependentBernoulli(loc - 5),
}


def drawn(make: Callable[[Tensor], Distribution], loc: Tensor, samples: int = 0, seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    with SharedNoise(1 if samples else 0):
        return make(loc).sample(torch.Size((samples,) if samples else ()))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_has_the_same_sample_alone_and_in_any_order(family: str) -> None:
    make = FAMILIES[family]
    whole = drawn(make, LOC)
    assert torch.equal(drawn(make, LOC.flip(0)).flip(0), whole)
    assert torch.equal(drawn(make, LOC[2:3]), whole[2:3])
    assert not torch.equal(drawn(make, LOC, seed=4), whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_several_samples_differ_and_do_not_depend_on_their_number(family: str) -> None:
    make = FAMILIES[family]
    many = drawn(make, LOC / 9, samples=40)
    assert many.shape == (40, 4, 3)
    assert torch.equal(drawn(make, LOC[1:2] / 9, samples=5), many[:5, 1:2])
    assert len(many[:, 0].unique(dim=0)) > 1


def test_the_noise_is_standard_normal_over_samples() -> None:
    z = drawn(FAMILIES["diagonal"], torch.zeros(2, 3), samples=4000)[:, 0]
    # five standard errors of mean and variance
    assert float(z.mean(0).abs().max()) < 5 / 4000**0.5
    assert float((z.var(0) - 1).abs().max()) < 5 * (2 / 4000) ** 0.5


def test_a_distribution_that_draws_otherwise_is_sampled_as_ever() -> None:
    torch.manual_seed(0)
    with SharedNoise():
        z = OneHotCategorical(logits=torch.zeros(50, 4)).sample()
    assert z.sum(1).tolist() == [1.0] * 50
