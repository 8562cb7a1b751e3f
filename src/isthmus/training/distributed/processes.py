r"""Communication between several processes that train one model.

Each process has its rows of every global batch, and gradients are averaged over processes. The mean over a global batch
of :math:`n` examples is therefore the sum over local examples divided by :math:`n / W` in each of :math:`W` processes.
A term of the whole batch is computed by all processes on gathered values; its gradient is correct because the backward
pass of gathering sums the gradients of all processes.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from isthmus.errors import BadOption, LostProcess
from isthmus.models.hardware import parse_device
from isthmus.training.batches import Share

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STRATEGIES = ("ddp", "fsdp")
BACKENDS = re.compile("gloo|nccl", re.IGNORECASE)


@contextmanager
def lost_process_errors() -> Iterator[None]:
    """Raise communication errors of the block as ``LostProcess``.

    Raises:
        LostProcess: another process can no longer be reached.
    """
    try:
        yield
    except RuntimeError as error:
        known = isinstance(error, dist.DistBackendError | dist.DistNetworkError)
        if not known and not BACKENDS.search(str(error)):
            raise
        raise LostProcess(
            "Another process of this run was lost or failed, so this one cannot continue. Resume with the same call "
            "and resume=True, or allow restarts with max_restarts=."
        ) from error


class Processes:
    """This process and its communication with the others; a single process by default.

    Args:
        rank: rank of this process.
        world: number of processes.
        device: device of this process.
    """

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.world = rank, world
        self.device = device or torch.device("cpu")

    @property
    def share(self) -> Share:
        """Rank and number of processes, for batches."""
        return Share(self.rank, self.world)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def gather(self, values: Tensor) -> Tensor:
        """The concatenated rows of all processes in the order of ranks, with gradients; their numbers may differ."""
        if self.world == 1:
            return values
        rows: Tensor = _Gather.apply(values, self)  # type: ignore[no-untyped-call]
        return rows

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, without gradient."""
        if self.world == 1:
            return values
        summed = values.detach().clone()
        dist.all_reduce(summed)
        return summed

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is true in at least one process."""
        if self.world == 1:
            return flags
        return tuple(bool(count) for count in self.total(torch.tensor(flags, device=self.device).float()).tolist())

    def broadcast(self, message: bytes) -> bytes:
        """The message of the first process, in all processes."""
        if self.world == 1:
            return message
        size = torch.tensor([len(message)], device=self.device)
        dist.broadcast(size, 0)
        if not int(size):
            return b""
        content = torch.zeros(int(size), dtype=torch.uint8, device=self.device)
        if self.first:
            content.copy_(torch.frombuffer(bytearray(message), dtype=torch.uint8))
        dist.broadcast(content, 0)
        return bytes(content.cpu().numpy().tobytes())

    def exchange(self, message: bytes) -> list[bytes]:
        """The messages of all processes in the order of ranks, in all processes."""
        if self.world == 1:
            return [message]
        rows = torch.frombuffer(bytearray(message), dtype=torch.uint8).to(self.device)
        sizes = self.total(torch.zeros(self.world, device=self.device).index_fill_(0, _index(self), len(message)))
        joined = bytes(self.gather(rows).cpu().numpy().tobytes())
        ends = sizes.cumsum(0).long().tolist()
        return [joined[end - int(size) : end] for end, size in zip(ends, sizes.tolist(), strict=True)]

    def collect(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Small tensors of all processes; ``{rank}`` in a name is replaced by the rank of the process."""
        if self.world == 1:
            return {name.format(rank=0): value for name, value in tensors.items()}
        found: dict[str, Tensor] = {}
        for name, value in tensors.items():
            copies = [torch.empty_like(value, device=self.device) for _ in range(self.world)]
            dist.all_gather(copies, value.to(self.device))
            found |= {name.format(rank=rank): copy.cpu() for rank, copy in enumerate(copies)}
        return found


def _index(processes: Processes) -> Tensor:
    return torch.tensor([processes.rank], device=processes.device)


class _Gather(torch.autograd.Function):
    """Concatenates the rows of all processes; the backward pass sums the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Processes) -> Tensor:
        counts = torch.zeros(processes.world, dtype=torch.long, device=values.device)
        counts[processes.rank] = len(values)
        dist.all_reduce(counts)
        sizes = [int(count) for count in counts.tolist()]
        padded = values.new_zeros((max(sizes), *values.shape[1:]))
        padded[: len(values)] = values
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded)
        ctx.start, ctx.rows = sum(sizes[: processes.rank]), len(values)
        return torch.cat([rows[:size] for rows, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        summed_gradient = gradients[0].contiguous().clone()
        dist.all_reduce(summed_gradient)
        return summed_gradient[ctx.start : ctx.start + ctx.rows], None


def number() -> int:
    """Rank of this process, from the environment variables of the launcher."""
    return int(next((os.environ[name] for name in ("RANK", "SLURM_PROCID") if _set(name)), 0))


def launched() -> int:
    """Number of processes launched together by torchrun, Slurm or environment variables; 1 by default."""
    if _set("WORLD_SIZE"):
        return int(os.environ["WORLD_SIZE"])
    # an interactive Slurm shell has these variables too, but it does not start one process per task
    if _set("SLURM_PROCID") and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return int(os.environ.get("SLURM_NTASKS", 1))
    return 1


def _set(name: str) -> bool:
    return os.environ.get(name, "").isdigit()


def fabric(device: str = "auto") -> "Fabric":
    """Lightning Fabric on a device (by default the best one) and for all launched processes; its import takes seconds.

    Raises:
        BadOption: a device that is not available, or more processes than GPUs on this machine.
    """
    import logging

    from lightning_fabric import Fabric

    # the messages about connecting processes are not useful
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind, index = parse_device(device)
    world = launched()
    if world == 1:
        single = Fabric(accelerator=kind, devices=1 if index is None else [index], precision="32-true")
        single.launch()
        return single
    if index is not None:
        raise BadOption(f"device={device!r} names one GPU, but {world} processes were launched. Use device='cuda'.")
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE") or world)
    if kind != "cpu" and torch.cuda.is_available() and local_world > torch.cuda.device_count():
        raise BadOption(
            f"{local_world} processes were launched on this machine, but it has {torch.cuda.device_count()} GPUs. "
            "Launch one process per GPU."
        )
    several = Fabric(accelerator=kind, devices=local_world, num_nodes=max(1, world // local_world), strategy="ddp")
    several.launch()
    return several


def of(fabric: "Fabric") -> Processes:
    """The :class:`Processes` of a Fabric."""
    return Processes(fabric.global_rank, fabric.world_size, fabric.device)
