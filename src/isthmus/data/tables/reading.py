"""Tables from files: text by :mod:`isthmus.data.tables.delimited`, Parquet by its schema."""

import csv
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from isthmus.data.formats import files
from isthmus.data.formats.files import check_size, reading
from isthmus.data.storage.base import File, plain_name
from isthmus.data.tables.cells import FILE_NUMERALS, MARKERS, Numerals, objects, parsed
from isthmus.data.tables.content import LONGEST_LINE, Content, kind_of
from isthmus.data.tables.delimited import WHITE, WORDS, Dialect, sniff
from isthmus.data.tables.names import NAMING
from isthmus.data.tables.numerals import Evidence, decide
from isthmus.data.tables.parquet import read_parquet
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".dat", ".asc", ".data")
"""Extensions of text tables."""
PARQUET_ENDINGS = (".parquet", ".pq")
NOTES = "isthmus.notes"
"""Attribute of a data frame that was read from a text: what was decided about its cells."""


def is_table_path(path: Path) -> bool:
    """Whether the name of a file is that of a table.

    >>> is_table_path(Path("a.CSV.gz")), is_table_path(Path("a.npy"))
    (True, False)
    """
    name = path.name.lower()
    return plain_name(name).removesuffix(".zip").endswith(TEXT_ENDINGS) or name.endswith(PARQUET_ENDINGS)


def read_table(file: File, options: DataOptions, prefer: str = "") -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """The table in a file, and what was decided about the file, one sentence each.

    Args:
        file: a text table, compressed or not, or a Parquet file.
        options: options of the data.
        prefer: decimal mark of the training table (:class:`~isthmus.data.tables.schema.Schema`), for a text table that
            could be read with either.

    Raises:
        BadData: the file is damaged, or is not a table.
        MissingExtra: pandas or pyarrow is not installed.
    """
    check_extra(file.name)
    if file.suffix in PARQUET_ENDINGS:
        return read_parquet(file, options), ()
    dialect = sniff(file, options, prefer)
    frame = read_delimited(dialect)
    return frame, (*dialect.notes, *frame.attrs.pop(NOTES, ()))


def check_extra(name: str) -> None:
    """Check that the libraries that read tables are installed.

    Raises:
        MissingExtra: pandas or pyarrow is not.
    """
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as fault:
        raise MissingExtra(
            f"Reading {name!r} requires pandas and pyarrow, which are not installed. Install them with "
            "pip install 'isthmus[tabular]'."
        ) from fault


def read_delimited(dialect: Dialect) -> "pd.DataFrame":
    """The table of a text file; numbers are exactly those that its texts write, columns without names are numbered.

    Raises:
        BadData: it is too large, or its rows have different lengths; the message names the row.
    """
    name = dialect.content.file.name
    with reading(name, kind_of(name)):
        _check_cells(dialect.content, dialect.delimiter, repr(name))
        frame = _parsed(dialect)
        heading = dialect.heading
        if heading.trailing:
            if frame.iloc[:, -1].notna().any():
                raise BadData(_ragged(dialect) or f"{name!r} has cells beyond its last column. Correct it.")
            frame = frame.iloc[:, :-1]
        elif frame.shape[1] > 1 and frame.iloc[:, -1].isna().any() and (fault := _ragged(dialect)):
            raise BadData(fault)
        if heading.names is not None:
            frame.columns = list(heading.names[: frame.shape[1]])
        written = _names_as_written(frame, dialect)
        frame = _without_empty(frame)
        numerals, notes = _numbers(frame, dialect)
        for column, texts in written.items():
            frame[column] = texts
        frame.attrs[FILE_NUMERALS] = (numerals.decimal, numerals.thousands)
        frame.attrs[NOTES] = notes
    return frame


def _check_cells(content: Content, delimiter: str, where: str) -> None:
    """Refuse a table that would not fit into memory: each cell takes three 8-byte numbers while it is read.

    Raises:
        BadData: it would not.
    """
    cells = content.size
    if cells + 24 * cells > files.LARGEST:
        cells = 1 + content.count("\n\r" + (" \t" if delimiter == WHITE else delimiter))
    check_size(content.size + 24 * cells, where)


def _parsed(dialect: Dialect, **more: Any) -> "pd.DataFrame":
    """The cells as pandas reads them, with ``more`` arguments.

    Raises:
        BadData: rows have different lengths.
    """
    import pandas as pd

    with dialect.content.open() as stream, warnings.catch_warnings():
        # pandas only warns if a row has more cells than there are names, and drops the rest
        warnings.simplefilter("error", pd.errors.ParserWarning)
        for _ in range(dialect.heading.skip):
            stream.readline(LONGEST_LINE)
        try:
            frame: pd.DataFrame = pd.read_csv(
                _uncommented(stream, dialect.comment),
                sep=dialect.delimiter,
                header=None,
                names=range(dialect.heading.width),
                index_col=False,
                decimal=dialect.numerals.decimal,
                quotechar=dialect.quote,
                skipinitialspace=True,
                low_memory=False,
                engine="c",
                **_exact(),
                **more,
            )
            return frame
        except pd.errors.EmptyDataError:
            return pd.DataFrame({column: [] for column in range(dialect.heading.width)})
        except (pd.errors.ParserError, pd.errors.ParserWarning) as fault:
            message = _unclosed(dialect, str(fault)) or _ragged(dialect)
            if message is None:
                raise
            raise BadData(message) from fault


def _names_as_written(frame: "pd.DataFrame", dialect: Dialect) -> dict[str, Any]:
    """The texts of columns that may name rows and whose numbers start with zeros, such as 00012."""
    found = {}
    for place, name in enumerate(map(str, frame.columns)):
        if NAMING.fullmatch(name.strip()) and frame.dtypes.iloc[place].kind in "iu":
            texts = _parsed(dialect, usecols=[place], dtype=str).iloc[:, 0].str.strip()
            if texts.str.match("[0][0-9]").any():
                found[name] = texts.to_numpy()
    return found


def _unclosed(dialect: Dialect, fault: str) -> str | None:
    """The message for a quotation mark that is never closed, if that is what pandas found."""
    if "EOF inside string" not in fault:
        return None
    name = dialect.content.file.name
    return (
        f"{name!r} cannot be read as {kind_of(name)}: a quotation mark is never closed "
        f"({fault.rstrip('.')[-60:]}). Close or remove it."
    )


def _exact() -> dict[str, Any]:
    """The option of older releases of pandas by which texts become exactly the numbers that they write."""
    import pandas as pd

    release = tuple(int(part) for part in pd.__version__.split(".")[:2])
    return {"float_precision": "round_trip"} if release < (3, 1) else {}


def _uncommented(stream: IO[str], comment: str) -> IO[str]:
    """The rest of a stream without comments."""
    if not comment:
        return stream
    lines = iter(lambda: stream.readline(LONGEST_LINE), "")
    return StringIO("".join(line for line in lines if not line.lstrip().startswith(comment)), newline="")


def _rows(dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows below the heading with the number of their line, blank ones left out."""
    with dialect.content.open() as stream:
        lines = iter(lambda: stream.readline(LONGEST_LINE), "")
        below = ((number, line) for number, line in enumerate(lines, 1) if number > dialect.heading.skip)
        kept = ((n, line) for n, line in below if not (dialect.comment and line.lstrip().startswith(dialect.comment)))
        last = 0

        def texts() -> Iterator[str]:
            nonlocal last
            for last, line in kept:  # noqa: B007
                yield " ".join(line.split()) if dialect.delimiter == WHITE else line

        delimiter = " " if dialect.delimiter == WHITE else dialect.delimiter
        for cells in csv.reader(texts(), delimiter=delimiter, quotechar=dialect.quote, skipinitialspace=True):
            if len(cells) > 1 or "".join(cells).strip():
                yield last, cells


def _ragged(dialect: Dialect) -> str | None:
    """The message for the first row with too many or too few cells, or ``None`` if there is none."""
    name, width = dialect.content.file.name, dialect.heading.width
    allowed = {width, width - 1} if dialect.heading.trailing else {width}
    for row, (line, cells) in enumerate(_rows(dialect)):
        full = len(cells) in allowed or (len(cells) == width + 1 and not cells[-1])
        if full and not (dialect.heading.trailing and len(cells) == width and cells[-1].strip()):
            continue
        joined = dialect.delimiter.join(cells) if dialect.delimiter != WHITE else " ".join(cells)
        other = next((mark for mark in (";", "\t", "|", ",") if mark != dialect.delimiter and mark in joined), None)
        looks = f" It looks separated by {WORDS[other]}: set data.delimiter={_spoken(other)}." if other else ""
        return (
            f"{name!r} cannot be read as {kind_of(name)}: row {row} (line {line}) has "
            f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}, but "
            f"{width - dialect.heading.trailing} are expected: {joined[:60]!r}.{looks or ' Correct that line.'}"
        )
    return None


def _spoken(delimiter: str) -> str:
    return {"\t": "tab", WHITE: "space"}.get(delimiter, delimiter)


def _without_empty(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The table without columns that have neither a name nor a value, as spreadsheets append them."""
    from isthmus.data.tables.names import is_unnamed

    empty = [
        place
        for place, name in enumerate(frame.columns)
        if isinstance(name, str) and is_unnamed(name) and frame.iloc[:, place].isna().all()
    ]
    kept = [place for place in range(frame.shape[1]) if place not in set(empty)]
    return frame.iloc[:, kept] if empty and kept and len(frame) else frame


def _numbers(frame: "pd.DataFrame", dialect: Dialect) -> tuple[Numerals, tuple[str, ...]]:
    """Replace columns of texts that are all numbers or missing by these numbers, in place.

    Returns:
        How the table writes numbers, and notes.
    """
    from pandas.api.types import is_object_dtype, is_string_dtype

    kinds = list(frame.dtypes)
    texts = {n: objects(frame.iloc[:, n]) for n, k in enumerate(kinds) if is_object_dtype(k) or is_string_dtype(k)}
    numerals, notes = _reconsidered(frame, texts, dialect)
    for place, values in texts.items():
        numbers, bad = parsed(values, frame.iloc[:, place], numerals)
        if len(bad) or np.isnan(numbers).all():
            continue
        words = {
            v.strip() for v in values.tolist() if isinstance(v, str) and v.strip().lower() in MARKERS and v.strip()
        }
        if words:
            name, cells = str(frame.columns[place])[:60], sum(isinstance(v, str) and v.strip() in words for v in values)
            listed = ", ".join(repr(word[:20]) for word in sorted(words)[:4])
            notes.append(
                f"In column {name!r}, {listed} ({cells:,} {'cell' if cells == 1 else 'cells'}) is a missing value."
            )
        frame.isetitem(place, numbers)
    return numerals, tuple(notes)


def _reconsidered(frame: "pd.DataFrame", texts: dict[int, Any], dialect: Dialect) -> tuple[Numerals, list[str]]:
    """How the table writes numbers, by its columns of text too where the sample left it open."""
    numerals = dialect.numerals
    evidence = Evidence()
    for values in texts.values():
        evidence.add([value for value in values.tolist() if isinstance(value, str)])
    options = dialect.told
    if any(str(kind) == "float64" for kind in frame.dtypes):
        options = options.model_copy(update={"decimal": numerals.decimal})
    if (
        numerals.thousands
        or options.thousands != "auto"
        or not (evidence.decimals or evidence.thousands or evidence.either)
    ):
        return numerals, []
    found, note = decide(evidence, dialect.delimiter, options)
    return (found, [note] if note else []) if found != numerals else (numerals, [])


__all__ = ["read_delimited", "read_parquet", "read_table", "sniff"]
