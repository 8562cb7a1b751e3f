"""One update as one compiled function, compared with the uncompiled one before it is used.

Batches of another size than the one that is compiled, such as the last of an epoch, take the uncompiled step; so does
the whole run where the step cannot be compiled, or where the compiled one gives other results.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from isthmus.training.steps.capture import MOST_VALUES, Captured, capture
from isthmus.training.steps.comparison import (
    COUNT,
    TOLERANCES,
    State,
    copied,
    difference,
    losses_differ,
    restore,
    state_of,
)
from isthmus.training.steps.compiler import Function, compile_graph
from isthmus.training.steps.eager import Check, Losses, Step
from isthmus.training.steps.refusal import CannotCapture
from isthmus.training.steps.updates import UPDATES


class CompiledStep:
    """The step of a run, compiled for batches of one size.

    Args:
        eager: the uncompiled step, which has the objective and the optimizers.
        size: number of examples of the batches that are compiled.
        say: called with a clause while the step is compiled, and with an empty string afterwards.

    Attributes:
        refusal: why the step is not compiled, as a clause; ``None`` if it is, or before the first batch.
    """

    def __init__(self, eager: Step, size: int, say: Callable[[str], None] = lambda clause: None) -> None:
        self.eager, self.size, self.say = eager, size, say
        self.refusal: str | None = None
        self._made: tuple[Captured, Function] | None = None
        self._counts = [_Counts(optimizer) for optimizer in eager.optimizers]
        self._low: list[Tensor] = []
        self._versions: list[int] = []
        self._values = torch.zeros(MOST_VALUES)
        # the same memory, which numpy writes faster
        self._numbers = self._values.numpy()

    def __call__(self, batch: Sequence[Tensor], where: Mapping[str, Any], check: Check) -> Losses:
        """Update the weights; the arguments are those of :class:`Step`."""
        if self.refusal is not None or len(batch[0]) != self.size:
            self.settle()
            # the optimizers' kernels do not count as changes of the weights
            self._versions = []
            found = self.eager(batch, where, check)
            self._read_counts()
            return found
        if self._made is None:
            return self._first(batch, where, check)
        for count in self._counts:
            count.number += 1
        return self._run(*self._made, batch, where, check)

    @property
    def compiled(self) -> bool:
        """Whether steps are compiled."""
        return self._made is not None

    def settle(self) -> None:
        """Write what is kept outside the optimizers into their state; before it is read or another step is taken."""
        for count in self._counts:
            count.settle()

    def _read_counts(self) -> None:
        for count in self._counts:
            count.read()

    def _first(self, batch: Sequence[Tensor], where: Mapping[str, Any], check: Check) -> Losses:
        """Compile the step, and take it both ways from the same state; the compiled result is kept if they agree."""
        before, start = copied(state_of(self.eager)), torch.get_rng_state()
        expected = self.eager(batch, where, check)
        self._read_counts()
        state = state_of(self.eager)
        after, end = copied(state), torch.get_rng_state()
        self.say("compiling the training step")
        try:
            made = self._compiled(batch, {name: value for name, value in where.items() if name != "step"})
            restore(state, before, counts=False)
            torch.set_rng_state(start)
            found = self._run(*made, batch, where, check)
            self.refusal = self._difference(before, after, state, expected, found)
            if not torch.get_rng_state().equal(end):
                self.refusal = "it would draw other random numbers"
        except CannotCapture as error:
            self.refusal = str(error)
        finally:
            self.say("")
        if self.refusal is None:
            self._made = made
            return found
        warnings.warn(
            f"The training step is not compiled, because {self.refusal}. The run is trained without; "
            "training.compile=off leaves out the attempt.",
            stacklevel=2,
        )
        restore(state, after, counts=True)
        torch.set_rng_state(end)
        # the optimizers count their steps themselves
        self._counts = []
        return expected

    def _compiled(self, batch: Sequence[Tensor], constants: Mapping[str, Any]) -> tuple[Captured, Function]:
        """The graph of the step, and a compiled function of it."""
        captured = capture(self.eager.objective, self.eager.optimizers, self.eager.options, batch, constants)
        self._low = [weight.detach().bfloat16() for weight in captured.low]
        with torch.random.fork_rng(devices=[]):
            arguments = (*captured.tensors, *self._low, *batch, self._values, *captured.draw())
            return captured, compile_graph(captured.graph, arguments)

    def _difference(self, before: State, after: State, state: State, expected: Losses, found: Losses) -> str | None:
        """Why the compiled step is not used: losses or changes of the state that differ by more than rounding."""
        tolerance = TOLERANCES[self.eager.objective.model.autocast]
        losses = losses_differ(expected.names, expected.values, found.values, tolerance)
        return losses or difference(before, after, state, tolerance)

    def _run(
        self, captured: Captured, function: Function, batch: Sequence[Tensor], where: Mapping[str, Any], check: Check
    ) -> Losses:
        if self._versions != [weight._version for weight in captured.low]:
            # something else than a compiled step has changed the weights
            torch._foreach_copy_(self._low, [weight.detach() for weight in captured.low])
        self._set_values(captured, where["step"], where["total"])
        (values,) = function(*captured.tensors, *self._low, *batch, self._values, *captured.draw())
        self._versions = [weight._version for weight in captured.low]
        check(values[0])
        return Losses(captured.names, values)

    def _set_values(self, captured: Captured, step: int, total: int) -> None:
        """Learning rates and the like, then the values of schedules: over the progress of the run, or over steps."""
        values = [number for count in self._counts for number in count.pace()]
        values += [s(step / total, 1) if of == 1 else s(step, of) for s, of in captured.schedules]
        self._numbers[: len(values)] = values


class _Counts:
    """The number of steps of an optimizer, which is in the state of each of its parameters.

    Compiled steps are counted here instead: to update a dozen tensors of one number would take 2 % of a step.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.update, self.number = optimizer, UPDATES.get(type(optimizer)), 0

    def read(self) -> None:
        """Read the number of steps from the state."""
        self.number = max((int(count.item()) for count in self._tensors()), default=0)

    def settle(self) -> None:
        """Write the number of steps into the state."""
        for count in self._tensors() if self.number else ():
            count.fill_(self.number)

    def pace(self) -> list[float]:
        """The numbers of all groups of parameters for the step that is taken."""
        assert self.update is not None
        return [pace for group in self.optimizer.param_groups for pace in self.update.pace(group, self.number)]

    def _tensors(self) -> list[Tensor]:
        return [state[COUNT] for state in self.optimizer.state.values() if COUNT in state]
