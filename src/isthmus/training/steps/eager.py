"""One update, operation by operation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isthmus.models.objective import Loss, Objective
from isthmus.models.seeding import derive_seed, seeded
from isthmus.options import TrainingOptions
from isthmus.training.line_searches import METHODS, with_fixed_buffers


class Losses(NamedTuple):
    """The named losses of a batch without gradient: the loss, its terms, and the losses of critics."""

    names: list[str]
    values: Tensor


Check = Callable[[Tensor], None]
"""Called with the loss of a step; raises if it is not finite."""


class Step:
    """One update: the loss of a batch, its gradients, clipped if requested, and the optimizers.

    Args:
        objective: the objective.
        module: the objective, or what distributes it over processes.
        all_optimizers: the optimizers of autoencoder and critics.
        options: training options.
        seed: seed of the run, for optimizers that evaluate the loss of a step repeatedly.
    """

    def __init__(
        self,
        objective: Objective,
        module: nn.Module,
        all_optimizers: Sequence[Optimizer],
        options: TrainingOptions,
        seed: int,
    ) -> None:
        self.objective, self.module, self.optimizers = objective, module, all_optimizers
        self.options, self.seed = options, seed
        self.searching = options.optimizer in METHODS
        self.players = objective.players()
        self.parameters = list(objective.parameters())

    def __call__(self, batch: Sequence[Tensor], where: Mapping[str, Any], check: Check) -> Losses:
        """Update the weights.

        Args:
            batch: targets, and for pairs the inputs of the encoder.
            where: further arguments of the objective: the step, and what processes share.
            check: called with the loss before the update.
        """
        pair = {"x_in": batch[1]} if len(batch) > 1 else {}

        def losses_of() -> Loss:
            with seeded(derive_seed(self.seed, "search", where["step"]) if self.searching else None):
                found: Loss = self.module(batch[0], **pair, **where)
            return found

        total, terms, critics = losses_of()
        check(total.detach())
        if self.searching:
            closure = with_fixed_buffers(lambda: self._backward(losses_of().total).item(), self.objective)
            self.optimizers[0].step(closure)
        else:
            # autoencoder and critics share no parameters and no gradients, so one backward pass is enough
            self._backward(sum(critics.values(), total))
            if self.options.gradient_clip is not None:
                for members in self.players.values():
                    torch.nn.utils.clip_grad_norm_(members, self.options.gradient_clip)
            for optimizer in self.optimizers:
                optimizer.step()
        named = {"loss": total, **terms, **critics}
        return Losses(list(named), torch.stack([value.detach() for value in named.values()]))

    def settle(self) -> None:
        """Nothing is kept outside the optimizers."""

    def _backward(self, loss: Tensor) -> Tensor:
        """Set the gradients of the parameters; returns the loss without gradient."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()
