"""Progress of long evaluations on standard error: a bar on a terminal, otherwise a line every ten seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from isthmus.metrics.importance import ProgressCallback

EVERY = 10.0
"""Seconds between two lines without a terminal."""


@contextmanager
def shown(what: str, console: Console | None = None) -> Iterator[ProgressCallback]:
    """A callback that shows the fraction of ``what`` that is done, while the block runs, on standard error."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=1.0)

        def update(fraction: float) -> None:
            progress.update(task, completed=fraction)

        yield update


def _lines(what: str, console: Console) -> ProgressCallback:
    printed = time.monotonic()

    def update(fraction: float) -> None:
        nonlocal printed
        if time.monotonic() - printed >= EVERY:
            printed = time.monotonic()
            console.print(f"{what}: {fraction:.0%}", highlight=False, soft_wrap=True)

    return update
