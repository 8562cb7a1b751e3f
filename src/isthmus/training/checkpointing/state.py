"""The state of a run between two steps, restored bit by bit.

Batches depend on seed, epoch and batch number alone, learning rates and penalty weights on the step. The state
therefore consists of the weights, the optimizers' moments, the random states, the running sums and the best weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isthmus.errors import BadRun, IsthmusError, one_line
from isthmus.training.checkpointing.files import Checkpoint

MODEL, MOMENTS, SUMS, RNG = "model", "optimizer", "sums", "generator"


@dataclass
class Position:
    """Position of a run between two steps.

    Attributes:
        step: finished steps.
        epoch: finished epochs, including their validation.
        batch: finished batches of the current epoch.
        seen: examples in these batches; with several processes, the mean over processes.
        seconds: time spent on these batches.
        learning_rate: learning rate of the last batch.
        names: names of the summed losses.
        sums: sums of the losses over examples, shape (losses,).
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seen: float = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    names: list[str] = field(default_factory=list)
    sums: Tensor = field(default_factory=lambda: torch.zeros(()))

    def to_dict(self) -> dict[str, Any]:
        """All attributes as plain data, except the sums, which are stored with the tensors."""
        return {name: value for name, value in asdict(self).items() if name != "sums"}

    def follow(self) -> None:
        """Move to the start of the next epoch."""
        self.epoch, self.batch, self.seen, self.seconds = self.epoch + 1, 0, 0, 0.0
        self.names, self.sums = [], torch.zeros((), device=self.sums.device)


def tensors_of(module: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """Tensors that all processes have in common, by name: weights, buffers and moments."""
    found = {f"{MODEL}.{name}": full_tensor(value) for name, value in module.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for place, parameter in enumerate(_parameters(optimizer)):
            for key, value in optimizer.state[parameter].items() if parameter in optimizer.state else ():
                if isinstance(value, Tensor):
                    found[f"{MOMENTS}.{number}.{place}.{key}"] = full_tensor(value)
    return found


def process_tensors(at: Position) -> dict[str, Tensor]:
    """Tensors that differ between processes: sums and random states; ``{rank}`` stands for the rank of the process."""
    states = {f"{SUMS}.{{rank}}": at.sums, f"{RNG}.cpu.{{rank}}": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{RNG}.cuda.{{rank}}"] = torch.cuda.get_rng_state()
    return states


@contextmanager
def checkpoint_errors() -> Iterator[None]:
    """Raise exceptions of the block, caused by a checkpoint with wrong content, as ``BadRun``.

    The checksum of an untrusted record may be right although names are missing or values have the wrong type.
    """
    try:
        yield
    except IsthmusError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise BadRun(
            f"The checkpoint does not contain the state of a run ({one_line(error)}). Train again with overwrite=True, "
            "without resume=True."
        ) from error


def restore(module: nn.Module, optimizers: Sequence[Optimizer], found: Checkpoint, rank: int = 0) -> Position:
    """Restore the tensors of :func:`tensors_of`; returns the position of process ``rank``.

    Raises:
        BadRun: they belong to another model or optimizer.
    """
    weights = {n.removeprefix(f"{MODEL}."): v for n, v in found.tensors.items() if n.startswith(f"{MODEL}.")}
    expected = module.state_dict()
    if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in weights.items()}:
        raise BadRun("The checkpoint contains weights of another model. Use the same recipe and data.")
    module.load_state_dict(shard_like(module, weights))
    for name, value in found.tensors.items():
        if name.startswith(f"{MOMENTS}."):
            _put_moment(optimizers, name, value)
    device = next(iter(expected.values())).device
    # additional processes start with the sums of the first one
    sums = found.tensors.get(f"{SUMS}.{rank}", found.tensors[f"{SUMS}.0"])
    return _position(found.record["position"], sums.to(device))


def _position(content: Mapping[str, Any], sums: Tensor) -> Position:
    """The position from plain data and sums.

    Raises:
        BadRun: a value is missing, has the wrong type or is negative, or the sums do not fit the names.
    """
    names, blank = content["names"], Position().to_dict()
    numbers = {name: content[name] for name in blank if name != "names"}
    types = {name: (int,) if name in ("step", "epoch", "batch") else (int, float) for name in numbers}
    fits = all(type(value) in types[name] and 0 <= value < 2**53 for name, value in numbers.items())
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not fits or not named or sums.shape not in ((), (len(names),)) or content.keys() != blank.keys():
        raise BadRun(
            "The checkpoint has an invalid position of the run. Train again with overwrite=True, without resume=True."
        )
    return Position(**numbers, names=names, sums=sums)


def shard_like(module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Full weights with the memory layout and the sharding of the module's weights."""
    return {name: _shard_like(weights[name], value) for name, value in module.state_dict().items()}


def full_tensor(value: Tensor) -> Tensor:
    """The full tensor of a sharded one; all processes must call this at the same time."""
    # a DTensor, recognized without the slow import of its module
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def _shard_like(value: Tensor, like: Tensor) -> Tensor:
    """``value`` with the memory layout of ``like``; where that is sharded, the shard of this process."""
    if hasattr(like, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]
    # fused optimizers pair elements by memory order, regardless of strides
    return torch.empty_like(like).copy_(value)


def _put_moment(optimizers: Sequence[Optimizer], name: str, value: Tensor) -> None:
    number, place, key = name.split(".")[1:]
    try:
        optimizer = optimizers[int(number)]
        parameter = _parameters(optimizer)[int(place)]
    except (IndexError, ValueError) as error:
        raise BadRun("The checkpoint belongs to another optimizer. Use the same recipe and data.") from error
    if value.shape == parameter.shape:
        value = _shard_like(value, parameter)
    optimizer.state[parameter][key] = value.to(parameter.device)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def set_generators(tensors: dict[str, Tensor], rank: int = 0) -> bool:
    """Restore the random states of :func:`process_tensors`; returns whether there is one of ``rank``."""
    if torch.cuda.is_available() and f"{RNG}.cuda.{rank}" in tensors:
        torch.cuda.set_rng_state(tensors[f"{RNG}.cuda.{rank}"])
    if f"{RNG}.cpu.{rank}" not in tensors:
        return False
    with checkpoint_errors():
        torch.set_rng_state(tensors[f"{RNG}.cpu.{rank}"])
    return True
