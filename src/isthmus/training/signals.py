"""Interrupt requests, handled between two steps, so that the state that is saved is complete."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

ONE_REQUEST = 1.0
"""Seconds in which several signals count as one request: a terminal and a launcher both forward a Ctrl-C."""


@dataclass
class Stop:
    """Whether and when an interrupt was requested, by Ctrl-C or SIGTERM."""

    asked: bool = False
    since: float = 0.0


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM inside the block into a request; a later Ctrl-C ends the block immediately.

    Signals are handled in the main thread only. In other threads, and where another handler is installed, nothing is
    changed. Processes that are forked inside the block keep the usual handlers.
    """
    stop, process = Stop(), os.getpid()

    def request(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.signal(number, before[number])
            signal.raise_signal(number)
            return
        if stop.asked and number == signal.SIGINT and time.monotonic() - stop.since > ONE_REQUEST:
            raise KeyboardInterrupt
        if not stop.asked:
            stop.asked, stop.since = True, time.monotonic()

    before: dict[int, Callable[[int, FrameType | None], object] | signal.Handlers] = {}
    if threading.current_thread() is threading.main_thread():
        default: dict[int, Callable[[int, FrameType | None], object] | signal.Handlers] = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.SIG_DFL,
        }
        before = {number: handler for number, handler in default.items() if signal.getsignal(number) is handler}
    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class InterruptedInValidation(Exception):
    """Ends the validation of a run that is asked to stop."""
