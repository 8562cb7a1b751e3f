"""The labels of a table: one column as integers or strings."""

from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

LONGEST_LABEL = 200
"""Largest length of a label, in characters."""


def read_labels(column: "pd.Series[Any]", where: str) -> Array:
    """A column (N,) as integers or strings.

    Raises:
        BadData: labels are missing, or too long.
    """
    from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

    missing, name = int(column.isna().sum()), str(column.name)[:60]
    if missing:
        raise BadData(
            f"The labels column {name!r} of {where} has {missing} missing values. Fill them or remove those rows."
        )
    if is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype):
        if is_bool_dtype(column.dtype):
            return column.to_numpy(dtype=bool)
        values = column.to_numpy()
        return values if values.dtype.kind in "iuf" else column.to_numpy(dtype=np.float64)
    classes = column.astype("category").cat
    names = np.array([str(value) for value in classes.categories])
    longest = names.dtype.itemsize // 4
    if longest > LONGEST_LABEL:
        raise BadData(
            f"The labels column {name!r} of {where} holds strings of up to {longest:,} characters, but at most "
            f"{LONGEST_LABEL} are supported. Set data.labels to another column."
        )
    return names[classes.codes.to_numpy()]
