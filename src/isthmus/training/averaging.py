r"""Exponential moving averages of the weights, which vary less from step to step than the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

AVERAGE, STEPS = "average", "average_steps"
"""Names of the tensors in a checkpoint."""


class AveragedWeights:
    r"""The average of the weights of a module over its training steps.

    .. math:: \bar\theta_t = \bar\theta_{t-1} + \frac{1 - \gamma}{1 - \gamma^t} (\theta_t - \bar\theta_{t-1})
        = \frac{1 - \gamma}{1 - \gamma^t} \sum_{s=1}^t \gamma^{t-s}\,\theta_s

    The initial weights do not enter. Buffers of real numbers, such as the statistics of batch normalization, are
    averaged too.

    Args:
        module: the module that is trained.
        decay: :math:`\gamma` in [0, 1); with 0 nothing is averaged.

    References:
        Acceleration of stochastic approximation by averaging (Polyak & Juditsky, 1992)
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        trained = {id(p) for p in module.parameters() if p.requires_grad} | {id(b) for b in module.buffers()}
        found = module.state_dict(keep_vars=True) if decay else {}
        self._own = {name: v for name, v in found.items() if id(v) in trained and v.is_floating_point()}
        self._average = {name: value.detach().clone() for name, value in self._own.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Enter the weights after a step."""
        if not self.decay:
            return
        self.steps += 1
        rate = (1 - self.decay) / (1 - self.decay**self.steps)
        torch._foreach_lerp_(list(self._average.values()), [v.detach() for v in self._own.values()], rate)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the average as the weights in the block."""
        own = {name: value.detach().clone() for name, value in self._own.items()} if self.steps else {}
        with torch.no_grad():
            for name in own:
                self._own[name].copy_(self._average[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in own.items():
                    self._own[name].copy_(value)

    @torch.no_grad()
    def keep(self) -> None:
        """Replace the weights by their average."""
        for name in self._own if self.steps else ():
            self._own[name].copy_(self._average[name])

    def tensors(self) -> dict[str, Tensor]:
        """The average, by names for a checkpoint."""
        if not self.decay:
            return {}
        return {f"{AVERAGE}.{name}": v for name, v in self._average.items()} | {STEPS: torch.tensor(self.steps)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the average from a checkpoint.

        Raises:
            LookupError: it has none.
        """
        if self.decay:
            self.steps = int(tensors[STEPS])
            for name, value in self._average.items():
                value.copy_(tensors[f"{AVERAGE}.{name}"])
