r"""Sparse codes: each example activates a few of many units, and all other values of the code are zero.

Active values are selected by rank within an example (:class:`TopK`, :class:`KSparse`), by rank within a batch
(:class:`BatchTopK`), or by a learned threshold per unit (:class:`JumpReLU`). The codes are real-valued and piecewise
linear in the features, with jumps where a unit becomes active. Units are indexed along axis 1; in feature
maps (B, d, H, W) all values of an example are ranked together.

A unit that is never active gets no gradient and stays inactive: a dead unit. :class:`DeadUnits` counts dead units and
trains them to predict the residual of the reconstruction.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import Dirac
from isthmus.errors import check_range
from isthmus.functional import per_example
from isthmus.parts.protocols import Capability, Gather, Model, Supplied, Trace, alone
from isthmus.parts.schedules import Scheduled, scheduled

MAX_COUNT = 1 << 30
"""Upper bound of options that count something."""


def keep_largest(h: Float[Tensor, "B *code"], k: int) -> Float[Tensor, "B *code"]:
    """``h`` with all but the ``k`` largest values of each example set to zero; exactly k are kept if values tie.

    >>> keep_largest(torch.tensor([[3.0, -1.0, 2.0]]), 2).tolist()
    [[3.0, 0.0, 2.0]]
    """
    flat = h.flatten(1)
    if k >= flat.shape[1]:
        return h
    values, indices = flat.topk(k, 1, sorted=False)
    return torch.zeros_like(flat).scatter(1, indices, values).reshape(h.shape)


class SparseCode(Dirac):
    """The point mass at a sparse code, which also stores the dense features.

    Args:
        value: the code, shape (B, *code).
        features: output of the encoder, of the same shape.
    """

    def __init__(self, value: Float[Tensor, "B *code"], features: Float[Tensor, "B *code"]) -> None:
        super().__init__(value)
        self.features = features


class DeadUnits(nn.Module):
    r"""Dead units, and an auxiliary loss that revives them.

    .. math:: \alpha \lVert e - \hat e \rVert^2, \quad e = x - \hat x(z), \quad \hat e = \hat x(z + z') - \hat x(z)

    where :math:`\hat x` is the mean of p(x | z), e is detached, and z' contains the ``count`` largest rectified
    features of the example among dead units. With a linear decoder and a Gaussian likelihood :math:`\hat e = W z'`, as
    in the paper; the difference of two means generalizes this to any decoder, and cancels biases.

    Args:
        weight: weight :math:`\alpha \ge 0` of the loss.
        count: number of dead units per example in the loss, at least 1.
        after: training steps without use after which a unit is dead, at least 1.
        size: number of units; if ``None``, it is set by the first batch.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025), appendix A.2
    """

    idle: Tensor

    def __init__(self, weight: float, count: int, after: int, size: int | None = None) -> None:
        super().__init__()
        check_range("latent.aux_weight", weight, 0, 1e6)
        check_range("latent.aux_k", count, 1, MAX_COUNT)
        check_range("latent.dead_after", after, 1, MAX_COUNT)
        self.weight, self.count, self.after = weight, count, after
        self.gather: Gather = alone
        self.register_buffer("idle", torch.zeros(size or 0, dtype=torch.long))

    def see(self, code: Float[Tensor, "B *code"]) -> None:
        """Update the number of steps since each unit was used; in training mode only."""
        if len(self.idle) != code.shape[1]:
            self.idle = torch.zeros(code.shape[1], dtype=torch.long, device=code.device)
        if self.training:
            used = code.detach().transpose(0, 1).flatten(1).any(1)
            self.idle.add_(1).masked_fill_(self.gather(used[None]).any(0), 0)

    @property
    def dead(self) -> Bool[Tensor, " d"]:
        """True for each dead unit, shape (d,)."""
        return self.idle >= self.after

    def loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The loss per example, shape (B,); exactly zero if no unit is dead, and in evaluation mode."""
        dead = self.dead
        # reading a value is free on the CPU and saves a forward pass, but would synchronize an accelerator; tensors of
        # another type stand for unknown values, while a step is captured as a graph
        none_dead = dead.device.type == "cpu" and type(dead) is Tensor and not bool(dead.any())
        # in training only: a validation loss with this term would favor epochs before units were counted as dead
        if none_dead or not self.training or self.weight == 0:
            return _zero(trace)
        return self.weight * self.residual_error(model, trace, dead)

    def residual_error(self, model: Model, trace: Trace, dead: Bool[Tensor, " d"]) -> Float[Tensor, " B"]:
        r"""Squared error :math:`\lVert e - \hat e \rVert^2` of the dead units' prediction of the residual, shape (B,).

        It is zero if no unit is dead.
        """
        features = _features(trace)
        mask = dead.reshape(-1, *(1,) * (features.ndim - 2))
        extra = keep_largest(F.relu(features) * mask, self.count)
        mean = trace.p.mean
        predicted = model.output(trace.z + extra).mean - mean
        difference = (trace.x - mean).detach() - predicted
        # missing values, NaN, have no residual
        error = per_example(torch.where(trace.x.isnan(), 0.0, difference).square())
        return torch.where(dead.any(), error, _zero(trace))


def _features(trace: Trace) -> Tensor:
    assert isinstance(trace.q, SparseCode)
    return trace.q.features


def _zero(trace: Trace) -> Float[Tensor, " B"]:
    """Zero per example, as an empty sum: never NaN, and connected to the graph of the features."""
    return _features(trace).flatten(1)[:, :0].sum(1)


class TopK(nn.Module):
    r"""TopK sparse code: the k largest rectified features of an example, :math:`z = \mathrm{TopK}(\mathrm{relu}(h))`.

    At most k values are nonzero, fewer where fewer features are positive. With k at least the size of the code it is a
    ReLU code. Adds the auxiliary loss of :class:`DeadUnits`, in squared units of the data.

    Args:
        k: number of values kept per example, at least 1; in a feature map (d, H, W), among all its values.
        aux_weight: weight of the dead-unit loss, at least 0; larger values revive more units. The paper's 1/32 applies
            to losses divided by the mean square of their targets.
        aux_k: number of dead units per example in the auxiliary loss; the paper uses about half the dimension of the
            data.
        dead_after: training steps without use after which a unit is dead.
        size: number of units, if known.

    References:
        Scaling and evaluating sparse autoencoders (Gao et al., 2025)

    Raises:
        BadOption: an option out of range.

    >>> TopK(k=1)(torch.tensor([[1.0, 3.0, 2.0]])).mean.tolist()
    [[0.0, 3.0, 0.0]]
    """

    auxiliary_name = "dead_units"
    idempotent = True

    def __init__(
        self,
        k: int = 16,
        aux_weight: float = 1 / 32,
        *,
        aux_k: int = 256,
        dead_after: int = 100,
        size: Supplied[int | None] = None,
    ) -> None:
        super().__init__()
        check_range("latent.k", k, 1, MAX_COUNT)
        self.k = k
        self.units = DeadUnits(aux_weight, aux_k, dead_after, size)
        self.provides = frozenset({Capability.REAL})

    def width(self, d: int) -> int:
        """One feature per unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at the k largest rectified features."""
        code = keep_largest(F.relu(h), self.k)
        self.units.see(code)
        return SparseCode(code, h)

    def auxiliary_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The dead-unit loss per example, shape (B,)."""
        return self.units.loss(model, trace)


class BatchTopK(nn.Module):
    r"""BatchTopK sparse code: the k B largest rectified features of a batch of B examples.

    The number of active values varies between examples, k on average. In training mode values are ranked over the batch
    (of all processes in distributed training). In evaluation mode a fixed threshold replaces the ranking,
    :math:`z = h\,[h \ge \theta]`, so that the code of an example does not depend on other examples; :math:`\theta` is
    the running mean of the smallest value kept (0 if all were kept). Adds the auxiliary loss of :class:`DeadUnits`, in
    squared units of the data.

    Args:
        k: mean number of values kept per example, at least 1.
        aux_weight: weight of the dead-unit loss, at least 0.
        aux_k: number of dead units per example in the auxiliary loss.
        dead_after: training steps without use after which a unit is dead.
        averaging_steps: training steps over which :math:`\theta` is averaged, at least 1.
        size: number of units, if known.

    References:
        BatchTopK sparse autoencoders (Bussmann et al., 2024)

    Raises:
        BadOption: an option out of range.

    >>> BatchTopK(k=1)(torch.tensor([[1.0, 3.0, 2.0], [0.5, 0.0, 1.0]])).mean.tolist()
    [[0.0, 3.0, 2.0], [0.0, 0.0, 0.0]]
    """

    auxiliary_name = "dead_units"
    idempotent = True
    threshold: Tensor
    steps: Tensor

    def __init__(
        self,
        k: int = 16,
        aux_weight: float = 1 / 32,
        *,
        aux_k: int = 256,
        dead_after: int = 100,
        averaging_steps: int = 100,
        size: Supplied[int | None] = None,
    ) -> None:
        super().__init__()
        check_range("latent.k", k, 1, MAX_COUNT)
        check_range("latent.averaging_steps", averaging_steps, 1, MAX_COUNT)
        self.k, self.averaging_steps = k, averaging_steps
        self.gather: Gather = alone
        self.units = DeadUnits(aux_weight, aux_k, dead_after, size)
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.provides = frozenset({Capability.REAL})

    def width(self, d: int) -> int:
        """One feature per unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at the rectified features that are kept."""
        code = F.relu(h)
        code = self._ranked(code) if self.training else torch.where(code >= self.threshold, code, 0.0)
        self.units.see(code)
        return SparseCode(code, h)

    def auxiliary_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The dead-unit loss per example, shape (B,)."""
        return self.units.loss(model, trace)

    def _ranked(self, code: Float[Tensor, "B *code"]) -> Float[Tensor, "B *code"]:
        """Keep the k B largest values of the batch, and update the running mean of the smallest of them."""
        flat = code.reshape(-1)
        everyone = self.gather(flat.detach())
        count = self.k * len(code) * len(everyone) // len(flat)
        smallest = flat.new_zeros(())
        if count < len(everyone):
            values, indices = everyone.topk(count, sorted=False)
            smallest = values.min()
            if self.gather is alone:
                kept = torch.zeros_like(flat).scatter(0, indices, flat[indices])
            else:
                kept = torch.where(flat >= smallest, flat, 0.0)
            code = kept.reshape(code.shape)
        # an arithmetic mean over the first averaging_steps, then an exponential moving average
        self.steps.add_(1)
        self.threshold.add_((smallest - self.threshold) / self.steps.clamp_max(self.averaging_steps))
        return code


class KSparse(nn.Module):
    r"""k-sparse code: the k largest features of an example, with linear units, :math:`z = h\,[h \in \text{top } k]`.

    Features are not rectified, and are ranked by value, not by magnitude. A schedule that decreases k trains all units
    before they compete. In evaluation mode :math:`\alpha k` values are kept. With k at least the size of the code it is
    the identity.

    Args:
        k: number of values kept per example, at least 1; a number, or a schedule over the run.
        alpha: ratio of the number of values kept in evaluation and in training mode, above 0. The paper uses values
            above 1 for classification.

    References:
        k-sparse autoencoders (Makhzani & Frey, 2014), algorithm 1

    Raises:
        BadOption: an option out of range.

    >>> KSparse(k=1.0)(torch.tensor([[-4.0, -1.0, 3.0]])).mean.tolist()
    [[0.0, 0.0, 3.0]]
    """

    idempotent = True

    def __init__(self, k: Scheduled = 25.0, alpha: float = 1.0) -> None:
        super().__init__()
        check_range("latent.alpha", alpha, 0, 1e6, open_low=True)
        self.k, self.alpha = scheduled("latent.k", k, 1, MAX_COUNT), alpha
        self.provides = frozenset({Capability.REAL})

    def width(self, d: int) -> int:
        """One feature per unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at the k largest features, with k as scheduled at ``progress``."""
        k = self.k.at(progress) * (1.0 if self.training else self.alpha)
        return Dirac(keep_largest(h, max(1, round(k))))


class JumpReLU(nn.Module):
    r"""JumpReLU sparse code: features above a learned threshold per unit, :math:`z = h\,H(h - \theta)`.

    The Heaviside step H has no useful derivative, so the threshold :math:`\theta = e^\tau` is trained by a
    straight-through estimate, with the rectangular kernel K of width 1:

    .. math:: \frac{\partial z}{\partial\theta} := -\frac\theta\varepsilon K\!\left(\frac{h-\theta}\varepsilon\right),
        \quad \frac{\partial}{\partial\theta} H(h - \theta) :=
        -\frac1\varepsilon K\!\left(\frac{h-\theta}\varepsilon\right)

    The features get the exact gradient :math:`H(h - \theta)`. Adds the auxiliary loss
    :math:`\lambda \sum_j H(h_j - \theta_j)` per example, the weighted number of active values (L0), whose gradient
    reaches the threshold only.

    Args:
        l0_weight: :math:`\lambda \ge 0`, in nats per active value; a number, or a schedule over the run.
        threshold: initial value of :math:`\theta`, above 0, in units of the features.
        bandwidth: :math:`\varepsilon > 0`, in units of the features. The paper uses 0.001 for examples of mean square
            norm 1; with a larger bandwidth more examples of a small batch contribute to the gradient.
        size: number of units; if ``None``, it is set by the first batch.

    References:
        Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders (Rajamanoharan et al., 2024),
            equations 9, 11 and 12

    Raises:
        BadOption: an option out of range.

    >>> JumpReLU(threshold=1.5)(torch.tensor([[1.0, 3.0, -2.0]])).mean.tolist()
    [[0.0, 3.0, 0.0]]
    """

    auxiliary_name = "l0"
    idempotent = True

    def __init__(
        self,
        l0_weight: Scheduled = 0.1,
        threshold: float = 0.3,
        *,
        bandwidth: float = 0.2,
        size: Supplied[int | None] = None,
    ) -> None:
        super().__init__()
        check_range("latent.threshold", threshold, 0, 1e6, open_low=True)
        check_range("latent.bandwidth", bandwidth, 0, 1e6, open_low=True)
        self.l0_weight, self.start, self.bandwidth = (
            scheduled("latent.l0_weight", l0_weight, 0, 1e6),
            threshold,
            bandwidth,
        )
        self.log_threshold = nn.Parameter(torch.full((size or 0,), threshold).log())
        self.provides = frozenset({Capability.REAL})

    def width(self, d: int) -> int:
        """One feature per unit: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at the features above their thresholds."""
        if len(self.log_threshold) != h.shape[1]:
            self.log_threshold = nn.Parameter(h.new_full((h.shape[1],), self.start).log())
        theta, fixed, kernel = self._threshold(h)
        # the second term is zero and carries the estimated gradient of the threshold
        return SparseCode(torch.where(h > fixed, h, 0.0) + fixed * kernel * (fixed - theta), h)

    def auxiliary_loss(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The weighted number of active values per example, in nats, shape (B,)."""
        h = _features(trace)
        theta, fixed, kernel = self._threshold(h)
        return self.l0_weight.at(trace.progress) * per_example((h > fixed) + kernel * (fixed - theta))

    def _threshold(self, h: Float[Tensor, "B d *space"]) -> tuple[Tensor, Tensor, Tensor]:
        """The thresholds, the thresholds without gradient, and K((h - theta) / epsilon) / epsilon."""
        theta = self.log_threshold.exp().reshape(-1, *(1,) * (h.ndim - 2))
        fixed = theta.detach()
        near = (h.detach() - fixed).abs() < self.bandwidth / 2
        return theta, fixed, near.to(h.dtype) / self.bandwidth
