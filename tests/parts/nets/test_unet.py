"""A U-Net takes any size, keeps what is known, sees no further than its reach, and tiles give what the whole gives."""

import pytest
import torch

from isthmus import latents, likelihoods, zoo
from isthmus.errors import BadOption, IncompatibleParts, ShapeError
from isthmus.functional import interpolate_missing, noise_level
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.tiling import restored
from isthmus.parts.corruptions import CORRUPTIONS, Masking
from isthmus.parts.nets.patches import channels_to_space, cropped, padded, space_to_channels
from isthmus.parts.nets.unet import unet

SHAPES = [(1, 29, 31), (3, 64, 48), (1, 1, 1), (17, 5, 9), (2, 50), (1, 1)]


def model_of(shape: tuple[int, ...], **changes: object) -> Autoencoder:
    """A U-Net with random weights in all layers, those that start at zero too."""
    torch.manual_seed(0)
    latent, likelihood = latents.Deterministic(), likelihoods.Gaussian()
    pair = unet(
        shape, None, latent, likelihood, **{"channels": (4, 6), "residual_blocks": 1, "activation": "tanh"} | changes
    )
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=shape).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_and_number_of_channels(shape: tuple[int, ...]) -> None:
    objective = zoo.recipe("denoiser").with_options({"net.channels": (4, 6, 8)}).build(shape)
    x = torch.rand(3, *shape)
    # the last layer starts at zero: the untrained net gives its input
    torch.testing.assert_close(objective.model.reconstruct(x), x)
    assert objective(x).total.isfinite()


@pytest.mark.parametrize("axes", [1, 2])
def test_patches_as_channels_and_back(axes: int) -> None:
    h = torch.rand(2, 3, *[12, 8][:axes])
    folded = space_to_channels(h, 4)
    assert channels_to_space(folded, 4).equal(h)
    if axes == 2:
        assert folded.equal(torch.nn.functional.pixel_unshuffle(h, 4))
    assert cropped(padded(h[..., :-1], 4), h[..., :-1].shape[2:]).equal(h[..., :-1])


def test_known_values_are_kept_where_others_are_missing_and_only_there() -> None:
    model, x = model_of((2, 16, 16)), torch.rand(4, 2, 16, 16, dtype=torch.float64)
    holes = torch.rand_like(x) < 0.4
    holes[0] = False
    out = model.reconstruct(x.masked_fill(holes, torch.nan))
    assert out.isfinite().all()
    kept = ~holes[1:]
    assert out[1:][kept].equal(x[1:][kept])
    assert not out[0].isclose(x[0]).any()
    assert not out[1:][~kept].isclose(interpolate_missing(x.masked_fill(holes, torch.nan))[1:][~kept]).any()


@pytest.mark.parametrize("change", [{}, {"channels": (4,), "patch": 4}, {"channels": (3, 3, 3), "patch": 1}])
def test_no_value_reaches_further_than_stated_and_some_nearly_as_far(change: dict[str, object]) -> None:
    model = model_of((1, 8, 8), **change)
    reach, side = model.encoder.reach, 2 * model.encoder.reach + 64
    model.decoder.size = None
    found = []
    for at in range(side // 2, side // 2 + model.encoder.stride):
        x = torch.zeros(1, 1, 1, side, dtype=torch.float64).requires_grad_()
        rows = x.expand(1, 1, model.encoder.stride, side)
        model.output(model.posterior(rows).mean).mean[0, 0, 0, at].backward()
        where = x.grad.flatten().nonzero().flatten() - at
        found.append(int(where.abs().max()))
    assert reach - 2 * model.encoder.stride <= max(found) <= reach


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("noise_input", [False, True])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 100)])
def test_tiles_give_what_the_whole_gives(shape: tuple[int, ...], flips: bool, noise_input: bool) -> None:
    model = model_of(shape, noise_input=noise_input)
    x = torch.rand(2, shape[0], *[203, 141][: len(shape) - 1], dtype=torch.float64)
    fractions: list[float] = []
    whole = restored(model, x, flips=flips, tile=1000)
    tiled = restored(model, x, flips=flips, tile=24, progress=fractions.append)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)
    assert len(fractions) > 4
    assert fractions[-1] == 1
    # the size that the net was built for is an ordinary one
    own = torch.rand(1, *shape, dtype=torch.float64)
    once = [model.reconstruct(v) for v in (own, own.flip(-1))]
    mean = (once[0] + once[1].flip(-1)) / 2
    torch.testing.assert_close(restored(model, own, flips=flips), mean if flips else once[0])


def test_the_noise_level_that_is_told_replaces_the_estimate_of_each_example() -> None:
    model = model_of((1, 16, 16), noise_input=True)
    x = 0.1 * torch.randn(2, 1, 16, 16, dtype=torch.float64)
    x[1] *= 5
    estimated = restored(model, x)
    for example, level in enumerate(noise_level(x).tolist()):
        one = restored(model, x[example : example + 1], noise=level)
        torch.testing.assert_close(one[0], estimated[example])
    assert not restored(model, x, noise=0.3).allclose(estimated, atol=1e-3)
    # a net without that channel does not look
    blind = model_of((1, 16, 16))
    assert restored(blind, x, noise=0.3).equal(restored(blind, x))


def test_what_a_unet_cannot_take_is_refused() -> None:
    parts = (latents.Deterministic(), likelihoods.Gaussian())
    with pytest.raises(ShapeError, match=r"data\.shape=28,28"):
        unet((5,), None, *parts)
    with pytest.raises(BadOption, match=r"latent\.size is 3"):
        unet((1, 8, 8), 3, *parts)
    with pytest.raises(BadOption, match=r"net\.patch"):
        unet((1, 8, 8), None, *parts, patch=3)
    with pytest.raises(IncompatibleParts, match=r"latent\.kind=deterministic"):
        unet((1, 8, 8), None, latents.Gaussian(), likelihoods.Gaussian())
    with pytest.raises(IncompatibleParts, match=r"net\.kind=unet"):
        restored(zoo.recipe("conv").build((1, 8, 8)).model, torch.rand(1, 1, 9, 9))


@pytest.mark.parametrize("shape", [(2, 40), (2, 9, 11)])
def test_planes_are_continued_into_holes_and_beyond(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    axes = torch.meshgrid(*(torch.arange(float(side)).double() for side in shape[1:]), indexing="ij")
    plane = sum((number + 1) * axis / 30 for number, axis in enumerate(axes)).expand(3, *shape)
    holes = torch.rand(3, *shape) < 0.6
    holes[:, :, -1] = True
    found = interpolate_missing(plane.masked_fill(holes, torch.nan), iterations=2000)
    torch.testing.assert_close(found, plane, rtol=0, atol=2e-3)
    assert found[~holes].equal(plane[~holes])


def test_the_interpolation_has_the_least_bending_energy() -> None:
    torch.manual_seed(0)
    x, holes = torch.rand(1, 1, 6, 7, dtype=torch.float64), torch.rand(1, 1, 6, 7) < 0.5

    def energy(u: torch.Tensor) -> torch.Tensor:
        down, across, mixed = u.diff(n=2, dim=2), u.diff(n=2, dim=3), u.diff(dim=2).diff(dim=3)
        return down.square().sum() + across.square().sum() + 2 * mixed.square().sum()

    # solved exactly: the energy is a quadratic form of the missing values
    free = holes.flatten().nonzero().flatten()

    def of(values: torch.Tensor) -> torch.Tensor:
        return energy(x.flatten().index_put((free,), values).reshape(x.shape))

    zero = torch.zeros(len(free), dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(of, zero)
    hessian = torch.autograd.functional.hessian(of, zero)
    exact = x.flatten().index_put((free,), torch.linalg.solve(hessian, -gradient)).reshape(x.shape)
    torch.testing.assert_close(interpolate_missing(x, holes), exact, rtol=0, atol=1e-3)


def test_without_known_values_the_interpolation_is_zero_and_without_missing_ones_nothing_changes() -> None:
    x = torch.full((1, 2, 4, 4), torch.nan)
    x[0, 1] = torch.rand(4, 4)
    found = interpolate_missing(x)
    assert found[0, 0].eq(0).all()
    assert found[0, 1].equal(x[0, 1])
    whole = torch.rand(1, 1, 3)
    assert interpolate_missing(whole) is whole


def test_masked_values_can_be_missing() -> None:
    x = torch.rand(50, 1, 4, 4)
    x_in, mask, _ = Masking(0.5, as_missing=True)(x)
    assert x_in.isnan().equal(mask)
    assert x_in[~mask].equal(x[~mask])
    assert "degradation" in CORRUPTIONS
