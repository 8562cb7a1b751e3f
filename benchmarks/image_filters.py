"""Classical filters for noise and for missing pixels, with the strengths that each is tried with.

Images are arrays (N, H, W) or (N, H, W, 3) in [0, 1], with NaN where a pixel is missing.
"""

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator, griddata
from scipy.ndimage import median_filter
from scipy.signal import wiener
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, inpaint_biharmonic

Images = npt.NDArray[np.float32]
Restorer = Callable[[Images], Images]
Choices = dict[str, Restorer]
"""The strengths of a filter by name."""

NEIGHBORS = 24
"""Pixels that a thin-plate spline is fitted to around each missing one."""


def each(restore: Callable[..., npt.NDArray[np.floating]], **options: object) -> Restorer:
    """A filter of one image, applied to all."""
    return lambda images: np.stack([restore(image, **options) for image in images]).astype(np.float32)


def _linear(image: Images) -> Images:
    """Linear interpolation between known pixels; the nearest one outside their convex hull."""
    holes, known = np.isnan(image), ~np.isnan(image)
    found = [griddata(np.argwhere(known), image[known], np.argwhere(holes), method=m) for m in ("linear", "nearest")]
    whole = image.copy()
    whole[holes] = np.where(np.isnan(found[0]), found[1], found[0])
    return whole


def _biharmonic(image: Images) -> Images:
    holes = np.isnan(image)
    return inpaint_biharmonic(np.nan_to_num(image), holes)


def _spline(image: Images) -> Images:
    holes, known = np.isnan(image), ~np.isnan(image)
    spline = RBFInterpolator(np.argwhere(known), image[known], neighbors=NEIGHBORS, kernel="thin_plate_spline")
    whole = image.copy()
    whole[holes] = spline(np.argwhere(holes))
    return whole


def _bm3d(image: Images, sigma: float) -> Images:
    import bm3d

    return (bm3d.bm3d if image.ndim == 2 else bm3d.bm3d_rgb)(image, sigma)


def _by_channel(restore: Callable[..., npt.NDArray[np.floating]], image: Images, **options: object) -> Images:
    """A filter of gray images, applied to each channel."""
    if image.ndim == 2:
        return restore(image, **options)
    return np.stack([restore(image[..., c], **options) for c in range(image.shape[-1])], -1)


def noise_filters(sigma: float, *, color: bool = False, quick: bool = False) -> dict[str, Choices]:
    """Filters for Gaussian noise of a known standard deviation, by name."""
    axis = -1 if color else None
    windows = ((5, 6),) if quick else ((3, 7), (5, 6), (7, 11))
    factors = (1.0,) if quick else (0.85, 0.9, 0.95, 1.0, 1.05)
    found: dict[str, Choices] = {
        "median": {f"size={n}": each(partial(_by_channel, median_filter), size=n) for n in (3, 5)},
        "Wiener": {f"size={n}": each(partial(_by_channel, wiener), mysize=n) for n in (3, 5, 7)},
        "total variation": {
            f"weight={w:.3g}": each(denoise_tv_chambolle, weight=w, channel_axis=axis)
            for w in (0.7 * sigma, 0.9 * sigma, 1.1 * sigma, 1.3 * sigma)
        },
        "non-local means": {
            f"h={h:.3g}, patch={p}, distance={d}": each(
                denoise_nl_means, h=h, sigma=sigma, patch_size=p, patch_distance=d, fast_mode=False, channel_axis=axis
            )
            for h, (p, d) in product((0.6 * sigma, 0.8 * sigma, sigma, 1.2 * sigma), windows)
        },
    }
    try:
        import bm3d  # noqa: F401
    except ImportError:
        print("  BM3D is left out: pip install bm3d", flush=True)
        return found
    return found | {"BM3D": {f"sigma={f * sigma:.3g}": each(_bm3d, sigma=f * sigma) for f in factors}}


def hole_filters(*, quick: bool = False) -> dict[str, Choices]:
    """Interpolations of missing pixels by name; the best one is also smoothed by total variation."""
    found: dict[str, Choices] = {"linear interpolation": {"": each(_linear)}, "biharmonic": {"": each(_biharmonic)}}
    if not quick:
        found["thin-plate spline"] = {f"neighbors={NEIGHBORS}": each(_spline)}
    weights = (0.001, 0.0025) if quick else (0.001, 0.0025, 0.005, 0.01)
    smooth = {
        f"weight={w}": each(lambda image, w=w: denoise_tv_chambolle(_biharmonic(image), weight=w)) for w in weights
    }
    return found | {"biharmonic, total variation": smooth}
