"""Tables from files that are no text tables: Arrow, JSON and Excel, by their extensions."""

from typing import TYPE_CHECKING

from isthmus.data.base import Array
from isthmus.data.formats.files import reading
from isthmus.data.storage.base import File, plain_name
from isthmus.data.tables.content import load
from isthmus.data.tables.ipc import read_ipc
from isthmus.data.tables.json_files import read_json
from isthmus.data.tables.reading import check_extra
from isthmus.data.tables.sheets import read_excel
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

ARROW, EXCEL = (".feather", ".arrow", ".ipc"), (".xlsx", ".xlsm")
LINES = (".jsonl", ".ndjson")
JSON = (*LINES, ".json")
"""Extensions."""


def is_records_path(name: str) -> bool:
    """Whether the name of a file is that of such a table.

    >>> is_records_path("a.XLSX"), is_records_path("a.jsonl.gz"), is_records_path("a.csv")
    (True, True, False)
    """
    return plain_name(name).lower().endswith((*ARROW, *EXCEL, *JSON))


def read_records(
    file: File, options: DataOptions, prefer: str = "", kind: str = ""
) -> "tuple[pd.DataFrame | Array, tuple[str, ...]]":
    """The table in a file, and what was decided about it, one sentence each; JSON may also hold an array (N, ...).

    Args:
        file: a file of one of these kinds.
        options: options of the data.
        prefer: decimal mark of the training table, for texts that could be numbers with either.
        kind: extension of its format, if it is not that of the file.

    Raises:
        BadData: the file is damaged or too large, or is not a table.
        MissingExtra: a library that reads it is not installed.
    """
    check_extra(file.name)
    kind = kind or file.suffix
    if kind in EXCEL:
        check_extra(file.name, "openpyxl")
        return read_excel(file, options, prefer)
    if kind in ARROW:
        return read_ipc(file, options), ()
    with reading(file.name, "a table of JSON"):
        content = load(file, options.encoding)
    return read_json(content, options, lines=file.suffix in LINES)
