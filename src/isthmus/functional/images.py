r"""Images: structural similarity and sharpness; translation of images and sequences."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from isthmus.errors import ShapeError


def ssim(
    x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"], *, window: int = 11, sigma: float = 1.5
) -> Float[Tensor, " B"]:
    r"""Structural similarity (SSIM) of images in [0, 1], shape (B,); at most 1, and 1 for equal images.

    .. math:: \frac{(2\mu_x\mu_y + C_1)(2\sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},
              \quad C_1 = 0.01^2,\ C_2 = 0.03^2

    with means, variances and covariance under a Gaussian window, averaged over all positions of the window inside the
    image, and over channels. For images smaller than the window, the window is reduced along each axis to the largest
    odd width that fits, with weights that sum to 1.

    Args:
        x: images.
        y: images to compare with ``x``.
        window: width of the window in pixels, odd.
        sigma: standard deviation of the weights of the window, in pixels.

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


def shifted(x: Float[Tensor, "B *D"], by: Int[Tensor, "B axes"]) -> Float[Tensor, "B *D"]:
    """Examples translated by integers along their last axes; new values are 0.

    Args:
        x: images (B, C, H, W), sequences (B, C, T), or frames.
        by: for each example (down, right) in pixels, or (later,) in steps.

    >>> shifted(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[0, 1]])).tolist()
    [[[[0.0, 1.0]]]]
    """
    for column, axis in enumerate(range(x.ndim - by.shape[1], x.ndim)):
        side = x.shape[axis]
        # index of the source along the axis
        index = torch.arange(side, device=x.device) - by[:, column, None]
        inside = (index >= 0) & (index < side)
        shape = [len(x), *[1] * (x.ndim - 1)]
        shape[axis] = side
        source = index.clamp(0, side - 1).reshape(shape).expand_as(x)
        # not a product, as missing values (NaN) times 0 would enter at the edge
        x = torch.where(inside.reshape(shape), x.gather(axis, source), 0.0)
    return x


def sharpness(x: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    r"""Sharpness of images: variance of the Laplacian, in squared units of the pixels, shape (B,).

    .. math:: \mathrm{var}_{ij} \left(x_{i-1,j} + x_{i+1,j} + x_{i,j-1} + x_{i,j+1} - 4 x_{ij}\right)

    over all pixels with four neighbors, where x is the mean over channels. Noise increases the value too, so compare it
    with that of the data.

    Args:
        x: images of at least 3x3 pixels.

    Raises:
        ShapeError: smaller images.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018), section 4

    >>> sharpness(torch.eye(4)[None, None]).item()  # inside it: -4, 2, 2, -4
    9.0
    """
    if min(x.shape[-2:]) < 3:
        raise ShapeError(
            f"The Laplacian requires images of at least 3x3 pixels, but they have {x.shape[-2]}x{x.shape[-1]}. Pass "
            "larger images."
        )
    gray = x.mean(1)
    across, down = gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:], gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1]
    return (across + down - 4 * gray[:, 1:-1, 1:-1]).flatten(1).var(1, correction=0)


def _weights(width: int, sigma: float, like: Tensor) -> Float[Tensor, " width"]:
    """Gaussian weights over ``width`` pixels that sum to 1."""
    offsets = torch.arange(width, dtype=like.dtype, device=like.device) - (width - 1) / 2
    values = torch.exp(-0.5 * (offsets / sigma).square())
    return values / values.sum()
