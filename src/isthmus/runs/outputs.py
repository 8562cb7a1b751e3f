"""Results as files: arrays, tables and figures, by file extension."""

import csv
import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from isthmus import plots
from isthmus.data.base import Array, texts
from isthmus.errors import BadOption, MissingExtra
from isthmus.files.atomic import replacing
from isthmus.runs.answers import numbered

EXTENSIONS = (".npy", ".npz", ".csv", ".parquet")
FORMATS = {1: "%d", 2: "%.5g", 4: "%.9g", 8: "%.12g"}
"""Format of the numbers of a text table, by the bytes of their type; 32-bit numbers are read back exactly."""


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
    check_folder(path)


def check_folder(path: Path) -> None:
    """Refuse a path to write to in a folder that does not exist.

    Raises:
        BadOption: there is no such folder.
    """
    if not path.parent.is_dir():
        raise BadOption(f"The folder {str(path.parent)!r} does not exist. Create it, or write to another path.")


@dataclass(frozen=True)
class RowNames:
    """What is known about the rows of results.

    Attributes:
        names: name of each row, (N,), such as file names.
        title: title of the names.
        labels: class of each row as an integer, (N,).
        classes: class of each row by name, (N,).
    """

    names: Array | None = None
    title: str = "row"
    labels: Array | None = None
    classes: Array | None = None

    def columns(self, results: Sequence[str] = ()) -> dict[str, list[str]]:
        """The columns that precede those of the ``results`` in a table, as text; their titles differ from these."""
        found: dict[str, list[str]] = {}
        for title, values in ((self.title, self.names), ("label", self.classes)):
            if values is not None:
                while title in found or title in results:
                    title += "_"
                found[title] = texts(values)
        return found


def write_array(
    path: Path,
    values: Array,
    *,
    name: str,
    rows: RowNames = RowNames(),
    columns: str | Sequence[str] = "",
) -> Path:
    """Write values (N, ...) as :func:`write_chunks` does."""
    write_chunks(path, [values], len(values), name=name, rows=rows, columns=columns or name)
    return path


def write_chunks(
    path: Path,
    chunks: Iterable[Array],
    count: int,
    *,
    name: str,
    rows: RowNames = RowNames(),
    columns: str | Sequence[str] = "",
) -> tuple[int, ...]:
    """Write chunks of values, ``count`` rows in total; returns the shape of the whole array.

    ``.npy`` holds the values; ``.npz`` also the names and labels of rows; ``.csv`` and ``.parquet`` have a
    flattened row per example, after its name and its label. Only one chunk is in memory at a time.

    Args:
        path: file to write.
        chunks: values (n, ...).
        count: number of rows.
        name: name of the array in ``.npz``.
        rows: names and labels of the rows.
        columns: names of the columns of a table, or the word that they are numbered with.
    """
    check_extension(path)
    remaining = iter(chunks)
    first = next(remaining)
    shape, every = (count, *first.shape[1:]), chain([first], remaining)
    suffix = path.suffix.lower()
    with replacing(path) as temporary:
        if suffix == ".npy":
            with temporary.open("wb") as stream:
                _write_npy(stream, shape, first.dtype, every)
        elif suffix == ".npz":
            _write_npz(temporary, name, shape, first.dtype, every, rows)
        else:
            titles = _titles(columns or name, first)
            (_write_csv if suffix == ".csv" else _write_parquet)(temporary, titles, every, rows)
    return shape


def _titles(columns: str | Sequence[str], first: Array) -> list[str]:
    """The names of the columns of a table."""
    width = math.prod(first.shape[1:])
    if isinstance(columns, str):
        return [columns] if first.ndim == 1 else numbered(columns, width)
    return list(columns) if len(columns) == width else numbered("x", width)


def _write_npz(
    path: Path, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, chunks: Iterable[Array], rows: RowNames
) -> None:
    """Write the values, and the names and labels of rows."""
    more = {"labels": rows.labels, "names": None if rows.names is None else np.array(texts(rows.names))}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            _write_npy(member, shape, dtype, chunks)
        for key, values in more.items():
            if values is not None:
                with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)


def _write_csv(path: Path, titles: list[str], chunks: Iterable[Array], rows: RowNames) -> None:
    """Write a table as text, each row after its name and label."""
    before = rows.columns(titles)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*before, *titles])
        start = 0
        for chunk in chunks:
            flat = chunk.reshape(len(chunk), -1)
            if not before:
                np.savetxt(stream, flat, delimiter=",", fmt=FORMATS[flat.dtype.itemsize])
                continue
            own = zip(*(values[start : start + len(flat)] for values in before.values()), strict=True)
            form = FORMATS[flat.dtype.itemsize]
            writer.writerows([*names, *(form % value for value in row)] for names, row in zip(own, flat, strict=True))
            start += len(flat)


def _write_parquet(path: Path, titles: list[str], chunks: Iterable[Array], rows: RowNames) -> None:
    """Write a table of columns, each row after its name and label.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as fault:
        raise MissingExtra(
            "Writing a .parquet file requires pyarrow, which is not installed. Install it with "
            "pip install 'isthmus[tabular]', or write to a .csv file."
        ) from fault
    before, start, writer = rows.columns(titles), 0, None
    for chunk in chunks:
        flat = chunk.reshape(len(chunk), -1)
        own = {title: values[start : start + len(flat)] for title, values in before.items()}
        table = pa.table(own | {title: flat[:, number] for number, title in enumerate(titles)})
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
        start += len(flat)
    if writer is not None:
        writer.close()


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
