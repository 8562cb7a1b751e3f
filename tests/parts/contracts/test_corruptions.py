"""What every corruption keeps to, whichever options it has."""

import pytest
import torch
from torch import nn

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import CorruptionPart, options_of
from isthmus.parts.corruptions import CORRUPTIONS, makes_missing
from isthmus.parts.protocols import Corruption
from isthmus.parts.schedules import Schedule

SHAPES = [(7,), (2, 7), (1, 4, 4), (3, 5, 2), (3, 2, 4, 4)]
STRENGTH = {"masking": "fraction", "gaussian": "scale", "salt_and_pepper": "fraction", "blocks": "fraction"}
REQUIRED = {"recorruption": {"scale": 0.1}}
"""What has to be said for data of any shape."""
each = pytest.mark.parametrize("kind", CORRUPTIONS)
each_strong = pytest.mark.parametrize("kind", STRENGTH)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def made(kind: str, shape: tuple[int, ...], **options: object) -> nn.Module:
    given = {**REQUIRED.get(kind, {}), **options}
    return CorruptionPart.model_validate({"kind": kind, **given}).make(shape=shape)


def joined(corruption: nn.Module, shape: tuple[int, ...]) -> Autoencoder:
    latent, likelihood = latents.Deterministic(), likelihoods.Gaussian()
    pair = nets.linear(shape, 2, latent, likelihood)
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, corruption, shape=shape)


def test_every_corruption_but_the_identity_has_a_strength():
    # a degradation has two, and that of a recorruption must not be 0
    assert {"identity", "degradation", "recorruption", *STRENGTH} == set(CORRUPTIONS)


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
    x_in, mask, target = corruption(x)
    assert (x_in.shape, x_in.dtype) == (x.shape, dtype)
    assert mask is None or (mask.shape, mask.dtype) == (x.shape, torch.bool)
    assert target is None or (target.shape, target.dtype) == (x.shape, dtype)
    # missing values are among those that the mask names
    assert bool((torch.isfinite(x_in) | (mask if makes_missing(corruption) else False)).all())
    assert x.equal(before)


@each
@every_shape
def test_what_the_mask_leaves_out_is_as_it_was(kind, shape):
    x = torch.randn(50, *shape)
    x_in, mask, _ = made(kind, shape)(x)
    touched = torch.zeros_like(x, dtype=torch.bool) if mask is None else mask
    assert x_in[~touched].equal(x[~touched])
    # values drawn from a density are never equal to what a corruption puts in their place
    assert bool((x_in != x)[touched].all())


@each_strong
@every_shape
def test_strength_0_is_the_identity_and_touches_nothing(kind, shape):
    x = torch.randn(6, *shape)
    x_in, mask, _ = made(kind, shape, **{STRENGTH[kind]: 0})(x)
    assert x_in.equal(x)
    assert not mask.any()


@each_strong
@every_shape
def test_a_strength_may_rise_over_the_run_and_holds_its_last_value_without_progress(kind, shape):
    rising = {"value": 1.0, "shape": "linear", "start": 0.0, "fraction": 0.5}
    corruption, x = made(kind, shape, **{STRENGTH[kind]: rising}), torch.rand(200, *shape)
    shares = [corruption(x, progress)[0].sub(x).abs().mean().item() for progress in (0.0, 0.1, 0.4, 0.5)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert bool(corruption(x)[1].all())


@each_strong
def test_a_strength_below_0_is_refused_at_either_end_of_the_run(kind):
    for value in (-0.1, Schedule(0.5, "linear", start=-0.1, fraction=1.0)):
        with pytest.raises(BadOption, match=rf"^corruption.{STRENGTH[kind]} must be .* but is -0\.1\.$"):
            CORRUPTIONS[kind](value)


@pytest.mark.parametrize("kind", [kind for kind, name in STRENGTH.items() if name == "fraction"])
def test_a_fraction_above_1_is_refused(kind):
    with pytest.raises(BadOption, match=r"^corruption.fraction must be at least 0 and at most 1, but is 1\.1\.$"):
        CORRUPTIONS[kind](1.1)


@each
@every_shape
def test_the_same_seed_corrupts_in_the_same_way_and_two_draws_differ(kind, shape):
    corruption, x = made(kind, shape), torch.rand(60, *shape)
    torch.manual_seed(3)
    first = corruption(x).x.nan_to_num(-1.0)
    other = corruption(x).x.nan_to_num(-1.0)
    torch.manual_seed(3)
    assert corruption(x).x.nan_to_num(-1.0).equal(first)
    assert other.equal(first) == (kind == "identity")


@each
def test_a_corruption_is_restored_by_its_state(kind):
    one, other, x = made(kind, (7,)), made(kind, (7,)), torch.rand(6, 7)
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    torch.manual_seed(3)
    first = one(x).x.nan_to_num(-1.0)
    torch.manual_seed(3)
    assert other(x).x.nan_to_num(-1.0).equal(first)


@each
@every_shape
def test_a_model_in_evaluation_encodes_the_clean_input_and_its_target_is_clean(kind, shape):
    corruption = made(kind, shape)
    model = joined(corruption, shape)
    x = torch.rand(60, *shape)
    before = x.clone()
    trace = model.train()(x)
    # a recorruption has a target of its own, in training only
    assert trace.x.equal(before) == (kind != "recorruption")
    assert trace.x_in.equal(before) == (kind == "identity")
    trace = model.eval()(x)
    assert trace.x.equal(before)
    assert trace.x_in.equal(before)
    assert trace.mask is None
    clean = model.latent(model.encoder(before)).mean
    # inference may use another library for products of matrices
    torch.testing.assert_close(model.encode(x), clean)
    torch.testing.assert_close(model.train().reconstruct(x), model.output(clean).mean)


@each_strong
@every_shape
def test_a_model_in_evaluation_corrupts_where_it_is_asked_to(kind, shape):
    x = torch.rand(60, *shape)
    trace = joined(made(kind, shape), shape).eval()(x, corrupt=True)
    assert not trace.x_in.equal(x)
    assert bool(trace.mask.any())


def test_the_identity_changes_nothing_and_has_no_mask():
    x = torch.randn(6, 7)
    x_in, mask, _ = made("identity", (7,))(x)
    assert x_in is x
    assert mask is None
