r"""Discrete codes without a learned codebook: one-hot groups, and values rounded to a few levels.

Axis 1 of the features is split into groups of adjacent values, one variable per group; a feature map (B, d, H, W) has
them at every position.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import Dirac, OneHot, straight_through
from isthmus.errors import BadOption, check_range
from isthmus.parts.protocols import Capability, Shape
from isthmus.parts.schedules import Schedule, Scheduled, scheduled


def check_groups(d: int, group: int, what: str) -> None:
    """Check that the width of a code is a multiple of the group size; ``what`` describes a group in the message.

    Raises:
        BadOption: ``d`` is not a multiple of ``group``.
    """
    if d % group:
        raise BadOption(
            f"A code of {d} values cannot be split into groups of {group}, {what}. Set latent.size (for feature maps "
            f"the last entry of net.channels) to a multiple of {group}, such as {-(-d // group) * group}."
        )


class Categorical(nn.Module):
    r"""Categorical latent variables with Gumbel-softmax samples: a one-hot code.

    .. math:: q(z \mid x) = \prod_g \mathrm{Cat}(z_g; \mathrm{softmax}(h_g))

    A code of d values consists of d / ``classes`` one-hot groups. In training a sample has the gradient of
    :math:`\mathrm{softmax}((h + g) / \tau)` with Gumbel noise g; in evaluation every sample is one-hot. The mean, which
    inference uses, is the class probabilities; ``model.posterior(x).mode`` is the most probable one-hot code. The
    density q(z|x) is a probability. Since samples are discrete, the gradient is biased, as with any straight-through
    estimator, and so is that of the importance-weighted bound; the value of the bound is not.

    Args:
        classes: values in a group, at least 2.
        temperature: :math:`\tau` of the relaxation, 0.01 to 100, or a schedule over the run. A lower temperature
            reduces the bias of the gradient and increases its variance.
        straight_through: sample one-hot codes in training too; otherwise the decoder is trained on relaxed codes.

    References:
        Categorical reparameterization with Gumbel-softmax (Jang et al., 2017)
        The concrete distribution: a continuous relaxation of discrete random variables (Maddison et al., 2017)

    Raises:
        BadOption: an option out of range; from :meth:`width`, a size that is not a multiple of ``classes``.

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
        self.provides = frozenset({Capability.DENSITY, Capability.UNIT_INTERVAL, Capability.DIFFERENTIABLE})

    def width(self, d: int) -> int:
        """One logit per code value: ``d``, a multiple of ``classes``."""
        check_groups(d, self.classes, "one value per class (latent.classes)")
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The categorical variables with the features as logits."""
        check_groups(h.shape[1], self.classes, "one value per class (latent.classes)")
        hard = self.straight_through or not self.training
        return OneHot(h, self.classes, temperature=self.temperature.at(progress), hard=hard)

    @property
    def symbols(self) -> int:
        """Number of classes."""
        return self.classes

    def to_symbols(self, z: Float[Tensor, "B d *space"]) -> Int[Tensor, "B n"]:
        """The class of each variable."""
        return torch.unflatten(z, 1, (-1, self.classes)).argmax(2).flatten(1)

    def from_symbols(self, symbols: Int[Tensor, "B n"], code: Shape) -> Float[Tensor, "B d *space"]:
        """The one-hot code of the class of each variable."""
        grouped = symbols.reshape(len(symbols), code[0] // self.classes, *code[1:])
        return F.one_hot(grouped, self.classes).movedim(-1, 2).flatten(1, 2).float()


class FiniteScalar(nn.Module):
    r"""Finite scalar quantization (FSQ): each value is bounded and rounded to one of L levels in [-1, 1].

    .. math:: z = \frac{1}{\lfloor L/2 \rfloor} \mathrm{round}\left(a \tanh(h + b) - o\right), \quad
        a = (1 - 10^{-3}) \frac{L - 1}{2}

    with o = b = 0 for odd L, and o = 1/2, b = tan(o/a) for even L, where the lowest level is -1 and the highest
    :math:`1 - 2/L`. The gradient passes straight through the rounding, but not through tanh. There is no learned
    codebook, so no codebook collapse and no auxiliary loss.

    Args:
        levels: number of levels L, at least 2, of each value in a group; a single entry applies to all values. The
            size of the code must be a multiple of the number of entries. The paper recommends 5 or more levels:
            (8, 6, 5) for about 2^8 codewords, (8, 5, 5, 5) for 2^10, (7, 5, 5, 5, 5) for 2^12.

    References:
        Finite scalar quantization: VQ-VAE made simple (Mentzer et al., 2024), appendix A.1

    Raises:
        BadOption: no levels, or fewer than 2; from :meth:`width`, a size that is not a multiple of their number.

    >>> FiniteScalar((5,))(torch.tensor([[-9.0, -0.5, 0.1, 9.0]])).mean.tolist()
    [[-1.0, -0.5, 0.0, 1.0]]
    >>> FiniteScalar((8, 5, 5, 5)).codes
    1000
    """

    levels: Tensor

    def __init__(self, levels: Sequence[int] = (8,)) -> None:
        super().__init__()
        if not levels:
            raise BadOption("latent.levels is empty, but at least one number is required. Set latent.levels=8,5,5,5.")
        for level in levels:
            check_range("latent.levels", level, 2, 1 << 16)
        self.register_buffer("levels", torch.tensor(list(levels)), persistent=False)
        self.codes = math.prod(levels)
        self.provides: frozenset[Capability] = frozenset()

    def width(self, d: int) -> int:
        """One feature per code value: ``d``, a multiple of the number of entries in ``levels``."""
        check_groups(d, len(self.levels), "one value per entry of latent.levels")
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at the rounded features."""
        check_groups(h.shape[1], len(self.levels), "one value per entry of latent.levels")
        levels = self._levels(h)
        bounded = self._bounded(h, levels)
        return Dirac(straight_through(bounded.round(), bounded) / (levels // 2))

    @property
    def symbols(self) -> int:
        """The largest number of levels."""
        return int(self.levels.max())

    def to_symbols(self, z: Float[Tensor, "B d *space"]) -> Int[Tensor, "B n"]:
        """The level of each value, counted from 0."""
        half = self._levels(z) // 2
        return ((z * half).round().long() + half).flatten(1)

    def from_symbols(self, symbols: Int[Tensor, "B n"], code: Shape) -> Float[Tensor, "B d *space"]:
        """The values of levels; a level that a value does not have is replaced by its highest one."""
        grouped = symbols.reshape(len(symbols), *code)
        levels = self._levels(grouped)
        half = levels // 2
        return (torch.minimum(grouped, levels - 1) - half) / half

    def _levels(self, like: Tensor) -> Tensor:
        """The number of levels of each value along axis 1 of ``like``."""
        return self.levels.repeat(like.shape[1] // len(self.levels)).reshape(-1, *(1,) * (like.ndim - 2))

    def _bounded(self, h: Tensor, levels: Tensor) -> Tensor:
        """Features mapped by tanh to the range of the levels, which are integers here."""
        # the margin of 1e-3 prevents rounding beyond the outermost levels
        a = (levels - 1).to(h.dtype) * (1 - 1e-3) / 2
        even = (levels % 2 == 0).to(h.dtype) / 2
        return a * torch.tanh(h + torch.tan(even / a)) - even
