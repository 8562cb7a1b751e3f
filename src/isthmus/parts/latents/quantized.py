r"""Vector quantization with a learned codebook: each feature vector is replaced by the nearest codeword.

.. math:: z_i = e_{k_i}, \quad k_i = \arg\min_k \lVert h_i - e_k \rVert^2

The gradient is copied from z to h (straight-through estimator). The commitment loss
:math:`\beta \lVert h - \mathrm{sg}[e] \rVert^2` (sg: stop gradient) keeps features close to their codewords; codewords
are updated by an exponential moving average of their features (online k-means), or by gradient descent.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import NearestCodeword
from isthmus.errors import check_choice, check_range
from isthmus.functional import per_example
from isthmus.parts.latents.discrete import check_groups
from isthmus.parts.protocols import Capability, Gather, Model, Shape, Trace, alone

UNINITIALIZED = -1
"""Value of ``idle`` for a codeword that has not been initialized from data."""
BLOCK = 1 << 15
"""Number of vectors whose distances to all codewords are computed at once."""
SMOOTHING = 1e-5
"""Laplace smoothing of the counts in the moving average, which keeps unused codewords finite."""


class Quantized(nn.Module):
    r"""Vector quantization with a learned codebook (VQ-VAE).

    .. math:: z_i = e_{k_i}, \quad k_i = \arg\min_k \lVert h_i - e_k \rVert^2

    Axis 1 is split into groups of ``codebook_dim`` values; each group, at each position of a feature map, is replaced
    by the nearest codeword of one shared codebook. With ``update="ema"`` a codeword is the exponential moving average
    of the features assigned to it, :math:`e_k = m_k / N_k`, where
    :math:`N_k \leftarrow \gamma N_k + (1 - \gamma) n_k` averages their number (smoothed) and :math:`m_k` their sum;
    with ``"gradient"`` it minimizes :math:`\lVert \mathrm{sg}[h] - e \rVert^2`. In the first training step, and after
    ``restart_after`` steps without use, a codeword is set to a random feature vector of the batch, which avoids
    codebook collapse. The codebook does not change in evaluation mode.

    The auxiliary loss ``commitment`` is :math:`\beta \lVert h - \mathrm{sg}[e] \rVert^2`, plus the codebook loss for
    ``"gradient"``, summed over features. The paper averages over positions instead, so its :math:`\beta` equals this
    :math:`\beta` times the number of positions.

    Args:
        codebook_size: number of codewords K, at least 2.
        codebook_dim: values in a codeword; the size of the code must be a multiple of it.
        commitment: weight :math:`\beta \ge 0` of the commitment loss.
        update: ``ema`` or ``gradient``.
        decay: :math:`\gamma` of the moving average, in [0, 1).
        restart_after: training steps without use after which a codeword is reinitialized; 0 for never.

    References:
        Neural discrete representation learning (van den Oord et al., 2017), equation 3 and appendix A.1
        Generating diverse high-fidelity images with VQ-VAE-2 (Razavi et al., 2019)
        Jukebox: a generative model for music (Dhariwal et al., 2020), section 3, for random restarts

    Raises:
        BadOption: an option out of range; from :meth:`width`, a size that is not a multiple of ``codebook_dim``.

    >>> latent = Quantized(codebook_size=4, codebook_dim=2)
    >>> latent.eval()(latent.codebook).mean.equal(latent.codebook)
    True
    """

    auxiliary_name = "commitment"
    codebook: Tensor
    usage: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(
        self,
        codebook_size: int = 512,
        codebook_dim: int = 8,
        commitment: float = 0.25,
        update: str = "ema",
        decay: float = 0.99,
        restart_after: int = 100,
    ) -> None:
        super().__init__()
        check_range("latent.codebook_size", codebook_size, 2, 1 << 20)
        check_range("latent.codebook_dim", codebook_dim, 1, 1 << 16)
        check_range("latent.commitment", commitment, 0)
        check_choice("latent.update", update, ("ema", "gradient"))
        check_range("latent.decay", decay, 0, 0.999999)
        check_range("latent.restart_after", restart_after, 0)
        self.codebook_dim, self.commitment, self.decay = codebook_dim, commitment, decay
        self.restart_after = restart_after
        self.learns = update == "gradient"
        self.gather: Gather = alone
        codebook = torch.randn(codebook_size, codebook_dim)
        if self.learns:
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            self.register_buffer("sums", codebook.clone())
        self.register_buffer("usage", torch.ones(codebook_size))
        self.register_buffer("idle", torch.full((codebook_size,), UNINITIALIZED))
        self.provides: frozenset[Capability] = frozenset()

    def width(self, d: int) -> int:
        """One feature per code value: ``d``, a multiple of ``codebook_dim``."""
        check_groups(d, self.codebook_dim, "the values of one codeword (latent.codebook_dim)")
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at the nearest codewords; in training mode the codebook is updated."""
        check_groups(h.shape[1], self.codebook_dim, "the values of one codeword (latent.codebook_dim)")
        grouped = self._grouped(h)
        rows = grouped.flatten(0, -2)
        if self.training:
            self._restart(rows.detach())
        index = nearest(rows.detach(), self.codebook.detach())
        codeword = F.embedding(index, self.codebook).reshape(grouped.shape).movedim(-1, 2).flatten(1, 2)
        if self.training:
            self._update(rows.detach(), index)
        return NearestCodeword(h, codeword, index.reshape(grouped.shape[:-1]))

    @property
    def symbols(self) -> int:
        """Number of codewords."""
        return len(self.codebook)

    def to_symbols(self, z: Float[Tensor, "B d *space"]) -> Int[Tensor, "B n"]:
        """The index of the nearest codeword of each group."""
        grouped = self._grouped(z)
        return nearest(grouped.flatten(0, -2), self.codebook.detach()).reshape(len(z), -1)

    def from_symbols(self, symbols: Int[Tensor, "B n"], code: Shape) -> Float[Tensor, "B d *space"]:
        """The codewords of indices."""
        grouped = symbols.reshape(len(symbols), code[0] // self.codebook_dim, *code[1:])
        return F.embedding(grouped, self.codebook.detach()).movedim(-1, 2).flatten(1, 2)

    def _grouped(self, h: Float[Tensor, "B d *space"]) -> Tensor:
        """Features as groups of the size of a codeword, on the last axis."""
        return torch.unflatten(h, 1, (-1, self.codebook_dim)).movedim(2, -1)

    def auxiliary_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The commitment loss per example, plus the codebook loss for ``update="gradient"``, shape (B,)."""
        q = trace.q
        assert isinstance(q, NearestCodeword)
        loss = self.commitment * per_example((q.features - q.codeword.detach()).square())
        if self.learns:
            loss = loss + per_example((q.features.detach() - q.codeword).square())
        return loss

    @torch.no_grad()
    def _restart(self, rows: Float[Tensor, "N n"]) -> None:
        """Set uninitialized and unused codewords to random rows, without synchronizing with the device."""
        stale = self.idle == UNINITIALIZED
        if self.restart_after:
            stale = stale | (self.idle >= self.restart_after)
        codes = len(self.codebook)
        sampled = rows[torch.randint(len(rows), (codes,), device=rows.device)]
        if self.gather is not alone:
            # each process samples from its own rows; the processes take turns in supplying the codewords
            everyone = self.gather(sampled[None])
            sampled = everyone[torch.arange(codes, device=rows.device) % len(everyone), torch.arange(codes)]
        mean_count = self._sum(rows.new_tensor(len(rows))) / codes
        self.codebook.copy_(torch.where(stale[:, None], sampled, self.codebook))
        self.usage.copy_(torch.where(stale, mean_count, self.usage))
        if not self.learns:
            self.sums.copy_(torch.where(stale[:, None], mean_count * sampled, self.sums))
        self.idle.masked_fill_(stale, 0)

    @torch.no_grad()
    def _update(self, rows: Float[Tensor, "N n"], index: Int[Tensor, " N"]) -> None:
        """Update the usage counts, and the moving averages for ``update="ema"``."""
        counts = self._sum(torch.zeros_like(self.usage).index_add_(0, index, rows.new_ones(len(rows))))
        self.idle.copy_(torch.where(counts > 0, 0, self.idle + 1))
        self.usage.lerp_(counts, 1 - self.decay)
        if not self.learns:
            self.sums.lerp_(self._sum(torch.zeros_like(self.sums).index_add_(0, index, rows)), 1 - self.decay)
            total = self.usage.sum()
            smooth = (self.usage + SMOOTHING) * total / (total + len(self.usage) * SMOOTHING)
            self.codebook.copy_(self.sums / smooth[:, None])

    def _sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        return values if self.gather is alone else self.gather(values[None]).sum(0)


def nearest(rows: Float[Tensor, "N n"], codebook: Float[Tensor, "K n"]) -> Int[Tensor, " N"]:
    """Index of the nearest codeword of each row, shape (N,).

    >>> nearest(torch.tensor([[0.9], [0.1]]), torch.tensor([[0.0], [1.0]])).tolist()
    [1, 0]
    """
    # |h|^2 is the same for all codewords, so it is omitted
    norms = codebook.square().sum(1)
    return torch.cat([torch.addmm(norms, some, codebook.t(), alpha=-2).argmin(1) for some in torch.split(rows, BLOCK)])
