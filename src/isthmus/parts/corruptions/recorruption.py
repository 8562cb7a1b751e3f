r"""More noise on noisy examples, and a target with other noise: to learn from noisy examples alone."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, check_range
from isthmus.functional import noise_level
from isthmus.parts.corruptions.values import per_example
from isthmus.parts.protocols import Corrupted, Shape, Supplied


class Recorruption(nn.Module):
    r"""More noise on examples that are noisy already, with a target of other noise: to learn from noisy images alone.

    .. math:: \tilde x = y + \alpha n, \quad \text{target } y - n / \alpha, \quad n \sim \mathcal N(0, \sigma^2 I)

    If y is a clean example plus Gaussian noise of the same :math:`\sigma`, the noise of :math:`\tilde x` and that of
    the target are independent: their covariance is :math:`\sigma^2 - \sigma^2 = 0`. The expected squared error to the
    target then differs from that to the clean example by a constant, so a network learns to restore without seeing a
    clean example.

    In training the second half of a batch is the first half again, with the noise :math:`-n`: what a gradient has of n
    to first order, most of its variance, cancels. A batch is then worth more than one of twice as many examples.

    Args:
        strength: the factor :math:`\alpha > 0`. A larger one makes inputs noisier, a smaller one targets.
        scale: the standard deviation :math:`\sigma` of the noise of the examples, in their units; ``None`` to estimate
            it from each image or sequence (:func:`isthmus.functional.noise_level`).
        antithetic: whether batches have such pairs in training.

    Raises:
        BadOption: an option out of range; or no scale for data that is neither images nor sequences.

    References:
        Recorrupted-to-recorrupted: unsupervised deep learning for image denoising (Pang et al., 2021)

    >>> y = torch.zeros(1, 1, 2, 2)
    >>> x, _, target = Recorruption((1, 2, 2), strength=0.5, scale=0.1)(y)
    >>> torch.allclose(x + 0.5**2 * target, y)
    True
    """

    def __init__(
        self, shape: Supplied[Shape], *, strength: float = 0.5, scale: float | None = None, antithetic: bool = True
    ) -> None:
        super().__init__()
        check_range("corruption.strength", strength, 1e-3, 1e3)
        if scale is not None:
            check_range("corruption.scale", scale, 0, 1e6)
        elif len(shape) not in (2, 3):
            raise BadOption(
                f"The noise of examples of shape {shape} cannot be estimated, since they are neither images nor "
                "sequences. Set corruption.scale to its standard deviation."
            )
        self.strength, self.scale, self.antithetic = strength, scale, antithetic

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` with more noise, and the target; the mask is true for every value."""
        half = len(x) // 2 if self.antithetic and self.training else 0
        # in a batch of odd size the last example stays alone
        x = torch.cat([x[:half], x[:half], x[2 * half :]])
        noise = torch.randn_like(x[half:])
        noise = self.noise_of(x) * torch.cat([-noise[:half], noise])
        return Corrupted(x + self.strength * noise, torch.ones_like(x, dtype=torch.bool), x - noise / self.strength)

    def noise_of(self, x: Float[Tensor, "B *D"]) -> Tensor:
        r"""The standard deviation :math:`\sigma` of the noise of each example, (B, 1, ...)."""
        if self.scale is None:
            return noise_level(x).reshape(per_example(x))
        return x.new_full(per_example(x), self.scale)

    def target_variance(self, x: Float[Tensor, "B *D"]) -> Tensor:
        r"""The variance of the noise of each target, :math:`\sigma^2 (1 + 1 / \alpha^2)`, (B, 1, ...)."""
        return self.noise_of(x).square() * (1 + self.strength**-2)
