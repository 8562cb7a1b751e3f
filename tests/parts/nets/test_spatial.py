"""The spatial autoencoder's pair: points of frames, blocks of pixels, and the temperature that comes from data."""

import math

import pytest
import torch
import torch.nn.functional as F

from isthmus.errors import BadOption, IncompatibleParts, ShapeError
from isthmus.functional import expected_points
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import LikelihoodPart
from isthmus.parts.latents import Deterministic, Gaussian
from isthmus.parts.likelihoods import LIKELIHOODS
from isthmus.parts.likelihoods import Gaussian as GaussianOutput
from isthmus.parts.nets import spatial
from isthmus.parts.penalties import Separation, Slowness
from isthmus.parts.protocols import Trace


def pair(shape=(3, 20, 24), size=8, latent=None, likelihood=None, **options):
    return spatial(shape, size, latent or Deterministic(), likelihood or GaussianOutput(), **options)


def test_the_code_is_the_points_of_the_attention():
    made, x = pair(), torch.rand(2, 3, 20, 24)
    points = expected_points(made.encoder.attention(x))
    assert points.shape == (2, 4, 2)
    assert made.encoder(x).equal(points.flatten(1))
    assert points.abs().max() <= 1


@pytest.mark.parametrize("latent", [Deterministic(), Gaussian()])
@pytest.mark.parametrize("likelihood", ["gaussian", "pixel_gaussian"])
@pytest.mark.parametrize("gray", [False, True])
def test_a_window_is_encoded_and_decoded_frame_by_frame(latent, likelihood, gray):
    p = LikelihoodPart(kind=likelihood).make(shape=(9,))
    torch.manual_seed(0)
    window = pair((5, 3, 20, 24), latent=latent, likelihood=p, gray=gray)
    torch.manual_seed(0)
    single = pair(latent=latent, likelihood=p, gray=gray)
    x = torch.rand(2, 5, 3, 20, 24)
    z = latent(window.encoder(x)).mean
    assert z.shape == (2, 8, 5)
    y = p(window.decoder(z))
    for t in range(5):
        torch.testing.assert_close(z[..., t], latent(single.encoder(x[:, t])).mean)
        own = p(single.decoder(z[..., t]))
        torch.testing.assert_close(y.mean[:, t], own.mean)
        torch.testing.assert_close(y.variance[:, t], own.variance)


@pytest.mark.parametrize(("size", "resolution"), [((20, 24), 8), ((7, 5), 3), ((9, 30), 10), ((8, 8), 100)])
def test_pixels_of_a_block_are_equal_and_the_output_has_the_size_of_the_image(size, resolution):
    made = pair((2, *size), resolution=resolution)
    y = made.decoder(torch.rand(3, 8))
    assert y.shape == (3, 2, *size)
    block = made.decoder.block
    assert max(made.decoder.small) <= resolution
    corner = y[..., :block, :block]
    assert (corner == corner[..., :1, :1]).all()


def test_comparing_with_all_pixels_has_the_gradient_of_comparing_with_the_mean_of_each_block_and_of_the_channels():
    made, x, z = pair((3, 6, 6), size=2, hidden=(), resolution=2, gray=True), torch.rand(4, 3, 6, 6), torch.rand(4, 2)
    weight = made.decoder.layers[0].weight
    (full,) = torch.autograd.grad((x - made.decoder(z)).square().sum(), weight)
    mean = F.avg_pool2d(x, 3).mean(1, keepdim=True)
    small = F.avg_pool2d(made.decoder(z), 3).mean(1, keepdim=True)
    (pooled,) = torch.autograd.grad(27 * (mean - small).square().sum(), weight)
    torch.testing.assert_close(full, pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_the_temperature_is_set_so_that_attention_is_neither_flat_nor_on_one_position(scale):
    encoder = pair(init="small").encoder
    x = scale * torch.rand(10, 3, 20, 24)
    before = encoder.attention(x)
    encoder.init_from_data(x)
    spread = (encoder.maps(x) / encoder.temperature).flatten(-2).std(-1).mean().item()
    assert spread == pytest.approx(3.0, rel=1e-4)
    assert encoder.attention(x).amax() > 2 * before.amax()


def test_a_background_that_does_not_change_draws_no_attention():
    encoder, x, background = pair().encoder, torch.rand(40, 3, 20, 24), 5 * torch.rand(3, 20, 24)
    encoder.init_from_data(x)
    before = encoder(x)
    encoder.init_from_data(x + background)
    torch.testing.assert_close(encoder(x + background), before, rtol=1e-3, atol=1e-3)
    plain = pair(subtract_mean=False).encoder
    plain.init_from_data(x)
    assert "mean" not in plain.state_dict()
    assert (plain(x + background) - plain(x)).abs().max() > 0.1


def test_the_mean_image_is_that_of_all_frames_of_windows():
    encoder, x = pair((5, 3, 20, 24)).encoder, torch.rand(6, 5, 3, 20, 24)
    encoder.init_from_data(x)
    torch.testing.assert_close(encoder.mean, x.mean((0, 1)))


def test_positions_keep_their_precision_where_convolutions_are_in_bfloat16():
    encoder = pair((1, 16, 16), size=2, channels=[2]).encoder
    x = torch.rand(50, 1, 16, 16)
    encoder.init_from_data(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder.maps(x).dtype == torch.bfloat16
        points, attention = encoder(x), encoder.attention(x)
    assert points.dtype == torch.float32
    torch.testing.assert_close(points, expected_points(attention).flatten(1), rtol=0, atol=1e-6)


def test_points_reach_the_border():
    encoder = pair((1, 16, 16), size=2, channels=[2]).encoder
    with torch.no_grad():
        for p in encoder.parameters():
            p.zero_()
        # a map that is its input
        encoder.convolutions[0].weight[0, 0, 3, 3] = encoder.convolutions[2].weight[0, 0, 2, 2] = 1
    x = torch.zeros(1, 1, 16, 16)
    x[..., 0, 0] = 1e4
    torch.testing.assert_close(encoder(x)[0], torch.tensor([-1 + 1 / 8, -1 + 1 / 8]))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"size": 5}, BadOption, "latent.size=5 is odd, but each point has two coordinates. Set latent.size=6"),
        ({"size": None}, BadOption, "latent.size is not set"),
        ({"shape": (7,)}, ShapeError, "windows of frames"),
        ({"shape": (3, 50)}, ShapeError, "windows of frames"),
        ({"channels": []}, BadOption, "net.channels is empty"),
        ({"resolution": 0}, BadOption, "net.resolution must be at least 1"),
        ({"hidden": [0]}, BadOption, "net.hidden must be at least 1"),
    ],
)
def test_what_it_cannot_make_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        pair(**arguments)


def model() -> Autoencoder:
    made, likelihood = pair(), GaussianOutput()
    return Autoencoder(made.encoder, made.decoder, Deterministic(), likelihood, shape=(3, 20, 24))


def trace_of(z: torch.Tensor) -> Trace:
    q = Deterministic()(z)
    return Trace(z, z, q, z, q)


def test_slowness_is_the_squared_acceleration_and_zero_for_constant_velocity():
    z = torch.randn(3, 4, 6, dtype=torch.float64)
    by_hand = sum(((z[..., t + 2] - z[..., t + 1]) - (z[..., t + 1] - z[..., t])).square().sum(1) for t in range(4))
    torch.testing.assert_close(Slowness()(model(), trace_of(z)), by_hand)
    steady = torch.randn(3, 4, 1) + torch.arange(5) * torch.randn(3, 4, 1)
    assert Slowness()(model(), trace_of(steady)).abs().max() < 1e-8


def test_separation_is_high_for_points_that_move_alike_wherever_they_are():
    torch.manual_seed(0)
    path, other = torch.randn(50, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    together = torch.cat([path, path + 5.0], 1)
    assert Separation()(model(), trace_of(together)).item() == pytest.approx(1)
    apart = torch.cat([path, other], 1)
    difference = (path - path.mean(0) - other + other.mean(0)).square().sum(1).mean()
    expected = math.exp(-difference / (2 * 0.5**2))
    assert Separation(scale=0.5)(model(), trace_of(apart)).item() == pytest.approx(expected)
    three = torch.cat([path, path, path], 1)
    assert Separation()(model(), trace_of(three)).item() == pytest.approx(3)


def test_separation_of_windows_is_that_of_their_frames():
    z = torch.randn(4, 6, 3, dtype=torch.float64)
    frames = z.movedim(1, -1).flatten(0, 1)
    found = [Separation()(model(), trace_of(codes)).item() for codes in (z, frames)]
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 4, 3, 3)])
def test_separation_needs_pairs_of_coordinates(shape):
    with pytest.raises(IncompatibleParts, match=r"penalty separation compares points.*net\.kind=spatial"):
        Separation()(model(), trace_of(torch.zeros(shape)))


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 2), (2, 4, 3, 3)])
def test_slowness_needs_three_frames(shape):
    with pytest.raises(IncompatibleParts, match=r"data\.window=3"):
        Slowness()(model(), trace_of(torch.zeros(shape)))


def test_every_likelihood_has_a_mean_for_every_pixel():
    for kind in LIKELIHOODS:
        options = {"levels": 4} if kind in ("categorical", "discretized_logistics") else {}
        p = LikelihoodPart(kind=kind, **options).make(shape=(3, 8, 9))
        for shape in ((3, 8, 9), (4, 3, 8, 9)):
            p = LikelihoodPart(kind=kind, **options).make(shape=shape)
            made = spatial(shape, 4, Deterministic(), p)
            assert p(made.decoder(made.encoder(torch.rand(2, *shape)))).mean.shape == (2, *shape)
