"""A training step as one graph: forward and backward pass, clipping, and the updates of the optimizers.

The objective is traced with the code that an uncompiled step runs, so there is no second formula. Weights, buffers,
the optimizers' state, the batch, random numbers and the values of schedules are inputs of the graph.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import GraphModule, Node
from torch.optim import Optimizer

from isthmus.models.objective import Loss, Objective
from isthmus.options import TrainingOptions
from isthmus.parts.schedules import Moment, Schedule
from isthmus.training.steps.drawing import Drawing
from isthmus.training.steps.refusal import CannotCapture
from isthmus.training.steps.updates import UPDATES, buffers_of

aten = torch.ops.aten
MOST_VALUES = 1024
"""Most numbers that change from step to step: values of schedules, and learning rates."""


@dataclass
class Captured:
    """A step as a graph.

    The graph takes :attr:`tensors` (updated in place), copies of weights in bfloat16 (updated in place), the
    batch, ``values`` and random numbers, in this order.

    Attributes:
        graph: the graph, without random numbers; it returns the named losses in one tensor.
        draw: draws the random numbers of a step, a tuple of tensors.
        names: names of the losses.
        tensors: weights, buffers and optimizer states.
        low: the weights that the graph takes in bfloat16.
        schedules: the schedules whose values the graph takes, with their number of steps.
    """

    graph: GraphModule
    draw: Callable[[], tuple[Tensor, ...]]
    names: list[str]
    tensors: list[Tensor]
    low: list[Tensor]
    schedules: list[tuple[Schedule, int]]


@dataclass
class _Trace:
    """What is known of a step while it is traced."""

    objective: Objective
    optimizers: Sequence[Optimizer]
    options: TrainingOptions
    constants: Mapping[str, Any]
    schedules: list[tuple[Schedule, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = dict(self.objective.named_parameters())
        self.places = _places(self.objective, self.parameters)
        self.buffers = dict(self.objective.named_buffers())
        self.place = {id(p): name for name, p in self.parameters.items()}
        self.state = {
            self.place[id(p)]: buffers_of(optimizer, p)
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for p in group["params"]
        }
        self.numbers = sum(len(UPDATES[type(o)].pace(g, 1)) for o in self.optimizers for g in o.param_groups)

    def step(
        self,
        weights: dict[str, Tensor],
        buffers: dict[str, Tensor],
        state: dict[str, list[Tensor]],
        batch: Sequence[Tensor],
        values: Tensor,
    ) -> Tensor:
        """One update in place; returns the losses. A loss that is not finite leaves the weights as they are."""

        def value_of(schedule: Schedule, total: int) -> Tensor:
            self.schedules.append((schedule, total))
            return values[self.numbers + len(self.schedules) - 1]

        with torch.enable_grad():
            leaves = {
                name: nn.Parameter(w.detach(), requires_grad=self.parameters[name].requires_grad)
                for name, w in weights.items()
            }
            pair = {"x_in": batch[1]} if len(batch) > 1 else {}
            where: Any = {**pair, **self.constants, "step": Moment(value_of)}
            placed = {place: leaves[name] for place, name in self.places.items()}
            # each place once: a module that is in two places would be restored wrongly
            loss: Loss = functional_call(self.objective, {**placed, **buffers}, (batch[0],), where, tie_weights=False)
            self._backward(leaves, sum(loss.critics.values(), loss.total))
        self._clip(leaves)
        self._update(weights, leaves, state, values, loss.total.detach())
        named = {"loss": loss.total, **loss.terms, **loss.critics}
        self.names[:] = list(named)
        return torch.stack([value.detach() for value in named.values()])

    def _backward(self, leaves: Mapping[str, nn.Parameter], loss: Tensor) -> None:
        trained = [leaf for leaf in leaves.values() if leaf.requires_grad]
        for leaf, gradient in zip(trained, torch.autograd.grad(loss, trained, allow_unused=True), strict=True):
            leaf.grad = gradient

    def _clip(self, leaves: Mapping[str, nn.Parameter]) -> None:
        if self.options.gradient_clip is None:
            return
        for members in self.objective.players().values():
            ours = [leaves[self.place[id(p)]] for p in members]
            torch.nn.utils.clip_grad_norm_(ours, self.options.gradient_clip, foreach=False)

    def _update(
        self,
        weights: Mapping[str, Tensor],
        leaves: Mapping[str, nn.Parameter],
        state: Mapping[str, Sequence[Tensor]],
        values: Tensor,
        loss: Tensor,
    ) -> None:
        finite, start = loss.isfinite(), 0
        for optimizer in self.optimizers:
            update = UPDATES[type(optimizer)]
            for group in optimizer.param_groups:
                count = len(update.pace(group, 1))
                pace = [values[start + i] for i in range(count)]
                start += count
                for name in (self.place[id(p)] for p in group["params"]):
                    gradient, weight = leaves[name].grad, weights[name]
                    if gradient is not None:
                        new = update.updated(weight, gradient, state[name], pace, group)
                        weight.copy_(torch.where(finite, new, weight))


def _places(objective: Objective, parameters: Mapping[str, Tensor]) -> dict[str, str]:
    """All attributes that are parameters, each once, with the name of the parameter there."""
    names = {id(p): name for name, p in parameters.items()}
    return {
        f"{path}.{name}".removeprefix("."): names[id(p)]
        for path, module in objective.named_modules()
        for name, p in module.named_parameters(recurse=False, remove_duplicate=False)
    }


def capture(
    objective: Objective,
    optimizers: Sequence[Optimizer],
    options: TrainingOptions,
    batch: Sequence[Tensor],
    constants: Mapping[str, Any],
) -> Captured:
    """Capture the step of a training run whose optimizers have taken a step.

    Args:
        objective: the objective, in training mode.
        optimizers: its optimizers, each with an update in :data:`UPDATES`.
        options: training options.
        batch: a batch of the size that the graph is for: targets, and for pairs the inputs.
        constants: arguments of the objective that are the same in every step.

    Raises:
        CannotCapture: the step depends on values of tensors in a way that a graph cannot express.
    """
    from torch._subclasses.fake_tensor import FakeTensor
    from torch.fx.experimental.proxy_tensor import make_fx

    trace = _Trace(objective, optimizers, options, constants)
    values = torch.zeros(MOST_VALUES)
    arguments = (
        {name: p.detach() for name, p in trace.parameters.items()}, trace.buffers, trace.state, list(batch), values,
    )  # fmt: skip
    try:
        # a method would count its object as an argument
        made = make_fx(lambda *given: trace.step(*given), tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)
    except CannotCapture:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotCapture(f"it is not one graph ({type(error).__name__}: {reason[0]:.200})") from error
    for module in objective.modules():
        kept = [name for name, value in vars(module).items() if isinstance(value, FakeTensor)]
        if kept:
            raise CannotCapture(f"{type(module).__name__} keeps the tensor {kept[0]} from one step to the next")
    made.graph.set_codegen(torch.fx.graph.CodeGen())
    drawing = Drawing(made.graph)
    tensors = [*arguments[0].values(), *trace.buffers.values(), *(t for ts in trace.state.values() for t in ts)]
    placeholders = [node for node in made.graph.nodes if node.op == "placeholder"]
    low = _low_copies(
        made, placeholders[: len(trace.parameters)], placeholders[len(tensors) - 1], list(trace.parameters.values())
    )
    made.graph.lint()
    made.recompile()
    return Captured(made, drawing.module(made).forward, trace.names, tensors, low, trace.schedules)


def _low_copies(made: GraphModule, places: Sequence[Node], after: Node, weights: Sequence[Tensor]) -> list[Tensor]:
    """Make the bfloat16 copies of weights inputs of the graph, which are written where the weights are updated.

    A copy is then made in the pass over memory that updates its weight, instead of one more pass in the next step.
    """
    found: list[Tensor] = []
    end = next(node for node in made.graph.nodes if node.op == "output")
    for place, weight in zip(places, weights, strict=True):
        casts = _casts(place)
        if not casts:
            continue
        with made.graph.inserting_after(after):
            low = after = made.graph.placeholder(f"low_{len(found)}")
        low.meta["val"] = casts[0].meta["val"]
        for node in casts:
            node.replace_all_uses_with(low)
            made.graph.erase_node(node)
        with made.graph.inserting_before(end):
            made.graph.call_function(aten.copy_.default, (low, place))
        found.append(weight)
    return found


def _casts(place: Node) -> list[Node]:
    """The conversions of a weight to bfloat16, also through ``detach``."""
    found = []
    for user in list(place.users):
        if user.target is aten.detach.default:
            found += _casts(user)
        elif user.target is aten._to_copy.default and user.kwargs == {"dtype": torch.bfloat16}:
            found.append(user)
    return found
