"""Everything that decides how a run goes on, taken between two steps and put back bit for bit.

Batches depend on seed, epoch and batch alone (``batches``), rates and weights on the step; so what must be carried
are the weights, the optimisers' moments, the generators, the running sums and what was best so far.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isthmus.errors import BadRun, IsthmusError, one_line
from isthmus.training.checkpoints import Found

MODEL, MOMENTS, SUMS, RNG = "model", "optimiser", "sums", "generator"


@dataclass
class Position:
    """Where a run stands between two steps.

    Attributes:
        step: steps done.
        epoch: epochs done, with their validation.
        batch: batches done of the epoch at work.
        seen: examples in them; with several processes, their mean.
        seconds: spent on them.
        rate: learning rate of the last.
        names: of the losses that are summed.
        sums: those losses, each times its examples; shape (losses,).
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seen: float = 0
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


def tensors_of(module: nn.Module, tools: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The tensors that all processes share, by name: weights, buffers and moments."""
    found = {f"{MODEL}.{name}": whole(value) for name, value in module.state_dict().items()}
    for number, tool in enumerate(tools):
        for place, parameter in enumerate(_parameters(tool)):
            for key, value in tool.state[parameter].items() if parameter in tool.state else ():
                if isinstance(value, Tensor):
                    found[f"{MOMENTS}.{number}.{place}.{key}"] = whole(value)
    return found


def own_tensors(at: Position) -> dict[str, Tensor]:
    """The tensors that each process has for itself: sums and generators; ``{rank}`` stands for its number."""
    states = {f"{SUMS}.{{rank}}": at.sums, f"{RNG}.cpu.{{rank}}": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{RNG}.cuda.{{rank}}"] = torch.cuda.get_rng_state()
    return states


@contextmanager
def understood() -> Iterator[None]:
    """Turn whatever a checkpoint with the wrong content raises inside the block into one ``BadRun`` sentence.

    A record may be whole, sealed, and still not one of ours: then a name is missing, or a value is of another kind.
    """
    try:
        yield
    except IsthmusError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise BadRun(
            f"The checkpoint does not hold what a run goes on from ({one_line(error)}). Train again without --resume, "
            "with --overwrite."
        ) from error


def put_back(module: nn.Module, tools: Sequence[Optimizer], found: Found, rank: int = 0) -> Position:
    """Put the tensors of :func:`tensors_of` back; the position that they belong to, as process ``rank`` has it.

    Raises:
        BadRun: they belong to another model or optimiser.
    """
    weights = {n.removeprefix(f"{MODEL}."): v for n, v in found.tensors.items() if n.startswith(f"{MODEL}.")}
    expected = module.state_dict()
    if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in weights.items()}:
        raise BadRun("The checkpoint holds other weights than this model has. Give the same recipe and data.")
    module.load_state_dict(cut(module, weights))
    for name, value in found.tensors.items():
        if name.startswith(f"{MOMENTS}."):
            _put_moment(tools, name, value)
    device = next(iter(expected.values())).device
    # with more processes than before, the new ones begin as the first
    sums = found.tensors.get(f"{SUMS}.{rank}", found.tensors[f"{SUMS}.0"])
    return _position(found.record["position"], sums.to(device))


def _position(plain: Mapping[str, Any], sums: Tensor) -> Position:
    """The position that plain numbers and sums tell.

    Raises:
        BadRun: a number is missing, of another kind or below 0, or the sums are not those of the names.
    """
    names, blank = plain["names"], Position().to_dict()
    numbers = {name: plain[name] for name in blank if name != "names"}
    kinds = {name: (int,) if name in ("step", "epoch", "batch") else (int, float) for name in numbers}
    fits = all(type(value) in kinds[name] and 0 <= value < 2**53 for name, value in numbers.items())
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not fits or not named or sums.shape not in ((), (len(names),)) or plain.keys() != blank.keys():
        raise BadRun("The checkpoint does not say where its run stands. Train again without --resume.")
    return Position(**numbers, names=names, sums=sums)


def cut(module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whole weights in the layout, and where the model is cut into parts the cut, that the module's have."""
    return {name: _cut_like(weights[name], value) for name, value in module.state_dict().items()}


def whole(value: Tensor) -> Tensor:
    """A tensor with all its parts, where processes hold one each; all of them must ask at once."""
    # a DTensor; its module takes long to import
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def _cut_like(value: Tensor, like: Tensor) -> Tensor:
    """``value`` in the layout of ``like``; where that is cut into parts, this process's part of it."""
    if hasattr(like, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]
    # fused optimisers pair the elements of memory, whatever the strides say
    return torch.empty_like(like).copy_(value)


def _put_moment(tools: Sequence[Optimizer], name: str, value: Tensor) -> None:
    number, place, key = name.split(".")[1:]
    try:
        tool = tools[int(number)]
        parameter = _parameters(tool)[int(place)]
    except (IndexError, ValueError) as error:
        raise BadRun("The checkpoint belongs to another optimiser. Give the same recipe and data.") from error
    if value.shape == parameter.shape:
        value = _cut_like(value, parameter)
    tool.state[parameter][key] = value.to(parameter.device)


def _parameters(tool: Optimizer) -> list[Tensor]:
    return [parameter for group in tool.param_groups for parameter in group["params"]]


def set_generators(tensors: dict[str, Tensor], rank: int = 0) -> bool:
    """Put generators back as :func:`own_tensors` found them; say whether the state of ``rank`` was there."""
    if torch.cuda.is_available() and f"{RNG}.cuda.{rank}" in tensors:
        torch.cuda.set_rng_state(tensors[f"{RNG}.cuda.{rank}"])
    if f"{RNG}.cpu.{rank}" not in tensors:
        return False
    with understood():
        torch.set_rng_state(tensors[f"{RNG}.cpu.{rank}"])
    return True
