r"""The updates of the optimizers as functions of tensors, for a step that is compiled as a whole.

PyTorch's optimizers keep their state in Python, which a graph cannot contain. Each update here is that of one of them:
``tests/training/steps/test_updates.py`` compares the two in float64. What changes from step to step without depending
on the gradient, such as the learning rate, is computed outside and comes in as ``pace``, one tensor of shape () each.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import SGD, Muon, Optimizer
from torch.optim._muon import _adjust_lr, _zeropower_via_newtonschulz

from isthmus.training.fused_adam import Adam

Group = Mapping[str, Any]
"""The options of a group of parameters, as in ``optimizer.param_groups``."""


class Update(ABC):
    """The update of one optimizer.

    Attributes:
        buffers: names of the tensors in the optimizer's state of a parameter that the update reads and writes.
    """

    buffers: tuple[str, ...]

    @abstractmethod
    def pace(self, group: Group, step: int) -> tuple[float, ...]:
        """The numbers of an update (``step`` counts from 1)."""

    @abstractmethod
    def updated(self, p: Tensor, g: Tensor, state: Sequence[Tensor], pace: Sequence[Tensor], group: Group) -> Tensor:
        """The new value of ``p`` with gradient ``g``; ``state`` (one tensor per buffer) is updated in place."""


class AdamUpdate(Update):
    r"""Adam and AdamW.

    .. math:: m_t = \beta_1 m_{t-1} + (1 - \beta_1) g, \quad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g^2, \quad
        \theta_t = \theta_{t-1} - \frac{\eta}{1 - \beta_1^t} \frac{m_t}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def pace(self, group: Group, step: int) -> tuple[float, ...]:
        """Learning rates with and without the correction of the first average, and that of the second average."""
        first, second = group["betas"]
        rate = group["lr"]
        return rate / (1 - first**step), (1 - second**step) ** 0.5, rate

    def updated(self, p: Tensor, g: Tensor, state: Sequence[Tensor], pace: Sequence[Tensor], group: Group) -> Tensor:
        """The new value of ``p``; the two averages are updated in place."""
        (m, v), (corrected, root, rate), decay = state, pace, group["weight_decay"]
        if decay and group["decoupled_weight_decay"]:
            p = p * (1 - rate * decay)
        elif decay:
            g = g + decay * p
        first, second = group["betas"]
        m.lerp_(g, 1 - first)
        v.mul_(second).addcmul_(g, g, value=1 - second)
        step: Tensor = corrected * m / (v.sqrt() / root + group["eps"])
        return p - step


class MomentumUpdate(Update):
    r"""Gradient descent with momentum, :math:`b_t = \mu b_{t-1} + g`, :math:`\theta_t = \theta_{t-1} - \eta b_t`.

    Nesterov's variant uses :math:`g + \mu b_t` in place of :math:`b_t`. Without momentum there is no buffer.
    """

    buffers = ("momentum_buffer",)

    def pace(self, group: Group, step: int) -> tuple[float, ...]:
        """Learning rate and momentum."""
        return group["lr"], group["momentum"]

    def updated(self, p: Tensor, g: Tensor, state: Sequence[Tensor], pace: Sequence[Tensor], group: Group) -> Tensor:
        """The new value of ``p``; the buffer is updated in place."""
        rate, momentum = pace
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        direction: Tensor = g
        if state:
            state[0].mul_(momentum).add_(g)
            direction = g + momentum * state[0] if group["nesterov"] else state[0]
        return p - rate * direction


class MuonUpdate(Update):
    r"""Muon: the momentum of the gradient, orthogonalized by PyTorch's Newton-Schulz iteration."""

    buffers = ("momentum_buffer",)

    def pace(self, group: Group, step: int) -> tuple[float, ...]:
        """The learning rate."""
        return (group["lr"],)

    def updated(self, p: Tensor, g: Tensor, state: Sequence[Tensor], pace: Sequence[Tensor], group: Group) -> Tensor:
        """The new value of ``p``; the buffer is updated in place."""
        (buffer,), (rate,) = state, pace
        buffer.lerp_(g, 1 - group["momentum"])
        direction = g.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
        direction = _zeropower_via_newtonschulz(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
        factor = float(_adjust_lr(1.0, group["adjust_lr_fn"], p.shape))
        # a product with a number would stay in bfloat16, in which torch orthogonalizes
        new: Tensor = p * (1 - rate * group["weight_decay"]) - factor * rate * direction.to(p.dtype)
        return new


UPDATES: dict[type[Optimizer], Update] = {Adam: AdamUpdate(), SGD: MomentumUpdate(), Muon: MuonUpdate()}
"""The update of each optimizer; line searches have none."""
UPDATED = frozenset({"adam", "adamw", "sgd", "nesterov", "muon"})
"""The names of these optimizers in ``training.optimizer``."""


def buffers_of(optimizer: Optimizer, parameter: Tensor) -> list[Tensor]:
    """The state of a parameter that the update of ``optimizer`` takes; empty without momentum."""
    state = optimizer.state[parameter]
    return [state[name] for name in UPDATES[type(optimizer)].buffers if isinstance(state.get(name), Tensor)]
