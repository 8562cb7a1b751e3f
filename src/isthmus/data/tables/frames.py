"""Data frames of any library as pandas data frames, and back."""

import sys
from typing import TYPE_CHECKING, Any

from isthmus.errors import BadData, IsthmusError, MissingExtra, one_line

if TYPE_CHECKING:
    import pandas as pd

NOT_TABLES = {"numpy", "torch", "scipy", "datasets", "builtins", "xarray"}
"""Libraries whose objects may offer a conversion to a data frame, but hold arrays or pictures."""


def is_table(data: object) -> bool:
    """Whether an object is a data frame or a table of pandas, polars, Arrow or another library."""
    if isinstance(data, type) or _library(data) in NOT_TABLES:
        return False
    if _is_pandas(data):
        return True
    columns = any(hasattr(data, name) for name in ("columns", "column_names", "schema"))
    ways = ("to_pandas", "__dataframe__", "__arrow_c_stream__", "to_arrow")
    return columns and any(callable(getattr(data, way, None)) for way in ways)


def to_frame(data: Any) -> "pd.DataFrame":
    """A table of any library as a pandas data frame, without a copy where its memory allows.

    Raises:
        BadData: the object is not a table, or its library cannot convert it.
        MissingExtra: pandas is not installed.
    """
    if not is_table(data):
        raise BadData(f"{type(data).__name__} is not a table. Pass a data frame, an array or a path.")
    try:
        import pandas as pd
    except ImportError as fault:
        raise MissingExtra(
            f"Using a {type(data).__name__} requires pandas and pyarrow, which are not installed. Install them with "
            "pip install 'isthmus[tabular]'."
        ) from fault
    if isinstance(data, pd.Series):
        return data.to_frame()
    if isinstance(data, pd.DataFrame):
        return data
    try:
        frame = _converted(data)
    except IsthmusError:
        raise
    except Exception as fault:
        raise BadData(
            f"This {type(data).__name__} cannot be converted to a data frame: {one_line(fault)}. Pass a pandas data "
            "frame, or an array."
        ) from fault
    if not isinstance(frame, pd.DataFrame):
        raise BadData(f"{type(data).__name__}.to_pandas() is not a data frame. Pass a data frame, or an array.")
    return frame


def _converted(data: Any) -> Any:
    """The data frame that a table of another library makes of itself."""
    if type(data).__name__ == "LazyFrame" and hasattr(data, "collect"):
        data = data.collect()
    if callable(getattr(data, "to_pandas", None)):
        made = data.to_pandas()
        return made.to_frame() if hasattr(made, "to_frame") and _is_pandas(made) and made.ndim == 1 else made
    if callable(getattr(data, "to_arrow", None)):
        return data.to_arrow().to_pandas()
    import pyarrow as pa

    if callable(getattr(data, "__arrow_c_stream__", None)):
        return pa.table(data).to_pandas()
    from pyarrow.interchange import from_dataframe

    return from_dataframe(data).to_pandas()


def to_kind(frame: "pd.DataFrame", like: object) -> Any:
    """A data frame in the library of ``like``: polars, Arrow, or else pandas.

    The names of rows become the first column where the library has none.
    """
    library = _library(like)
    if library == "polars":
        return sys.modules["polars"].from_pandas(_with_names(frame))
    if library == "pyarrow":
        import pyarrow as pa

        return pa.Table.from_pandas(_with_names(frame), preserve_index=False)
    return frame


def _with_names(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A frame whose names of rows, if it has any, are its first column."""
    import pandas as pd

    plain = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    taken = frame.rename(columns=str)
    return taken if plain else taken.rename_axis(index=str(frame.index.name or "index")).reset_index()


def _library(data: object) -> str:
    """The library that defines the type of an object."""
    return type(data).__module__.partition(".")[0]


def _is_pandas(data: object) -> bool:
    """Whether an object is a data frame or a series of pandas, which is not imported for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, (pandas.DataFrame, pandas.Series))
