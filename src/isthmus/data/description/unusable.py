"""The columns of a table that can be neither model inputs nor names of rows."""

from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.data.opening import Data
from isthmus.data.readers.archives import data_file
from isthmus.data.storage.disk import DiskFile
from isthmus.data.tables.columns import located
from isthmus.data.tables.frames import is_table, to_frame
from isthmus.data.tables.names import column_names
from isthmus.data.tables.reading import is_table_path, read_table
from isthmus.data.tables.schema import infer_schema
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 2000
"""Columns that are tried one by one."""


def unusable_columns(data: Data, options: DataOptions) -> dict[str, str]:
    """The columns without which a table could be used, each with the reason; empty if that is not what is wrong."""
    if isinstance(data, str | Path) and is_table_path(Path(data)) and Path(data).expanduser().is_file():
        file = data_file(DiskFile(Path(data).expanduser()), options)
        if file is None:
            return {}
        frame = read_table(file, options)[0]
    elif is_table(data):
        frame = to_frame(data)
    else:
        return {}
    names = column_names(frame)
    if len(names) > MOST_COLUMNS or len(set(names)) < len(names):
        return {}
    alone = options.model_copy(update={"labels": None, "exclude": (), "index": "none"})
    doubtful = [
        name
        for place, name in enumerate(names)
        if name not in options.exclude and name != options.labels and not _usable(frame.iloc[:, [place]], alone)
    ]
    found = []
    for name in doubtful:
        # dates and texts may name the rows
        others = (*options.exclude, *(other for other in doubtful if other != name))
        if name != options.index and not _usable(frame, options.model_copy(update={"exclude": others})):
            found.append(name)
    without = options.model_copy(update={"exclude": (*options.exclude, *found)})
    return {name: _why(frame, names.index(name)) for name in found} if found and _usable(frame, without) else {}


def _usable(frame: "pd.DataFrame", options: DataOptions) -> bool:
    try:
        infer_schema(frame, options, "The table")
    except BadData:
        return False
    return True


def _why(frame: "pd.DataFrame", place: int) -> str:
    """What a column holds, by its first value that is there."""
    column = frame.iloc[:, place]
    known = column.notna().to_numpy().nonzero()[0]
    return f"such as {located(column, int(known[0])).partition(': ')[2]}" if len(known) else "no value at all"
