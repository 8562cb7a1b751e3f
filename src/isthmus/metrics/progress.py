"""What a person sees while figures take long: a bar, or a line now and then where no terminal is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from isthmus.metrics.importance import Listener

EVERY = 10.0
"""Seconds between two lines where no terminal is."""


@contextmanager
def shown(what: str, console: Console | None = None) -> Iterator[Listener]:
    """A listener that shows the share done of ``what`` while the block runs, on standard error."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=1.0)

        def listen(share: float) -> None:
            progress.update(task, completed=share)

        yield listen


def _lines(what: str, console: Console) -> Listener:
    said = time.monotonic()

    def listen(share: float) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            console.print(f"{what}: {share:.0%}", highlight=False, soft_wrap=True)

    return listen
