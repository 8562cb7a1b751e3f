r"""Images: structural similarity and sharpness; translation of images and sequences."""

from typing import Literal

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


Edges = Literal["zero", "reflect", "wrap"]
"""What a shift brings in."""


def shifted(x: Float[Tensor, "B *D"], by: Int[Tensor, "B axes"], *, edges: Edges = "zero") -> Float[Tensor, "B *D"]:
    """Examples translated by integers along their last axes.

    Args:
        x: images (B, C, H, W), sequences (B, C, T), or frames.
        by: for each example (down, right) in pixels, or (later,) in steps.
        edges: what new values are: ``zero``; ``reflect``, the mirror image of those behind the edge; or ``wrap``, those
            that leave at the opposite edge, so that every value is there once.

    >>> x, right = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[0, 1]])
    >>> [shifted(x, right, edges=edges).flatten().tolist() for edges in ("zero", "reflect", "wrap")]
    [[0.0, 1.0, 2.0], [2.0, 1.0, 2.0], [3.0, 1.0, 2.0]]
    """
    for column, axis in enumerate(range(x.ndim - by.shape[1], x.ndim)):
        side = x.shape[axis]
        # index of the source along the axis
        index = torch.arange(side, device=x.device) - by[:, column, None]
        if edges == "wrap":
            index = index.remainder(side)
        elif edges == "reflect" and side > 1:
            # the edge itself is not repeated
            index = index.remainder(2 * side - 2)
            index = torch.minimum(index, 2 * side - 2 - index)
        inside = (index >= 0) & (index < side) | (edges != "zero")
        shape = [len(x), *[1] * (x.ndim - 1)]
        shape[axis] = side
        source = index.clamp(0, side - 1).reshape(shape).expand_as(x)
        # not a product, as missing values (NaN) times 0 would enter at the edge
        x = torch.where(inside.reshape(shape), x.gather(axis, source), 0.0)
    return x


def affine(
    x: Float[Tensor, "B *C H W"], angle: Float[Tensor, " B"], scale: Float[Tensor, " B"]
) -> Float[Tensor, "B *C H W"]:
    """Images rotated about their center and enlarged, with bicubic interpolation between pixels.

    What lies beyond an edge is the mirror image of what lies before it. Values stay between the lowest and the highest
    one of each image. Where values are missing, NaN, the nearest pixel is taken instead.

    Args:
        x: images or frames.
        angle: rotation of each image in degrees, counterclockwise.
        scale: factor of each image; above 1 it is enlarged.

    >>> x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> affine(x, torch.tensor([90.0]), torch.ones(1)).round().tolist()
    [[[[2.0, 4.0], [1.0, 3.0]]]]
    """
    height, width = x.shape[-2:]
    flat, radians, scale = x.flatten(1, -3), torch.deg2rad(angle.to(x)), scale.to(x)
    cos, sin = radians.cos() / scale, radians.sin() / scale
    zero = torch.zeros_like(cos)
    # from places of the output to those of the input, where each side is 2 long
    rows = [[cos, -sin * height / width, zero], [sin * width / height, cos, zero]]
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = torch.nn.functional.affine_grid(matrix, list(flat.shape), align_corners=False)
    how = "nearest" if flat.isnan().any() else "bicubic"
    made = torch.nn.functional.grid_sample(flat, grid, how, "reflection", align_corners=False)
    if how == "bicubic":
        # between pixels it overshoots
        lowest, highest = (edge[:, None, None, None] for edge in flat.flatten(1).aminmax(dim=1))
        made = made.clamp(lowest, highest)
    return made.view_as(x)


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


def power_spectrum(x: Float[Tensor, "B C H W"], *, bands: int = 16) -> tuple[Float[Tensor, " K"], Float[Tensor, "B K"]]:
    r"""Power of images by spatial frequency, averaged over all directions.

    .. math:: P(k) = \frac{1}{HW}\,\overline{|\hat x(u, v)|^2}, \quad k \le \sqrt{u^2 + v^2} < k + \Delta

    of the mean over channels, whose own mean is subtracted. An image that is blurred has less power at high
    frequencies; white noise of variance v has power v at all of them.

    Args:
        x: images.
        bands: number of equally wide bands from 0 to 1/2 cycle per pixel.

    Returns:
        The middle of each band in cycles per pixel, and the power of each image in it, in squared units of the pixels.
        Bands without a frequency are left out.

    References:
        Relations between the statistics of natural images and the response properties of cortical cells (Field, 1987)

    >>> frequencies, power = power_spectrum(torch.randn(500, 1, 16, 16), bands=4)
    >>> frequencies.tolist(), bool((power.mean(0) - 1).abs().max() < 0.1)
    ([0.0625, 0.1875, 0.3125, 0.4375], True)
    """
    gray = x.mean(1)
    gray = gray - gray.mean((1, 2), keepdim=True)
    high, wide = gray.shape[1:]
    power = torch.fft.fft2(gray).abs().square() / (high * wide)
    down, across = (torch.fft.fftfreq(side, dtype=x.dtype, device=x.device) for side in (high, wide))
    radius = (down[:, None].square() + across.square()).sqrt().flatten()
    band = (radius * 2 * bands).floor().long()
    # the mean is not a frequency, and corners beyond 1/2 exist along diagonals only
    inside = (radius > 0) & (band < bands)
    counts = torch.bincount(band[inside], minlength=bands)
    sums = torch.zeros(len(x), bands, dtype=power.dtype, device=x.device)
    sums.index_add_(1, band[inside], power.flatten(1)[:, inside])
    middles = (torch.arange(bands, dtype=x.dtype, device=x.device) + 0.5) / (2 * bands)
    return middles[counts > 0], (sums / counts.clamp(min=1))[:, counts > 0]


def noise_level(x: Float[Tensor, "B C *S"]) -> Float[Tensor, " B"]:
    r"""Standard deviation of the noise in images or sequences, estimated from each one, shape (B,), in their units.

    .. math:: \hat\sigma = \frac{\mathrm{median}\,|\Delta|}{0.6745\,\lVert d \rVert}

    where :math:`\Delta` is the second difference along every axis (weights d: 1, -2, 1, and their products), in which
    smooth images vanish and noise remains; the median ignores edges. Fine texture counts as noise, and noise that was
    clipped at black or white counts less. Differences that a missing value (NaN) enters are left out; 0 without any.

    Args:
        x: images (B, C, H, W) or sequences (B, C, T).

    References:
        Fast noise variance estimation (Immerkaer, 1996), whose mean of squares the median replaces

    >>> round(noise_level(0.1 * torch.randn(1, 1, 200, 200)).item(), 2)
    0.1
    """
    norm = 1.0
    for axis in range(2, x.ndim):
        # an axis that is too short has no second difference
        if x.shape[axis] > 2:
            x, norm = x.diff(n=2, dim=axis), norm * 6**0.5
    return (x.abs().flatten(1).nanmedian(1).values / (0.6745 * norm)).nan_to_num(0.0)


def _weights(width: int, sigma: float, like: Tensor) -> Float[Tensor, " width"]:
    """Gaussian weights over ``width`` pixels that sum to 1."""
    offsets = torch.arange(width, dtype=like.dtype, device=like.device) - (width - 1) / 2
    values = torch.exp(-0.5 * (offsets / sigma).square())
    return values / values.sum()
