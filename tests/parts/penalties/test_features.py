"""Perceptual losses: the distance by its formula, a comparator that stays fixed, and one of the user."""

import pytest
import torch
from torch import Tensor, nn

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.penalties import CodeNorm, DecoderNorm, Features
from isthmus.parts.penalties.features import MOST_FEATURES

SHAPE = (1, 8, 8)


class Pixels(nn.Module):
    """A comparator of known features: the example, and its mean."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, x.flatten(1).mean(1, keepdim=True)]


def model() -> Autoencoder:
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.mlp(SHAPE, 3, latent, likelihood, widths=(8,))
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=SHAPE).double()


def images(n: int = 6) -> Tensor:
    return torch.rand(n, *SHAPE, dtype=torch.float64)


def test_the_distance_is_that_of_the_formula():
    parts, x = model(), images()
    penalty = Features(comparator=Pixels()).double()
    penalty.calibrate(x)
    trace = parts(x)
    y = trace.p.mean
    pixels, means = x.flatten(1).var(0, correction=0).mean(), x.flatten(1).mean(1).var(correction=0)
    of_pixels = (x - y).flatten(1).square().sum(1) / 64 / pixels
    of_means = (x.flatten(1).mean(1) - y.flatten(1).mean(1)).square() / means
    torch.testing.assert_close(penalty(parts, trace), 0.5 * 64 * (of_pixels + of_means) / 2)


def test_with_pixels_as_features_it_is_the_squared_error_of_standardized_pixels():
    parts, x = model(), images(200)
    penalty = Features(comparator=nn.Identity()).double()
    penalty.calibrate(x)
    trace = parts(x)
    expected = 0.5 * (x - trace.p.mean).square().flatten(1).sum(1) / x.flatten(1).var(0, correction=0).mean()
    torch.testing.assert_close(penalty(parts, trace), expected)


def test_the_scale_of_the_features_does_not_matter():
    x = images(50)
    parts = model()
    trace = parts(x)
    values = []
    for factor in (1.0, 1000.0):
        penalty = Features(comparator=nn.Sequential(nn.Identity(), Times(factor))).double()
        penalty.calibrate(x)
        values.append(penalty(parts, trace))
    torch.testing.assert_close(*values)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def test_the_comparator_is_fixed_and_stays_in_evaluation_mode():
    penalty = Features(SHAPE, nets.comparator).double()
    objective = Objective(model(), {penalty: 1.0}).train()
    assert not penalty.comparator.training
    assert not any(p.requires_grad for p in penalty.comparator.parameters())
    ids = {id(p) for members in objective.players().values() for p in members}
    assert not any(id(p) in ids for p in penalty.parameters())
    before = {name: v.clone() for name, v in penalty.state_dict().items()}
    objective(images()).total.backward()
    assert all(v.equal(before[name]) for name, v in penalty.state_dict().items())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in objective.model.encoder.parameters())


def test_a_module_of_the_user_is_not_trained():
    assert Features(comparator=Pixels()).learns == "none"
    assert Features(SHAPE, nets.comparator).learns == "exemplars"


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(BadOption, match="learns cannot be 'imagenet'"):
        Features(SHAPE, nets.comparator, learns="imagenet")
    with pytest.raises(BadOption, match="shape of an example, which is not known"):
        Features(None, nets.comparator)

    class Many(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x] * (MOST_FEATURES + 1)

    with pytest.raises(IncompatibleParts, match="at most 64 features"):
        Features(comparator=Many()).calibrate(images())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (2, 50), (9,), (1, 1, 1), (3, 2, 4, 5)])
def test_a_comparator_has_features_of_examples_of_any_shape(shape):
    net = nets.comparator(shape, (4, 8), 5)
    found = net(torch.rand(3, *shape))
    assert found[-1].shape == (3, 5)
    assert all(len(f) == 3 for f in found)


def test_norms_are_those_of_codes_and_of_weights_of_the_decoder():
    parts, x = model(), images()
    trace = parts(x)
    torch.testing.assert_close(CodeNorm()(parts, trace), 0.5 * trace.z.square().sum(1))
    weights = [p for name, p in parts.decoder.named_parameters() if name.endswith("weight")]
    torch.testing.assert_close(DecoderNorm()(parts, trace), 0.5 * sum(w.square().sum() for w in weights))
