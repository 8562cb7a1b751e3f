r"""Several processes that train one model: what they tell each other.

Each process takes its share of every global batch, and gradients are averaged over processes. A mean over the global
batch of :math:`n` examples is therefore a sum over the own ones divided by :math:`n / W` in each of :math:`W`
processes; a term of the whole batch is computed by all on gathered values, and its gradient comes out right because
gathering sends back the sum of what all processes ask of a value.
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
from isthmus.training.batches import Share

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STRATEGIES = ("ddp", "fsdp")
BACKENDS = re.compile("gloo|nccl", re.IGNORECASE)


@contextmanager
def reaching() -> Iterator[None]:
    """Tell in one sentence that another process can no longer be reached.

    Raises:
        LostProcess: it cannot.
    """
    try:
        yield
    except RuntimeError as error:
        known = isinstance(error, dist.DistBackendError | dist.DistNetworkError)
        if not known and not BACKENDS.search(str(error)):
            raise
        raise LostProcess(
            "Another process of this run was lost or refused to go on, so this one cannot go on. Go on with the same "
            "command and --resume, or let it start again with --max-restarts."
        ) from error


class Processes:
    """This process among all that train: alone, unless somebody launched several.

    Args:
        rank: number of this process.
        world: number of all.
        device: where its tensors lie.
    """

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.world = rank, world
        self.device = device or torch.device("cpu")

    @property
    def share(self) -> Share:
        """The part of the work that is this process's."""
        return Share(self.rank, self.world)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to people."""
        return self.rank == 0

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all processes, in the order of their numbers, with their gradients; counts may differ."""
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

    def any(self, *facts: bool) -> tuple[bool, ...]:
        """Which of some facts are true in at least one process."""
        if self.world == 1:
            return facts
        return tuple(bool(count) for count in self.total(torch.tensor(facts, device=self.device).float()).tolist())

    def told(self, message: bytes) -> bytes:
        """What the first process says, in all of them."""
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

    def collect(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Small tensors of all processes; ``{rank}`` in a name becomes the number of the process."""
        if self.world == 1:
            return {name.format(rank=0): value for name, value in tensors.items()}
        found: dict[str, Tensor] = {}
        for name, value in tensors.items():
            copies = [torch.empty_like(value, device=self.device) for _ in range(self.world)]
            dist.all_gather(copies, value.to(self.device))
            found |= {name.format(rank=rank): copy.cpu() for rank, copy in enumerate(copies)}
        return found


class _Gather(torch.autograd.Function):
    """Concatenates the rows of all processes; backward sums what all of them ask of the own rows."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Processes) -> Tensor:
        counts = torch.zeros(processes.world, dtype=torch.long, device=values.device)
        counts[processes.rank] = len(values)
        dist.all_reduce(counts)
        sizes = [int(count) for count in counts.tolist()]
        padded = values.new_zeros((max(sizes), *values.shape[1:]))
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        ctx.begin, ctx.rows = sum(sizes[: processes.rank]), len(values)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        asked = gradients[0].contiguous().clone()
        dist.all_reduce(asked)
        return asked[ctx.begin : ctx.begin + ctx.rows], None


def number() -> int:
    """The number of this process among those that were launched together, as its environment says."""
    return int(next((os.environ[name] for name in ("RANK", "SLURM_PROCID") if _set(name)), 0))


def launched() -> int:
    """How many processes were launched together (by torchrun, Slurm or variables of the environment); 1 if none."""
    if _set("WORLD_SIZE"):
        return int(os.environ["WORLD_SIZE"])
    # an interactive Slurm shell has these variables too, but started no process for each task
    if _set("SLURM_PROCID") and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return int(os.environ.get("SLURM_NTASKS", 1))
    return 1


def _set(name: str) -> bool:
    return os.environ.get(name, "").isdigit()


def fabric() -> "Fabric":
    """Fabric on the best device, joined with all processes that were launched; its import takes seconds.

    Raises:
        BadOption: more processes on this machine than it has accelerators.
    """
    import logging

    from lightning_fabric import Fabric

    # that processes find each other is no news
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    world = launched()
    if world == 1:
        alone = Fabric(accelerator="auto", devices=1, precision="32-true")
        alone.launch()
        return alone
    here = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE") or world)
    if torch.cuda.is_available() and here > torch.cuda.device_count():
        raise BadOption(
            f"{here} processes were launched on this machine, but it has {torch.cuda.device_count()} GPUs. Launch one "
            "for each GPU."
        )
    joined = Fabric(accelerator="auto", devices=here, num_nodes=max(1, world // here), strategy="ddp")
    joined.launch()
    return joined


def of(fabric: "Fabric") -> Processes:
    """This process, as Fabric knows it."""
    return Processes(fabric.global_rank, fabric.world_size, fabric.device)
