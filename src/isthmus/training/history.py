"""History of a run: one record per epoch, the best weights, and early stopping."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.models.objective import Objective


@dataclass(frozen=True)
class Epoch:
    """Metrics of one epoch: named losses in nats per example (means over examples), learning rate and throughput."""

    epoch: int
    step: int
    train: dict[str, float]
    valid: dict[str, float] | None
    weights: dict[str, float]
    learning_rate: float
    seconds: float
    examples_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data: one line of metrics.jsonl."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """Result of a run.

    Attributes:
        history: all epochs.
        kept_epoch: the epoch of the kept weights.
        stopped: why it stopped.
        seconds: duration of the training.
        precision: precision of the networks.
        compiled: whether its step was compiled.
        resumed_at: the steps where it resumed.
    """

    history: list[Epoch]
    kept_epoch: int
    stopped: str
    seconds: float
    precision: str
    compiled: bool
    resumed_at: tuple[int, ...] = ()


@dataclass
class BestWeights:
    """The weights of the best epoch, and early stopping.

    Args:
        objective: the objective whose weights are kept.
        patience: epochs without improvement after which to stop; ``None`` never stops.
        since: first epoch that counts, so that no run stops during a warm-up.
    """

    objective: Objective
    patience: int | None = None
    since: int = 1
    best: Epoch | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Until an epoch is finished, the initial weights are the best."""
        self.weights = self.weights or copy_weights(self.objective)

    def monitored(self, record: Epoch) -> float:
        """The monitored value, which is minimized: the loss with final weights, of the validation set if there is one.

        The training loss of an epoch during a warm-up was measured with smaller weights, so the total with the final
        ones is computed from its terms.
        """
        return self.objective.total(record.valid or record.train)

    def see(self, record: Epoch) -> str | None:
        """Update the best weights with an epoch; the reason for early stopping, or ``None``."""
        value = self.monitored(record)
        if math.isfinite(value) and (self.best is None or value < self.monitored(self.best)):
            self.best = record
            self.weights = copy_weights(self.objective)
            return None
        if self.patience is None or self.best is None:
            return None
        waited = record.epoch - max(self.best.epoch, self.since - 1)
        if waited < self.patience:
            return None
        which = "validation" if record.valid else "training"
        return (
            f"the {which} loss has not improved on {self.monitored(self.best):.4f} (epoch {self.best.epoch}) for "
            f"{waited} epochs"
        )


def warm_epochs(objective: Objective, total: int, batches: int) -> int:
    """Epochs of so many batches, in a run of ``total`` steps, until all weights have their final value."""
    longest = max([s.length(total) for s in objective.schedules.values()], default=0.0)
    return int(longest // batches)


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers, in their memory layout."""
    with torch.no_grad():
        return {name: value.detach().clone() for name, value in module.state_dict().items()}
