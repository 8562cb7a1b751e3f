"""Everything that decides how a run goes on, taken between two steps and put back bit for bit.

Batches depend on seed, epoch and batch alone (``batches``), rates and weights on the step; so what must be carried
are the weights, the optimisers' moments, the generators, the running sums and what was best so far.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isthmus.errors import BadRun
from isthmus.training.checkpoints import Found

MODEL, MOMENTS, SUMS, RNG = "model", "optimiser", "sums", "generator"


@dataclass
class Position:
    """Where a run stands between two steps.

    Attributes:
        step: steps done.
        epoch: epochs done, with their validation.
        batch: batches done of the epoch at work.
        seen: examples in them.
        seconds: spent on them.
        rate: learning rate of the last.
        names: of the losses that are summed.
        sums: those losses, each times its examples; shape (losses,).
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seen: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    names: list[str] = field(default_factory=list)
    sums: Tensor = field(default_factory=lambda: torch.zeros(()))

    def to_dict(self) -> dict[str, Any]:
        """The plain numbers; the sums are a tensor and go with the tensors."""
        return {name: value for name, value in asdict(self).items() if name != "sums"}

    def follow(self) -> None:
        """Stand at the start of the next epoch."""
        self.epoch, self.batch, self.seen, self.seconds = self.epoch + 1, 0, 0, 0.0
        self.names, self.sums = [], torch.zeros((), device=self.sums.device)


def tensors_of(module: nn.Module, tools: Sequence[Optimizer], at: Position) -> dict[str, Tensor]:
    """The tensors of a run, by name: weights, buffers, moments and sums."""
    found = {f"{MODEL}.{name}": value for name, value in module.state_dict().items()}
    for number, tool in enumerate(tools):
        for place, parameter in enumerate(_parameters(tool)):
            for key, value in tool.state[parameter].items() if parameter in tool.state else ():
                if isinstance(value, Tensor):
                    found[f"{MOMENTS}.{number}.{place}.{key}"] = value
    return found | {SUMS: at.sums}


def put_back(module: nn.Module, tools: Sequence[Optimizer], found: Found) -> Position:
    """Put the tensors of :func:`tensors_of` back; the position that they belong to.

    Raises:
        BadRun: they belong to another model or optimiser.
    """
    weights = {n.removeprefix(f"{MODEL}."): v for n, v in found.tensors.items() if n.startswith(f"{MODEL}.")}
    expected = module.state_dict()
    if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in weights.items()}:
        raise BadRun("The checkpoint holds other weights than this model has. Give the same recipe and data.")
    module.load_state_dict(weights)
    for name, value in found.tensors.items():
        if name.startswith(f"{MOMENTS}."):
            _put_moment(tools, name, value)
    device = next(iter(expected.values())).device
    return Position(**found.record["position"], sums=found.tensors[SUMS].to(device))


def _put_moment(tools: Sequence[Optimizer], name: str, value: Tensor) -> None:
    number, place, key = name.split(".")[1:]
    try:
        tool = tools[int(number)]
        parameter = _parameters(tool)[int(place)]
    except (IndexError, ValueError) as error:
        raise BadRun("The checkpoint belongs to another optimiser. Give the same recipe and data.") from error
    if value.shape == parameter.shape:
        # in the parameter's own layout: fused optimisers pair the elements of memory, whatever the strides say
        value = torch.empty_like(parameter).copy_(value)
    tool.state[parameter][key] = value.to(parameter.device)


def _parameters(tool: Optimizer) -> list[Tensor]:
    return [parameter for group in tool.param_groups for parameter in group["params"]]


def generators(rank: int = 0) -> dict[str, Tensor]:
    """The states of the generators that the parts of process ``rank`` draw from."""
    states = {f"{RNG}.cpu.{rank}": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{RNG}.cuda.{rank}"] = torch.cuda.get_rng_state()
    return states


def set_generators(tensors: dict[str, Tensor], rank: int = 0) -> bool:
    """Put generators back as :func:`generators` found them; say whether the state of ``rank`` was there."""
    if torch.cuda.is_available() and f"{RNG}.cuda.{rank}" in tensors:
        torch.cuda.set_rng_state(tensors[f"{RNG}.cuda.{rank}"])
    if f"{RNG}.cpu.{rank}" not in tensors:
        return False
    torch.set_rng_state(tensors[f"{RNG}.cpu.{rank}"])
    return True
