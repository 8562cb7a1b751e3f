r"""A learned codebook: each vector of features is replaced by the nearest codeword.

.. math:: z_i = e_{k_i}, \quad k_i = \arg\min_k \lVert h_i - e_k \rVert^2

The gradient passes unchanged from z to h. The encoder is held to its codewords by the commitment term
:math:`\beta \lVert h - \mathrm{sg}[e] \rVert^2` (sg: no gradient); the codewords follow their features, as a running
mean (online k-means) or by gradient.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import NearestCodeword
from isthmus.errors import check_choice, check_range
from isthmus.functional import per_example
from isthmus.latents.discrete import check_groups
from isthmus.trace import Gather, Model, Offer, Trace, alone

UNSEEN = -1
"""Steps since its last use, of a codeword that has not met data."""
BLOCK = 1 << 15
"""Vectors at a time whose distances to all codewords are in memory."""
SMOOTHING = 1e-5
"""Of the counts in the running mean: keeps the mean of an unused codeword finite."""


class Quantised(nn.Module):
    r"""Vector quantisation with a learned codebook (VQ-VAE); a code is made of codewords.

    Axis 1 is cut into groups of ``dimension`` values, and each group, at each position of a map, becomes its nearest
    codeword of one shared codebook. With ``update="ema"`` a codeword is the running mean of the features it stood
    for, :math:`e_k = m_k / N_k`, :math:`N_k \leftarrow \gamma N_k + (1 - \gamma) n_k` (smoothed) and m likewise of
    their sum; with ``"gradient"`` it learns by :math:`\lVert \mathrm{sg}[h] - e \rVert^2`. In the first training
    step, and after ``revive`` steps without use, a codeword is set to a random vector of the batch, without which most
    of a codebook is never used. Nothing of that happens in evaluation.

    Its own term ``commitment`` is :math:`\beta \lVert h - \mathrm{sg}[e] \rVert^2`, plus the codebook's, summed over
    features: nats per example beside a log-likelihood. The paper averages it over positions instead, so its
    :math:`\beta` is ours times their number.

    Args:
        codes: codewords K, at least 2.
        dimension: values in a codeword; the code's width must be a multiple of it.
        commitment: the weight :math:`\beta \ge 0`.
        update: ``ema`` or ``gradient``.
        decay: :math:`\gamma` in [0, 1) of the running mean.
        revive: training steps without use after which a codeword starts anew; 0 is never.

    References:
        Neural discrete representation learning (van den Oord et al., 2017), equation 3 and appendix A.1
        Generating diverse high-fidelity images with VQ-VAE-2 (Razavi et al., 2019)
        Jukebox: a generative model for music (Dhariwal et al., 2020), section 3, for random restarts

    Raises:
        BadOption: an option out of range; from :meth:`width`, a code not made of whole codewords.

    >>> latent = Quantised(codes=4, dimension=2)
    >>> latent.eval()(latent.codebook).mean.equal(latent.codebook)
    True
    """

    own_name = "commitment"
    codebook: Tensor
    usage: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(
        self,
        codes: int = 512,
        dimension: int = 8,
        commitment: float = 0.25,
        update: str = "ema",
        decay: float = 0.99,
        revive: int = 100,
    ) -> None:
        super().__init__()
        check_range("latent.codes", codes, 2, 1 << 20)
        check_range("latent.dimension", dimension, 1, 1 << 16)
        check_range("latent.commitment", commitment, 0)
        check_choice("latent.update", update, ("ema", "gradient"))
        check_range("latent.decay", decay, 0, 0.999999)
        check_range("latent.revive", revive, 0)
        self.dimension, self.commitment, self.decay, self.revive = dimension, commitment, decay, revive
        self.learns = update == "gradient"
        self.gather: Gather = alone
        drawn = torch.randn(codes, dimension)
        if self.learns:
            self.codebook = nn.Parameter(drawn)
        else:
            self.register_buffer("codebook", drawn)
            self.register_buffer("sums", drawn.clone())
        self.register_buffer("usage", torch.ones(codes))
        self.register_buffer("idle", torch.full((codes,), UNSEEN))
        self.offers: frozenset[Offer] = frozenset()

    def width(self, d: int) -> int:
        """One feature for each code value: ``d``, a multiple of ``dimension``."""
        check_groups(d, self.dimension, "the values of one codeword (latent.dimension)")
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on the nearest codewords; in training the codebook then follows the batch."""
        check_groups(h.shape[1], self.dimension, "the values of one codeword (latent.dimension)")
        grouped = torch.unflatten(h, 1, (-1, self.dimension)).movedim(2, -1)
        rows = grouped.flatten(0, -2)
        if self.training:
            self._restart(rows.detach())
        index = nearest(rows.detach(), self.codebook.detach())
        codeword = F.embedding(index, self.codebook).reshape(grouped.shape).movedim(-1, 2).flatten(1, 2)
        if self.training:
            self._follow(rows.detach(), index)
        return NearestCodeword(h, codeword, index.reshape(grouped.shape[:-1]))

    def own_term(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The commitment of each example, and where the codebook learns by gradient its error, in nats."""
        q = trace.q
        assert isinstance(q, NearestCodeword)
        term = self.commitment * per_example((q.features - q.codeword.detach()).square())
        if self.learns:
            term = term + per_example((q.features.detach() - q.codeword).square())
        return term

    def perplexity(self) -> Float[Tensor, ""]:
        r"""How many codewords are in use, :math:`\exp(-\sum_k p_k \log p_k)` of their recent shares: 1 to K."""
        p = self.usage / self.usage.sum()
        return torch.exp(-torch.xlogy(p, p).sum())

    @torch.no_grad()
    def _restart(self, rows: Float[Tensor, "N n"]) -> None:
        """Set codewords that stand for nothing to random rows. Nothing here waits for the device."""
        stale = self.idle == UNSEEN
        if self.revive:
            stale = stale | (self.idle >= self.revive)
        codes = len(self.codebook)
        drawn = rows[torch.randint(len(rows), (codes,), device=rows.device)]
        if self.gather is not alone:
            # each process draws from its own rows: the k-th codeword comes from the k-th of them, in turn
            everyone = self.gather(drawn[None])
            drawn = everyone[torch.arange(codes, device=rows.device) % len(everyone), torch.arange(codes)]
        usual = self._sum(rows.new_tensor(len(rows))) / codes
        self.codebook.copy_(torch.where(stale[:, None], drawn, self.codebook))
        self.usage.copy_(torch.where(stale, usual, self.usage))
        if not self.learns:
            self.sums.copy_(torch.where(stale[:, None], usual * drawn, self.sums))
        self.idle.masked_fill_(stale, 0)

    @torch.no_grad()
    def _follow(self, rows: Float[Tensor, "N n"], index: Int[Tensor, " N"]) -> None:
        """Count who was used, and move the running means."""
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
    """Which codeword is nearest to each row.

    >>> nearest(torch.tensor([[0.9], [0.1]]), torch.tensor([[0.0], [1.0]])).tolist()
    [1, 0]
    """
    # |h|^2 is the same for all codewords, so it is left out
    norms = codebook.square().sum(1)
    return torch.cat([torch.addmm(norms, part, codebook.t(), alpha=-2).argmin(1) for part in torch.split(rows, BLOCK)])
