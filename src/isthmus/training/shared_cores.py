"""Less spinning of waiting compute threads while other processes need the cores.

The compute threads of an OpenMP region wait for each other by spinning. With a core for each thread this is fast; where
other processes run on the cores, a thread spins while the one it waits for is not running, and a fit takes several
times its processor time. GNU's OpenMP, which torch's Linux packages contain, spins for about 0.05 ms instead of several
ms while its threads outnumber the cores. :class:`SharedCores` therefore keeps a second, idle team of threads while
other processes are running. The team computes nothing, and no result depends on it; with another OpenMP it has no
effect. ``benchmarks/shared_cores.py`` measures it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from isthmus.models.hardware import threads

LOAD = Path("/proc/loadavg")
"""Where Linux states how many threads are running or ready to run."""
PERIOD = 0.1
"""Seconds between two looks at the load."""
SMOOTHING = 0.2
"""Weight of the latest look in the average: the average follows the load within about half a second."""
CROWDED, FREE = 0.5, 0.2
"""Share of the looks that found more ready threads than cores, above which waiting threads sleep and below which they
spin. The number of threads does not count: a program that starts makes many ready, for a moment."""


class IdleTeam:
    """A team of OpenMP threads that does nothing, in a thread of its own; it ends with :meth:`disband`."""

    def __init__(self, size: int) -> None:
        self._over, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(size,), daemon=True, name="isthmus-idle-team")
        self._thread.start()
        self._ready.wait()

    def _hold(self, size: int) -> None:
        # the number of threads set here is that of this thread's team only
        torch.set_num_threads(size)
        torch.zeros(1 << 16).add_(1)
        self._ready.set()
        self._over.wait()

    def disband(self) -> None:
        """End the threads of the team."""
        self._over.set()
        self._thread.join()


class SharedCores:
    """Watches the load of the machine, and keeps an idle team of threads while other processes need the cores.

    Args:
        cores: number of cores of this process.
    """

    def __init__(self, cores: int) -> None:
        self.cores, self.excess = cores, 0.0
        self.team: IdleTeam | None = None

    def see(self, ready: int) -> None:
        """Take note of the number of threads that are running or ready to run, and raise or disband the team."""
        self.excess += SMOOTHING * ((ready > self.cores) - self.excess)
        if self.team is None and self.excess > CROWDED:
            self.team = IdleTeam(self.cores + 1)
        elif self.team is not None and self.excess < FREE:
            self.end()

    def end(self) -> None:
        """Disband the team."""
        if self.team is not None:
            self.team.disband()
            self.team = None


def ready_threads() -> int | None:
    """The number of threads of all processes that are running or ready to run; ``None`` where it is not known."""
    try:
        return int(LOAD.read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return None


@contextmanager
def yielding_cores() -> Iterator[None]:
    """Watch the load in the block, in a thread of its own; without effect for one compute thread and beside Linux."""
    if torch.get_num_threads() < 2 or ready_threads() is None:
        yield
        return
    shared = SharedCores(len(os.sched_getaffinity(0)))
    over = threading.Event()

    def watch() -> None:
        while not over.wait(PERIOD):
            # without this thread, which is running while it looks
            shared.see((ready_threads() or 1) - 1)

    watcher = threading.Thread(target=watch, daemon=True, name="isthmus-load")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        shared.end()


@contextmanager
def computing(number: int) -> Iterator[None]:
    """Compute with ``number`` threads in the block, which sleep instead of spin while the cores are needed."""
    with threads(number), yielding_cores():
        yield
