"""Text tables as R writes them: quoted names, names of rows, NA."""

from pathlib import Path

import numpy as np
import pytest

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.sources.arrays import Examples
from isthmus.options import DataOptions

X = [[0.5, 1e-05, 7.0], [np.nan, 2.0, 8.0], [1.5, np.nan, 9.0]]
NAMES = ["Mazda RX4", "Datsun 710", "Valiant"]
BODY = [["0.5", "1e-05", "7", "TRUE"], ["NA", "2", "8", "FALSE"], ["1.5", "NA", "9", "TRUE"]]
KINDS = ["a", "b", "n", "on"]


def quoted(cells: list[str]) -> list[str]:
    return [f'"{cell}"' for cell in cells]


def written(separator: str, names: list[str], header: list[str]) -> str:
    rows = [separator.join([*quoted(names[row : row + 1]), *cells]) for row, cells in enumerate(BODY)]
    return "\n".join([separator.join(quoted(header)), *rows]) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        written(",", NAMES, ["", *KINDS]),
        written(" ", NAMES, KINDS),
        written("\t", NAMES, KINDS),
        written(";", NAMES, ["", *KINDS]).replace(".", ","),
        written(",", NAMES, ["row.names", *KINDS]),
    ],
    ids=["write.csv", "write.table", "write.table with tabs", "write.csv2", "row.names"],
)
@pytest.mark.parametrize("names", [NAMES, ["1", "2", "3"]], ids=["texts", "counted"])
def test_names_of_rows_are_no_inputs_and_na_is_missing(tmp_path: Path, text: str, names: list[str]) -> None:
    for old, new in zip(NAMES, names, strict=True):
        text = text.replace(f'"{old}"', f'"{new}"')
    (tmp_path / "r.csv").write_text(text)
    found = open_data(tmp_path / "r.csv", DataOptions())
    assert isinstance(found, Dataset)
    assert isinstance(found.train, Examples)
    assert found.schema is not None
    assert found.schema.features == ("a", "b", "n", "on")
    np.testing.assert_array_equal(np.asarray(found.train.x)[:, :3], X)
    np.testing.assert_array_equal(np.asarray(found.train.x)[:, 3], [1, 0, 1])
    assert found.train.names is not None
    assert [str(name) for name in found.train.names] == names
