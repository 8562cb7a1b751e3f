"""Tables of other formats in archives."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.readers.archives import tree_of
from isthmus.data.readers.format import Format
from isthmus.data.sources.arrays import Examples
from isthmus.data.storage.disk import DiskFile
from isthmus.options import DataOptions

FRAME = pd.DataFrame(np.arange(40.0).reshape(10, 4) ** 2, columns=list("abcd"))


def written(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "xlsx":
        FRAME.to_excel(out, index=False)
    elif kind == "feather":
        FRAME.to_feather(out)
    else:
        out.write(FRAME.to_json(orient="records", lines=kind == "jsonl").encode())
    return out.getvalue()


@pytest.mark.parametrize("kind", ["xlsx", "feather", "jsonl", "json"])
@pytest.mark.parametrize("about", [False, True])
def test_a_table_in_an_archive_is_read_also_beside_a_description_of_it(tmp_path: Path, kind: str, about: bool) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr(f"in/t.{kind}", written(kind))
        if about and kind != "json":
            archive.writestr("metadata.json", json.dumps({"license": "none"}))
    found = open_data(tmp_path / "t.zip", DataOptions())
    assert isinstance(found, Dataset)
    assert isinstance(found.train, Examples)
    np.testing.assert_array_equal(found.train.x, FRAME)


def test_a_table_is_known_by_its_first_bytes_too(tmp_path: Path) -> None:
    for kind, name in (("feather", "x.bin"), ("xlsx", "x.bin"), ("xlsx", "x.zip"), ("feather", "x")):
        (tmp_path / name).write_bytes(written(kind))
        found = open_data(tmp_path / name, DataOptions())
        assert isinstance(found, Dataset)
        assert isinstance(found.train, Examples)
        np.testing.assert_array_equal(found.train.x, FRAME)


def test_a_format_that_is_a_zip_archive_by_its_extension_is_no_archive_of_files(tmp_path: Path) -> None:
    for name in ("x.own.zip", "x.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a", b"1")
    own = Format("Own", (".own.zip",), lambda file, options, schema: None, "arrays", "none")  # type: ignore[arg-type, return-value]
    assert tree_of(DiskFile(tmp_path / "x.own.zip"), own) is None
    assert tree_of(DiskFile(tmp_path / "x.zip"), None) is not None
