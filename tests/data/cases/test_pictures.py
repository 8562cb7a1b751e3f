"""Pictures: the unit of a frame is that of the run, advice about pixels works, and every result has the file's name."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from typer.testing import CliRunner

import isthmus as it
from isthmus.cli.app import app
from isthmus.errors import BadData, IsthmusError
from isthmus.runs import writing
from isthmus.runs.inference import score

Array = npt.NDArray[Any]
Codes = Callable[[it.Run, Any], Array]
GAUSSIAN = {"likelihood.kind": "gaussian"}


@pytest.fixture(scope="module")
def on_bytes(digits: Array) -> it.Run:
    """A run on 8-bit frames."""
    return it.fit("simple", digits, epochs=1)


def save_pictures(folder: Path, images: Array, names: Callable[[int], str] = "{}.png".format) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / names(number))
    return folder


FORMS: dict[str, Callable[[Array, Path], Any]] = {
    "bytes": lambda x, p: x,
    "one at a time": lambda x, p: [x[i : i + 1] for i in range(len(x))],
    "int64": lambda x, p: x.astype(np.int64),
    "int32": lambda x, p: x.astype(np.int32),
    "16 bits": lambda x, p: x.astype(np.uint16) * 257,
    "lists": lambda x, p: x.tolist(),
    "in [0, 1]": lambda x, p: x / 255,
    "float32 in [0, 1]": lambda x, p: (x / 255).astype(np.float32),
    "tensor": lambda x, p: torch.tensor(x),
    "tensor of longs": lambda x, p: torch.tensor(x).long(),
    "data set": lambda x, p: TensorDataset(torch.tensor(x)),
    "loader": lambda x, p: DataLoader(TensorDataset(torch.tensor(x)), batch_size=7),
    "chunks": lambda x, p: iter([x[:3], x[3:]]),
    "masked": lambda x, p: np.ma.array(x),
    "channels last": lambda x, p: x[..., None],
    "channels first": lambda x, p: x[:, None],
    "mapping": lambda x, p: {"x": x},
    "reversed strides": lambda x, p: x[:, ::-1][:, ::-1],
    "npy": lambda x, p: np.save(p / "x.npy", x) or p / "x.npy",
    "memory map": lambda x, p: np.save(p / "x.npy", x) or np.load(p / "x.npy", mmap_mode="r"),
    "npz": lambda x, p: np.savez(p / "x.npz", x=x) or p / "x.npz",
    "pictures": lambda x, p: save_pictures(p / "x", x),
}


@pytest.mark.parametrize("form", FORMS)
def test_dark_frames_have_the_codes_that_they_have_beside_bright_ones(
    form: str, on_bytes: it.Run, digits: Array, codes: Codes, tmp_path: Path
) -> None:
    together, scores = codes(on_bytes, digits)[:20], on_bytes.score(digits)[:20]
    dark = FORMS[form](digits[:20], tmp_path)
    if form == "one at a time":
        np.testing.assert_allclose(np.concatenate([on_bytes.encode(one) for one in dark]), together, atol=1e-6)
        return
    np.testing.assert_allclose(codes(on_bytes, dark), together, atol=1e-6)
    # an iterator gives its chunks once
    dark = FORMS[form](digits[:20], tmp_path) if form == "chunks" else dark
    np.testing.assert_allclose(on_bytes.score(dark), scores, rtol=1e-5)


@pytest.mark.parametrize("scale", ["minmax", "standard", "pixels", "none"])
def test_no_scaling_looks_at_new_values(scale: str, digits: Array) -> None:
    run = it.fit("simple", digits, epochs=1, options=GAUSSIAN | {"data.scale": scale})
    for dark in (digits[:20], digits[:20].astype(np.float64)):
        np.testing.assert_allclose(run.encode(dark), run.encode(digits)[:20], atol=1e-5)
        np.testing.assert_allclose(run.score(dark), run.score(digits)[:20], rtol=1e-5)


def test_a_run_on_dark_frames_keeps_their_unit(digits: Array) -> None:
    run = it.fit("simple", digits[:20], epochs=1)
    np.testing.assert_allclose(run.encode(digits)[:20], run.encode(digits[:20]), atol=1e-6)


def test_a_run_on_gray_levels_reads_bytes_as_brightness_and_refuses_other_whole_numbers(digits: Array) -> None:
    run = it.fit("simple", digits / 255, epochs=1)
    np.testing.assert_allclose(run.encode(digits), run.encode(digits / 255), atol=1e-6)
    np.testing.assert_allclose(run.encode(digits[:20]), run.encode(digits[:20] / 255), atol=1e-6)
    with pytest.raises(BadData, match="whole numbers up to 255"):
        run.encode(digits.astype(np.int64))


def test_pixels_that_are_no_whole_numbers_by_type_are_refused_beyond_the_unit(on_bytes: it.Run, digits: Array) -> None:
    with pytest.raises(BadData, match="Pass 8-bit pixels"):
        on_bytes.encode(digits.astype(np.float64))


def test_flattened_bytes_are_brightness_too(digits: Array) -> None:
    flat = digits.reshape(200, -1)
    run = it.fit("simple", flat, epochs=1)
    for dark in (flat[:20], flat[:20].astype(np.int64), flat[:20] / 255):
        np.testing.assert_allclose(run.encode(dark), run.encode(flat)[:20], atol=1e-6)


def test_frames_on_disk_are_those_in_memory(digits: Array, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", digits)
    run = it.fit("simple", tmp_path / "x.npy", epochs=1, options={"data.memory": "stream"})
    np.testing.assert_allclose(run.encode(digits[:20]), run.encode(tmp_path / "x.npy")[:20], atol=1e-6)


def test_binary_pixels_do_not_depend_on_the_order_of_rows(digits: Array) -> None:
    run = it.fit("simple", digits, epochs=1, options={"data.binarize": "static"})
    np.testing.assert_allclose(run.encode(digits[::-1])[::-1], run.encode(digits), atol=1e-6)


@pytest.fixture(scope="module")
def pixels(digits: Array) -> pd.DataFrame:
    """Rows of pixels from 0 to 255, as whole numbers."""
    return pd.DataFrame(digits.reshape(200, -1).astype(np.int64), columns=[f"pixel{i}" for i in range(64)])


PIXELS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": lambda t, p: t.assign(label=3).to_csv(p / "t.csv", index=False) or p / "t.csv",
    "parquet": lambda t, p: t.assign(label=3).to_parquet(p / "t.parquet") or p / "t.parquet",
    "frame": lambda t, p: t.assign(label=3),
    "floats": lambda t, p: t.astype(np.float64).assign(label=3),
}


@pytest.mark.parametrize("form", [*PIXELS, "array", "images", "images of floats"])
def test_the_advice_about_whole_numbers_works_as_it_is_written(
    form: str, pixels: pd.DataFrame, digits: Array, tmp_path: Path
) -> None:
    shape = (200, 8, 8) if "images" in form else (200, 64)
    kind = np.float64 if "floats" in form else np.int64
    data = PIXELS[form](pixels, tmp_path) if form in PIXELS else digits.astype(kind).reshape(shape)
    labels = "label" if form in PIXELS else None
    with pytest.raises(BadData, match="from 0 to 255") as caught:
        it.fit("vae", data, labels=labels, epochs=1)
    advice = re.findall(r"(data\.scale)=(\w+)", str(caught.value))
    assert advice == [("data.scale", "pixels"), ("data.scale", "minmax")]
    for option in advice:
        run = it.fit("vae", data, labels=labels, epochs=1, options=dict([option]))
        assert np.isfinite(run.score(data)).all()
        assert np.isfinite(list(run.evaluate().values())).all()
        if option == ("data.scale", "pixels"):
            whole = digits.astype(np.int64).reshape(shape)
            np.testing.assert_allclose(run.to_tensor(whole).numpy().ravel(), whole.ravel() / 255, atol=1e-6)


@pytest.mark.parametrize("values", [lambda x: x.astype(np.int32) * 257, lambda x: x / 127.5 - 1, lambda x: x / 10 - 3])
def test_the_advice_about_other_values_works_too(values: Callable[[Array], Array], digits: Array) -> None:
    x = values(digits)
    with pytest.raises(BadData, match="requires values in") as caught:
        it.fit("vae", x, epochs=1)
    assert "set likelihood.kind=gaussian and data.scale=standard" in str(caught.value)
    for options in (GAUSSIAN | {"data.scale": "standard"}, {"data.scale": "minmax"}):
        assert np.isfinite(it.fit("vae", x, epochs=1, options=options).score(x)).all()


@pytest.fixture(scope="module")
def parts(digits: Array) -> Array:
    """Twelve parts of one kind, of which number 7 is odd."""
    images = np.repeat(digits[21:22], 12, axis=0)
    images[7] = 255 - images[7]
    return images


@pytest.fixture(scope="module")
def on_parts(parts: Array, tmp_path_factory: pytest.TempPathFactory) -> tuple[it.Run, Path]:
    """A run on the pictures of the parts, and their folder."""
    folder = save_pictures(tmp_path_factory.mktemp("parts") / "x", parts)
    run = it.fit("simple", folder, epochs=30, options={"training.batch_size": 4})
    run.save(folder.parent / "run")
    return run, folder


def test_the_odd_picture_is_called_by_its_name(on_parts: tuple[it.Run, Path]) -> None:
    scored = score(*on_parts)
    assert scored.named(scored.highest(1)) == ["7.png"]
    assert scored.inputs.names.tolist() == [f"{i}.png" for i in range(12)]


@pytest.mark.parametrize("extension", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("verb", ["encode", "score", "reconstruct", "denoise"])
def test_files_of_results_have_the_names_of_pictures(
    verb: str, extension: str, on_parts: tuple[it.Run, Path], tmp_path: Path
) -> None:
    out = tmp_path / f"out.{extension}"
    if verb == "score":
        writing.write_scores(score(*on_parts), out)
    else:
        getattr(writing, verb)(*on_parts, out)
    if extension == "npz":
        names = np.load(out)["names"].tolist()
    else:
        names = (pd.read_csv if extension == "csv" else pd.read_parquet)(out).file.tolist()
    assert names == [f"{i}.png" for i in range(12)]


def test_the_command_calls_the_odd_picture_by_its_name(on_parts: tuple[it.Run, Path]) -> None:
    folder = on_parts[1]
    run = str(folder.parent / "run")
    shown = CliRunner().invoke(app, ["score", run, "--data", str(folder)])
    assert shown.exit_code == 0
    assert "7.png" in shown.output
    found = json.loads(CliRunner().invoke(app, ["score", run, "--data", str(folder), "--json"]).stdout)
    assert "7.png" in json.dumps(found)


def test_any_order_of_files_gives_the_same_scores_by_name(
    on_parts: tuple[it.Run, Path], digits: Array, tmp_path: Path
) -> None:
    run, _ = on_parts
    images = digits[30:42]
    order = np.random.default_rng(0).permutation(12)
    first = score(run, save_pictures(tmp_path / "a", images))
    other = score(run, save_pictures(tmp_path / "b", images, lambda i: f"{order[i]}_{i}.png"))
    by_name = {name.split("_")[1]: value for name, value in zip(other.inputs.names, other.values, strict=True)}
    assert [by_name[name] for name in first.inputs.names] == pytest.approx(first.values.tolist(), rel=1e-6)
    np.testing.assert_allclose(run.score(images), first.values, rtol=1e-6)


def test_pictures_in_folders_have_their_folder_as_label(
    on_parts: tuple[it.Run, Path], parts: Array, tmp_path: Path
) -> None:
    for name, images in (("good", parts[:6]), ("bad", parts[6:])):
        save_pictures(tmp_path / "x" / name, images)
    run, _ = on_parts
    writing.write_scores(score(run, tmp_path / "x"), tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    assert table.columns.tolist() == ["file", "label", "score"]
    assert table.loc[table.score.idxmax(), "file"] == "bad/1.png"
    assert table.label.tolist() == ["bad"] * 6 + ["good"] * 6


def test_names_of_held_out_pictures_are_known(on_parts: tuple[it.Run, Path], parts: Array) -> None:
    scored = score(on_parts[0])
    alone = [on_parts[0].score(parts[[int(name.removesuffix(".png"))]])[0] for name in scored.inputs.names]
    assert scored.values.tolist() == pytest.approx(alone, rel=1e-6)


def test_a_picture_of_another_size_is_called_by_its_name(
    on_parts: tuple[it.Run, Path], parts: Array, tmp_path: Path
) -> None:
    folder = save_pictures(tmp_path / "x", parts[:5])
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "odd.png")
    with pytest.raises(IsthmusError, match=r"odd\.png"):
        on_parts[0].encode(folder)


def test_floats_up_to_255_are_not_taken_for_gray_levels_without_a_word(digits: Array) -> None:
    run = it.fit("simple", digits / 255, epochs=1)
    with pytest.warns(UserWarning, match=r"up to 255, but .* gray levels in \[0, 1\]"):
        run.encode(digits.astype(np.float32))
