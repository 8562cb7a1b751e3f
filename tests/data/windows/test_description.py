"""What ``isthmus data`` says of windows: the kind of their source, and the names of their channels."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from isthmus.data.description.overview import describe
from isthmus.options import DataOptions


def test_channels_of_windows_are_the_columns_of_the_recording(tmp_path: Path) -> None:
    steps = np.arange(60)
    pd.DataFrame({"time": steps / 4, "flow": steps % 7, "level": np.sin(steps)}).to_csv(tmp_path / "x.csv", index=False)
    content = describe(str(tmp_path / "x.csv"), DataOptions(window=10)).content
    assert [(column["name"], column["kind"]) for column in content["columns"]] == [
        ("flow", "number"), ("level", "number"), ("time", "row name"),
    ]  # fmt: skip
    assert content["source"]["kind"] == "text table"


def test_windows_of_pictures_come_from_a_folder_of_images(tmp_path: Path) -> None:
    for step in range(9):
        Image.fromarray(np.full((4, 5), 20 * step, np.uint8)).save(tmp_path / f"{step}.png")
    content = describe(str(tmp_path), DataOptions(window=3)).content
    assert content["source"]["kind"] == "folder of images"
    assert content["layout"]["kind"] == "frames"


def test_a_category_of_a_recording_is_several_channels(tmp_path: Path) -> None:
    table = pd.DataFrame({"valve": ["open", "closed"] * 30, "flow": np.arange(60.0)})
    found = describe(table, DataOptions(window=10)).content["columns"]
    assert [(column["name"], column["max"]) for column in found] == [
        ("valve=closed", 1),
        ("valve=open", 1),
        ("flow", 59),
    ]
