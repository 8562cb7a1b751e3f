"""What a run writes while it works: a line of metrics.jsonl after each epoch, and TensorBoard events if asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import MissingExtra
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch


@contextmanager
def recording(engine: Engine, folder: Path | None, tensorboard: bool) -> Iterator[list[Epoch]]:
    """Collect the epochs of ``engine`` while the block runs, and append each to the files in ``folder``.

    Raises:
        MissingExtra: TensorBoard is asked for, and not installed.
    """
    inner = engine.listener
    records: list[Epoch] = []
    logger = _tensorboard(folder) if tensorboard and folder is not None else None
    file = None if folder is None else (folder / "metrics.jsonl").open("a", encoding="utf-8")

    def listen(kind: str, what: Epoch | int) -> None:
        inner(kind, what)
        if not isinstance(what, Epoch):
            return
        records.append(what)
        if file is not None:
            file.write(json.dumps(what.to_dict()) + "\n")
            file.flush()
        if logger is not None:
            logger.log_metrics(_flat(what), what.step)

    engine.listener = listen
    try:
        yield records
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
