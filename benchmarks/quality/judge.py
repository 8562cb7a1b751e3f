"""The stopping rule: the figure of validation images decides, and the time that it takes does not count."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from figures import FIGURES, Coder, Part
from tasks import Task


@dataclass
class Judge:
    """Reads the clock of a training run, and stops it.

    The clock runs from :meth:`start`, where the images are an array in memory, to the first epoch whose validation
    figure reaches the goal; it pauses during validation.

    Args:
        task: what is waited for.
        goal: the figure that ends training.
        limit: seconds of training after which a run gives up.
        valid: validation images.
    """

    task: Task
    goal: float
    limit: float
    valid: Part
    track: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of training and the validation figure, after each epoch."""
    step: dict[str, Any] = field(default_factory=dict)
    """How steps are taken, by competitors that can choose: ``precision`` of products, and whether ``compiled``."""
    reached: bool = False
    seconds: float = 0.0
    _resumed: float = math.nan

    def start(self) -> None:
        """Start the clock."""
        self._resumed = time.perf_counter()

    def ends(self, coder: Coder) -> bool:
        """Whether training ends after this epoch."""
        self.seconds += time.perf_counter() - self._resumed
        value = FIGURES[self.task.figure](coder, self.valid)
        self.track.append((self.seconds, value))
        self.reached = self.task.met(value, self.goal)
        self._resumed = time.perf_counter()
        return self.reached or self.seconds >= self.limit or math.isnan(value)
