"""What happened in a run: one record for each epoch, the best weights so far, and why it ended."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.objective import Objective


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch: named losses in nats per example (means by count), rate, and images per second."""

    epoch: int
    step: int
    train: dict[str, float]
    valid: dict[str, float] | None
    weights: dict[str, float]
    rate: float
    seconds: float
    examples_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data: one line of metrics.jsonl."""
        return asdict(self)


@dataclass
class Keeper:
    """Keeps the weights of the best epoch, and stops a run that no longer improves.

    Args:
        objective: whose weights are kept.
        patience: epochs without improvement after which to stop; ``None`` never stops.
        since: first epoch that counts, so that no run stops inside a warm-up.
    """

    objective: Objective
    patience: int | None = None
    since: int = 1
    best: Epoch | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Until an epoch is finished, the first weights are the best."""
        self.weights = self.weights or copy_of(self.objective)

    def watched(self, record: Epoch) -> float:
        """What decides which weights are best: the loss with final weights, of validation where there is one.

        The training loss of an epoch inside a warm-up was measured with smaller weights; its parts tell what it
        would have been with the final ones.
        """
        return self.objective.total(record.valid or record.train)

    def see(self, record: Epoch) -> str | None:
        """Take note of an epoch; a sentence if the run should stop, and why."""
        value = self.watched(record)
        if math.isfinite(value) and (self.best is None or value < self.watched(self.best)):
            self.best = record
            self.weights = copy_of(self.objective)
            return None
        if self.patience is None or self.best is None:
            return None
        waited = record.epoch - max(self.best.epoch, self.since - 1)
        if waited < self.patience:
            return None
        which = "validation" if record.valid else "training"
        return (
            f"the {which} loss has not improved on {self.watched(self.best):.4f} (epoch {self.best.epoch}) for "
            f"{waited} epochs"
        )


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers, in their own layout."""
    with torch.no_grad():
        return {name: value.detach().clone() for name, value in module.state_dict().items()}
