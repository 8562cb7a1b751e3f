"""Seeds per purpose, and random numbers without effect on the global generators.

Torch's modules and distributions draw from generators that all threads of the process share. A block that draws with a
seed of its own therefore runs alone: other threads wait before such a block of theirs. Between two blocks the
generators have the state that they have outside. Only a thread that draws by other means, such as ``torch.rand``, while
a block runs takes numbers from the block.
"""

import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from isthmus.errors import BadOption

SEEDS = 2**31


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed per purpose, so that weights, order and noise use independent random numbers.

    >>> len({derive_seed(0, "order", 1), derive_seed(0, "order", 2), derive_seed(0, "noise"), derive_seed(1, "noise")})
    4
    """
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in purpose]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Turns:
    """A re-entrant lock that threads get in the order in which they ask for it.

    A thread that releases an ordinary lock and asks for it again at once, such as a training loop, nearly always gets
    it before those that wait.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[tuple[int, threading.Lock]] = deque()
        self._owner, self._depth = 0, 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._owner != me:
            turn = threading.Lock()
            with self._guard:
                if self._owner:
                    turn.acquire()
                    self._waiting.append((me, turn))
                else:
                    self._owner = me
            if self._owner != me:
                self._wait(me, turn)
        self._depth += 1

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1
        if not self._depth:
            with self._guard:
                self._pass_on()

    def _wait(self, me: int, turn: threading.Lock) -> None:
        """Wait for the thread before; an interrupted thread gives up its turn."""
        try:
            turn.acquire()
        except BaseException:
            with self._guard:
                if (me, turn) in self._waiting:
                    self._waiting.remove((me, turn))
                else:
                    self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Make the next thread the owner."""
        self._owner = 0
        if self._waiting:
            self._owner, turn = self._waiting.popleft()
            turn.release()

    def after_fork(self) -> None:
        """Forget the other threads, which a forked process does not have."""
        self._guard = threading.Lock()
        self._waiting.clear()
        if self._owner != threading.get_ident():
            self._owner, self._depth = 0, 0


DRAWING = Turns()
"""Held by the thread that draws from torch's generators with a seed of its own."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DRAWING.after_fork)


class RandomState:
    """Random numbers of their own: every block ``with state:`` continues them, and leaves the global generators alone.

    Args:
        seed: seed of the numbers.
        device: device that they are drawn on, beside the CPU.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self._gpu = device if device is not None and device.type == "cuda" else None
        with seeded(seed):
            self._own = self._state()
        self._outer = self._own

    def __enter__(self) -> None:
        DRAWING.__enter__()
        self._outer = self._state()
        self._set(self._own)

    def __exit__(self, *_error: object) -> None:
        self._own = self._state()
        self._set(self._outer)
        DRAWING.__exit__()

    def _state(self) -> list[Tensor]:
        return [torch.get_rng_state(), *([] if self._gpu is None else [torch.cuda.get_rng_state(self._gpu)])]

    def _set(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._gpu is not None:
            torch.cuda.set_rng_state(states[1], self._gpu)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Use a separate seed inside the block, and restore torch's generators afterwards.

    For ``None`` the block draws from the generators as they are. In either case no other thread is in such a block.
    """
    with DRAWING:
        if seed is None:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield


def check_seed(seed: int) -> None:
    """Check that a seed is in the range of the generators.

    Raises:
        BadOption: the seed is negative or too large.
    """
    if not 0 <= seed < SEEDS:
        raise BadOption(f"The seed must be at least 0 and below {SEEDS}, but is {seed}.")
