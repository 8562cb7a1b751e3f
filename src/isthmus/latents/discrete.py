r"""Discrete codes without a codebook: one-hot groups, and numbers rounded to a few levels.

Axis 1 of the features is cut into groups of neighbours, one variable each; a map (B, d, H, W) has so many of them
at each of its positions.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import Dirac, OneHot, straight_through
from isthmus.errors import BadOption, check_range
from isthmus.schedules import Schedule, Scheduled, scheduled
from isthmus.trace import Offer


def check_groups(d: int, group: int, what: str) -> None:
    """Refuse a code whose width is not made of whole groups; ``what`` says what a group is.

    Raises:
        BadOption: ``d`` is no multiple of ``group``.
    """
    if d % group:
        raise BadOption(
            f"A code of {d} values cannot be cut into groups of {group}, {what}. Make latent.size (for maps the last "
            f"of net.channels) a multiple of {group}, such as {-(-d // group) * group}."
        )


class Categorical(nn.Module):
    r"""One-hot codes: :math:`q(z \mid x) = \prod_g \mathrm{Cat}(z_g; \mathrm{softmax}(h_g))`, Gumbel-softmax draws.

    A code of d values is d / ``classes`` one-hot groups. In training a draw has the gradient of
    :math:`\mathrm{softmax}((h + g) / \tau)`, g Gumbel noise; in evaluation every draw is one-hot. Inference uses the
    mean as everywhere, which for one-hot codes is the probabilities; ``model.posterior(x).mode`` is the one-hot code
    itself. The density it offers is a probability. Draws are not a smooth function of the noise: of importance
    weights the values are right, while their gradient is biased, as any straight-through gradient.

    Args:
        classes: values c in a group, at least 2.
        temperature: :math:`\tau` of the relaxation, 0.01 to 100, or a schedule of it over the run. Low: little bias,
            noisy gradients.
        straight_through: draw one-hot codes in training too; else the decoder is trained on relaxed ones.

    References:
        Categorical reparameterization with Gumbel-softmax (Jang et al., 2017)
        The concrete distribution: a continuous relaxation of discrete random variables (Maddison et al., 2017)

    Raises:
        BadOption: an option out of range; from :meth:`width`, a code not made of whole groups.

    >>> Categorical(classes=3)(torch.zeros(2, 6)).rsample().sum(1).tolist()
    [2.0, 2.0]
    """

    def __init__(
        self,
        classes: int = 10,
        temperature: Scheduled = Schedule(0.5, "linear", start=1.0, fraction=0.5),  # noqa: B008  it is frozen
        straight_through: bool = True,
    ) -> None:
        super().__init__()
        check_range("latent.classes", classes, 2, 1 << 16)
        self.classes, self.straight_through = classes, straight_through
        self.temperature = scheduled("latent.temperature", temperature, 0.01, 100)
        self.offers = frozenset({Offer.DENSITY, Offer.UNIT_INTERVAL, Offer.DIFFERENTIABLE})

    def width(self, d: int) -> int:
        """One logit for each code value: ``d``, a multiple of ``classes``."""
        check_groups(d, self.classes, "one for each class")
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The categorical variables whose logits are the features."""
        check_groups(h.shape[1], self.classes, "one for each class")
        hard = self.straight_through or not self.training
        return OneHot(h, self.classes, temperature=self.temperature.at(progress), hard=hard)


class FiniteScalar(nn.Module):
    r"""Finite scalar quantisation: each value is squashed, and rounded to one of L levels in [-1, 1].

    .. math:: z = \frac{1}{\lfloor L/2 \rfloor} \mathrm{round}\left(a \tanh(h + b) - o\right), \quad
        a = (1 - 10^{-3}) \frac{L - 1}{2}

    with o = b = 0 for odd L, and o = 1/2, b = tan(o/a) for even L, whose lowest level is -1 and highest
    :math:`1 - 2/L`. Rounding passes the gradient straight through; tanh keeps its own. There is no codebook to
    collapse, and no term to balance.

    Args:
        levels: L, at least 2, of each value of a group in turn; a single one is for all values. The code's width
            must be a multiple of their number. The paper advises 5 or more: (8, 6, 5) for about 2^8 codes,
            (8, 5, 5, 5) for 2^10, (7, 5, 5, 5, 5) for 2^12.

    References:
        Finite scalar quantization: VQ-VAE made simple (Mentzer et al., 2024), appendix A.1

    Raises:
        BadOption: no level, or one below 2; from :meth:`width`, a code not made of whole groups.

    >>> FiniteScalar((5,))(torch.tensor([[-9.0, -0.5, 0.1, 9.0]])).mean.tolist()
    [[-1.0, -0.5, 0.0, 1.0]]
    >>> FiniteScalar((8, 5, 5, 5)).codes
    1000
    """

    levels: Tensor

    def __init__(self, levels: Sequence[int] = (8,)) -> None:
        super().__init__()
        if not levels:
            raise BadOption("latent.levels is empty, but each value of the code is rounded to some. Give 8,5,5,5.")
        for level in levels:
            check_range("latent.levels", level, 2, 1 << 16)
        self.register_buffer("levels", torch.tensor(list(levels)), persistent=False)
        self.codes = math.prod(levels)
        self.offers: frozenset[Offer] = frozenset()

    def width(self, d: int) -> int:
        """One feature for each code value: ``d``, a multiple of the number of levels."""
        check_groups(d, len(self.levels), "one value for each of latent.levels")
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on the rounded features."""
        check_groups(h.shape[1], len(self.levels), "one value for each of latent.levels")
        levels = self.levels.repeat(h.shape[1] // len(self.levels)).reshape(-1, *(1,) * (h.ndim - 2))
        squashed = self._squashed(h, levels)
        return Dirac(straight_through(squashed.round(), squashed) / (levels // 2))

    def _squashed(self, h: Tensor, levels: Tensor) -> Tensor:
        """Features between the lowest and the highest level, which are whole numbers."""
        # the margin keeps the ends from rounding beyond the outermost level
        a = (levels - 1).to(h.dtype) * (1 - 1e-3) / 2
        even = (levels % 2 == 0).to(h.dtype) / 2
        return a * torch.tanh(h + torch.tan(even / a)) - even
