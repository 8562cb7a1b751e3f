"""A run on any kind of data, stopped in the middle, ends in the bits of an uninterrupted one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image

from isthmus import fit
from isthmus.data.samplers.streams import Stream
from isthmus.errors import BadRun
from isthmus.runs.run import Run
from isthmus.training.engine import Engine

RNG = np.random.default_rng(5)
TABLE = RNG.normal(size=(60, 5))
GRAY = RNG.integers(0, 256, (60, 8, 8), dtype=np.uint8)
FRAME = pd.DataFrame(TABLE, columns=list("abcde")).assign(kind=["x", "y", "z"] * 20)
HOLES = np.where(RNG.random(TABLE.shape) < 0.2, np.nan, TABLE)
RECORDING = RNG.normal(size=(400, 3))


class Killed(BaseException):
    """Ends a run as a power cut would."""


def saved(path: Path, write: Callable[[Path], object]) -> Path:
    write(path)
    return path


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for number, image in enumerate(GRAY):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def nested(folder: Path) -> Path:
    """A training and a test set of pictures with labels, one of them animated."""
    for number, image in enumerate(GRAY):
        path = folder / ("test" if number % 6 == 0 else "train") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    frames = [Image.fromarray(image) for image in GRAY[:3] // 2]
    frames[0].save(folder / "train" / "a" / "clip.gif", save_all=True, append_images=frames[1:])
    return folder


def loader(_: Path) -> object:
    data = torch.utils.data.TensorDataset(torch.from_numpy(TABLE).float(), torch.arange(60) % 3)
    return torch.utils.data.DataLoader(data, batch_size=7, shuffle=True)


def recorded(path: Path) -> object:
    return pd.DataFrame(RECORDING, columns=list("abc")).to_parquet(path, row_group_size=70)


STREAMED = {"data.memory": "stream"}
WINDOWS = {"data.window": 8, "data.stride": 3, "data.scale": "standard"}
SOURCES: dict[str, tuple[Callable[[Path], Any], dict[str, object]]] = {
    "array": (lambda _: TABLE, {}),
    "windows": (lambda _: RECORDING, WINDOWS),
    "windows, npy streamed": (lambda p: saved(p / "w.npy", lambda f: np.save(f, RECORDING)), STREAMED | WINDOWS),
    "windows, parquet streamed": (lambda p: saved(p / "w.parquet", recorded), STREAMED | WINDOWS),
    "missing": (lambda _: HOLES, {"data.scale": "standard"}),
    "masked": (lambda _: np.ma.masked_invalid(HOLES), {}),
    "data frame": (lambda _: FRAME, {"data.scale": "standard"}),
    "sparse": (lambda _: scipy.sparse.csr_array(TABLE), {}),
    "sparse, streamed": (lambda _: scipy.sparse.csr_array(TABLE), STREAMED),
    "tensor": (lambda _: torch.from_numpy(TABLE), {}),
    "loader": (loader, {}),
    "pairs": (lambda _: (TABLE + 0.1, TABLE), {}),
    "csv": (lambda p: saved(p / "t.csv", FRAME.to_csv), {}),
    "csv, gzipped": (lambda p: saved(p / "t.csv.gz", FRAME.to_csv), {}),
    "parquet": (lambda p: saved(p / "t.parquet", FRAME.to_parquet), {}),
    "parquet, streamed": (lambda p: saved(p / "t.parquet", lambda f: FRAME.to_parquet(f, row_group_size=9)), STREAMED),
    "npy, streamed": (lambda p: saved(p / "t.npy", lambda f: np.save(f, TABLE)), STREAMED | {"data.scale": "standard"}),
    "npy with missing, streamed": (lambda p: saved(p / "t.npy", lambda f: np.save(f, HOLES)), STREAMED),
    "images": (lambda p: pictures(p / "gray"), {"likelihood.kind": "bernoulli"}),
    "images, streamed": (lambda p: pictures(p / "gray"), STREAMED | {"likelihood.kind": "bernoulli"}),
    "nested images": (lambda p: nested(p / "n"), {"likelihood.kind": "bernoulli", "data.pages": "all"}),
    "nested images, streamed": (
        lambda p: nested(p / "n"),
        STREAMED | {"likelihood.kind": "bernoulli", "data.pages": "all"},
    ),
    "stream": (lambda _: Stream([TABLE[:31], TABLE[31:]], population=40), {}),
}


def trained(data: object, options: dict[str, object], **settings: Any) -> Run:
    own = {"training.batch_size": 12, "training.checkpoint_interval": 0, "likelihood.kind": "gaussian"}
    return fit("vae", data, epochs=3, options=own | options, **settings)


def stopped(data: object, options: dict[str, object], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed in its sixth step."""
    step = Engine._step

    def struck(self: Engine, batch: Any) -> Any:
        found = step(self, batch)
        if self.at.step == 5:
            raise Killed
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_step", struck)
        with pytest.raises(Killed):
            trained(data, options, out=out)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_stopped_run_ends_in_the_same_bits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, options = SOURCES[kind]
    data = make(tmp_path)
    whole = trained(data, options)
    stopped(data, options, tmp_path / "run", monkeypatch)
    again = trained(data, options, out=tmp_path / "run", resume=True)
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(value, again.objective.state_dict()[name]), name
    assert again.metadata.contract == whole.metadata.contract
    assert again.metadata.outcome["resumed_at"] == [5]


def test_a_run_is_not_resumed_on_columns_of_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(FRAME, {}, tmp_path / "run", monkeypatch)
    with pytest.raises(BadRun, match=r"was started with contract\.schema"):
        trained(FRAME.rename(columns={"a": "b", "b": "a"}), {}, out=tmp_path / "run", resume=True)
