"""Data frames of any library become pandas data frames, and answers come back in the library of the input."""

import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from isthmus.data.tables.frames import is_table, to_frame, to_kind
from isthmus.errors import BadData

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
ARROW = pa.table({"a": [1.0, 2.0], "b": ["x", "y"]})


class Polars:
    """A stand-in for a data frame of polars."""

    columns = ("a", "b")

    def __init__(self, frame: pd.DataFrame = FRAME) -> None:
        self.kept = frame

    def to_pandas(self) -> pd.DataFrame:
        return self.kept


Polars.__module__ = "polars.dataframe"


class LazyFrame:
    columns = ("a", "b")

    def collect(self) -> Polars:
        return Polars()

    def to_arrow(self) -> None:
        raise AssertionError("a lazy frame is collected first")


class Pictures(Polars):
    """A stand-in for a data set of pictures, which offers a conversion too."""


Pictures.__module__ = "datasets.arrow_dataset"


class Stream:
    schema = None

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return ARROW.__arrow_c_stream__(requested_schema)


class Interchange:
    column_names = ("a", "b")

    def __dataframe__(self, **options: Any) -> Any:
        return ARROW.__dataframe__(**options)


class Arrow:
    schema = None

    def to_arrow(self) -> pa.Table:
        return ARROW


@pytest.mark.parametrize(
    "data", [FRAME, ARROW, ARROW.to_batches()[0], Polars(), LazyFrame(), Stream(), Interchange(), Arrow()]
)
def test_tables_of_every_library_are_converted(data: Any) -> None:
    assert is_table(data)
    pd.testing.assert_frame_equal(to_frame(data), FRAME, check_dtype=False)


def test_pandas_is_not_copied() -> None:
    assert to_frame(FRAME) is FRAME
    assert to_frame(FRAME.a).columns.tolist() == ["a"]


@pytest.mark.parametrize(
    "data", [np.ones((2, 2)), torch.ones(2, 2), {"a": [1]}, [1], "a.csv", None, pd.DataFrame, 3, Pictures()]
)
def test_other_objects_are_not_tables(data: Any) -> None:
    assert not is_table(data)
    with pytest.raises(BadData, match="is not a table"):
        to_frame(data)


def test_a_conversion_that_fails_is_named() -> None:
    class Broken:
        columns = ()

        def to_pandas(self) -> None:
            raise RuntimeError("no memory")

    class Wrong:
        columns = ()

        def to_pandas(self) -> int:
            return 3

    with pytest.raises(BadData, match="This Broken cannot be converted to a data frame: no memory"):
        to_frame(Broken())
    with pytest.raises(BadData, match="is not a data frame"):
        to_frame(Wrong())


def test_answers_come_back_in_the_library_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    named = FRAME.set_index(pd.Index(["r", "s"], name="key"))
    assert to_kind(named, FRAME) is named
    assert to_kind(named, np.ones(2)) is named
    arrow = to_kind(named, ARROW)
    assert isinstance(arrow, pa.Table)
    assert arrow.column_names == ["key", "a", "b"]
    assert to_kind(FRAME, ARROW).column_names == ["a", "b"]
    monkeypatch.setitem(sys.modules, "polars", types.SimpleNamespace(from_pandas=Polars))
    assert to_kind(named, Polars()).kept.columns.tolist() == ["key", "a", "b"]
