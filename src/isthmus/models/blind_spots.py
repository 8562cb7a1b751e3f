r"""Restoration by a network that was trained on noisy images alone, to predict each pixel from all others.

.. math:: \hat x = \frac{v\,y + \sigma^2 m}{v + \sigma^2}, \quad v = \overline{(y - m)^2} - \sigma^2

The prediction m of a pixel does not depend on its own noisy value y, so the noise of y, of variance :math:`\sigma^2`,
is independent of the error of m, of variance v: the best combination of both is their mean with inverse variances.
"""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.functional import noise_level
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.tiling import Progress, part_of, restored

SPACING = 4
"""Distance of the pixels that are hidden at once: 1 of 16 pixels of an image."""


def restored_blindly(
    model: Autoencoder,
    x: Float[Tensor, "B C *S"],
    *,
    flips: bool = False,
    noise: float | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "B C *S"]:
    """Restored images or sequences: every pixel is predicted with itself hidden, and combined with its noisy value.

    Args:
        model: a network trained with hidden pixels as the only targets (the recipe ``blind_spot_denoiser``).
        x: noisy images or sequences, in units of the model.
        flips: average the predictions over the mirror image.
        noise: standard deviation of the noise; by default it is estimated from each example.
        progress: called with the fraction that is done.

    References:
        Noise2Void: learning denoising from single noisy images (Krull et al., 2019)
        High-quality self-supervised deep image denoising (Laine et al., 2019)
    """
    places = list(product(range(SPACING), repeat=x.ndim - 2))
    predicted = torch.empty_like(x)
    for number, place in enumerate(places):
        hidden = torch.zeros(x.shape[2:], dtype=torch.bool, device=x.device)
        hidden[tuple(slice(start, None, SPACING) for start in place)] = True
        made = restored(
            model, x.masked_fill(hidden, torch.nan), flips=flips, progress=part_of(progress, number, len(places))
        )
        predicted = torch.where(hidden, made, predicted)
    variance = (noise_level(x) if noise is None else torch.full((len(x),), noise)).to(x).square()
    own = (x - predicted).square().flatten(1).mean(1)
    # a pixel of a network without error, or of an image without noise
    weight = (own - variance).clamp(min=0) / own.clamp(min=torch.finfo(x.dtype).tiny)
    weight = weight.reshape(-1, *[1] * (x.ndim - 1))
    return weight * x + (1 - weight) * predicted
