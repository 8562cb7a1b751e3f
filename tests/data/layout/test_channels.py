"""Channels in different units: scaling, missing values, large offsets and constants, by channel."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.decomposition import PCA

import isthmus as it
from isthmus.data.preparing import prepare
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.scaling import Scaling, measure
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions

Array = npt.NDArray[Any]
R = np.random.default_rng(0)
WHOLE = {"data.test": 0, "data.validation": 0}
GAUSSIAN = {"likelihood.kind": "gaussian"}
# axes with the channels last, order, axes but the channels
KINDS = {"sequences": ((60, 20, 4), "NTC"), "images": ((60, 6, 7, 4), "NHWC"), "frames": ((60, 3, 5, 6, 4), "NFHWC")}
SCALE, OFFSET = np.array([1.0, 1e3, 1e-3, 5.0]), np.array([0.0, 1e5, 0.0, 20.0])


def raw(kind: str) -> tuple[Array, str]:
    shape, order = KINDS[kind]
    return R.normal(size=shape) * SCALE + OFFSET, order


def shares(y: Array, x: Array) -> Array:
    """Unexplained share of the variance of each channel, which is last."""
    error = ((np.asarray(y, np.float64) - x) ** 2).reshape(-1, x.shape[-1]).sum(0)
    centered = x.reshape(-1, x.shape[-1]) - x.reshape(-1, x.shape[-1]).mean(0)
    return np.asarray(error / (centered**2).sum(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_each_channel_has_its_scale(kind: str, scale: str) -> None:
    x, order = raw(kind)
    made = prepare(x, DataOptions(scale=scale, layout=order, test=0, validation=0), 0)
    flat = x.reshape(-1, 4)
    assert made.kind == kind
    expected = (flat.mean(0), flat.std(0)) if scale == "standard" else (flat.min(0), np.ptp(flat, axis=0))
    np.testing.assert_allclose(made.scaling.offset, expected[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(made.scaling.scale, expected[1], rtol=1e-9)
    own = ((x - expected[0]) / expected[1])[made.train.rows]
    seen = np.moveaxis(made.train.tensor.numpy(), 2 if kind == "frames" else 1, -1)
    np.testing.assert_allclose(seen, own, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_inverse_chunks_and_json(kind: str) -> None:
    x, _ = raw(kind)
    tensor = torch.from_numpy(x).movedim(-1, 2 if kind == "frames" else 1)
    scaling = measure(tensor, "standard")
    assert measure(iter(torch.split(tensor, 7)), "standard").scale == pytest.approx(scaling.scale, rel=1e-12)
    torch.testing.assert_close(scaling.invert(scaling.apply(tensor)), tensor)
    assert Scaling.from_dict(json.loads(json.dumps(scaling.to_dict()))) == scaling
    with pytest.raises(ShapeError, match="4 features"):
        scaling.apply(tensor[:, :, :3] if kind == "frames" else tensor[:, :3])


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_color_pictures_have_one_scale(channels: int) -> None:
    x = R.normal(size=(50, 6, 7, channels)) * SCALE[:channels]
    made = prepare(x, DataOptions(scale="standard", test=0, validation=0), 0)
    assert made.scaling.offset == pytest.approx((x.mean(),))
    assert made.scaling.scale == pytest.approx((x.std(),))
    assert len(made.contract.fill) == 1


def test_bytes_of_many_channels_are_brightness_of_one_scale() -> None:
    x = R.integers(0, 256, (20, 9, 8, 5)).astype(np.uint8)
    assert prepare(x, DataOptions(), 0).scaling == Scaling("auto", (0.0,), (255.0,))


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_in_the_units_of_each_channel(kind: str, tmp_path: Path) -> None:
    x, order = raw(kind)
    options = WHOLE | {"data.scale": "standard", "data.layout": order}
    run = it.fit("pca", x, options=options | {"latent.size": 5})
    run.save(tmp_path / "run")
    flat = x.reshape(len(x), -1)
    tiled = np.tile(SCALE, flat.shape[1] // 4)
    pca = PCA(5).fit((flat - np.tile(OFFSET, flat.shape[1] // 4)) / tiled)
    for each in (run, it.load(tmp_path / "run")):
        y = each.reconstruct(x)
        assert y.shape == x.shape
        # the same subspace as in units of equal spread, up to the measured spread of 1
        unit = (flat - np.tile(OFFSET, flat.shape[1] // 4)) / tiled
        best = pca.inverse_transform(pca.transform(unit)) * tiled + np.tile(OFFSET, flat.shape[1] // 4)
        np.testing.assert_allclose(shares(y, x), shares(best.reshape(x.shape), x), atol=0.02)
        assert each.decode(each.encode(x)).shape == x.shape
        assert each.interpolate(x, rows=2, steps=3).shape == (2, 3, *x.shape[1:])
        np.testing.assert_allclose(each.interpolate(x[:1], x[1:2], steps=2)[0], each.reconstruct(x[:2]), rtol=1e-4)


def test_samples_are_in_the_units_of_each_channel() -> None:
    x, _ = raw("sequences")
    run = it.fit("vae", x, epochs=1, options=GAUSSIAN | {"data.scale": "standard"})
    drawn = run.sample(200, seed=0)
    assert drawn.shape == (200, 20, 4)
    assert np.all(np.abs(drawn.mean((0, 1)) - OFFSET) < SCALE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_a_large_offset_costs_no_variance(kind: str, memory: str, tmp_path: Path) -> None:
    x, order = raw(kind)
    unit, offset = (x - OFFSET) / SCALE, np.array([0, 1e7, 0, 1.7e9])
    np.save(tmp_path / "x.npy", unit + offset)
    options = WHOLE | {"latent.size": 5, "data.layout": order}
    own = it.fit("pca", unit, options=options)
    run = it.fit("pca", tmp_path / "x.npy", options=options | {"data.memory": memory})
    np.testing.assert_allclose(
        shares(run.reconstruct(tmp_path / "x.npy"), unit + offset), shares(own.reconstruct(unit), unit), rtol=1e-3
    )
    assert run.scaling.offset[0] == 0
    assert run.scaling.offset[1] == pytest.approx(1e7, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_channel_becomes_zero(kind: str) -> None:
    x, order = raw(kind)
    x[..., 1] = 12345.678
    made = prepare(x, DataOptions(scale="standard", layout=order, test=0, validation=0), 0)
    channel = made.train.tensor[:, :, 1] if kind == "frames" else made.train.tensor[:, 1]
    assert made.scaling.scale[1] == 1
    assert float(channel.abs().max()) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_missing_values_are_filled_with_the_mean_of_their_channel(kind: str) -> None:
    x, order = raw(kind)
    x[R.random(x.shape) < 0.1] = np.nan
    options = GAUSSIAN | {"data.layout": order, "data.scale": "standard"}
    run = it.fit("deep", x, epochs=1, options=options)
    flat = x.reshape(-1, 4)
    assert run.contract.fill_tensor().shape == {"sequences": (4, 1), "images": (4, 1, 1), "frames": (4, 1, 1)}[kind]
    assert run.contract.fill == pytest.approx((0, 0, 0, 0), abs=1e-6)
    filled = np.where(np.isnan(x), run.scaling.offset, x)
    np.testing.assert_allclose(run.encode(x), run.encode(filled), atol=1e-5)
    # without scaling, the means are those of the channels themselves
    made = prepare(x / SCALE - OFFSET / SCALE, DataOptions(layout=order, test=0, validation=0), 0)
    np.testing.assert_allclose(made.contract.fill, np.nanmean((flat - OFFSET) / SCALE, axis=0), atol=1e-6)


def test_a_channel_without_any_value_is_named() -> None:
    x, order = raw("sequences")
    x[..., 2] = np.nan
    with pytest.raises(BadData, match=r"^Channel 2 of the training set \(counted from 0\) has no value"):
        prepare(x, DataOptions(scale="standard", layout=order), 0)


def test_a_contract_is_kept_and_one_of_another_kind_refused() -> None:
    x, order = raw("sequences")
    contract = prepare(x, DataOptions(scale="standard", layout=order), 0).contract
    stored = json.loads(json.dumps(contract.to_dict()))
    assert DataContract.from_dict(contract.shape, contract.scaling, stored) == contract
    assert stored["axes"] == "TC"
    for axes in ("HW", "TT", 3):
        with pytest.raises(BadData, match="axes of a data contract"):
            DataContract.from_dict(contract.shape, contract.scaling, stored | {"axes": axes})
    earlier = {key: value for key, value in stored.items() if key != "axes"}
    assert DataContract.from_dict(contract.shape, contract.scaling, earlier).axes == ""


def scenes(side: int) -> Array:
    """100 scenes (side, side, 13) of eight hidden fields; the units of the bands differ by factors up to 1e6."""
    r = np.random.default_rng(1)
    fields = r.normal(size=(8, side, side, 13)).cumsum(1).cumsum(2)
    x = np.tensordot(r.normal(size=(100, 8)), fields, 1)
    x = x / x.std((0, 1, 2)) + 0.3 * r.normal(size=x.shape)
    return np.asarray(x * 10.0 ** np.linspace(-3, 3, 13) + np.linspace(0, 500, 13))


def left_by_pca(x: Array, size: int) -> Array:
    """Unexplained share of each channel by scikit-learn's PCA of standardized channels."""
    mean, spread = x.mean((0, 1, 2)), x.std((0, 1, 2))
    flat = ((x - mean) / spread).reshape(len(x), -1)
    pca = PCA(size).fit(flat)
    return shares(pca.inverse_transform(pca.transform(flat)).reshape(x.shape) * spread + mean, x)


# the closed form of 16 x 16 pixels takes half a minute
@pytest.mark.parametrize("side", [6, pytest.param(16, marks=pytest.mark.slow)])
def test_a_scene_of_thirteen_bands_is_explained_as_by_pca(side: int) -> None:
    x = scenes(side)
    order = "auto" if side == 16 else "NHWC"
    run = it.fit("pca", x, options=WHOLE | {"latent.size": 8, "data.scale": "standard", "data.layout": order})
    assert run.metadata.shape == (13, side, side)
    assert np.all(shares(run.reconstruct(x), x) <= left_by_pca(x, 8) + 0.01)


def test_a_network_explains_thirteen_bands_as_well() -> None:
    x = scenes(16)
    options = WHOLE | {"latent.size": 8, "data.scale": "standard", "training.batch_size": 32}
    run = it.fit("deep", x, epochs=60, options=options | GAUSSIAN)
    assert np.all(shares(run.reconstruct(x), x) <= left_by_pca(x, 8) + 0.01)
