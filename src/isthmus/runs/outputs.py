"""Results as files: arrays, tables and figures, by file extension."""

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
from isthmus.files.atomic import replacing

EXTENSIONS = (".npy", ".npz", ".csv")


def check_extension(path: Path, *, figure: bool = False) -> None:
    """Refuse a path to write to with an unsupported file extension, or in a folder that does not exist.

    Raises:
        BadOption: an extension that is not supported, or none; or no such folder.
    """
    allowed = (*EXTENSIONS, ".png") if figure else EXTENSIONS
    if path.suffix.lower() not in allowed:
        raise BadOption(
            f"{str(path)!r} has {f'the extension {path.suffix!r}' if path.suffix else 'no extension'}, which is not "
            f"supported for output. Use one of {', '.join(allowed)}."
        )
    if not path.parent.is_dir():
        raise BadOption(f"The folder {str(path.parent)!r} does not exist. Create it, or write to another path.")


def write_array(path: Path, values: Array, *, name: str, labels: Array | None = None) -> Path:
    """Write values (N, ...) as ``.npy``, ``.npz`` (with labels, if known) or ``.csv`` (a flattened row per example)."""
    write_chunks(path, [values], len(values), name=name, labels=labels)
    return path


def write_chunks(
    path: Path, chunks: Iterable[Array], rows: int, *, name: str, labels: Array | None = None
) -> tuple[int, ...]:
    """Write chunks of values, ``rows`` in total, as :func:`write_array` does; returns the shape of the whole array.

    Only one chunk is in memory at a time.
    """
    check_extension(path)
    remaining = iter(chunks)
    first = next(remaining)
    shape, every = (rows, *first.shape[1:]), chain([first], remaining)
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
                for chunk in every:
                    np.savetxt(text, chunk.reshape(len(chunk), -1), delimiter=",", fmt="%.9g")
    return shape


def _write_npy(stream: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike, chunks: Iterable[Array]) -> None:
    """Write a ``.npy`` array of a known shape, chunk by chunk."""
    kind = np.dtype(dtype)
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for chunk in chunks:
        stream.write(np.ascontiguousarray(chunk, kind).data)


def write_figure(path: Path, figure: Figure) -> Path:
    """Write a figure as ``.png``."""
    return plots.save(figure, path)
