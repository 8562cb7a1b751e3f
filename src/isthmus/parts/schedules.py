r"""Weights that change during training.

A penalty's weight :math:`\lambda` may change from ``start`` to ``value`` at the beginning of the run (KL warm-up,
Bowman et al., 2016; Sønderby et al., 2016). Its length is a fraction of the run, or a number of steps, which may exceed
the run (:meth:`Schedule.unfinished`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from torch import Tensor

from isthmus.errors import BadOption, check_choice, check_range

SHAPES = ("constant", "linear", "cosine")


class Moment(float):
    """A step of the run, or the progress, that is not known yet: while a step is captured as a graph.

    Values of schedules are inputs of the graph. Anything else that is computed from a moment would become a constant of
    the graph, so arithmetic and comparisons raise ``TypeError``, and where torch takes it as a number it is NaN.

    Args:
        value_of: called with a schedule and the number of steps of the run (1 for a schedule over the progress).
    """

    value_of: "Callable[[Schedule, int], Tensor]"

    def __new__(cls, value_of: "Callable[[Schedule, int], Tensor]") -> "Moment":
        """The moment whose values of schedules ``value_of`` gives."""
        made = super().__new__(cls, math.nan)
        made.value_of = value_of
        return made

    def _unknown(self, *_others: object) -> NoReturn:
        raise TypeError("the progress of the run is not known")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _unknown
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = __round__ = _unknown
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __bool__ = __int__ = __trunc__ = _unknown
    __hash__ = float.__hash__


@dataclass(frozen=True)
class Schedule:
    r"""A weight as a function of the step.

    With :math:`t = \min(1, \mathrm{step} / \mathrm{length})`, linear gives :math:`a + (b - a) t` and cosine
    :math:`a + (b - a)(1 - \cos \pi t)/2`, from a = ``start`` to b = ``value``.

    Args:
        value: the weight b after the warm-up, and at every step for ``constant``.
        shape: ``constant``, ``linear`` or ``cosine``.
        start: the weight a at the first step.
        fraction: length as a fraction of the run, in (0, 1]; or
        steps: length in steps, at least 1. ``linear`` and ``cosine`` take exactly one of the two.

    Raises:
        BadOption: a value out of range, or ``linear`` or ``cosine`` without exactly one length.

    >>> Schedule(2.0, "linear", fraction=0.5)(step=25, total=100)
    1.0
    """

    # pydantic reads this where a schedule is in a recipe: unknown keys are refused, not dropped
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    value: float = 1.0
    shape: str = "constant"
    start: float = 0.0
    fraction: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        """Check shape, values and length."""
        check_choice("A schedule's shape", self.shape, SHAPES)
        for name in ("value", "start"):
            if not math.isfinite(getattr(self, name)):
                raise BadOption(f"A schedule's {name} must be a finite number, but is {getattr(self, name)}.")
        lengths = [v for v in (self.fraction, self.steps) if v is not None]
        if (self.shape == "constant") != (not lengths) or len(lengths) > 1:
            raise BadOption(
                f"A schedule of shape {self.shape!r} was given fraction={self.fraction} and steps={self.steps}; "
                "constant takes neither, linear and cosine take exactly one. Set one of them."
            )
        if self.fraction is not None:
            check_range("A schedule's fraction", self.fraction, 0, 1, open_low=True)
        if self.steps is not None:
            check_range("A schedule's steps", self.steps, 1)

    def length(self, total: int) -> float:
        """Steps until the weight reaches ``value`` in a run of ``total`` steps."""
        if self.fraction is not None:
            return self.fraction * total
        return float(self.steps or 0)

    def __call__(self, step: float, total: int) -> float:
        """The weight at ``step`` (0-based) of a run of ``total`` steps; a tensor of shape () at a :class:`Moment`."""
        if self.shape == "constant":
            return self.value
        if isinstance(step, Moment):
            # an input of a graph, with the arithmetic of a number
            return step.value_of(self, total)  # type: ignore[return-value]
        length = self.length(total)
        if step >= length:
            return self.value
        t = step / length
        rise = t if self.shape == "linear" else (1 - math.cos(math.pi * t)) / 2
        return self.start + (self.value - self.start) * rise

    def at(self, progress: float) -> float:
        """The weight when a fraction ``progress`` of the run is done; for lengths given as a fraction."""
        return self(progress, 1)

    def unfinished(self, total: int) -> bool:
        """Whether a run of ``total`` steps ends before the weight reaches ``value``."""
        return self.length(total) > total


Scheduled = float | Schedule
"""An option of a part: a number, or a schedule over the run."""


def scheduled(option: str, value: Scheduled, low: float = -math.inf, high: float = math.inf) -> Schedule:
    """An option as a schedule over the progress of the run, with all values between ``low`` and ``high``.

    Raises:
        BadOption: a value out of range, or a length in steps, which is not supported here.

    >>> scheduled("corruption.fraction", 0.5, 0, 1).at(0.0)
    0.5
    """
    schedule = value if isinstance(value, Schedule) else Schedule(float(value))
    if schedule.steps is not None:
        raise BadOption(
            f"{option} was given a length of {schedule.steps} steps. Set a fraction of the run instead (fraction=0.5)."
        )
    for end in (schedule.value,) if schedule.shape == "constant" else (schedule.start, schedule.value):
        check_range(option, end, low, high)
    return schedule
