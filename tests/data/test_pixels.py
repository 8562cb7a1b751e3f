"""Many 8-bit images of a training set in memory stay bytes, and change no result."""

import numpy as np
import pytest
import torch

import isthmus
from isthmus.data.prepared import PreparedData
from isthmus.data.preparing import prepare
from isthmus.data.samplers import stored
from isthmus.data.transforms.pixels import PixelTensor
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadData
from isthmus.options import DataOptions

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
DIM = (IMAGES // 40).astype(np.uint8)


def both(monkeypatch: pytest.MonkeyPatch, x: object, **options: object) -> tuple[PreparedData, PreparedData]:
    """The same data as floats and, where that is possible, as bytes."""
    floats = prepare(x, DataOptions(**options), 0)
    monkeypatch.setattr(stored, "MANY", 1)
    return floats, prepare(x, DataOptions(**options), 0)


@pytest.mark.parametrize("scale", ["auto", "pixels", "minmax", "standard", "none"])
@pytest.mark.parametrize("x", [IMAGES, IMAGES[..., 0], DIM], ids=["color", "gray", "dim"])
def test_bytes_are_scaled_to_the_same_bits(monkeypatch: pytest.MonkeyPatch, x: np.ndarray, scale: str) -> None:
    floats, pixels = both(monkeypatch, x, scale=scale)
    assert isinstance(floats.train.x, torch.Tensor)
    assert isinstance(pixels.train.x, PixelTensor)
    assert pixels.train.x.raw.dtype == torch.uint8
    assert not pixels.streamed
    assert torch.equal(pixels.train.tensor, floats.train.tensor)
    assert torch.equal(torch.cat(list(pixels.train.x.chunks(7))), floats.train.tensor)
    assert torch.equal(pixels.train.x[3:9], floats.train.tensor[3:9])
    assert isinstance(pixels.test.x, torch.Tensor)
    assert torch.equal(pixels.test.x, floats.test.x)
    assert pixels.notes == floats.notes
    assert pixels.contract.scaling == floats.contract.scaling
    torch.testing.assert_close(pixels.contract.fill, floats.contract.fill, rtol=1e-6, atol=1e-6)


def test_rows_are_read_in_any_order_and_layout() -> None:
    raw = torch.randint(256, (20, 3, 4, 4), dtype=torch.uint8)
    x, rows = PixelTensor(raw, Scaling("pixels", (0.0,), (255.0,))), torch.tensor([4, 0, 19])
    last = x.map(lambda own: own.contiguous(memory_format=torch.channels_last))
    assert torch.equal(x.index_select(0, rows), raw[rows].float() / 255)
    assert torch.equal(last[rows], raw[rows].float() / 255)
    assert not last.is_contiguous()
    assert last[rows].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x.take(np.array([2, 1])).raw, raw[[2, 1]])
    assert x.mean().item() == pytest.approx(raw.double().mean().item() / 255)


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (IMAGES.reshape(40, -1), {}),
        (IMAGES.astype(np.float32), {}),
        (IMAGES.astype(np.uint16), {}),
        (IMAGES, {"binarize": "static"}),
        (
            np.random.default_rng(0).integers(0, 256, (40, 6, 5, 13), dtype=np.uint8),
            {"layout": "NHWC", "scale": "standard"},
        ),
    ],
    ids=["table", "float", "16 bits", "sampled once", "13 channels"],
)
def test_other_data_are_floats(monkeypatch: pytest.MonkeyPatch, x: np.ndarray, options: dict[str, object]) -> None:
    floats, other = both(monkeypatch, x, **options)
    assert isinstance(other.train.x, torch.Tensor)
    assert torch.equal(other.train.x, floats.train.tensor)


def test_bytes_outside_the_support_are_reported_as_for_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"likelihood.kind": "bernoulli", "data.scale": "none"}
    messages = []
    for many in (stored.MANY, 1):
        monkeypatch.setattr(stored, "MANY", many)
        with pytest.raises(BadData) as found:
            isthmus.fit("vae", IMAGES, epochs=1, options=options)
        messages.append(str(found.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("vae", {"data.binarize": "dynamic"}),
        ("conv", {"data.random_shift": 1}),
        ("vq_vae", {}),
        ("deep", {"pretraining.kind": "denoising", "pretraining.epochs": 1}),
        ("pca", {}),
    ],
)
def test_a_run_has_the_same_bits(monkeypatch: pytest.MonkeyPatch, recipe: str, options: dict[str, object]) -> None:
    x = np.random.default_rng(1).integers(0, 256, (90, 8, 8), dtype=np.uint8)
    length = {} if recipe == "pca" else {"epochs": 2}
    runs = []
    for many in (stored.MANY, 1):
        monkeypatch.setattr(stored, "MANY", many)
        runs.append(isthmus.fit(recipe, x, seed=3, options={"training.batch_size": 16, **options}, **length))
    assert isinstance(runs[1].data.train.x, PixelTensor)
    one, other = (run.model.state_dict() for run in runs)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    assert runs[0].history[-1]["train"] == runs[1].history[-1]["train"]
    assert runs[0].evaluate() == runs[1].evaluate()
