"""What every corruption keeps to, whichever options it has."""

import pytest
import torch
from torch import nn

from isthmus import latents, likelihoods, nets
from isthmus.corruptions import CORRUPTIONS
from isthmus.model import Autoencoder
from isthmus.recipe import CorruptionPart, options_of
from isthmus.trace import Corruption

SHAPES = [(7,), (1, 4, 4), (3, 5, 2)]
each = pytest.mark.parametrize("kind", CORRUPTIONS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def made(kind: str, shape: tuple[int, ...]) -> nn.Module:
    return CorruptionPart(kind=kind).make(shape=shape)


@each
def test_a_corruption_is_a_module_that_keeps_its_protocol_and_says_what_it_is(kind):
    assert isinstance(made(kind, (7,)), Corruption)
    assert isinstance(made(kind, (7,)), nn.Module)
    assert CORRUPTIONS[kind].__doc__.strip()
    assert all(f"{name}:" in CORRUPTIONS[kind].__doc__ for name in options_of(CORRUPTIONS[kind]).model_fields)


@each
@every_shape
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 6])
def test_a_corruption_keeps_shape_and_precision_and_leaves_its_input_alone(kind, shape, dtype, batch):
    corruption = made(kind, shape).to(dtype)
    x = torch.rand(batch, *shape, dtype=dtype)
    before = x.clone()
    x_in = corruption(x)
    assert (x_in.shape, x_in.dtype) == (x.shape, dtype)
    assert bool(torch.isfinite(x_in).all())
    assert x.equal(before)


@each
@every_shape
def test_the_same_seed_corrupts_in_the_same_way(kind, shape):
    corruption, x = made(kind, shape), torch.rand(6, *shape)
    torch.manual_seed(3)
    first = corruption(x)
    torch.manual_seed(3)
    assert corruption(x).equal(first)


@each
def test_a_corruption_is_restored_by_its_state(kind):
    one, other, x = made(kind, (7,)), made(kind, (7,)), torch.rand(6, 7)
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    torch.manual_seed(3)
    first = one(x)
    torch.manual_seed(3)
    assert other(x).equal(first)


@each
@every_shape
def test_a_model_in_evaluation_encodes_the_clean_input_and_its_target_is_always_clean(kind, shape):
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.linear(shape, 2, latent, likelihood)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, made(kind, shape), shape=shape)
    x = torch.rand(6, *shape)
    before = x.clone()
    assert model.train()(x).x.equal(before)
    trace = model.eval()(x)
    assert trace.x.equal(before)
    assert trace.x_in.equal(before)
    assert model.encode(x).equal(latent(pair.encoder(before)).mean)


def test_the_identity_changes_nothing():
    x = torch.randn(6, 7)
    assert made("identity", (7,))(x).equal(x)
