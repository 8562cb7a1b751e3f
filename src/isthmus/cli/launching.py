"""Starting a command again in several processes that find each other, and starting them anew when one is lost."""

import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from isthmus.errors import BadOption, check_range, one_line

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

BEGUN = "ISTHMUS_LAUNCHED_AT"
"""Variable of the environment: when the processes were first launched, in seconds of the system's clock."""


def wanted(devices: int, nodes: int) -> bool:
    """Whether processes are still to be launched: several are asked for, and nobody launched this one."""
    from isthmus.training.processes import launched

    check_range("--devices", devices, 1)
    check_range("--nodes", nodes, 1)
    return devices * nodes > 1 and launched() == 1


def is_restart(folder: Path) -> bool:
    """Whether this process stands for one that was lost: the run was begun after the processes were launched.

    The launcher's own count does not tell: on machines that lost no process it stays at 0.
    """
    from isthmus.unfinished import PLAN, part_of

    plan = part_of(folder) / PLAN
    return BEGUN in os.environ and plan.is_file() and plan.stat().st_mtime > float(os.environ[BEGUN])


def relaunch(arguments: list[str], *, devices: int, nodes: int, restarts: int, rendezvous: str | None) -> int:
    """Run ``isthmus`` with ``arguments`` in ``devices`` processes here, of as many on each of ``nodes`` machines.

    Returns the exit code: 0, or that of the first process that failed.

    Raises:
        BadOption: more devices than there are, or several machines and no place where they meet.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    _check(devices, nodes, rendezvous)
    _prepare(devices)
    config = _config(devices, nodes, restarts, rendezvous)
    try:
        elastic_launch(config, sys.executable)("-m", "isthmus", *arguments)
    except RendezvousError as error:
        raise BadOption(
            f"The machines did not meet at {rendezvous or 'this one'} ({one_line(error)}). Give the same --rendezvous "
            "HOST:PORT and --nodes on each of them, HOST being one of them and PORT free."
        ) from error
    except SignalException:
        # the processes were told too, and the first of them said what it leaves
        return 130
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode < 0:
            typer.echo(
                f"isthmus: Process {failure.local_rank} was killed (signal {-failure.exitcode}). Go on with the same "
                "command and --resume, or let it start again with --max-restarts.",
                err=True,
            )
            return 1
        return failure.exitcode
    return 0


def _config(devices: int, nodes: int, restarts: int, rendezvous: str | None) -> "LaunchConfig":
    """What torch's launcher is told."""
    from torch.distributed.launcher.api import LaunchConfig

    is_host, address = (True, None) if rendezvous is None else _place(rendezvous)
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=devices,
        run_id="isthmus",
        rdzv_backend="c10d",
        rdzv_endpoint=rendezvous or "localhost:0",
        rdzv_configs={} if rendezvous is None else {"is_host": is_host},
        local_addr=address,
        max_restarts=restarts,
        monitor_interval=0.5,
    )


def available() -> tuple[int, str]:
    """How many processes can each have a device of their own here, and what the devices are."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count(), "GPU"
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, "processor"


def _check(devices: int, nodes: int, rendezvous: str | None) -> None:
    there, what = available()
    if devices > there:
        raise BadOption(
            f"--devices is {devices}, but this machine has {there} {what}{'s' if there > 1 else ''}. Ask for at most "
            f"{there}."
        )
    if nodes > 1 and rendezvous is None:
        raise BadOption(
            f"--nodes is {nodes}, but the machines do not know where to meet. Give the same --rendezvous HOST:PORT on "
            "each of them, HOST being one of them; or launch with torchrun or Slurm."
        )


def _place(rendezvous: str) -> tuple[bool, str]:
    """Whether the machines meet on this one, and the address under which the others reach it.

    Raises:
        BadOption: the text is no HOST:PORT, or no way leads there.
    """
    host, _, port = rendezvous.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadOption(f"--rendezvous is {rendezvous!r}, but HOST:PORT is needed, such as 10.0.0.1:29500.")
    with socket.socket() as trial, contextlib.suppress(OSError):
        # only an address of one's own can be bound to
        trial.bind((host, 0))
        return True, host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            # sends nothing, but chooses the address that would be used
            trial.connect((host, int(port)))
        except OSError as error:
            raise BadOption(f"--rendezvous is {rendezvous!r}, but no way leads there: {one_line(error)}.") from error
        return False, str(trial.getsockname()[0])


def _prepare(devices: int) -> None:
    """The environment of the processes: they share the processors, and speak of what concerns a person."""
    import logging

    there, what = available()
    threads = there // devices if what == "processor" else max(1, (os.cpu_count() or 1) // devices)
    os.environ[BEGUN] = str(time.time())
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # else processes that are started again read the addresses of those that were lost
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    # of the launcher's own log nothing concerns a person: the processes speak for themselves
    logging.disable(logging.ERROR)


def arguments_with(out: Path) -> list[str]:
    """The arguments of this command, with the folder settled: all processes, and those after them, must agree on it."""
    return [*sys.argv[1:], "--out", str(out)]
