"""Answers of a model as files: arrays, tables and pictures, by the ending of the name."""

import math
import zipfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
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
    write_pieces(path, [values], len(values), name=name, labels=labels)
    return path


def write_pieces(
    path: Path, pieces: Iterable[Array], rows: int, *, name: str, labels: Array | None = None
) -> tuple[int, ...]:
    """Write values that come piece by piece, ``rows`` in all, as :func:`write_array` does; the shape of the whole.

    Only one piece is in memory at a time.
    """
    check_ending(path)
    coming = iter(pieces)
    first = next(coming)
    shape, every = (rows, *first.shape[1:]), chain([first], coming)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".npy":
            with temporary.open("wb") as stream:
                _write_npy(stream, shape, first.dtype, every)
        elif path.suffix.lower() == ".npz":
            with zipfile.ZipFile(temporary, "w") as archive:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write_npy(member, shape, first.dtype, every)
                if labels is not None:
                    with archive.open("labels.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, labels, allow_pickle=False)
        else:
            with temporary.open("w", encoding="ascii") as text:
                width = math.prod(first.shape[1:])
                text.write((name if first.ndim == 1 else ",".join(f"{name}{i + 1}" for i in range(width))) + "\n")
                for piece in every:
                    np.savetxt(text, piece.reshape(len(piece), -1), delimiter=",", fmt="%.9g")
    return shape


def _write_npy(stream: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike, pieces: Iterable[Array]) -> None:
    """A ``.npy`` array whose shape is known before its values."""
    kind = np.dtype(dtype)
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for piece in pieces:
        stream.write(np.ascontiguousarray(piece, kind).data)


def write_figure(path: Path, figure: Figure) -> Path:
    """Write a picture as ``.png``."""
    return plots.save(figure, path)
