"""Feather and Arrow IPC: the numbers, labels and names of tables; sizes and offsets that lie."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzz.judge import judge
from pyarrow import feather

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.sources.arrays import Examples
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
FRAME = pd.DataFrame(X, columns=list("abc")).assign(
    kind=pd.Categorical(np.where(X[:, 0] > 0, "red", "blue")),
    on=X[:, 1] > 0,
    n=pd.array([1, None] * 30, dtype="Int64"),
    label=np.where(X[:, 2] > 0, "yes", "no"),
)


def opened(path: Path, **options: Any) -> Dataset:
    found = open_data(path, DataOptions(**options))
    assert isinstance(found, Dataset)
    return found


def held(found: Dataset) -> Examples:
    assert isinstance(found.train, Examples)
    return found.train


def ipc(path: Path, table: pa.Table, *, stream: bool = False, compression: str | None = None, rows: int = 25) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("name", ["t.feather", "t.arrow", "t.ipc", "s.arrow"])
def test_arrow_files_give_what_the_data_frame_gives(tmp_path: Path, name: str, compression: str | None) -> None:
    frame = FRAME.set_index(pd.Index([f"row {n}" for n in range(60)], name="key"))
    path = ipc(tmp_path / name, pa.Table.from_pandas(frame), stream=name[0] == "s", compression=compression)
    found, direct = opened(path, labels="label"), open_data(frame, DataOptions(labels="label"))
    assert isinstance(direct, Dataset)
    assert found.schema is not None
    assert found.schema.features == ("a", "b", "c", "kind=blue", "kind=red", "on", "n")
    np.testing.assert_array_equal(held(found).x, held(direct).x)
    np.testing.assert_array_equal(held(found).x[:, :3], X)
    np.testing.assert_array_equal(held(found).labels, X[:, 2] > 0)
    assert found.label_names == ("no", "yes")
    assert held(found).names is not None
    assert held(found).names[:2].tolist() == ["row 0", "row 1"]
    assert found.provenance.files[0].name == name


def test_feather_of_pandas_and_of_pyarrow_are_the_same(tmp_path: Path) -> None:
    FRAME.to_feather(tmp_path / "pandas.feather")
    feather.write_feather(pa.Table.from_pandas(FRAME), str(tmp_path / "arrow.feather"), compression="uncompressed")
    one, two = (held(opened(tmp_path / name, exclude="label")).x for name in ("pandas.feather", "arrow.feather"))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[:, :3], X)


def test_texts_as_views_are_read_like_others(tmp_path: Path) -> None:
    # as polars writes them
    table = pa.table({"a": X[:, 0], "label": pa.array(FRAME["label"].tolist(), pa.string_view())})
    found = opened(ipc(tmp_path / "t.arrow", table), labels="label")
    np.testing.assert_array_equal(held(found).labels, X[:, 2] > 0)


def test_columns_without_single_values_are_refused_by_name_unless_excluded(tmp_path: Path) -> None:
    tensors = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
    )
    table = pa.table({"a": [1.0], "l": [[1, 2]], "s": [{"x": 1}], "b": [b"x"], "t": tensors})
    path = ipc(tmp_path / "t.arrow", table)
    with pytest.raises(BadData, match=r"'l' \(list\), 's' \(dict\), 'b' \(bytes\), 't' \(list\). Leave them out"):
        opened(path)
    assert held(opened(path, exclude="l,s,b,t")).x.tolist() == [[1.0]]


def test_an_arrow_file_cannot_be_streamed(tmp_path: Path) -> None:
    with pytest.raises((BadData, BadOption), match=r"'t.arrow' cannot be streamed"):
        opened(ipc(tmp_path / "t.arrow", pa.table({"a": [1.0]})), memory="stream")


@pytest.mark.parametrize(
    "column",
    [
        lambda: np.zeros(40_000_000),
        lambda: ["w" * 300_000_000],
        lambda: pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), ["w" * 300_000_000]),
    ],
    ids=["numbers", "a text", "a dictionary"],
)
def test_a_buffer_that_would_expand_without_bound_is_refused_before_it_is_decompressed(
    tmp_path: Path, column: Callable[[], object]
) -> None:
    path = ipc(tmp_path / "t.arrow", pa.table({"a": column()}), compression="zstd", rows=10**8)
    assert path.stat().st_size < 2**21
    assert "would expand from" in (judge(lambda: opened(path), tmp_path) or "")


def test_a_size_of_a_buffer_that_lies_is_refused(tmp_path: Path) -> None:
    path = ipc(tmp_path / "t.arrow", pa.table({"a": np.zeros(1000)}), compression="zstd", rows=1000)
    data = path.read_bytes()
    start, magic = struct.pack("<q", 8000), b"\x28\xb5\x2f\xfd"
    assert data.count(start + magic) == 1
    for lie, message in ((2**45, "needs 32,768.0 GiB"), (2**36, "needs 64.0 GiB"), (-5, "cannot be read as an Arrow")):
        path.write_bytes(data.replace(start + magic, struct.pack("<q", lie) + magic))
        assert message in (judge(lambda: opened(path), tmp_path) or "")


def test_rows_without_bytes_are_counted_too(tmp_path: Path) -> None:
    path = ipc(tmp_path / "t.arrow", pa.table({"a": pa.nulls(2**31 - 1)}), rows=2**31 - 1)
    assert "needs 16.0 GiB in memory" in (judge(lambda: opened(path), tmp_path) or "")


def test_offsets_that_lead_out_of_their_buffer_are_refused(tmp_path: Path) -> None:
    table = pa.table({"a": [1.0, 2.0, 3.0], "label": ["aaaa", "bbbb", "cccc"]})
    path = ipc(tmp_path / "t.arrow", table)
    offsets = struct.pack("<4i", 0, 4, 8, 12)
    data = path.read_bytes()
    assert data.count(offsets) == 1
    for lie in ((0, 4, 2**30, 2**31 - 1), (0, -(2**31), 8, 12), (0, 400_000, 8, 12)):
        path.write_bytes(data.replace(offsets, struct.pack("<4i", *lie)))
        refusal = judge(lambda: opened(path, labels="label"), tmp_path)
        assert "'t.arrow' cannot be read as an Arrow table" in (refusal or "")


def test_numbers_of_a_dictionary_that_it_lacks_are_refused(tmp_path: Path) -> None:
    path = ipc(tmp_path / "t.arrow", pa.table({"a": [1.0] * 6, "k": pa.array([0, 1, 0, 1, 0, 1], pa.int32())}))
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1, 0, 1], pa.int32()), ["red", "blue"])
    ipc(path, pa.table({"a": [1.0] * 6, "k": words}))
    codes, data = struct.pack("<6i", 0, 1, 0, 1, 0, 1), path.read_bytes()
    assert data.count(codes) == 1
    path.write_bytes(data.replace(codes, struct.pack("<6i", 0, 1, 2**20, 1, 0, 1)))
    assert "cannot be read as an Arrow table" in (judge(lambda: opened(path), tmp_path) or "")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = ipc(tmp_path / "t.arrow", pa.table({"a": X[:, 0]}))
    data = path.read_bytes()
    for size in (0, 7, 100, len(data) // 2, len(data) - 9):
        path.write_bytes(data[:size])
        assert "'t.arrow'" in (judge(lambda: opened(path), tmp_path) or "")


def test_feather_of_version_1_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.feather").write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(BadData, match="Feather file of version 1, which is not read"):
        opened(tmp_path / "t.feather")
