"""The columns of a table as plain data: what each one is, its range or its categories, and its missing values."""

import warnings
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.tables.schema import Schema

Column = dict[str, Any]


def describe_columns(values: Array, schema: Schema | None) -> list[Column]:
    """One entry per column of a table, then those that are labels, names of rows, or left out.

    Args:
        values: model inputs (n, D) of some examples, with NaN for missing cells.
        schema: columns that the inputs belong to; without one they are numbers without names.

    Returns:
        Entries with ``name``, ``kind`` ("number", "boolean", "category", "label", "row name", "left out"), ``min``,
        ``max``, ``mean`` and ``missing``; categories have their counts in ``categories``, and columns that are left
        out the reason in ``why``.
    """
    statistics = _statistics(values)
    if schema is None:
        return [_number(str(place), "number", statistics, place) for place in range(values.shape[1])]
    found: list[Column] = []
    start = 0
    for column in schema.columns:
        width = len(column.features)
        if column.kind == "category":
            block = values[:, start : start + width]
            counts = np.nansum(block, axis=0).astype(np.int64).tolist()
            missing = int(np.isnan(block).any(axis=1).sum())
            categories = dict(zip(column.categories, counts, strict=True))
            found.append({"name": column.name, "kind": "category", "categories": categories, "missing": missing})
        else:
            found.append(_number(column.name, column.kind, statistics, start))
        start += width
    return found + _outside(schema)


def describe_channels(values: Array, schema: Schema) -> list[Column]:
    """One entry per channel of windows of a table, a category having several, then those that are labels and so on.

    Channels are called by the inputs that columns are, if there are as many.
    """
    found, names = describe_columns(values, None), schema.features
    if len(names) == len(found):
        found = [column | {"name": name} for column, name in zip(found, names, strict=True)]
    return found + _outside(schema)


def _outside(schema: Schema) -> list[Column]:
    """The columns that are no inputs: labels, names of rows, and those that are left out."""
    special = (("label", schema.labels), ("row name", schema.index))
    found: list[Column] = [{"name": name, "kind": kind} for kind, name in special if name is not None]
    return found + [{"name": name, "kind": "left out", "why": why} for name, why in schema.left_out]


def _statistics(values: Array) -> dict[str, Array]:
    """Bounds, mean and number of missing cells of each column; NaN where a column has no value."""
    floats = values.astype(np.float64, copy=False)
    finite = np.where(np.isfinite(floats), floats, np.nan)
    with warnings.catch_warnings():
        # a column without any value
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high, mean = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0), np.nanmean(finite, axis=0)
    return {"min": low, "max": high, "mean": mean, "missing": np.isnan(floats).sum(axis=0)}


def _number(name: str, kind: str, statistics: dict[str, Array], place: int) -> Column:
    numbers = {key: found[place].item() for key, found in statistics.items()}
    return {"name": name, "kind": kind, **numbers}


def first_rows(values: Array, schema: Schema | None, count: int) -> dict[str, list[Any]]:
    """The first rows of a table as ``columns`` and ``rows``: numbers, truth values, and the text of categories."""
    few = values[:count]
    if schema is None:
        return {"columns": [str(place) for place in range(few.shape[1])], "rows": few.astype(np.float64).tolist()}
    rows: list[list[Any]] = []
    for row in few:
        cells: list[Any] = []
        start = 0
        for column in schema.columns:
            block = row[start : start + len(column.features)]
            start += len(block)
            if column.kind == "category":
                cells.append(None if not block.max() > 0 else column.categories[int(block.argmax())])
            elif column.kind == "boolean":
                cells.append(None if np.isnan(block[0]) else bool(block[0]))
            else:
                cells.append(float(block[0]))
        rows.append(cells)
    return {"columns": [column.name for column in schema.columns], "rows": rows}
