"""Answers in the kind that the data came in: a data frame for a data frame, a tensor for a tensor, else an array."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.objects import as_array, is_tensor
from isthmus.data.tables.frames import is_table, to_frame, to_kind
from isthmus.data.tables.schema import Schema
from isthmus.runs.data import Inputs, NewData

if TYPE_CHECKING:
    import pandas as pd


def answer(values: Array, data: NewData, inputs: Inputs, *, name: str, schema: Schema | None = None) -> Any:
    """Results (N, ...) of the examples in ``data``, in its kind.

    Args:
        values: results.
        data: the data as it was given.
        inputs: the model inputs of ``data``, with the names of its rows.
        name: name of the results: columns of a data frame are called ``name1``, ``name2`` ..., or ``name`` if there is
            only one number per example.
        schema: columns that the results have, if they are reconstructions of a table.
    """
    if is_tensor(data):
        return torch.from_numpy(np.ascontiguousarray(values))
    if not is_table(data) or values.ndim > 2:
        return values
    index = _index(values, data, inputs)
    if values.ndim == 1:
        return _series(values, data, index, name)
    if schema is not None and schema.width == values.shape[1]:
        made = schema.frame(values, index)
    else:
        made = _frame(values, numbered(name, values.shape[1]), index)
    return to_kind(_with_names(made, data), data)


def numbered(name: str, count: int) -> list[str]:
    """Names of the columns of results with ``count`` numbers per example."""
    return [f"{name}{number + 1}" for number in range(count)]


def rows_of(inputs: Inputs) -> "pd.Index[Any] | None":
    """The names of the rows as an index."""
    import pandas as pd

    if inputs.names is None:
        return None
    return pd.Index(inputs.names, name=None if inputs.row_title == "index" else inputs.row_title)


def _index(values: Array, data: NewData, inputs: Inputs) -> "pd.Index[Any] | None":
    """The index of a pandas data frame as it is, so that results can be joined to it; else the names of the rows."""
    import pandas as pd

    own = isinstance(data, pd.DataFrame | pd.Series) and len(data) == len(values)
    return data.index if own else rows_of(inputs)


def _series(values: Array, data: NewData, index: "pd.Index[Any] | None", name: str) -> Any:
    import pandas as pd

    if isinstance(data, pd.DataFrame | pd.Series):
        return pd.Series(values, index=index, name=name)
    return to_kind(_with_names(_frame(values[:, None], [name], index), data), data)[name]


def _frame(values: Array, names: Sequence[str], index: "pd.Index[Any] | None") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(values, index=index, columns=list(names))


def _with_names(frame: "pd.DataFrame", data: NewData) -> "pd.DataFrame":
    """A frame whose names of rows are a column, for libraries whose tables have no index."""
    import pandas as pd

    if isinstance(data, pd.DataFrame | pd.Series) or isinstance(frame.index, pd.RangeIndex):
        return frame
    return frame.reset_index()


def codes_of(z: NewData) -> Tensor:
    """Codes in any kind, such as the data frame that ``encode`` gave, as a tensor."""
    values = to_frame(z).select_dtypes("number").to_numpy() if is_table(z) else as_array(z, "The codes")
    return torch.from_numpy(np.array(values, np.float32))
