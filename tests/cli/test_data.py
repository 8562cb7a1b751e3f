"""``isthmus data`` shows what was understood of data, and ``isthmus fit`` says the same in three lines."""

import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from isthmus.cli.app import main
from isthmus.cli.characters import for_console, lines_of, side_by_side
from isthmus.data.description import looking
from isthmus.data.description.overview import describe
from isthmus.options import DataOptions

Capture = pytest.CaptureFixture[str]
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console of 100 columns, whatever the tests run in."""
    monkeypatch.setenv("COLUMNS", "100")


def table(rows: int = 200) -> pd.DataFrame:
    frame = pd.DataFrame({"mass": RNG.normal(100, 5, rows), "charge": RNG.normal(-3, 1, rows)})
    frame.loc[4, "mass"] = np.nan
    frame["color"] = ["red", "blue"] * (rows // 2)
    frame["ok"] = [True, False] * (rows // 2)
    frame["kind"] = ["a"] * 150 + ["b"] * (rows - 150)
    return frame


def photos(folder: Path, count: int = 12) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = RNG.integers(0, 256, (6, 10, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def shown(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert main(["data", *arguments]) == code
    out = capsys.readouterr().out
    assert all(len(line) <= 100 and line == line.rstrip() for line in out.splitlines())
    return out


def content(capsys: Capture, *arguments: str, code: int = 0) -> dict:
    assert main(["data", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_columns_of_a_table_are_described_with_their_kind_range_and_missing_values(capsys: Capture) -> None:
    frame = table()
    frame.to_csv("own.csv")
    found = content(capsys, "own.csv", "--set", "data.labels=kind", "--set", "data.exclude=ok")
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["mass"]["missing"] == 1
    assert columns["mass"]["mean"] == pytest.approx(frame["mass"].mean())
    assert (columns["charge"]["min"], columns["charge"]["max"]) == (frame["charge"].min(), frame["charge"].max())
    assert columns["color"]["categories"] == {"blue": 100, "red": 100}
    kinds = {name: column["kind"] for name, column in columns.items()}
    assert kinds == {
        "mass": "number",
        "charge": "number",
        "color": "category",
        "kind": "label",
        "Unnamed: 0": "row name",
        "ok": "left out",
    }
    assert columns["ok"]["why"] == "data.exclude=ok"
    assert found["labels"] == {"column": "kind", "classes": {"a": 150, "b": 50}}
    assert found["rows"]["first"][:3] == ["0", "1", "2"]
    assert found["missing"] == {"cells": 1, "examples": 1, "of": 200, "columns": 1}
    assert {name: split["examples"] for name, split in found["splits"].items()} == {
        "train": 162,
        "valid": 18,
        "test": 20,
    }
    assert found["first_rows"]["columns"] == ["mass", "charge", "color"]
    assert found["first_rows"]["rows"][0][2] == "red"
    assert any("(data.index=none keeps it)" in guess for guess in found["guessed"])
    assert found["refused"] == ""


def test_the_screen_of_a_table_names_what_was_guessed_and_the_option_that_overrides_it(capsys: Capture) -> None:
    table().round(2).to_csv("own.csv", sep=";", decimal=",", index=False)
    out = shown(capsys, "own.csv")
    for said in (
        "own.csv: text table, 200 examples",
        "table, 5 columns (2 numbers, 1 boolean, 2 categories), 7 model inputs",
        "162 training, 18 validation (held out: data.validation), 20 test (held out: data.test)",
        "1 value in 1 of 200 examples and 1 column",
        "Cells are separated by semicolons (data.delimiter)",
        "blue: 100; red: 100",
        "first rows",
    ):
        assert said in out
    assert "missing" in next(line for line in out.splitlines() if line.startswith("4 "))


def test_a_wide_table_shows_a_few_columns_and_says_how_many_more(capsys: Capture) -> None:
    pd.DataFrame(RNG.random((30, 50)), columns=[f"v{k}" for k in range(50)]).to_csv("wide.csv", index=False)
    out = shown(capsys, "wide.csv")
    assert "v19 " in out
    assert "v20 " not in out.partition("first rows")[0]
    assert "... and 30 more (--json lists all)" in out
    assert len(content(capsys, "wide.csv")["columns"]) == 50


def test_a_table_with_columns_that_cannot_be_used_is_shown_as_far_as_possible_and_refused(capsys: Capture) -> None:
    frame = table()
    frame["note"] = [f"text {k}" for k in range(200)]
    frame["when"] = pd.date_range("2020-01-01", periods=200)[::-1]
    frame.to_csv("own.csv", index=False)
    assert main(["data", "own.csv"]) == 2
    out, err = capsys.readouterr()
    assert "note    unusable  such as 'text 0'" in out
    assert "mass    number" in out
    assert "162 training" in out
    assert len(err.splitlines()) == 1
    assert "'note', 'when'" in err
    found = content(capsys, "own.csv", code=2)
    assert [column["name"] for column in found["columns"] if column["kind"] == "unusable"] == ["note", "when"]
    assert "'note'" in found["refused"]


def test_the_splits_are_those_of_a_fit(capsys: Capture) -> None:
    x, y = RNG.random((90, 5)), RNG.integers(0, 3, 90)
    np.savez("parts.npz", x_train=x[:70], y_train=y[:70], x_test=x[70:], y_test=y[70:])
    found = content(capsys, "parts.npz")
    assert found["splits"]["test"] == {"examples": 20, "origin": "provided"}
    assert found["splits"]["valid"] == {"examples": 7, "origin": "held out"}
    assert sum(found["labels"]["classes"].values()) == 90
    assert main(["fit", "pca", "parts.npz", "--set", "latent.size=2", "--out", "run"]) == 0
    capsys.readouterr()
    counts = json.loads(Path("run/run.json").read_text())["counts"]
    assert counts == {name: split["examples"] for name, split in found["splits"].items()}


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_counts_of_large_data_are_those_of_a_fit(memory: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("x.npy", RNG.random((1003, 6), dtype=np.float32))
    monkeypatch.setattr(looking, "LARGE_BYTES", 1000)
    monkeypatch.setattr(looking, "MOST_ROWS", 100)
    changes = ("--set", f"data.memory={memory}")
    found = content(capsys, "x.npy", *changes)
    assert found["looked_at"]["how"] == "100 of 1,003 examples, spread evenly"
    assert found["source"]["streamed"] == (memory == "stream")
    assert "looked at   100 of 1,003 examples" in shown(capsys, "x.npy", *changes)
    assert main(["fit", "linear", "x.npy", *changes, "--epochs", "1", "--out", "run"]) == 0
    counts = json.loads(Path("run/run.json").read_text())["counts"]
    assert counts == {name: split["examples"] for name, split in found["splits"].items()}


def test_a_large_file_is_not_read_as_a_whole(capsys: Capture) -> None:
    file = np.lib.format.open_memmap("sparse.npy", "w+", np.float32, (1_000_000, 300))
    file[::1000] = 1
    del file
    started = time.perf_counter()
    found = content(capsys, "sparse.npy", "--set", "data.memory=stream")
    assert time.perf_counter() - started < 5
    assert found["looked_at"] == {
        "examples": 10_000,
        "of": 1_000_000,
        "how": "10,000 of 1,000,000 examples, spread evenly",
    }
    assert found["splits"]["train"]["examples"] == 985_000


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_large_means_are_said_to_be_subtracted_wherever_the_data_is(memory: str, capsys: Capture) -> None:
    np.save("x.npy", RNG.normal([0, 1e6], 1, (100, 2)))
    changes = ("--set", f"data.memory={memory}")
    assert content(capsys, "x.npy", *changes)["scaling"] == "not scaled, but large means of columns are subtracted"


def test_a_folder_of_images_shows_size_labels_names_and_a_picture(capsys: Capture) -> None:
    photos(Path("photos"))
    out = shown(capsys, "photos", "--picture", "first.png")
    for said in ("color images, 6 x 10 pixels", "uint8 (8 bits per value)", "2 classes: cat: 12; dog: 12"):
        assert said in out
    assert "file: cat/0.png, cat/1.png, cat/2.png, ..." in out
    assert "8-bit pixels divided by 255" in out
    assert out.isascii()
    with Image.open("first.png") as picture:
        assert picture.width > 300


def test_a_damaged_image_is_counted_named_and_refused_as_in_a_fit(capsys: Capture) -> None:
    photos(Path("photos"))
    Path("photos/cat/3.png").write_bytes(Path("photos/cat/3.png").read_bytes()[:60])
    found = content(capsys, "photos", code=2)
    assert found["invalid"]["examples"] == 1
    assert found["invalid"]["listed"][0]["name"] == "cat/3.png"
    assert main(["data", "photos"]) == 2
    said = capsys.readouterr().err
    assert main(["fit", "simple", "photos", "--out", "run"]) == 2
    assert capsys.readouterr().err == said


def test_pairs_show_inputs_and_targets(capsys: Capture) -> None:
    clean = RNG.random((40, 8, 8), dtype=np.float32)
    np.savez("pairs.npz", noisy=clean + 2, clean=clean)
    found = content(capsys, "pairs.npz")
    assert found["inputs"]["mean"] == pytest.approx(found["values"]["mean"] + 2, abs=1e-4)
    out = shown(capsys, "pairs.npz", "--picture", "pairs.png")
    assert "pairs of input and target" in out
    assert out.index("first inputs") < out.index("first targets")
    assert Path("pairs.png").stat().st_size > 1000


def test_objects_are_described_like_files() -> None:
    found = describe(table(), DataOptions())
    assert found.content["layout"]["words"].startswith("table, 5 columns (2 numbers, 1 boolean, 2 categories)")
    pair = describe((RNG.random((20, 4, 4)), np.arange(20) % 2), DataOptions())
    assert pair.content["labels"]["classes"] == {"0": 10, "1": 10}
    assert pair.examples is not None


def test_invalid_examples_can_be_skipped_by_the_flag_that_the_refusal_names(capsys: Capture) -> None:
    x = RNG.random((100, 4))
    x[8, 1] = np.inf
    np.save("x.npy", x)
    assert main(["data", "x.npy"]) == 2
    assert "--on-bad-data skip" in capsys.readouterr().err
    found = content(capsys, "x.npy", "--on-bad-data", "skip")
    assert sum(split["examples"] for split in found["splits"].values()) == 99
    assert found["invalid"]["listed"][0]["row"] == 8
    assert "1 of 100 examples, the first row 8" in shown(capsys, "x.npy", "--on-bad-data", "skip")


def test_names_that_a_console_cannot_show_do_not_end_the_command(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame({"Größe": RNG.random(30), "温度": RNG.random(30)}).to_csv("own.csv", index=False)
    out = shown(capsys, "own.csv")
    assert "温度" in out
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["data", "own.csv"]) == 0
    stream.flush()
    said = stream.buffer.getvalue().decode("cp1252")
    assert "Größe" in said
    assert "??" in said


@pytest.mark.parametrize(("place", "said"), [("x.jpg", "writes a .png file"), ("no/such/x.png", "does not exist")])
def test_a_picture_that_cannot_be_written_is_refused(place: str, said: str, capsys: Capture) -> None:
    assert main(["data", "digits", "--picture", place]) == 2
    assert said in capsys.readouterr().err


def test_characters_show_the_mean_of_the_pixels_that_they_cover() -> None:
    image = np.zeros((1, 1, 8, 8))
    image[..., 4:] = 1
    (line, *others) = side_by_side(image, 8)
    assert line == "    @@@@"
    assert others == [line] * 3
    halves = np.zeros((1, 1, 4, 3))
    halves[..., 1] = 1
    # three pixels on two characters: each covers one dark pixel and half of the bright one
    assert set(side_by_side(halves, 2)) == {"--"}


def test_characters_fit_the_width_and_keep_proportions() -> None:
    for shape in ((8, 3, 28, 28), (9, 1, 8, 8), (2, 1, 200, 20), (1, 4, 5, 400), (3, 1, 1, 1)):
        lines = side_by_side(RNG.random(shape), 100)
        assert 1 <= len(lines) <= 24
        assert max(map(len, lines)) <= 100
        assert "".join(lines).isascii()
    assert side_by_side(RNG.random((8, 1, 8, 8)))[0].count(" | ") == 4
    assert side_by_side(np.full((2, 1, 4, 4), np.nan)) == []


def test_a_sequence_is_drawn_in_heights_between_the_smallest_and_the_largest_value_of_its_channel() -> None:
    rise = np.stack([np.arange(8.0), 100 * np.arange(8.0)[::-1]])[None]
    assert lines_of(rise, ["0", "speed"]) == ["0  channel 0  ▁▂▃▄▅▆▇█", "   speed      █▇▆▅▄▃▂▁"]
    gap = np.array([[[0.0, np.nan, 1.0]]])
    # a channel that is alone has three lines; what is missing is left blank
    assert [line[-3:] for line in lines_of(gap, ["x"])] == ["  █", "  █", "▁ █"]
    half = lines_of(np.array([[[0.0, 0.5, 1.0]]]), ["x"])
    assert [line[-3:] for line in half] == ["  █", " ▅█", "▁██"]
    assert lines_of(np.full((1, 2, 3), np.nan), ["0", "1"]) == ["0  channel 0", "   channel 1"]


def test_long_sequences_of_many_channels_fit_the_width() -> None:
    lines = lines_of(RNG.random((9, 13, 5000)), [str(k) for k in range(13)], 70)
    assert len(lines) == 3 * 6 + 1
    assert max(map(len, lines)) <= 70
    assert lines[-1] == "... and 7 more channels"


def test_a_console_without_blocks_shows_heights_in_ascii() -> None:
    assert for_console("0  ▁▂▃▄▅▆▇█", "utf-8") == "0  ▁▂▃▄▅▆▇█"
    assert for_console("0  ▁▂▃▄▅▆▇█ é", "ascii") == "0  :-=+*#%@ ?"
    assert for_console("é", "latin-1") == "é"


@pytest.mark.parametrize(
    ("shape", "layout", "said"),
    [
        ((20, 30, 4), "NTC", "first examples\n0  channel 0  "),
        ((20, 30), "NT", "first examples\n0  channel 0  "),
        ((20, 3, 8, 8), "NFHW", "first examples, frames of one\n"),
        ((20, 8, 8, 13), "NHWC", "first examples\n"),
    ],
)
def test_sequences_frames_and_scenes_are_sketched_and_drawn(
    shape: tuple[int, ...], layout: str, said: str, capsys: Capture
) -> None:
    x = RNG.random(shape)
    x[0].flat[0] = np.nan if layout == "NTC" else 0
    np.save("x.npy", x)
    out = shown(capsys, "x.npy", "--set", f"data.layout={layout}", "--picture", "x.png")
    assert said in out
    with Image.open("x.png") as picture:
        assert picture.width > 300


def test_channels_of_windows_have_the_names_of_the_columns(capsys: Capture) -> None:
    pd.DataFrame({"speed": RNG.random(99), "load": RNG.random(99)}).to_csv("own.csv", index=False)
    out = shown(capsys, "own.csv", "--set", "data.window=9")
    assert [line.split()[0] for line in out.splitlines() if " number " in line] == ["speed", "load"]
    assert "\n0  speed  " in out


def said_by_fit(capsys: Capture, *arguments: str) -> list[str]:
    assert main(["fit", *arguments, "--epochs", "1", "--out", "run"]) == 0
    return capsys.readouterr().err.splitlines()


def test_fit_says_in_three_lines_what_was_understood(capsys: Capture) -> None:
    table().to_csv("own.csv")
    lines = said_by_fit(capsys, "sigma_vae", "own.csv", "--set", "data.labels=kind", "--set", "data.scale=standard")
    assert lines[0] == (
        "own.csv: 162 training, 18 validation and 20 test examples; the test examples are held out (data.test)"
    )
    assert lines[1] == (
        "table, 4 columns (2 numbers, 1 boolean, 1 category), 5 model inputs; each column scaled to mean 0 and "
        "variance 1 (data.scale=standard); labels of 2 classes in column 'kind'; rows named by 'Unnamed: 0'; "
        "1 missing value in 1 of 200 examples, left out of the loss"
    )
    assert lines[2].startswith("guessed: Column 'Unnamed: 0' ")
    assert "(data.index=none keeps it)" in lines[2]
    assert lines[3].startswith("epoch")


def test_fit_guesses_nothing_about_a_named_data_set(capsys: Capture) -> None:
    lines = said_by_fit(capsys, "simple", "digits")
    assert lines[1] == "gray images, 8 x 8 pixels; not scaled; labels of 10 classes"
    assert lines[2].startswith("epoch")


def test_fit_says_that_later_values_outside_the_range_are_clipped(capsys: Capture) -> None:
    np.save("x.npy", RNG.normal(size=(60, 6)))
    said = "values of later data outside the range of the training set are clipped to it"
    assert said in "\n".join(said_by_fit(capsys, "vae", "x.npy", "--set", "data.scale=minmax"))
    assert said not in "\n".join(said_by_fit(capsys, "sigma_vae", "x.npy", "--set", "data.scale=minmax", "--overwrite"))


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_fit_says_how_many_examples_were_skipped_and_which(memory: str, capsys: Capture) -> None:
    x = RNG.random((200, 6), dtype=np.float32)
    x[[3, 17, 40, 77, 90, 101, 150], 2] = np.nan
    np.save("x.npy", x)
    lines = said_by_fit(capsys, "simple", "x.npy", "--on-bad-data", "skip", "--set", f"data.memory={memory}")
    (said,) = [line for line in lines if "skipped" in line]
    assert said.startswith("7 of 200 examples were skipped as invalid: 'x.npy', row ")
    assert said.count("row ") == 5
    assert said.endswith(" and 2 more.")


def test_fit_names_images_that_were_skipped(capsys: Capture) -> None:
    photos(Path("photos"), 20)
    Path("photos/cat/10.png").write_bytes(Path("photos/cat/10.png").read_bytes()[:60])
    lines = said_by_fit(capsys, "simple", "photos", "--on-bad-data", "skip")
    (said,) = [line for line in lines if "skipped" in line]
    assert said.startswith("1 of 40 examples was skipped as invalid: 'cat/10.png'")
