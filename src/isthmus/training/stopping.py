"""A request to stop, heard between two steps, so that what is kept then is whole."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

ONE_REQUEST = 1.0
"""Seconds in which signals count as one: a terminal and a launcher both pass a Ctrl-C on."""


@dataclass
class Stop:
    """Whether somebody asked the run to end: a person with Ctrl-C, or the system with SIGTERM; and when."""

    asked: bool = False
    since: float = 0.0


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM inside the block into a request; a later Ctrl-C ends the block at once.

    Signals reach the main thread only; elsewhere, and where somebody else handles them, nothing is changed.
    """
    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.asked and number == signal.SIGINT and time.monotonic() - stop.since > ONE_REQUEST:
            raise KeyboardInterrupt
        if not stop.asked:
            stop.asked, stop.since = True, time.monotonic()

    before: dict[int, object] = {}
    if threading.current_thread() is threading.main_thread():
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        before = {number: handler for number, handler in usual.items() if signal.getsignal(number) is handler}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
