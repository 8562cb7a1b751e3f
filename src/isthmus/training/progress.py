"""What a person sees while a model is trained: a bar with every named loss, or plain lines where no terminal is."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from isthmus.training.engine import Engine, Listener
from isthmus.training.history import Epoch
from isthmus.training.stacked import Listener as LevelListener

WIDE = 100
"""Columns of a terminal from which on there is room for a bar and the speed."""
LINES = 10
"""Lines that a run prints where no terminal is."""


def sentence(record: Epoch) -> str:
    """The losses of an epoch in one line: validation where there is one, else training, in nats per example."""
    figures = record.valid or record.train
    order = sorted(figures, key=lambda name: (name != "loss", name != "reconstruction", name))
    # of a loss with one part the two are the same number
    order = ["loss"] if set(figures) == {"loss", "reconstruction"} else order
    return "  ".join(f"{name} {figures[name]:.2f}" for name in order)


@contextmanager
def shown(engine: Engine, console: Console | None = None) -> Iterator[None]:
    """Show the progress of ``engine`` while the block runs, on standard error."""
    console = console or Console(stderr=True)
    if engine.taken_up:
        console.print(f"Going on after step {engine.step:,} of {engine.total:,}.", highlight=False)
    if not console.is_terminal:
        engine.listener = _lines(engine, console)
        yield
        return
    columns: list[ProgressColumn] = [TextColumn("[bold]{task.description}"), TaskProgressColumn()]
    if console.width >= WIDE:
        columns.insert(1, BarColumn(bar_width=20))
    columns += [TimeRemainingColumn(compact=True), TextColumn("{task.fields[losses]}")]
    with Progress(*columns, console=console) as progress:
        begun = f"epoch {engine.at.epoch + 1}/{engine.epochs}"
        task = progress.add_task(begun, total=engine.total, completed=engine.step, losses="")

        def listen(kind: str, what: Epoch | int) -> None:
            if isinstance(what, Epoch):
                rate = f"  [dim]{what.examples_per_second:,.0f}/s[/]" if console.width >= WIDE else ""
                text = f"{sentence(what)}{rate}"
                following = min(what.epoch + 1, engine.epochs)
                progress.update(
                    task, completed=what.step, losses=text, description=f"epoch {following}/{engine.epochs}"
                )
            else:
                progress.update(task, completed=what)

        engine.listener = listen
        yield


def _lines(engine: Engine, console: Console) -> Listener:
    every = max(1, engine.epochs // LINES)

    def listen(_kind: str, what: Epoch | int) -> None:
        if isinstance(what, Epoch) and (what.epoch == 1 or what.epoch % every == 0 or what.epoch == engine.epochs):
            console.print(
                f"epoch {what.epoch:>4}/{engine.epochs}  {sentence(what)}  {what.examples_per_second:,.0f}/s",
                highlight=False,
                soft_wrap=True,
            )

    return listen


@contextmanager
def levels_shown(console: Console | None = None) -> Iterator[LevelListener]:
    """Show how far each level's pretraining is, on standard error; what comes is told so."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _level_lines(console)
        return
    columns = [TextColumn("[bold]{task.description}"), BarColumn(bar_width=20), TaskProgressColumn()]
    with Progress(*columns, TimeRemainingColumn(compact=True), console=console) as progress:
        bars: dict[int, TaskID] = {}

        def listen(level: int, levels: int, words: str, share: float) -> None:
            if level not in bars:
                bars[level] = progress.add_task(f"level {level}/{levels}  {words}", total=1.0)
            progress.update(bars[level], completed=share)

        yield listen


def _level_lines(console: Console) -> LevelListener:
    said: set[int] = set()

    def listen(level: int, levels: int, words: str, _share: float) -> None:
        if level not in said:
            console.print(f"level {level}/{levels}  {words}", highlight=False, soft_wrap=True)
        said.add(level)

    return listen
