"""Logging of a run: a line of metrics.jsonl after each epoch, and TensorBoard events if requested."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.errors import MissingExtra
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch

if TYPE_CHECKING:
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger


@contextmanager
def logging_to(engine: Engine, folder: Path | None, tensorboard: bool) -> Iterator[None]:
    """Write each epoch of ``engine`` into files of ``folder`` while the block runs, after those finished before.

    Raises:
        MissingExtra: TensorBoard is requested, but not installed.
    """
    inner = engine.callback
    logger = _tensorboard(folder) if tensorboard and folder is not None else None
    file = None if folder is None else (folder / "metrics.jsonl").open("w", encoding="utf-8")

    def log(kind: str, event: Epoch | int | str) -> None:
        inner(kind, event)
        if not isinstance(event, Epoch):
            return
        write(event)
        if logger is not None:
            logger.log_metrics(_flat(event), event.step)

    def write(record: Epoch) -> None:
        if file is not None:
            file.write(json.dumps(record.to_dict()) + "\n")
            file.flush()

    for record in engine.history:
        write(record)
    engine.callback = log
    try:
        yield
    finally:
        engine.callback = inner
        if file is not None:
            file.close()
        if logger is not None:
            logger.finalize("success")


def _flat(record: Epoch) -> dict[str, float]:
    """The metrics of an epoch by name, in a single dictionary."""
    groups = {"train": record.train, "valid": record.valid or {}, "weight": record.weights}
    named = {f"{group}/{name}": value for group, metrics in groups.items() for name, value in metrics.items()}
    return named | {"learning_rate": record.learning_rate, "examples_per_second": record.examples_per_second}


def _tensorboard(folder: Path) -> "TensorBoardLogger":
    try:
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        return TensorBoardLogger(folder, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise MissingExtra("TensorBoard is not installed. Install it with pip install 'isthmus[track]'.") from error
