"""What fuzzing and reading for bombs found, each by its name, so that it stays mended."""

import gzip
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.torch import load, save

from fuzz.judge import judge
from fuzz.targets import CHECKPOINT, STEP, whole_checkpoint, whole_run
from isthmus import fitting, run, zoo
from isthmus.data.readers import read_path
from isthmus.errors import BadOption, BadRun, IsthmusError
from isthmus.options import DataOptions
from isthmus.overrides import parse_pairs
from isthmus.recipe import Recipe
from isthmus.strangers import misplaced, parse_json
from isthmus.training.checkpoints import Checkpoints
from isthmus.using import read_codes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that was saved, and that a stranger may have changed."""
    place = tmp_path / "run"
    place.mkdir()
    for name, content in whole_run().items():
        (place / name).write_bytes(content)
    return place


RUN_FILES = ("run.json", "recipe.json", "model.safetensors")


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_link_that_leads_out_of_a_run_is_not_followed(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(f"../{name}")
    refusal = judge(lambda: run.load(folder), folder)
    assert refusal is not None
    assert f"{name}' is a link that leads out of its folder" in refusal


def test_a_link_inside_a_run_is_followed(folder: Path) -> None:
    (folder / "run.json").rename(folder / "other.json")
    (folder / "run.json").symlink_to("other.json")
    assert judge(lambda: run.load(folder), folder) is None


def test_a_run_may_be_named_by_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to("run")
    assert judge(lambda: run.load(folder.parent / "link"), folder) is None


def test_metrics_elsewhere_are_not_read(folder: Path) -> None:
    (folder / "metrics.jsonl").rename(folder.parent / "metrics.jsonl")
    (folder / "metrics.jsonl").symlink_to("../metrics.jsonl")
    assert run.load(folder).history == []


@pytest.mark.parametrize("name", [*RUN_FILES, "metrics.jsonl"])
def test_a_pipe_in_a_run_does_not_hang(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refusal = judge(lambda: run.load(folder), folder)
    assert name == "metrics.jsonl" or refusal is not None


def test_a_device_in_a_run_is_not_read_for_ever(folder: Path) -> None:
    (folder / "recipe.json").unlink()
    (folder / "recipe.json").symlink_to("/dev/zero")
    with pytest.raises(BadRun, match="leads out of its folder"):
        run.load(folder)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_folder_of_an_impossible_name_is_no_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRun, match="is not a run"):
        run.load(tmp_path / name)


def test_a_circle_of_links_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert misplaced(tmp_path / "a", tmp_path) == "cannot be found"
    assert misplaced(tmp_path, tmp_path) == "is no plain file"


def test_complex_weights_are_refused(folder: Path) -> None:
    weights = load(whole_run()["model.safetensors"])
    name = "encoder.1.weight"
    (folder / "model.safetensors").write_bytes(save(weights | {name: weights[name].to(torch.complex64)}))
    with pytest.raises(BadRun, match=r"holds encoder\.1\.weight as C64, but weights are read as B"):
        run.load(folder)


def test_a_run_of_a_huge_recipe_and_small_weights_takes_no_memory(folder: Path) -> None:
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["net"]["widths"] = [30_000, 30_000]
    (folder / "recipe.json").write_text(json.dumps(recipe))
    refusal = judge(lambda: run.load(folder), folder)
    assert refusal is not None
    assert "does not belong to this recipe" in refusal


@pytest.mark.parametrize(
    "row",
    [
        {"epoch": 1, "train": {}},
        {"epoch": 1, "train": {"loss": {}}},
        {"epoch": 1, "train": {"loss": 10**400}},
        {"epoch": 1, "train": {"loss": 1.0}, "valid": 3},
        {"epoch": "x", "train": {"loss": 1.0}},
        {"train": {"loss": 1.0}},
        [],
    ],
)
def test_a_row_that_no_plot_can_draw_is_left_out(folder: Path, row: object) -> None:
    (folder / "metrics.jsonl").write_text(json.dumps(row))
    assert run.load(folder).history == []


@pytest.mark.parametrize("text", ["[" + "[]," * 2_000_001 + "1]", "[" * 100_000, "9" * 5000])
def test_json_of_absurd_shape_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"values|deeply|digits"):
        parse_json(text)
    for name in ("run.json", "recipe.json"):
        content = (folder / name).read_text()
        (folder / name).write_text(text)
        refusal = judge(lambda: run.load(folder), folder)
        assert refusal is not None
        (folder / name).write_text(content)


LARGE = {
    "prior": {"prior.kind": "vamp", "prior.components": 1_000_000},
    "mixture": {"prior.kind": "mixture", "prior.components": 1_000_000, "latent.size": 100_000, "net.widths": [8]},
    "codebook": {"latent.kind": "quantised", "latent.codes": 1 << 20, "latent.dimension": 1 << 16},
    "critic": {"penalties.factor.weight": 1, "latent.size": 60_000, "net.widths": [8]}
    | {"penalties.factor.widths": [60_000, 60_000]},
}


@pytest.mark.parametrize("name", LARGE)
def test_weights_outside_the_nets_are_counted_before_they_are_made(name: str, tmp_path: Path) -> None:
    recipe = zoo.recipe("vae").with_options(LARGE[name])
    refusal = judge(lambda: recipe.build((1, 100, 100)), tmp_path)
    assert refusal is not None
    assert refusal.startswith("The networks would have")


WIDE = {
    "samples": {"fidelity.kind": "importance", "fidelity.samples": 100_000, "penalties.kl": None, "net.widths": [9000]},
    "covariance": {"penalties.dip.weight": 1, "latent.size": 300_000, "net.widths": [8]},
    "projections": {"penalties.sliced.weight": 1, "penalties.sliced.projections": 100_000, "latent.size": 300_000}
    | {"net.widths": [8]},
    "pseudo-inputs": {"prior.kind": "vamp", "prior.components": 1_000_000, "net.widths": [9000]},
}


@pytest.mark.parametrize("name", WIDE)
def test_a_pass_that_no_machine_holds_is_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    recipe = zoo.recipe("vae").with_options(WIDE[name])
    refusal = judge(lambda: recipe.build((5,)), tmp_path)
    assert refusal is not None
    assert refusal.startswith("One pass of two examples would make a tensor of")


@pytest.mark.parametrize(
    "tree",
    [
        {"net": {"kind": "mlp", "widths": [1] * 65}},
        {"net": {"kind": "conv", "channels": [1] * 1_000}},
        {"latent": {"kind": "finite_scalar", "levels": [2] * 10_000}},
        {"penalties": {f"p{i}": {"kind": "l1"} for i in range(65)}},
    ],
)
def test_a_list_of_absurd_length_is_refused_at_the_door(tree: dict[str, object]) -> None:
    with pytest.raises(BadOption, match="at most 64"):
        Recipe.from_dict(tree)


def test_a_recipe_of_absurd_length_is_not_parsed() -> None:
    with pytest.raises(BadOption, match=r"has 2,000,002 characters, but a recipe has at most 1,048,576"):
        Recipe.from_json("{" + " " * 2_000_000 + "}")


@pytest.mark.parametrize(
    "pair", ["x" * 10_000, "=" * 10_000, "é" * 9000, "net.norm=" + "x" * 9000, "data.labels.x=" + "x"]
)
def test_a_long_pair_makes_no_long_sentence(pair: str) -> None:
    with pytest.raises(IsthmusError) as caught:
        zoo.recipe("vae").with_options(parse_pairs([pair])).build((5,))
    assert len(str(caught.value)) < 1000


def grey(width: int = 4) -> Image.Image:
    return Image.fromarray(np.arange(3 * width, dtype=np.uint8).reshape(3, width))


def read(path: Path, **options: object) -> str | None:
    """The answer of the reader, judged inside the folder of the path."""
    return judge(lambda: read_path(path, DataOptions(**options)), path if path.is_dir() else path.parent)


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "ICNS", "PDF", "TGA", "PCX"])
def test_a_picture_of_another_format_under_the_name_of_a_known_one_is_not_decoded(tmp_path: Path, kind: str) -> None:
    # Pillow hands EPS to Ghostscript, a program
    grey().convert("L").save(tmp_path / "0.png", "PDF" if kind == "PDF" else kind)
    refusal = read(tmp_path)
    assert refusal is not None
    assert "'0.png' cannot be read as an image: cannot identify image file" in refusal


def test_a_folder_of_blank_pictures_may_not_grow_without_bound(tmp_path: Path) -> None:
    blank = Image.new("1", (12_000, 7_000))
    blank.save(tmp_path / "0.png")
    for number in range(1, 5):
        (tmp_path / f"{number}.png").write_bytes((tmp_path / "0.png").read_bytes())
    refusal = read(tmp_path)
    assert refusal is not None
    assert "would grow from" in refusal


@pytest.mark.parametrize("link", ["picture", "folder", "labels", "shard"])
def test_a_link_that_leads_out_of_a_data_folder_is_not_followed(tmp_path: Path, link: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    grey().save(here / "0.png")
    grey().save(there / "1.png")
    np.save(there / "1.npy", np.ones((3, 4)))
    images = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 2, 2) + bytes(8)
    (there / "labels").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 2) + bytes(2))
    if link == "picture":
        (here / "1.png").symlink_to("../there/1.png")
    elif link == "folder":
        (here / "0.png").unlink()
        (here / "class").symlink_to("../there")
    elif link == "labels":
        (here / "train-images-idx3-ubyte").write_bytes(images)
        (here / "train-labels-idx1-ubyte").symlink_to("../there/labels")
    else:
        (here / "1.npy").symlink_to("../there/1.npy")
    refusal = read(here)
    assert refusal is not None
    assert "is a link that leads out of the folder" in refusal


def test_links_inside_a_data_folder_are_followed(tmp_path: Path) -> None:
    grey().save(tmp_path / "0.png")
    (tmp_path / "1.png").symlink_to("0.png")
    assert read(tmp_path) is None


def member(header: bytes, values: int) -> bytes:
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + bytes(values)


def archive(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_a_long_header_of_an_array_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", {"x_train.npy": member(b" " * 20 * 2**20, 0)})
    refusal = read(tmp_path / "a.npz")
    assert refusal is not None
    assert "has a header of 20,971,520 bytes, but at most 10,000 are read" in refusal


def test_an_archive_that_grows_without_bound_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (30000, 10000), }\n"
    archive(tmp_path / "a.npz", {"x_train.npy": member(header, 300_000_000)})
    refusal = read(tmp_path / "a.npz")
    assert refusal is not None
    assert "'a.npz' would grow from" in refusal


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_as_numpy_never_does_is_refused(tmp_path: Path, kind: int) -> None:
    # the header of an LZMA stream says how many gibibytes its reader is to take
    archive(tmp_path / "a.npz", {"x_train.npy": member(b"{}", 0)}, kind)
    refusal = read(tmp_path / "a.npz")
    assert refusal is not None
    assert "'x_train.npy', which is no array" in refusal


def test_gzip_that_grows_without_bound_is_refused_by_its_header(tmp_path: Path) -> None:
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 30, 10**4, 10**3)
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(10**6), mtime=0))
    refusal = read(tmp_path / "x-idx3-ubyte.gz")
    assert refusal is not None
    assert "would grow from" in refusal


def table(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path, compression="gzip", store_schema=False)
    return path


def test_a_long_word_that_a_table_repeats_is_not_written_out(tmp_path: Path) -> None:
    word = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["w" * 20_000])
    path = table(tmp_path / "a.parquet", a=np.ones(100_000), label=word)
    refusal = read(path)
    assert refusal is not None
    assert "columns that are not numbers: 'label'" in refusal
    refusal = read(path, labels="label")
    assert refusal is not None
    assert "holds words of up to 20,000 characters, but at most 200" in refusal


def test_a_table_that_grows_without_bound_is_refused_by_its_footer(tmp_path: Path) -> None:
    refusal = read(table(tmp_path / "a.parquet", a=pa.array(np.zeros(40_000_000))))
    assert refusal is not None
    assert "would grow from" in refusal


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    both = pa.Table.from_arrays([pa.array([1.0, 2.0])] * 2, names=["a", "a"])
    parquet.write_table(both, tmp_path / "a.parquet")
    refusal = read(tmp_path / "a.parquet")
    assert refusal is not None
    assert "several columns called 'a'" in refusal


def test_the_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["x", "y"], name="name")).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1," * 200_000 + b"1\n", "has 200,001 columns, but at most 131,072 are read"),
        (b"a,label\n1," + b"w" * 100_000 + b"\n", "holds words of up to 100,000 characters"),
        (b"y" * 5000 + b",b\nx,1\n", "columns that are not numbers: 'yyyy"),
    ],
)
def test_a_csv_of_absurd_shape_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    refusal = read(tmp_path / "a.csv", labels="label" if b"label" in text else None)
    assert refusal is not None
    assert message in refusal


def test_a_csv_of_more_cells_than_fit_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.data.files.LARGEST", 2**20)
    (tmp_path / "a.csv").write_bytes(b"1\n" * 50_000)
    refusal = read(tmp_path / "a.csv")
    assert refusal is not None
    assert "needs 0.0 GiB in memory" in refusal


@pytest.mark.parametrize(
    "z", [np.full((2, 2), 1e300), np.zeros((0, 2**40)), np.full((1, 1), 10, np.longdouble) ** 4000]
)
def test_codes_that_are_no_32_bit_numbers_are_no_codes(tmp_path: Path, z: np.ndarray) -> None:
    np.save(tmp_path / "z.npy", z)
    refusal = judge(lambda: read_codes(tmp_path / "z.npy"), tmp_path)
    assert refusal is not None
    assert "one row of finite numbers" in refusal


def test_an_archive_of_many_names_makes_no_long_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "z.npz", **{f"a{number}" + "x" * 100: np.ones(1) for number in range(1000)})
    for answer in (read(tmp_path / "z.npz"), judge(lambda: read_codes(tmp_path / "z.npz"), tmp_path)):
        assert answer is not None
        assert "and 992 more" in answer


def test_numbers_beyond_64_bits_are_too_large(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 2), 10, np.longdouble) ** 4000)
    refusal = judge(lambda: fitting.prepared(tmp_path / "x.npy", DataOptions(), 0), tmp_path)
    assert refusal is not None
    assert "too large for 32-bit numbers" in refusal


@pytest.mark.parametrize("name", [CHECKPOINT, STEP])
@pytest.mark.parametrize("how", ["link", "pipe"])
def test_a_checkpoint_of_links_and_pipes_is_damaged(tmp_path: Path, name: str, how: str) -> None:
    for file, content in whole_checkpoint().items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / name).unlink()
    if how == "link":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / name)
    refusal = judge(lambda: Checkpoints(tmp_path, say=lambda sentence: None).read(), tmp_path)
    assert refusal is not None
    assert "All checkpoints" in refusal
