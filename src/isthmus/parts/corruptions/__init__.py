r"""Corruptions of the encoder's input, for denoising autoencoders.

.. math:: \tilde x \sim c(\tilde x \mid x)

The target stays clean: to restore missing values, the code must capture the dependencies between the values of an
example (Vincent et al., 2010). :class:`Recorruption`, for noisy examples alone, gives another target. A corruption is
applied in training and when denoising is evaluated; the input of ``encode`` and ``reconstruct`` is never corrupted.

Each corruption returns a mask of the values it selected. Its strength may be a
:class:`isthmus.parts.schedules.Schedule` over the run; at strength 0 it is the identity. Random numbers come from
torch's default generator.
"""

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.parts.corruptions.degradation import Degradation
from isthmus.parts.corruptions.masking import Blocks, Masking
from isthmus.parts.corruptions.noise import GaussianNoise, SaltAndPepper
from isthmus.parts.corruptions.recorruption import Recorruption
from isthmus.parts.protocols import Corrupted


class Identity(nn.Module):
    """No corruption: the input of the encoder is clean.

    >>> import torch
    >>> Identity()(torch.ones(2)).x.tolist()
    [1.0, 1.0]
    """

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` itself."""
        return Corrupted(x)


def makes_missing(corruption: object) -> bool:
    """Whether a corruption turns values into missing ones, NaN."""
    return bool(getattr(corruption, "as_missing", False))


CORRUPTIONS: dict[str, type[nn.Module]] = {
    "identity": Identity,
    "masking": Masking,
    "gaussian": GaussianNoise,
    "salt_and_pepper": SaltAndPepper,
    "blocks": Blocks,
    "degradation": Degradation,
    "recorruption": Recorruption,
}
"""Corruptions by name in a recipe."""

__all__ = [
    "CORRUPTIONS",
    "Blocks",
    "Degradation",
    "GaussianNoise",
    "Identity",
    "Masking",
    "Recorruption",
    "SaltAndPepper",
    "makes_missing",
]
