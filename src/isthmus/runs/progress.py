"""Progress of training on standard error: a bar with all losses on a terminal, plain lines otherwise."""

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

from isthmus.data.prepared import PreparedData
from isthmus.pretraining.greedy import LayerCallback
from isthmus.runs.understood import data_lines, skipped_lines
from isthmus.training.engine import Engine, TrainingCallback
from isthmus.training.history import Epoch

WIDE = 100
"""Least width of a terminal, in columns, that shows a bar and the speed."""
STEPS = 50
"""Steps between two updates of the bar."""
LINES = 10
"""Lines that a run prints without a terminal."""


def losses_line(record: Epoch) -> str:
    """The losses of an epoch in one line, in nats per example: of the validation set, or else of the training set."""
    losses = record.valid or record.train
    order = sorted(losses, key=lambda name: (name != "loss", name != "reconstruction", name))
    # for a loss of one term the two are the same number
    order = ["loss"] if set(losses) == {"loss", "reconstruction"} else order
    return "  ".join(f"{name} {losses[name]:.2f}" for name in order)


@contextmanager
def shown_training(
    engine: Engine, console: Console | None = None, *, data: PreparedData | None = None
) -> Iterator[None]:
    """Show the progress of ``engine`` while the block runs, on standard error.

    The first lines say what ``data`` it trains on, the last one which examples were skipped.
    """
    console = console or Console(stderr=True)
    if data is not None:
        _say(console, data_lines(data, engine.objective.model.likelihood))
    with _progress(engine, console):
        yield
    if data is not None:
        _say(console, skipped_lines(data))


def _say(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _progress(engine: Engine, console: Console) -> Iterator[None]:
    """Show the progress of ``engine``: a bar on a terminal, else lines."""
    if engine.resumed_at:
        console.print(f"Resuming after step {engine.step:,} of {engine.total:,}.", highlight=False)
    if not console.is_terminal:
        engine.callback = _lines(engine, console)
        yield
        return
    columns: list[ProgressColumn] = [TextColumn("[bold]{task.description}"), TaskProgressColumn()]
    if console.width >= WIDE:
        columns.insert(1, BarColumn(bar_width=20))
    columns += [TimeRemainingColumn(compact=True), TextColumn("{task.fields[losses]}")]

    def current() -> str:
        return f"epoch {engine.at.epoch + 1}/{engine.epochs}"

    with Progress(*columns, console=console) as progress:
        task = progress.add_task(current(), total=engine.total, completed=engine.step, losses="")

        def update(_kind: str, what: Epoch | int | str) -> None:
            if isinstance(what, str):
                progress.update(task, description=what or current())
            elif isinstance(what, Epoch):
                speed = f"  [dim]{what.examples_per_second:,.0f}/s[/]" if console.width >= WIDE else ""
                text = f"{losses_line(what)}{speed}"
                following = min(what.epoch + 1, engine.epochs)
                progress.update(
                    task, completed=what.step, losses=text, description=f"epoch {following}/{engine.epochs}"
                )
            elif what % STEPS == 0:
                progress.update(task, completed=what)

        engine.callback = update
        yield


def _lines(engine: Engine, console: Console) -> TrainingCallback:
    every = max(1, engine.epochs // LINES)

    def update(_kind: str, what: Epoch | int | str) -> None:
        if isinstance(what, str) and what:
            console.print(f"{what} ...", highlight=False)
        if isinstance(what, Epoch) and (what.epoch == 1 or what.epoch % every == 0 or what.epoch == engine.epochs):
            console.print(
                f"epoch {what.epoch:>4}/{engine.epochs}  {losses_line(what)}  {what.examples_per_second:,.0f}/s",
                highlight=False,
                soft_wrap=True,
            )

    return update


@contextmanager
def shown_pretraining(console: Console | None = None) -> Iterator[LayerCallback]:
    """Show the progress of layer-wise pretraining on standard error; yields the callback to call."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _layer_lines(console)
        return
    columns = [TextColumn("[bold]{task.description}"), BarColumn(bar_width=20), TaskProgressColumn()]
    with Progress(*columns, TimeRemainingColumn(compact=True), console=console) as progress:
        bars: dict[int, TaskID] = {}

        def update(layer: int, layers: int, description: str, fraction: float) -> None:
            if layer not in bars:
                bars[layer] = progress.add_task(f"layer {layer}/{layers}  {description}", total=1.0)
            progress.update(bars[layer], completed=fraction)

        yield update


def _layer_lines(console: Console) -> LayerCallback:
    printed: set[int] = set()

    def update(layer: int, layers: int, description: str, _fraction: float) -> None:
        if layer not in printed:
            console.print(f"layer {layer}/{layers}  {description}", highlight=False, soft_wrap=True)
        printed.add(layer)

    return update
