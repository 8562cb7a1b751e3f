"""Run the command in several processes, on one node or several, and restart them when one is lost."""

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

LAUNCHED_AT = "ISTHMUS_LAUNCHED_AT"
"""Environment variable with the time of the first launch, in seconds of the system clock."""


def wanted(devices: int, nodes: int) -> bool:
    """Whether processes have to be launched: several are requested, and this one was not launched by a launcher."""
    from isthmus.training.distributed.processes import launched

    check_range("--devices", devices, 1)
    check_range("--nodes", nodes, 1)
    return devices * nodes > 1 and launched() == 1


def is_restart(folder: Path) -> bool:
    """Whether this process replaces a lost one: the run was started after the first launch.

    The restart count of the launcher cannot be used: it stays at 0 on nodes that lost no process.
    """
    from isthmus.runs.resume import PLAN, working_folder

    plan = working_folder(folder) / PLAN
    return LAUNCHED_AT in os.environ and plan.is_file() and plan.stat().st_mtime > float(os.environ[LAUNCHED_AT])


def relaunch(arguments: list[str], *, devices: int, nodes: int, restarts: int, rendezvous: str | None) -> int:
    """Run ``isthmus`` with ``arguments`` in ``devices`` processes on this node, one of ``nodes``.

    Returns the exit code: 0, or that of the first process that failed.

    Raises:
        BadOption: more devices than available, or several nodes without a rendezvous.
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
            f"The rendezvous at {rendezvous or 'localhost'} failed: {one_line(error)}. Use the same --nodes and "
            "--rendezvous HOST:PORT on each node, with HOST one of the nodes and PORT a free port on it."
        ) from error
    except SignalException:
        # the processes received the signal too, and the first has reported what is saved
        return 130
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode < 0:
            typer.echo(
                f"isthmus: Process {failure.local_rank} was killed (signal {-failure.exitcode}). Resume with the same "
                "command and --resume, or allow restarts with --max-restarts.",
                err=True,
            )
            return 1
        return failure.exitcode
    return 0


def _config(devices: int, nodes: int, restarts: int, rendezvous: str | None) -> "LaunchConfig":
    """The configuration of torch's elastic launcher."""
    from torch.distributed.launcher.api import LaunchConfig

    is_host, address = (True, None) if rendezvous is None else _local_address(rendezvous)
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
    """Number of devices of this node, one per process, and what they are: GPUs or CPU cores."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count(), "GPU"
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, "CPU core"


def _check(devices: int, nodes: int, rendezvous: str | None) -> None:
    there, what = available()
    if devices > there:
        raise BadOption(
            f"--devices is {devices}, but this node has {there} {what}{'s' if there > 1 else ''}. Use at most {there}."
        )
    if nodes > 1 and rendezvous is None:
        raise BadOption(
            f"--nodes is {nodes}, but --rendezvous is not set. Use the same --rendezvous HOST:PORT on each node, with "
            "HOST one of the nodes, or launch with torchrun or Slurm."
        )


def _local_address(rendezvous: str) -> tuple[bool, str]:
    """Whether this node hosts the rendezvous, and the address at which the other nodes reach this one.

    Raises:
        BadOption: not of the form HOST:PORT, or there is no route to the host.
    """
    host, _, port = rendezvous.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadOption(
            f"--rendezvous is {rendezvous!r}, which is not HOST:PORT. Use an address such as 10.0.0.1:29500."
        )
    with socket.socket() as trial, contextlib.suppress(OSError):
        # a socket binds only to an address of this node
        trial.bind((host, 0))
        return True, host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            # sends nothing, but selects the local address of the route
            trial.connect((host, int(port)))
        except OSError as error:
            raise BadOption(
                f"--rendezvous is {rendezvous!r}, which cannot be reached: {one_line(error)}. Use the name of a node."
            ) from error
        return False, str(trial.getsockname()[0])


def _prepare(devices: int) -> None:
    """Set the environment of the processes: divide the CPU cores among them, and silence logs of the launcher."""
    import logging

    there, what = available()
    threads = there // devices if what == "CPU core" else max(1, (os.cpu_count() or 1) // devices)
    os.environ[LAUNCHED_AT] = str(time.time())
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # otherwise restarted processes read the addresses of the lost ones
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    # the processes report errors themselves, so the log of the launcher would only repeat them
    logging.disable(logging.ERROR)


def arguments_with(out: Path) -> list[str]:
    """The arguments of this command with an explicit folder, which all processes and their restarts must share."""
    return [*sys.argv[1:], "--out", str(out)]
