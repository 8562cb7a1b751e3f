"""What a run writes while it works: a line of metrics.jsonl after each epoch, and TensorBoard events if asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import MissingExtra
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch


@contextmanager
def recording(engine: Engine, folder: Path | None, tensorboard: bool) -> Iterator[None]:
    """Write each epoch of ``engine`` into the files in ``folder`` while the block runs, after those done before.

    Raises:
        MissingExtra: TensorBoard is asked for, and not installed.
    """
    inner = engine.listener
    logger = _tensorboard(folder) if tensorboard and folder is not None else None
    file = None if folder is None else (folder / "metrics.jsonl").open("w", encoding="utf-8")

    def listen(kind: str, what: Epoch | int) -> None:
        inner(kind, what)
        if not isinstance(what, Epoch):
            return
        write(what)
        if logger is not None:
            logger.log_metrics(_flat(what), what.step)

    def write(record: Epoch) -> None:
        if file is not None:
            file.write(json.dumps(record.to_dict()) + "\n")
            file.flush()

    for record in engine.history:
        write(record)
    engine.listener = listen
    try:
        yield
    finally:
        engine.listener = inner
        if file is not None:
            file.close()
        if logger is not None:
            logger.finalize("success")


def _flat(record: Epoch) -> dict[str, float]:
    """The figures of an epoch with one name each."""
    parts = {"train": record.train, "valid": record.valid or {}, "weight": record.weights}
    named = {f"{part}/{name}": value for part, figures in parts.items() for name, value in figures.items()}
    return named | {"rate": record.rate, "examples_per_second": record.examples_per_second}


def _tensorboard(folder: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202  an optional library's type
    try:
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        return TensorBoardLogger(folder, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise MissingExtra("TensorBoard is not installed. Install it with pip install 'isthmus[track]'.") from error
