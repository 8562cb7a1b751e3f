"""Every pixel is predicted without itself, and combined with its noisy value by the variances of both."""

import pytest
import torch

from isthmus import zoo
from isthmus.functional import interpolate_missing, noise_level
from isthmus.models.blind_spots import restored_blindly


def untrained(shape: tuple[int, ...]):
    """A net whose last layer is still zero: it predicts hidden pixels by interpolation."""
    return zoo.blind_spot_denoiser(channels=(4, 4)).build(shape).model


@pytest.mark.parametrize("shape", [(2, 12, 9), (1, 21)])
@pytest.mark.parametrize("noise", [0.2, None])
def test_the_prediction_and_its_weight_are_those_by_hand(shape: tuple[int, ...], noise: float | None) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, *shape)
    predicted = torch.empty_like(x)
    axes = len(shape) - 1
    places = torch.cartesian_prod(*[torch.arange(4)] * axes).reshape(-1, axes).tolist()
    for place in places:
        where = (..., *(slice(start, None, 4) for start in place))
        hidden = x.clone()
        hidden[where] = torch.nan
        predicted[where] = interpolate_missing(hidden)[where]
    found = restored_blindly(untrained(shape), x, noise=noise)
    for example, level in enumerate(noise_level(x) if noise is None else [torch.tensor(noise)] * 2):
        error = (x[example] - predicted[example]).square().mean()
        v = (error - level.square()).clamp(min=0)
        expected = (v * x[example] + level.square() * predicted[example]) / (v + level.square())
        torch.testing.assert_close(found[example], expected, rtol=1e-4, atol=1e-4)


def test_without_noise_an_image_stays_as_it_is_and_with_much_its_own_values_do_not_count() -> None:
    torch.manual_seed(0)
    x, fractions = torch.rand(1, 1, 8, 8), list[float]()
    model = untrained((1, 8, 8))
    torch.testing.assert_close(restored_blindly(model, x, noise=0.0), x)
    first = restored_blindly(model, x, noise=10.0, progress=fractions.append)
    x[0, 0, 3, 3] += 0.5
    second = restored_blindly(model, x, noise=10.0)
    assert first[0, 0, 3, 3].item() == pytest.approx(second[0, 0, 3, 3].item(), abs=1e-6)
    assert (first - second).abs().max() > 0.01
    assert len(fractions) == 16
    assert fractions[-1] == 1
