"""What is fuzzed: each reader with the maker of its files, and what is done with what it accepts.

What is accepted must also be usable: a recipe is built, a run encodes, decodes and draws, a data set is split and
prepared.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from fuzz import files, formats, makers
from fuzz.makers import Choose, Maker, damaged, pick
from isthmus import zoo
from isthmus.data.readers.known import FORMATS
from isthmus.errors import IsthmusError
from isthmus.models.overrides import parse_pairs
from isthmus.models.recipe import PARTS, Recipe
from isthmus.options import DataOptions
from isthmus.runs import fit, loading
from isthmus.runs.writing import read_codes
from isthmus.training.checkpointing.files import CheckpointStore

LIMITS = {
    "isthmus.data.formats.files.LARGEST": 2**26,
    "isthmus.data.formats.files.FREE": 2**23,
    "isthmus.models.limits.MOST_WEIGHTS": 2**20,
    "isthmus.models.limits.MOST_VALUES": 2**22,
}
"""The readers' own bounds, lowered while fuzzing: a gibibyte that is allowed would hide one that is not."""
SHAPES = ((5,), (1, 6, 6))
PATHS = ("penalties.l1", "penalties.", ".", "net.kind.a", "penalties", "net", "penalties.l1.kind", "latent.ratio")
CHECKPOINT, STEP = "step-000000003-00001.json", "step-000000003-00001.safetensors"

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """A reader: ``make`` writes the bytes of the file called ``file``, and ``read`` reads the folder it is put in.

    ``whole`` gives the other files that belong there; ``after`` makes them vouch for it. ``valid`` gives valid files,
    with which libraries load what they load at their first use.
    """

    name: str
    file: str
    make: Maker
    read: Read
    whole: Callable[[], dict[str, bytes]] = dict
    valid: Callable[[], list[bytes]] = list
    after: Callable[[Path], None] | None = None

    def laid(self, folder: Path, data: bytes) -> Path:
        """The folder with the file in it, the others as they belong."""
        for name, content in {**self.whole(), self.file: data}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if self.after is not None:
            self.after(folder)
        return folder


@contextmanager
def lowered() -> Iterator[None]:
    """The readers' bounds at :data:`LIMITS`."""
    with ExitStack() as stack:
        for name, bound in LIMITS.items():
            stack.enter_context(mock.patch(name, bound))
        yield


def _names() -> list[str]:
    return sorted({kind for part in PARTS.values() for kind in part.table})


NEAR: tuple[object, ...] = (
    *_names(), 1, 2, 4, 8, 16, 0.25, "sigmoid", "relu", "batch", "group", "orthogonal", "upsample", "maxpool",
    "standard", "static", [8], [8, 4], [4, 4, 4], [8, 5, 5],
    *({"kind": kind, "weight": 0.5} for kind in PARTS["penalties"].table),
)  # fmt: skip


@cache
def recipes() -> tuple[dict[str, object], ...]:
    """All recipes of the zoo as plain data, narrow enough for a short test."""
    out = []
    for name in zoo.RECIPES:
        tree = json.loads(zoo.recipe(name).to_json())
        if tree["net"].get("widths"):
            tree["net"]["widths"] = [8]
        out.append(tree)
    return tuple(out)


def _built(recipe: Recipe) -> None:
    """A recipe that was accepted can be written, read and built, or is refused where the parts meet."""
    text = recipe.to_json()
    assert Recipe.from_json(text).to_json() == text, "a recipe changes when it is written and read"
    refusals = []
    for shape in SHAPES:
        try:
            recipe.build(shape)
        except IsthmusError as error:
            refusals.append(error)
    if len(refusals) == len(SHAPES):
        raise refusals[0]


def _read_recipe(folder: Path) -> None:
    try:
        text = (folder / "recipe.json").read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    _built(Recipe.from_json(text))


def _read_overrides(folder: Path) -> None:
    lines = (folder / "set.txt").read_bytes().decode("utf-8", "surrogateescape").split("\n")
    _built(_start().with_options(parse_pairs(lines)))


@cache
def _start() -> Recipe:
    return zoo.recipe("vae").with_options({"net.widths": [8], "latent.size": 2})


def _overrides(choose: Choose) -> bytes:
    """Lines such as ``latent.size=2``, most with a path that exists."""
    lines = []
    for _ in range(1 + choose(3)):
        tree: Any = pick(choose, recipes()) if choose(4) == 0 else _start().to_dict()
        path = pick(choose, makers.places(tree))
        for key in path:
            tree = tree[key]
        name = ".".join(map(str, path)) if choose(8) else pick(choose, (*makers.WORDS, *PATHS))
        value = makers.like(tree, choose, NEAR) if choose(3) else makers.value(choose, NEAR)
        text = value if isinstance(value, str) and choose(2) else json.dumps(value)[:9000]
        lines.append(f"{name}{'=' if choose(30) else ''}{text}")
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged(data, choose) if choose(8) == 0 else data


@cache
def whole_run() -> dict[str, bytes]:
    """The files of a small trained run."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        x = torch.rand(40, 5, generator=torch.Generator().manual_seed(0))
        options = {"net.widths": [8], "latent.size": 2}
        fit.fit("vae", x, epochs=2, options=options, out=Path(place) / "run")
        return {path.name: path.read_bytes() for path in sorted((Path(place) / "run").glob("*.*")) if path.is_file()}


def _read_run(folder: Path) -> None:
    """Load a run and use it."""
    loaded = loading.load(folder)
    shape = loaded.metadata.shape
    z = loaded.model.encode(torch.zeros(3, *shape))
    loaded.to_array(loaded.model.decode(z))
    if loaded.model.generative:
        loaded.sample(2, seed=0)
    assert repr(loaded)
    assert all(float(row["train"]["loss"]) is not None for row in loaded.history)


def _run_json(name: str) -> Maker:
    def make(choose: Choose) -> bytes:
        return makers.json_maker([json.loads(whole_run()[name])], (*NEAR, [5], [1, 6, 6], "vae"))(choose)

    return make


def _metrics(choose: Choose) -> bytes:
    rows = [json.loads(line) for line in whole_run()["metrics.jsonl"].splitlines()]
    return makers.lines_maker(rows, (1, 0.5, {"loss": 1.0}))(choose)


def _weights(choose: Choose) -> bytes:
    return _tensors()(choose)


@cache
def _tensors() -> Maker:
    from safetensors.torch import load

    return formats.tensors(load(whole_run()["model.safetensors"]))


@cache
def whole_checkpoint() -> dict[str, bytes]:
    """The files of a checkpoint."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        found = CheckpointStore(Path(place))
        weights = {"model.a": torch.ones(2, 3), "sums": torch.zeros(())}
        record = {"position": {"step": 3, "epoch": 1}, "history": [{"epoch": 1, "train": {"loss": 1.0}}]}
        assert found.write((3, 1), weights, record, (1, weights))
        return {path.name: path.read_bytes() for path in Path(place).iterdir()}


def _sealed(choose: Choose) -> bytes:
    """The record of a checkpoint, edited and mostly sealed again, as a stranger can."""
    record = json.loads(whole_checkpoint()[CHECKPOINT])
    content = makers.edited({key: value for key, value in record.items() if key != "sha256"}, choose, NEAR)
    if isinstance(content, dict) and choose(6):
        with suppress(TypeError, ValueError):
            content = {"sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(), **content}
    return damaged(makers.json_text(content), choose) if choose(8) == 0 else makers.json_text(content)


def _resealed(folder: Path) -> None:
    """Make the record vouch for the tensors that are there, as a stranger can."""
    record = json.loads((folder / CHECKPOINT).read_text())
    del record["sha256"]
    name = record["files"]["tensors"]["name"]
    record["files"]["tensors"]["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    seal = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    (folder / CHECKPOINT).write_text(json.dumps({"sha256": seal, **record}))


def _checkpoint_tensors(choose: Choose) -> bytes:
    from safetensors.torch import load

    return formats.tensors(load(whole_checkpoint()[STEP]))(choose)


def _read_checkpoint(folder: Path) -> None:
    found = CheckpointStore(folder, say=lambda sentence: None).read()
    assert found is not None
    assert set(found.record) is not None


def _data(file: str, **options: Any) -> Read:
    """Read a path as a data set by some options, split it and prepare it."""

    def read(folder: Path) -> None:
        from isthmus.data.preparing import prepare

        prepare(folder / file, DataOptions(test=0.0, validation=0.0, **options), 0)

    return read


def _codes(file: str) -> Read:
    def read(folder: Path) -> None:
        z, _ = read_codes(folder / file)
        assert z.dtype == np.float32

    return read


def _picture_beside() -> dict[str, bytes]:
    return {"pictures/0.png": formats._picture("PNG", "L", 4)}


def _file_targets() -> list[Target]:
    """A target for each format of a file that has small valid ones; of tables also with labels."""
    out = [Target("sparse npz", "x.npz", files.spoiled(files.sparse_npz), _data("x.npz"))]
    for known in FORMATS:
        if known.name in files.FILES:
            name, make = f"x{known.endings[0]}", files.spoiled(files.FILES[known.name])
            out.append(Target(f"{known.name} file", name, make, _data(name), valid=files.FILES[known.name]))
            if known.holds == "table":
                out.append(Target(f"{known.name} with labels", name, make, _data(name, labels="label")))
    return out


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *_file_targets(),
        Target("zip archive", "x.zip", files.spoiled(files.zips), _data("x.zip")),
        Target("tar archive", "x.tar", files.spoiled(files.tars), _data("x.tar")),
        Target("tar.gz archive", "x.tar.gz", makers.zipped(files.spoiled(files.tars)), _data("x.tar.gz")),
        Target("windows of csv", "x.csv", makers.csv, _data("x.csv", window=3, stride=2)),
        Target("sized image", "pictures/1.png", formats.picture, _data("pictures", size=5, resize="pad")),
        Target("recipe", "recipe.json", lambda choose: makers.json_maker(recipes(), NEAR)(choose), _read_recipe),
        Target("overrides", "set.txt", _overrides, _read_overrides),
        Target("run record", "run.json", _run_json("run.json"), _read_run, whole_run),
        Target("run recipe", "recipe.json", _run_json("recipe.json"), _read_run, whole_run),
        Target("run metrics", "metrics.jsonl", _metrics, _read_run, whole_run),
        Target("run weights", "model.safetensors", _weights, _read_run, whole_run),
        Target("checkpoint record", CHECKPOINT, _sealed, _read_checkpoint, whole_checkpoint),
        Target("checkpoint tensors", STEP, _checkpoint_tensors, _read_checkpoint, whole_checkpoint, after=_resealed),
        Target("npy", "x.npy", makers.npy, _data("x.npy")),
        Target("npz", "x.npz", makers.npz, _data("x.npz")),
        Target("idx", "x-idx3-ubyte", makers.idx, _data("x-idx3-ubyte")),
        Target("idx.gz", "x-idx3-ubyte.gz", makers.zipped(makers.idx), _data("x-idx3-ubyte.gz")),
        Target("csv", "x.csv", makers.csv, _data("x.csv")),
        Target("csv with labels", "x.csv", makers.csv, _data("x.csv", labels="label")),
        Target("parquet", "x.parquet", formats.parquet, _data("x.parquet")),
        Target("parquet with labels", "x.parquet", formats.parquet, _data("x.parquet", labels="label")),
        Target("image", "pictures/1.png", formats.picture, _data("pictures"), _picture_beside),
        Target("image alone", "pictures/1.jpg", formats.picture, _data("pictures")),
        Target("codes npy", "z.npy", makers.npy, _codes("z.npy")),
        Target("codes npz", "z.npz", makers.npz, _codes("z.npz")),
        Target("codes csv", "z.csv", makers.csv, _codes("z.csv")),
    )
}
