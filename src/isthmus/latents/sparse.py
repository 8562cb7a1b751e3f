r"""Sparse codes: of many units each example uses a few, :math:`z = s(h)` with most of s(h) zero.

Which few is decided by rank within an example (:class:`TopK`, :class:`KSparse`), by rank within a batch
(:class:`BatchTopK`), or by a learned threshold for each unit (:class:`JumpReLU`). All codes are piecewise linear in
the features: real numbers, but with jumps where a unit enters or leaves. A unit is a place along axis 1. In a code
with further axes (B, d, H, W) every value of an example takes part in the ranking.

A unit that no example uses gets no gradient and stays unused. :class:`DeadUnits` counts such units, and lets them
predict what the others leave of the input.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import Dirac
from isthmus.errors import check_range
from isthmus.functional import per_example
from isthmus.schedules import Scheduled, scheduled
from isthmus.trace import Gather, Model, Offer, Trace, alone

MOST = 1 << 30
"""Largest count that an option here takes."""


def keep_largest(h: Float[Tensor, "B *code"], k: int) -> Float[Tensor, "B *code"]:
    """``h`` with all but the ``k`` largest values of each example set to zero; exactly k stay where values tie.

    >>> keep_largest(torch.tensor([[3.0, -1.0, 2.0]]), 2).tolist()
    [[3.0, 0.0, 2.0]]
    """
    flat = h.flatten(1)
    if k >= flat.shape[1]:
        return h
    values, places = flat.topk(k, 1, sorted=False)
    return torch.zeros_like(flat).scatter(1, places, values).reshape(h.shape)


class SparseCode(Dirac):
    """The point mass on a sparse code, which remembers the features that it was cut from.

    Args:
        value: the code, shape (B, *code).
        features: what the encoder gave, of the same shape.
    """

    def __init__(self, value: Float[Tensor, "B *code"], features: Float[Tensor, "B *code"]) -> None:
        super().__init__(value)
        self.features = features


class DeadUnits(nn.Module):
    r"""Units that no example of late has used, and a loss that brings them back.

    .. math:: \alpha \lVert e - \hat e \rVert^2, \quad e = x - \hat x(z), \quad \hat e = \hat x(z + z') - \hat x(z)

    Here :math:`\hat x` is the mean of p(x | z), e is a constant, and z' holds the ``count`` largest features among
    the dead units of the example, rectified. With a linear decoder and a Gaussian likelihood :math:`\hat e = W z'`,
    which is the paper's; taking the difference of two means needs neither, and keeps every bias out of it.

    Args:
        weight: :math:`\alpha \ge 0`.
        count: how many dead units of an example take part, at least 1.
        after: training steps without use that make a unit dead, at least 1.
        size: number of units; where it is None, they are counted when the first features come.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025), appendix A.2
    """

    idle: Tensor

    def __init__(self, weight: float, count: int, after: int, size: int | None = None) -> None:
        super().__init__()
        check_range("latent.aux", weight, 0, 1e6)
        check_range("latent.aux_k", count, 1, MOST)
        check_range("latent.dead_after", after, 1, MOST)
        self.weight, self.count, self.after = weight, count, after
        self.gather: Gather = alone
        self.register_buffer("idle", torch.zeros(size or 0, dtype=torch.long))

    def see(self, code: Float[Tensor, "B *code"]) -> None:
        """Take note of the units that a batch uses; it counts as a step in training only."""
        if len(self.idle) != code.shape[1]:
            self.idle = torch.zeros(code.shape[1], dtype=torch.long, device=code.device)
        if self.training:
            used = code.detach().transpose(0, 1).flatten(1).any(1)
            self.idle.add_(1).masked_fill_(self.gather(used[None]).any(0), 0)

    @property
    def dead(self) -> Bool[Tensor, " d"]:
        """Which units are dead."""
        return self.idle >= self.after

    def loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The loss of each example; exactly zero where no unit is dead, and in evaluation."""
        dead = self.dead
        # asking costs nothing on the processor and saves a pass, but would make an accelerator wait
        spared = dead.device.type == "cpu" and not bool(dead.any())
        # a help in training: in a validation loss it would favour epochs before units were counted as dead
        if spared or not self.training or self.weight == 0:
            return _nothing(trace)
        return self.weight * self.residual_error(model, trace, dead)

    def residual_error(self, model: Model, trace: Trace, dead: Bool[Tensor, " d"]) -> Float[Tensor, " B"]:
        r"""How badly the units that are ``dead`` predict what the others leave, :math:`\lVert e - \hat e \rVert^2`.

        It is zero where none is dead.
        """
        features = _features(trace)
        mask = dead.reshape(-1, *(1,) * (features.ndim - 2))
        extra = keep_largest(F.relu(features) * mask, self.count)
        mean = trace.p.mean
        predicted = model.output(trace.z + extra).mean - mean
        error = per_example(((trace.x - mean).detach() - predicted).square())
        return torch.where(dead.any(), error, _nothing(trace))


def _features(trace: Trace) -> Tensor:
    assert isinstance(trace.q, SparseCode)
    return trace.q.features


def _nothing(trace: Trace) -> Float[Tensor, " B"]:
    """An empty sum for each example: zero, never NaN, and still a function of the features."""
    return _features(trace).flatten(1)[:, :0].sum(1)


class TopK(nn.Module):
    r"""The k largest of an example's rectified features, :math:`z = \mathrm{TopK}(\mathrm{relu}(h))`, the rest zero.

    At most k values differ from zero: fewer where fewer features are positive. With k at least the size of the code
    it is the ReLU code. It brings the loss of :class:`DeadUnits`, in squared units of the data.

    Args:
        k: values kept of each example, at least 1; of a map (d, H, W), among all its d H W values.
        aux: weight of the loss of dead units, at least 0. The paper's 1/32 stands beside errors divided by what there
            was to explain; a larger weight revives more units.
        aux_k: dead units of an example that take part in it; the paper takes about half the data's dimensions.
        dead_after: training steps without use after which a unit counts as dead.
        size: number of units, where known.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025)

    Raises:
        BadOption: an option out of range.

    >>> TopK(k=1)(torch.tensor([[1.0, 3.0, 2.0]])).mean.tolist()
    [[0.0, 3.0, 0.0]]
    """

    own_name = "dead_units"

    def __init__(
        self, k: int = 16, aux: float = 1 / 32, *, aux_k: int = 256, dead_after: int = 100, size: int | None = None
    ) -> None:
        super().__init__()
        check_range("latent.k", k, 1, MOST)
        self.k = k
        self.units = DeadUnits(aux, aux_k, dead_after, size)
        self.offers = frozenset({Offer.REAL})

    def width(self, d: int) -> int:
        """One feature for each unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on the k largest rectified features."""
        code = keep_largest(F.relu(h), self.k)
        self.units.see(code)
        return SparseCode(code, h)

    def own_term(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The loss of dead units, each example's."""
        return self.units.loss(model, trace)


class BatchTopK(nn.Module):
    r"""The k B largest of a batch's rectified features; an example may use more than k units, another fewer.

        In training the values are ranked over the batch (of all processes, where there are several). In evaluation a
    fixed threshold stands for the rank, :math:`z = h\,[h \ge \theta]`, so that no example depends on its neighbours:
    :math:`\theta` is the running mean of the smallest value kept (0 where nothing was cut).
    It brings the loss of :class:`DeadUnits`, in squared units of the data.

    Args:
        k: values kept for each example, on average over a batch; at least 1.
        aux: weight of the loss of dead units, at least 0.
        aux_k: dead units of an example that take part in it.
        dead_after: training steps without use after which a unit counts as dead.
        memory: training steps over which :math:`\theta` is averaged, at least 1.
        size: number of units, where known.

    References:
        BatchTopK sparse autoencoders (Bussmann et al., 2024)

    Raises:
        BadOption: an option out of range.

    >>> BatchTopK(k=1)(torch.tensor([[1.0, 3.0, 2.0], [0.5, 0.0, 1.0]])).mean.tolist()
    [[0.0, 3.0, 2.0], [0.0, 0.0, 0.0]]
    """

    own_name = "dead_units"
    threshold: Tensor
    steps: Tensor

    def __init__(
        self,
        k: int = 16,
        aux: float = 1 / 32,
        *,
        aux_k: int = 256,
        dead_after: int = 100,
        memory: int = 100,
        size: int | None = None,
    ) -> None:
        super().__init__()
        check_range("latent.k", k, 1, MOST)
        check_range("latent.memory", memory, 1, MOST)
        self.k, self.memory = k, memory
        self.gather: Gather = alone
        self.units = DeadUnits(aux, aux_k, dead_after, size)
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.offers = frozenset({Offer.REAL})

    def width(self, d: int) -> int:
        """One feature for each unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on the rectified features that are kept."""
        code = F.relu(h)
        code = self._ranked(code) if self.training else torch.where(code >= self.threshold, code, 0.0)
        self.units.see(code)
        return SparseCode(code, h)

    def own_term(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The loss of dead units, each example's."""
        return self.units.loss(model, trace)

    def _ranked(self, code: Float[Tensor, "B *code"]) -> Float[Tensor, "B *code"]:
        """The k B largest values of the batch; the smallest of them goes into the running mean."""
        flat = code.reshape(-1)
        everyone = self.gather(flat.detach())
        count = self.k * len(code) * len(everyone) // len(flat)
        smallest = flat.new_zeros(())
        if count < len(everyone):
            values, places = everyone.topk(count, sorted=False)
            smallest = values.min()
            if self.gather is alone:
                kept = torch.zeros_like(flat).scatter(0, places, flat[places])
            else:
                kept = torch.where(flat >= smallest, flat, 0.0)
            code = kept.reshape(code.shape)
        # a plain mean at first, which then forgets what is older than the memory
        self.steps.add_(1)
        self.threshold.add_((smallest - self.threshold) / self.steps.clamp_max(self.memory))
        return code


class KSparse(nn.Module):
    r"""The k largest of an example's features, :math:`z = h\,[h \text{ among the k largest}]`: linear units.

    Nothing is rectified, and values are ranked, not magnitudes. A k that falls during training lets all units learn
    before they compete. In evaluation :math:`\alpha k` values are kept. With k at least the size of the code it is
    the identity.

    Args:
        k: values kept of each example, at least 1; a number, or a schedule over the run.
        alpha: values kept in evaluation for each one kept in training, above 0. The paper takes more than 1 where
            the code is to be classified.

    References:
        k-sparse autoencoders (Makhzani & Frey, 2014), algorithm 1

    Raises:
        BadOption: an option out of range.

    >>> KSparse(k=1.0)(torch.tensor([[-4.0, -1.0, 3.0]])).mean.tolist()
    [[0.0, 0.0, 3.0]]
    """

    def __init__(self, k: Scheduled = 25.0, alpha: float = 1.0) -> None:
        super().__init__()
        check_range("latent.alpha", alpha, 0, 1e6, open_low=True)
        self.k, self.alpha = scheduled("latent.k", k, 1, MOST), alpha
        self.offers = frozenset({Offer.REAL})

    def width(self, d: int) -> int:
        """One feature for each unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on the largest features, as many as k is at ``progress``."""
        k = self.k.at(progress) * (1.0 if self.training else self.alpha)
        return Dirac(keep_largest(h, max(1, round(k))))


class JumpReLU(nn.Module):
    r"""Features above a threshold of their unit's own: :math:`z = h\,H(h - \theta)`, :math:`\theta = e^\tau` learned.

    A step has no slope, so the threshold learns by that of a smoothed one: with the rectangular kernel K of width 1

    .. math:: \frac{\partial z}{\partial\theta} := -\frac\theta\varepsilon K\!\left(\frac{h-\theta}\varepsilon\right),
        \quad \frac{\partial}{\partial\theta} H(h - \theta) :=
        -\frac1\varepsilon K\!\left(\frac{h-\theta}\varepsilon\right)

    The features get the true gradient, :math:`H(h - \theta)`, and none through the count. It brings the penalty
    :math:`\lambda \sum_j H(h_j - \theta_j)` for each example, the number of its active values (L0).

    Args:
        l0: :math:`\lambda \ge 0`, nats for each active value; a number, or a schedule over the run.
        threshold: :math:`\theta` at the start, above 0, in units of the features.
        bandwidth: :math:`\varepsilon > 0`, in units of the features. The paper takes 0.001 where examples have a
            mean square norm of 1; a wider one sees more examples of a small batch.
        size: number of units; where it is None, they are counted when the first features come.

    References:
        Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders (Rajamanoharan et al.,
            2024), equations 9, 11 and 12

    Raises:
        BadOption: an option out of range.

    >>> JumpReLU(threshold=1.5)(torch.tensor([[1.0, 3.0, -2.0]])).mean.tolist()
    [[0.0, 3.0, 0.0]]
    """

    own_name = "l0"

    def __init__(
        self, l0: Scheduled = 0.1, threshold: float = 0.3, *, bandwidth: float = 0.2, size: int | None = None
    ) -> None:
        super().__init__()
        check_range("latent.threshold", threshold, 0, 1e6, open_low=True)
        check_range("latent.bandwidth", bandwidth, 0, 1e6, open_low=True)
        self.l0, self.start, self.bandwidth = scheduled("latent.l0", l0, 0, 1e6), threshold, bandwidth
        self.log_threshold = nn.Parameter(torch.full((size or 0,), threshold).log())
        self.offers = frozenset({Offer.REAL})

    def width(self, d: int) -> int:
        """One feature for each unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on the features above their thresholds."""
        if len(self.log_threshold) != h.shape[1]:
            self.log_threshold = nn.Parameter(h.new_full((h.shape[1],), self.start).log())
        theta, fixed, kernel = self._threshold(h)
        # a term of value zero, whose slope is the one wanted
        return SparseCode(torch.where(h > fixed, h, 0.0) + fixed * kernel * (fixed - theta), h)

    def own_term(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The weighted number of active values of each example, in nats."""
        h = _features(trace)
        theta, fixed, kernel = self._threshold(h)
        return self.l0.at(trace.progress) * per_example((h > fixed) + kernel * (fixed - theta))

    def _threshold(self, h: Float[Tensor, "B d *space"]) -> tuple[Tensor, Tensor, Tensor]:
        """The thresholds, the same without gradient, and K((h - theta) / epsilon) / epsilon."""
        theta = self.log_threshold.exp().reshape(-1, *(1,) * (h.ndim - 2))
        fixed = theta.detach()
        near = (h.detach() - fixed).abs() < self.bandwidth / 2
        return theta, fixed, near.to(h.dtype) / self.bandwidth
