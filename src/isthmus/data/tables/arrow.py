"""Arrow tables as data frames: what Parquet and Arrow files have in common."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from isthmus.data.tables.names import quote_names
from isthmus.errors import BadData

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_TEXT = 2**27
"""Bytes that a column of texts may take."""


def kinds(schema: "pa.Schema", without: set[str]) -> tuple[list[str], list[str], dict[str, Any]]:
    """The columns of single values, those of texts among them, and the others with an empty value of each."""
    from pyarrow import types

    flat: list[str] = []
    nested: dict[str, Any] = {}
    for field in schema:
        # a type of a library is stored as one of Arrow
        kind = getattr(field.type, "storage_type", field.type)
        if field.name in without:
            nested[field.name] = None
        elif types.is_struct(kind) or types.is_map(kind):
            nested[field.name] = {}
        elif types.is_nested(kind):
            nested[field.name] = []
        elif types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
            nested[field.name] = b""
        else:
            flat.append(field.name)
    return flat, [name for name in flat if _is_text(schema.field(name).type)], nested


def written_out(table: "pa.Table", texts: list[str]) -> "pa.Table":
    """The table with the dictionaries of texts as texts again, unless these would take too much memory."""
    from pyarrow import compute

    for name in texts:
        place = table.schema.get_field_index(name)
        kind, column = table.schema.field(place).type, table.column(place)
        if hasattr(kind, "value_type"):
            lengths = [compute.max(compute.binary_length(chunk.dictionary)).as_py() or 0 for chunk in column.chunks]
            if max(lengths, default=0) * len(column) <= MOST_TEXT:
                table = table.set_column(place, name, column.cast(kind.value_type))
    return table


def frame_of(table: "pa.Table", nested: dict[str, Any]) -> "pd.DataFrame":
    """An Arrow table as a data frame, and columns of empty values for what is not read."""
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    frame.attrs.clear()
    for name, value in nested.items():
        # the number of rows in the footer of a damaged file may be any
        frame[name] = [value] * (len(frame) if frame.shape[1] else 1)
    return frame


def check_names(schema: "pa.Schema", name: str) -> None:
    """Refuse repeated names of columns.

    Raises:
        BadData: two columns have the same name.
    """
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise BadData(f"{name!r} has several columns called {quote_names(twice)}. Use unique names.")


def is_number(kind: "pa.DataType") -> bool:
    """Whether values of a type are numbers or truth values."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))
