"""Answers of a model as files: arrays, tables and pictures, by the ending of the name."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isthmus import plots
from isthmus.data.base import Array
from isthmus.errors import BadOption
from isthmus.files import replacing

ENDINGS = (".npy", ".npz", ".csv")


def check_ending(path: Path, *, picture: bool = False) -> None:
    """Refuse a name whose ending tells no format.

    Raises:
        BadOption: with the endings that are allowed.
    """
    allowed = (*ENDINGS, ".png") if picture else ENDINGS
    if path.suffix.lower() not in allowed:
        raise BadOption(
            f"{str(path)!r} ends in {path.suffix or 'nothing'!r}, which is no format to write. Use one of "
            f"{', '.join(allowed)}."
        )


def write_array(path: Path, values: Array, *, name: str, labels: Array | None = None) -> Path:
    """Write values (N, ...) as ``.npy``, ``.npz`` (with labels, where known) or ``.csv`` (one row each, flattened)."""
    check_ending(path)
    suffix = path.suffix.lower()
    with replacing(path) as temporary:
        if suffix == ".npy":
            np.save(temporary, values, allow_pickle=False)
        elif suffix == ".npz":
            arrays = {name: values} if labels is None else {name: values, "labels": labels}
            np.savez(temporary, allow_pickle=False, **arrays)
        else:
            rows = values.reshape(len(values), -1)
            header = name if values.ndim == 1 else ",".join(f"{name}{i + 1}" for i in range(rows.shape[1]))
            np.savetxt(temporary, rows, delimiter=",", header=header, comments="", fmt="%.9g")
    return path


def write_figure(path: Path, figure: Figure) -> Path:
    """Write a picture as ``.png``."""
    return plots.save(figure, path)
