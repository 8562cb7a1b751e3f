"""The whole model: the order of its parts, and what one may ask of it."""

import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption, IncompatibleParts, IsthmusError, ShapeError
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.inputs import CHUNK
from isthmus.models.objective import Objective
from isthmus.models.seeding import seeded
from isthmus.parts.corruptions import Identity
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Corrupted, Model

SHAPE = (3, 4, 5)


class Shift(nn.Module):
    """A corruption for tests that is easily seen."""

    def forward(self, x: Tensor, progress: float = 1.0) -> Corrupted:
        return Corrupted(x + progress, torch.ones_like(x, dtype=torch.bool))


def variational(
    shape: tuple[int, ...] = SHAPE, corruption: nn.Module | None = None, dropout: float = 0.0, size: int = 2
) -> Autoencoder:
    latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    pair = nets.mlp(shape, size, latent, likelihood, widths=(6,), dropout=dropout)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, corruption, shape=shape)
    return Objective(model, {KL(StandardNormal()): 1.0}).model


def plain(shape: tuple[int, ...] = SHAPE) -> Autoencoder:
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.linear(shape, 2, latent, likelihood)
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=shape)


def mean_by_hand(model: Autoencoder, x: Tensor) -> Tensor:
    """The code by the parts alone: the first half of the encoder's features."""
    with torch.no_grad():
        return model.encoder(x)[:, :2]


# the pass


def test_a_model_is_what_penalties_take_for_one():
    assert isinstance(variational(), Model)


def test_one_pass_records_input_posterior_code_and_output_in_this_order():
    model, x = variational(corruption=Shift()).train(), torch.rand(4, *SHAPE)
    torch.manual_seed(2)
    trace = model(x, progress=0.25, population=9)
    torch.manual_seed(2)
    h = model.encoder(x + 0.25)
    z = h[:, :2] + h[:, 2:].exp() * torch.randn(4, 2)
    assert trace.x is x
    assert trace.x_in.equal(x + 0.25)
    assert bool(trace.mask.all())
    torch.testing.assert_close(trace.q.mean, h[:, :2])
    torch.testing.assert_close(trace.z, z)
    torch.testing.assert_close(trace.p.mean, torch.sigmoid(model.decoder(z)))
    assert (trace.progress, trace.population) == (0.25, 9)


def test_the_corruption_acts_in_training_alone_and_never_on_the_target_or_in_inference():
    model, x = variational(corruption=Shift()), torch.rand(4, *SHAPE)
    before = x.clone()
    assert model.train()(x).x_in.equal(before + 1)
    assert model(x, corrupt=False).x_in.equal(before)
    assert model.eval()(x).x_in.equal(before)
    assert model(x).mask is None
    assert model(x, corrupt=True).x_in.equal(before + 1)
    assert x.equal(before)
    torch.testing.assert_close(model.train().encode(x), mean_by_hand(model, x))
    torch.testing.assert_close(model.reconstruct(x), torch.sigmoid(model.decoder(mean_by_hand(model, x))))


def test_the_drawn_code_carries_gradient_to_the_encoder():
    model = variational()
    model(torch.rand(4, *SHAPE)).z.sum().backward()
    assert all(p.grad is not None for p in model.encoder.parameters())


# inference


def test_inference_is_deterministic_and_without_gradient():
    model, x = variational(dropout=0.5).train(), torch.rand(4, *SHAPE)
    z = model.encode(x)
    torch.testing.assert_close(z, mean_by_hand(model.eval(), x))
    for ask, given in ((model.encode, x), (model.decode, z), (model.reconstruct, x)):
        assert ask(given).equal(ask(given))
        assert not ask(given).requires_grad
    torch.testing.assert_close(model.decode(z), torch.sigmoid(model.decoder(z)))
    assert model.reconstruct(x).equal(model.decode(z))


def test_inference_may_draw_and_then_every_draw_is_another():
    model, x = variational(), torch.rand(4, *SHAPE)
    for ask, given in ((model.encode, x), (model.reconstruct, x), (model.decode, torch.randn(4, 2))):
        one, other = ask(given, sample=True), ask(given, sample=True)
        assert not one.equal(other)
        assert not one.equal(ask(given))
    assert set(model.decode(torch.randn(50, 2), sample=True).unique().tolist()) == {0.0, 1.0}


def test_a_drawn_reconstruction_is_the_mean_behind_a_drawn_code():
    model, x = variational(), torch.rand(4, *SHAPE)
    torch.manual_seed(1)
    got = model.reconstruct(x, sample=True)
    torch.manual_seed(1)
    assert got.equal(model.decode(model.encode(x, sample=True)))


@pytest.mark.parametrize("n", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7])
def test_many_examples_in_chunks_are_as_in_one_pass(n):
    model, x = variational((5,)).double(), torch.rand(n, 5, dtype=torch.float64)
    expected = mean_by_hand(model, x)
    # sums of 6 terms in another blocking
    torch.testing.assert_close(model.encode(x), expected, rtol=1e-13, atol=1e-14)
    with torch.no_grad():
        out = torch.sigmoid(model.decoder(expected))
    torch.testing.assert_close(model.reconstruct(x), out, rtol=1e-13, atol=1e-14)


def test_no_more_than_a_chunk_is_computed_at_a_time():
    model, seen = variational((5,)), []
    model.encoder.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    model.encode(torch.rand(2 * CHUNK + 7, 5))
    assert seen == [CHUNK, CHUNK, 7]


@pytest.mark.parametrize("training", [True, False])
def test_inference_leaves_the_mode_as_it_was_also_after_an_error(training):
    model = variational().train(training)
    model.encode(torch.rand(2, *SHAPE))
    model.sample(2)
    assert all(m.training is training for m in model.modules())
    with pytest.raises(ShapeError):
        model.dry_run((7,))
    assert all(m.training is training for m in model.modules())


def test_inference_leaves_a_part_that_was_frozen_in_evaluation_there():
    model = variational(dropout=0.5).train()
    model.encoder.eval()
    model.encode(torch.rand(2, *SHAPE))
    assert not model.encoder.training


# what may be given


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
def test_an_array_in_gives_an_array_out_in_the_precision_of_the_model(dtype):
    model = variational()
    x = (3 * (np.random.default_rng(0).random((4, *SHAPE)) > 0.5)).astype(dtype)
    z = model.encode(x)
    assert (type(z), z.dtype, z.shape) == (np.ndarray, np.float32, (4, 2))
    assert type(model.decode(z)) is type(model.reconstruct(x)) is np.ndarray
    scale = 255 if dtype == np.uint8 else 1
    same = model.encode(torch.from_numpy(x.astype(np.float32) / scale))
    assert isinstance(same, Tensor)
    np.testing.assert_allclose(z, same.numpy(), rtol=1e-6)
    assert model.double().encode(x).dtype == np.float64


@pytest.mark.parametrize("array", [np.asarray, torch.from_numpy])
def test_eight_bit_pixels_are_divided_by_255(array):
    model = plain()
    x = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    expected = model.encode(torch.from_numpy(x / np.float32(255)))
    got = model.encode(array(x))
    np.testing.assert_allclose(np.asarray(got), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_eight_bit_zeros_and_ones_are_no_pixels_and_stay():
    model = plain()
    x = np.random.default_rng(0).integers(0, 2, (4, *SHAPE), dtype=np.uint8)
    np.testing.assert_array_equal(model.encode(x), model.encode(x.astype(np.float32)))


def test_channels_may_stand_last():
    model, x = plain(), torch.rand(4, *SHAPE)
    last = x.permute(0, 2, 3, 1)
    assert last.shape == (4, 4, 5, 3)
    assert model.encode(last).equal(model.encode(x))
    assert model.reconstruct(last).equal(model.reconstruct(x))
    np.testing.assert_array_equal(model.encode(last.numpy()), model.encode(x).numpy())


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ((1, 4, 5), (4, 5)),
        ((1, 4, 5), (4, 5, 1)),
        ((1, 4, 5), (20,)),
        ((20,), (20,)),
        ((3, 4, 5), (60,)),
        ((7,), (7, 1)),
    ],
)
def test_an_axis_of_one_or_a_flat_row_is_no_misfit(shape, given):
    model, x = plain(shape), torch.rand(2, *shape)
    assert model.encode(x.reshape(2, *given)).equal(model.encode(x))


def test_a_flat_code_is_given_its_shape():
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.conv((1, 8, 8), None, latent, likelihood, channels=(2, 3))
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(1, 8, 8))
    z = torch.rand(2, 3, 2, 2)
    assert model.code_shape == (3, 2, 2)
    assert model.decode(z.flatten(1)).equal(model.decode(z))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((2, 59), r"^The model takes examples of shape \(N, 3, 4, 5\), but was given \(2, 59\)\. Pass one row per exa"),
        ((2, 3, 4, 6), r"^The model takes examples of shape \(N, 3, 4, 5\), but was given \(2, 3, 4, 6\)\."),
        (SHAPE, r"^The model takes examples of shape \(N, 3, 4, 5\), but was given \(3, 4, 5\)\."),
        ((0, *SHAPE), r"^The model takes examples of shape \(N, 3, 4, 5\), but was given \(0, 3, 4, 5\)\."),
        ((), r"^The model takes examples of shape \(N, 3, 4, 5\), but was given \(\)\."),
        (
            (2, 3, 5, 4),
            r"^The model takes examples of shape \(3, 4, 5\), but was given \(3, 5, 4\), which has its axes in",
        ),
        ((2, 5, 4, 3), r"^The model takes examples .* which has its axes in another order\. Move the channels to"),
        ((2, 12, 5), r"^The model takes examples of shape \(3, 4, 5\), but was given \(12, 5\), which has its axes"),
    ],
)
def test_examples_of_another_shape_are_refused(given, message):
    model = plain()
    for ask in (model.encode, model.reconstruct):
        with pytest.raises(ShapeError, match=message):
            ask(torch.rand(given))
        with pytest.raises(ShapeError, match=message):
            ask(np.zeros(given, dtype=np.float32))


@pytest.mark.parametrize("given", [(2, 3), (2,), (0, 2)])
def test_codes_of_another_shape_are_refused(given):
    shape = ", ".join(map(str, given))
    message = rf"^The model takes codes of shape \(N, 2\), but was given \({shape},?\)\. Pass one row per code\.$"
    with pytest.raises(ShapeError, match=message):
        plain().decode(torch.rand(given))


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 4, 4)])
def test_a_cube_is_taken_as_it_comes(shape):
    model, x = plain(shape), torch.rand(4, *shape)
    assert model.encode(x).equal(model.posterior(x).mean.detach())


@pytest.mark.parametrize("kind", ["read-only", "reversed"])
def test_any_view_of_an_array_is_taken(kind):
    model = plain((5,))
    x = np.random.default_rng(0).random((4, 5), dtype=np.float32)
    expected = model.encode(x[::-1].copy() if kind == "reversed" else x)
    view = x[::-1] if kind == "reversed" else np.broadcast_to(x, x.shape)
    np.testing.assert_array_equal(model.encode(view), expected)


@pytest.mark.parametrize("dtype", [object, str, np.complex64])
def test_an_array_of_no_numbers_is_refused(dtype):
    with pytest.raises(IsthmusError):
        plain((5,)).encode(np.zeros((2, 5)).astype(dtype))


@pytest.mark.parametrize("dtype", [np.bool_, np.float16, np.uint16, np.int8, ">f4", ">f8", ">i2"])
def test_an_array_of_any_numbers_in_any_byte_order_is_taken(dtype):
    model, x = plain((5,)), np.tile(np.array([0, 1, 1, 0, 1]), (2, 1))
    np.testing.assert_array_equal(model.encode(x.astype(dtype)), model.encode(x.astype(np.float32)))


def test_an_array_of_extended_precision_is_taken():
    model, x = plain((5,)), np.ones((2, 5))
    np.testing.assert_array_equal(model.encode(x.astype(np.longdouble)), model.encode(x))


def test_a_model_that_has_met_no_data_takes_the_shape_that_comes():
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.linear((5,), 2, latent, likelihood)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood)
    assert (model.shape, model.code_shape) == (None, None)
    x = torch.rand(3, 5)
    assert model.reconstruct(x).shape == (3, 5)
    assert model.decode(model.encode(x)).equal(model.reconstruct(x))
    model.dry_run((5,))
    assert (model.shape, model.code_shape) == ((5,), (2,))


# samples


def test_samples_are_means_of_outputs_of_codes_from_the_prior():
    model = variational()
    torch.manual_seed(8)
    x = model.sample(6)
    torch.manual_seed(8)
    z = torch.randn(6, 2)
    assert x.shape == (6, *SHAPE)
    assert x.equal(model.decode(z))
    assert not x.requires_grad


def test_the_same_seed_gives_the_same_samples_and_leaves_the_global_generator_alone():
    model = variational()
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    one = model.sample(5, seed=1)
    assert torch.rand(3).equal(expected)
    assert model.sample(5, seed=1).equal(one)
    assert not model.sample(5, seed=2).equal(one)
    assert not model.sample(5).equal(model.sample(5))


def test_a_seed_is_given_back_also_after_an_error():
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)

    def fails() -> None:
        with seeded(3):
            torch.rand(1)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert torch.rand(3).equal(expected)


def test_a_model_without_a_prior_has_nothing_to_sample_from():
    message = r"^This autoencoder has no prior to sample codes from, because its objective does not use one\. Use a var"
    model = plain()
    with pytest.raises(IncompatibleParts, match=message):
        model.sample(2)
    assert not model.generative
    model.prior = StandardNormal()
    assert model.generative
    assert model.sample(2).shape == (2, *SHAPE)
    assert variational().generative


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_sample_is_refused(n):
    with pytest.raises(BadOption, match=rf"^The number of samples must be at least 1, but is {n}\.$"):
        variational().sample(n)


def test_sampling_before_any_data_is_refused():
    latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    pair = nets.linear((5,), 2, latent, likelihood)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood)
    model.prior = StandardNormal()
    with pytest.raises(
        ShapeError, match=r"^The shape of the code is unknown, because the model has not been fitted\. Fit it, or call "
    ):
        model.sample(1)


# the join


def parts(encoder: nn.Module, decoder: nn.Module) -> tuple[nn.Module, ...]:
    return encoder, decoder, latents.Gaussian(), likelihoods.Bernoulli()


class Odd(likelihoods.Bernoulli):
    """A likelihood that needs two features for each value, and uses the first."""

    def width(self, d: int) -> int:
        return 2 * d

    def forward(self, h: Tensor) -> torch.distributions.Distribution:
        return super().forward(h.chunk(2, 1)[0])


@pytest.mark.parametrize(
    ("encoder", "decoder", "likelihood", "message"),
    [
        (
            nn.Linear(7, 1),
            nn.Linear(1, 7),
            None,
            r"^The encoder and latent do not match their input of shape \(B, 7\): ",
        ),
        (
            nn.Linear(7, 5),
            nn.Linear(2, 7),
            None,
            r"^The encoder and latent do not match their input of shape \(B, 7\): ",
        ),
        (
            nn.Linear(6, 4),
            nn.Linear(2, 7),
            None,
            r"^The encoder and latent do not match their input of shape \(B, 7\): ",
        ),
        (
            nn.Linear(7, 4),
            nn.Linear(3, 7),
            None,
            r"^The decoder and likelihood do not match their input of shape \(B, 2\)",
        ),
        (
            nn.Linear(7, 2),
            nn.Linear(2, 7),
            None,
            r"^The decoder and likelihood do not match their input of shape \(B, 1\)",
        ),
        (
            nn.Linear(7, 4),
            nn.Linear(2, 6),
            None,
            r"^The decoder and likelihood produce examples of shape \(6,\), but the data has shape \(7,\)\. Set the ",
        ),
        (
            nn.Linear(7, 4),
            nn.Linear(2, 8),
            Odd(),
            r"produce examples of shape \(4,\), but the data has shape \(7,\)\. Set the",
        ),
        (nn.Conv2d(1, 4, 3), nn.Linear(2, 7), None, r"^The encoder and latent do not match their input"),
    ],
)
def test_parts_that_do_not_fit_are_refused_where_they_meet_in_one_sentence(encoder, decoder, likelihood, message):
    with pytest.raises(ShapeError, match=message) as caught:
        Autoencoder(encoder, decoder, latents.Gaussian(), likelihood or likelihoods.Bernoulli(), shape=(7,))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_reason_of_a_misfit_ends_in_one_full_stop():
    with pytest.raises(ShapeError, match=r"^[^.]*[^.](\.[^.]+)*\.$"):
        Autoencoder(*parts(nn.Linear(7, 1), nn.Linear(1, 7)), shape=(7,))


NARROW = """
from torch import nn
from isthmus import Autoencoder, latents, likelihoods
from isthmus.errors import ShapeError
try:
    Autoencoder(nn.Linear(7, 3), nn.Linear(2, 7), latents.Gaussian(), likelihoods.Bernoulli(), shape=(7,))
except ShapeError as error:
    print(error)
"""


def test_an_encoder_one_feature_too_narrow_is_refused_also_where_annotations_are_not_checked():
    done = subprocess.run([sys.executable, "-c", NARROW], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The encoder and latent do not match their input of shape (B, 7): ")


def test_parts_that_fit_are_joined_and_know_their_shapes():
    model = Autoencoder(*parts(nn.Linear(7, 4), nn.Linear(2, 7)), shape=(7,))
    assert (model.shape, model.code_shape) == ((7,), (2,))
    assert isinstance(model.corruption, Identity)
    assert model.training


@pytest.mark.parametrize(
    ("latent", "likelihood", "message"),
    [
        (nn.Identity(), likelihoods.Bernoulli(), r"^The latent must be .* in isthmus\.latents or .* is Identity\. "),
        (likelihoods.Bernoulli(), likelihoods.Bernoulli(), r"^The latent must be one .* but is Bernoulli\. Pass the"),
        (latents.Gaussian(), latents.Gaussian(), r"^The likelihood must be one of the parts in isthmus\.likeli"),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(latent, likelihood, message, monkeypatch):
    # without the checks of annotations in tests, which refuse such a part before the constructor does
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(IncompatibleParts, match=message):
        Autoencoder(nn.Linear(7, 4), nn.Linear(2, 7), latent, likelihood)


# precision


def test_networks_run_in_the_training_precision_and_heads_in_full():
    model, x = variational((5,)), torch.rand(4, 5)
    full = model.encode(x)
    seen = []
    model.encoder.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    model.autocast = torch.bfloat16
    low = model.encode(x)
    assert seen == [torch.bfloat16]
    assert low.dtype == torch.float32
    assert not low.equal(full)
    # bfloat16 keeps 8 bits: 2^-8 for each of the products of sums of 5 and 6 terms of order 1
    torch.testing.assert_close(low, full, rtol=0, atol=11 * 2**-8 * 2)


def test_codes_are_found_in_the_precision_that_is_asked_for_and_it_does_not_stay():
    model, x = variational((5,)), torch.rand(4, 5)
    seen = []
    model.encoder.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    full, low, again = model.encode(x), model.encode(x, precision=torch.bfloat16), model.encode(x)
    assert seen == [torch.float32, torch.bfloat16, torch.float32]
    assert (low.dtype, model.autocast) == (torch.float32, None)
    assert again.equal(full)
    assert not low.equal(full)
    with pytest.raises(ShapeError):
        model.encode(x[:, :3], precision=torch.bfloat16)
    assert model.autocast is None
