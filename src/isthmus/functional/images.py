r"""Pictures: how like two of them are to an eye that sees structure, and the same picture moved."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def ssim(
    x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"], *, window: int = 11, sigma: float = 1.5
) -> Float[Tensor, " B"]:
    r"""Structural similarity of images in [0, 1], at most 1; 1 exactly where they are equal.

    .. math:: \frac{(2\mu_x\mu_y + C_1)(2\sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},
              \quad C_1 = 0.01^2,\ C_2 = 0.03^2

    with means, variances and covariance under a Gaussian window, averaged over all places where the window lies
    inside the image, and over channels. On an image smaller than the window the window is cut, along each side, to
    the largest odd width that fits, and its weights still sum to 1.

    Args:
        x: images.
        y: images to compare with them.
        window: width of the window in pixels, odd.
        sigma: standard deviation of the window's weights, in pixels.

    References:
        Image quality assessment: from error visibility to structural similarity (Wang et al., 2004), section III.B

    >>> x = torch.rand(2, 1, 16, 16)
    >>> ssim(x, x).tolist()
    [1.0, 1.0]
    """
    high, wide = x.shape[-2:]
    down, across = (_weights(min(window, side - 1 + side % 2), sigma, x) for side in (high, wide))
    maps = torch.stack([x, y, x * x, y * y, x * y]).reshape(-1, 1, high, wide)
    local = F.conv2d(F.conv2d(maps, down[None, None, :, None]), across[None, None, None, :])
    mean_x, mean_y, xx, yy, xy = local.reshape(5, *x.shape[:2], *local.shape[-2:])
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x.square() + yy - mean_y.square() + c2)
    similarity: Tensor = luminance * structure
    return similarity.flatten(1).mean(1)


def shifted(x: Float[Tensor, "B C H W"], by: Int[Tensor, "B 2"]) -> Float[Tensor, "B C H W"]:
    """Images moved by whole pixels, each by its own (down, right); what comes in from outside is 0.

    >>> shifted(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[0, 1]])).tolist()
    [[[[0.0, 1.0]]]]
    """
    high, wide = x.shape[-2:]
    most = int(by.abs().max())
    wider = F.pad(x, (most, most, most, most))
    out = torch.empty_like(x)
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            rows = ((by[:, 0] == down) & (by[:, 1] == right)).nonzero()[:, 0]
            if len(rows):
                moved = wider[:, :, most - down : most - down + high, most - right : most - right + wide]
                out[rows] = moved[rows]
    return out


def _weights(width: int, sigma: float, like: Tensor) -> Float[Tensor, " width"]:
    """Gaussian weights over ``width`` pixels that sum to 1."""
    places = torch.arange(width, dtype=like.dtype, device=like.device) - (width - 1) / 2
    values = torch.exp(-0.5 * (places / sigma).square())
    return values / values.sum()
