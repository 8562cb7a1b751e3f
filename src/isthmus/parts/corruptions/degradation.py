"""Noise or missing values of any strength, for networks that restore images."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import check_range
from isthmus.parts.corruptions.masking import Masking
from isthmus.parts.corruptions.noise import GaussianNoise
from isthmus.parts.corruptions.values import per_example
from isthmus.parts.protocols import Corrupted
from isthmus.parts.schedules import Scheduled


class Degradation(nn.Module):
    r"""Noise or missing pixels, each of any strength: for a network that restores images without knowing the damage.

    With probability ``noisy`` an example has Gaussian noise of its own standard deviation, uniform between 0 and
    ``scale``; otherwise a share of its values, uniform between 0 and ``fraction``, is missing (NaN).

    Args:
        scale: largest standard deviation of the noise, in units of the data; a number or a schedule.
        fraction: largest share of missing values, in [0, 1]; a number or a schedule.
        noisy: probability of noise, in [0, 1].
        clip: clip the noisy values to [0, 1].
        whole_pixels: all channels of a pixel are missing together, instead of each value independently.

    Raises:
        BadOption: an option out of range.

    References:
        Learning deep CNN denoiser prior for image restoration (Zhang et al., 2017)

    >>> x = torch.ones(1000, 1, 2, 2)
    >>> degraded = Degradation(noisy=0.0, fraction=1.0)(x)
    >>> degraded.x.isnan().equal(degraded.mask)
    True
    """

    as_missing = True

    def __init__(
        self,
        scale: Scheduled = 0.3,
        fraction: Scheduled = 0.8,
        *,
        noisy: float = 0.5,
        clip: bool = True,
        whole_pixels: bool = False,
    ) -> None:
        super().__init__()
        check_range("corruption.noisy", noisy, 0, 1)
        self.noisy = noisy
        self.noise = GaussianNoise(scale, clip=clip, least=0.0)
        self.holes = Masking(fraction, whole_pixels=whole_pixels, least=0.0, as_missing=True)

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """Degraded ``x``, when a fraction ``progress`` of the run is done; the mask is true where it changed."""
        noisy = torch.rand(per_example(x), device=x.device) < self.noisy
        noise, holes = self.noise(x, progress), self.holes(x, progress)
        return Corrupted(torch.where(noisy, noise.x, holes.x), torch.where(noisy, noise.mask, holes.mask))
