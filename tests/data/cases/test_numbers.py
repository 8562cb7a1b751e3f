"""Numbers at the door: large offsets, missing values, infinity, and values outside the range of training."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from typer.testing import CliRunner

import isthmus as it
from isthmus.cli.app import app
from isthmus.errors import BadData, IsthmusError

Array = npt.NDArray[Any]
R = np.random.default_rng(0)
X = R.normal(size=(200, 2)) @ R.normal(size=(2, 6)) + 0.1 * R.normal(size=(200, 6))
TWO = {"latent.size": 2, "data.test": 0, "data.validation": 0}
STANDARD = {"data.scale": "standard", "likelihood.kind": "gaussian"}


def unexplained(y: Any, x: Array) -> float:
    return float(((np.asarray(y, np.float64) - x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum())


def left_by_pca(x: Array) -> float:
    return 1 - float(PCA(2).fit(x - x.mean(0)).explained_variance_ratio_.sum())


OFFSETS: dict[str, tuple[float, Callable[[Array, Path], Any]]] = {
    "none": (0, lambda x, p: x),
    "1e5": (1e5, lambda x, p: x),
    "1e6": (1e6, lambda x, p: x),
    "1e7": (1e7, lambda x, p: x),
    "seconds": (1.7e9, lambda x, p: x),
    "1e12": (1e12, lambda x, p: x),
    "negative": (-1e7, lambda x, p: x),
    "tensor": (1e7, lambda x, p: torch.tensor(x)),
    "frame": (1e7, lambda x, p: pd.DataFrame(x, columns=list("abcdef"))),
    "csv": (1e7, lambda x, p: pd.DataFrame(x, columns=list("abcdef")).to_csv(p / "x.csv", index=False) or p / "x.csv"),
    "npy": (1e7, lambda x, p: np.save(p / "x.npy", x) or p / "x.npy"),
    "memory map": (1e7, lambda x, p: np.save(p / "x.npy", x) or np.load(p / "x.npy", mmap_mode="r")),
}


@pytest.mark.parametrize("form", OFFSETS)
def test_an_offset_does_not_cost_variance(form: str, tmp_path: Path) -> None:
    offset, convert = OFFSETS[form]
    x = X + offset
    data = convert(x, tmp_path)
    run = it.fit("pca", data, options=TWO)
    # of 1e12, float64 keeps four digits after the point
    assert unexplained(run.reconstruct(data), x) == pytest.approx(left_by_pca(X), rel=1e-3)
    assert run.evaluate(data)["fvu"] == pytest.approx(left_by_pca(X), rel=1e-3)
    alone = run.reconstruct(x[:1])
    np.testing.assert_allclose(alone, np.asarray(run.reconstruct(x))[:1], rtol=1e-15, atol=1e-5)


@pytest.mark.parametrize("scale", ["standard", "minmax", "none"])
@pytest.mark.parametrize("offset", [1e6, 1.7e9])
def test_scaling_is_measured_in_64_bits(scale: str, offset: float) -> None:
    own = it.fit("pca", X, options=TWO | {"data.scale": scale})
    run = it.fit("pca", X + offset, options=TWO | {"data.scale": scale})
    expected = unexplained(own.reconstruct(X), X)
    assert unexplained(run.reconstruct(X + offset), X + offset) == pytest.approx(expected, rel=1e-3)


def test_an_offset_in_32_bits_costs_what_it_costs_at_the_source() -> None:
    x = (X + 1e6).astype(np.float32)
    run = it.fit("pca", x, options=TWO)
    exact = x.astype(np.float64)
    assert unexplained(run.reconstruct(x), exact) == pytest.approx(left_by_pca(exact), rel=1e-3)


def test_offsets_of_some_columns_and_whole_numbers() -> None:
    x = X.copy()
    x[:, 1] += 1e5
    x[:, 4] += 5e6
    assert unexplained(it.fit("pca", x, options=TWO).reconstruct(x), x) == pytest.approx(left_by_pca(X), rel=1e-3)
    whole = (X * 1000).round().astype(np.int64) + 1_700_000_000
    run = it.fit("pca", whole, options=TWO)
    assert unexplained(run.reconstruct(whole), whole.astype(float)) == pytest.approx(left_by_pca(X), rel=2e-3)


def test_offsets_on_disk_and_in_chunks(tmp_path: Path) -> None:
    x = X + 1e7
    np.save(tmp_path / "x.npy", x)
    pd.DataFrame(x, columns=list("abcdef")).to_parquet(tmp_path / "x.parquet")
    options = TWO | {"data.memory": "stream"}
    for data in (tmp_path / "x.npy", tmp_path / "x.parquet"):
        run = it.fit("pca", data, options=options)
        assert unexplained(run.reconstruct(data), x) == pytest.approx(left_by_pca(X), rel=1e-3)
    run = it.fit("pca", (x[i : i + 50] for i in range(0, 200, 50)), options=TWO)
    assert unexplained(run.reconstruct(x), x) == pytest.approx(left_by_pca(X), rel=1e-3)


@pytest.mark.slow
def test_a_network_learns_values_with_an_offset() -> None:
    run = it.fit("deep", X + 1e7, epochs=60, options={"likelihood.kind": "gaussian"})
    own = it.fit("deep", X, epochs=60, options={"likelihood.kind": "gaussian"})
    assert unexplained(run.reconstruct(X + 1e7), X + 1e7) < 2 * unexplained(own.reconstruct(X), X) + 0.01


HOLES = R.random(X.shape) < 0.1
MISSING: dict[str, tuple[Callable[[Array], Any], dict[str, object]]] = {
    "NaN": (lambda x: np.where(HOLES, np.nan, x), {}),
    "mask": (lambda x: np.ma.array(x, mask=HOLES), {}),
    "mask over values": (lambda x: np.ma.array(np.where(HOLES, 1e20, x), mask=HOLES), {}),
    "sentinel": (lambda x: np.where(HOLES, -9999, x), {"data.missing": -9999}),
    "two sentinels": (lambda x: np.where(HOLES, [-9999] * 3 + [999] * 3, x), {"data.missing": [-9999, 999]}),
    "nullable frame": (lambda x: pd.DataFrame(x, columns=list("abcdef")).astype("Float64").mask(HOLES), {}),
    "None": (lambda x: pd.DataFrame(x, columns=list("abcdef")).astype(object).mask(HOLES, None), {}),
    "array with None": (lambda x: np.where(HOLES, None, x.astype(object)), {}),
    "frame with sentinels": (
        lambda x: pd.DataFrame(np.where(HOLES, -9999, x), columns=list("abcdef")),
        {"data.missing": -9999},
    ),
    "tensor": (lambda x: torch.tensor(np.where(HOLES, np.nan, x)), {}),
}


@pytest.fixture(scope="module")
def with_holes() -> it.Run:
    """A run on a table with missing values."""
    return it.fit("simple", np.where(HOLES, np.nan, X), epochs=1, options=STANDARD)


@pytest.mark.parametrize("form", MISSING)
def test_missing_values_of_every_kind_are_left_out(form: str, with_holes: it.Run) -> None:
    convert, options = MISSING[form]
    x = np.where(HOLES, np.nan, X)
    data = convert(X)
    run = it.fit("simple", data, epochs=1, options=STANDARD | options)
    rows = int(HOLES.any(1).sum())
    assert run.metadata.missing.startswith(f"{int(HOLES.sum())} missing values in {rows} of 200 examples")
    np.testing.assert_allclose(run.encode(data), with_holes.encode(x), atol=1e-6)
    np.testing.assert_allclose(run.score(data), with_holes.score(x), rtol=1e-6)
    assert run.evaluate(data)["loss"] == pytest.approx(with_holes.evaluate(x)["loss"])
    shuffled = np.random.default_rng(1).permutation(200)
    np.testing.assert_allclose(np.asarray(run.encode(x[shuffled])), np.asarray(run.encode(x))[shuffled], atol=1e-6)


def test_scores_leave_out_missing_values_exactly(with_holes: it.Run) -> None:
    x = np.where(HOLES, np.nan, X)
    z, y = with_holes.to_tensor(x), with_holes.to_tensor(with_holes.reconstruct(x))
    observed = torch.tensor(~HOLES)
    nats = torch.where(observed, 0.5 * ((z - y).nan_to_num() ** 2 + np.log(2 * np.pi)), 0.0).sum(1)
    np.testing.assert_allclose(with_holes.score(x), nats, rtol=1e-4)


def test_whole_numbers_with_a_mask_have_missing_values() -> None:
    run = it.fit("simple", np.ma.array((X * 10).astype(int), mask=HOLES), epochs=1, options=STANDARD)
    assert run.metadata.missing.startswith(f"{int(HOLES.sum())} missing")


def test_a_run_on_complete_rows_takes_incomplete_ones() -> None:
    run = it.fit("vae", X, epochs=1, options=STANDARD)
    x = np.where(HOLES, np.nan, X)
    assert np.isfinite(run.encode(x)).all()
    assert np.isfinite(run.score(x)).all()
    np.testing.assert_allclose(run.encode(x)[5:6], run.encode(x[5:6]), atol=1e-6)
    complete = ~HOLES.any(1)
    np.testing.assert_allclose(run.encode(x)[complete], run.encode(X[complete]), atol=1e-6)


SCENES = R.random((60, 8, 8))


def clouded(count: int) -> Array:
    scenes = SCENES.copy()
    scenes[:count, 3, 4] = np.nan
    return scenes


@pytest.mark.parametrize("count", [5, 55, 58, 60])
def test_scenes_with_clouds_are_trained_on_where_they_are_clear(count: int) -> None:
    run = it.fit("conv", clouded(count), epochs=1)
    assert run.metadata.missing == f"{count} missing values in {count} of 60 examples"
    assert sum(run.metadata.counts.values()) == 60
    assert np.isfinite(run.score(clouded(count))).all()


@pytest.mark.parametrize("count", [1, 5, 6])
def test_skipped_scenes_are_counted_and_listed(count: int) -> None:
    run = it.fit("simple", clouded(count), epochs=1, options={"data.on_bad_data": "skip"})
    assert run.metadata.bad_data["count"] == count
    assert sorted(entry["row"] for entry in run.metadata.bad_data["listed"]) == list(range(count))
    assert sum(run.metadata.counts.values()) == 60 - count
    with pytest.warns(UserWarning, match=f"{count} invalid examples were skipped"):
        codes = run.encode(clouded(count))
    assert np.isnan(codes).any(1).tolist() == [row < count for row in range(60)]


def test_the_command_says_how_many_scenes_it_skipped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", clouded(5))
    options = ["--epochs", "1", "--on-bad-data", "skip", "--out", str(tmp_path / "run")]
    shown = CliRunner().invoke(app, ["fit", "simple", "--data", str(tmp_path / "x.npy"), *options])
    assert shown.exit_code == 0
    assert "5" in "".join(line for line in shown.output.splitlines() if "skipped" in line or "left out" in line)


@pytest.mark.parametrize("count", [7, 55, 58, 60])
def test_more_than_a_tenth_is_not_skipped(count: int) -> None:
    with pytest.raises(BadData, match=rf"{count} of 60 examples .* at most a tenth") as caught:
        it.fit("simple", clouded(count), epochs=1, options={"data.on_bad_data": "skip"})
    # as the message says
    assert "leave out data.on_bad_data=skip" in str(caught.value)
    it.fit("simple", clouded(count), epochs=1)


def test_names_of_skipped_rows_are_known() -> None:
    frame = pd.DataFrame(X, index=[f"p{i}" for i in range(200)], columns=list("abcdef"))
    frame.iloc[7, 2] = np.inf
    run = it.fit("simple", frame, epochs=1, options=STANDARD | {"data.on_bad_data": "skip"})
    assert [entry["row"] for entry in run.metadata.bad_data["listed"]] == [7]
    with pytest.raises(BadData, match=r"row 7 \(p7\), column 'c'"):
        it.fit("simple", frame, epochs=1, options=STANDARD)


def test_infinity_is_refused_with_what_works() -> None:
    x = X.copy()
    x[3, 1] = np.inf
    with pytest.raises(BadData, match=r"1 infinite values, the first in row 3, column 1") as caught:
        it.fit("simple", x, epochs=1, options=STANDARD)
    assert "data.on_bad_data=skip" in str(caught.value)
    run = it.fit("simple", x, epochs=1, options=STANDARD | {"data.on_bad_data": "skip"})
    assert run.metadata.bad_data["count"] == 1


@pytest.mark.parametrize("options", [STANDARD, {}])
def test_a_column_without_values_is_refused(options: dict[str, object]) -> None:
    x = X.copy()
    x[:, 4] = np.nan
    with pytest.raises(IsthmusError, match="Column 4"):
        it.fit("pca", x, options=TWO | options)


FAR = np.vstack([X[:20], [[1e6, -50, 30, 1e3, -1e5, 9]], X[:1] + 100])


@pytest.mark.parametrize("recipe", ["simple", "vae", "deep", "top_k", "denoising", "beta_vae"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"])
def test_anomalies_outside_the_range_have_the_highest_finite_scores(recipe: str, likelihood: str) -> None:
    run = it.fit(recipe, X, epochs=1, options={"data.scale": "minmax", "likelihood.kind": likelihood})
    scores = run.score(FAR)
    assert np.isfinite(scores).all()
    assert set(np.argsort(-scores)[:2]) == {20, 21}
    assert np.isfinite(run.score(FAR * 1e20)).all()


def test_metrics_clip_what_is_outside_the_range_and_say_so() -> None:
    run = it.fit("simple", X, epochs=1, options={"data.scale": "minmax"})
    trained = X[run.data.train.rows]
    clipped = np.clip(FAR, trained.min(0), trained.max(0))
    outside = int((clipped != FAR).any(1).sum())
    with pytest.warns(UserWarning, match=rf"{outside} of 22 examples .* clipped"):
        found = run.evaluate(FAR)
    assert found["loss"] == pytest.approx(run.evaluate(clipped)["loss"], rel=1e-5)


def test_missing_values_do_not_count_as_out_of_range() -> None:
    run = it.fit("simple", np.where(HOLES, np.nan, X), epochs=1, options={"data.scale": "minmax"})
    rows = run.data.train.rows
    inside = np.where(HOLES, np.nan, X)[rows][:10]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.evaluate(inside)
    inside[0, np.flatnonzero(~np.isnan(inside[0]))[0]] = 1e6
    with pytest.warns(UserWarning, match="1 of 10 examples"):
        run.evaluate(inside)


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_binary_training_does_not_keep_anomalies_out(binarize: str) -> None:
    run = it.fit("vae", X, epochs=1, options={"data.scale": "minmax", "data.binarize": binarize})
    scores = run.score(FAR)
    assert np.isfinite(scores).all()
    assert set(np.argsort(-scores)[:2]) == {20, 21}
    with pytest.warns(UserWarning, match="clipped"):
        assert np.isfinite(run.evaluate(FAR)["loss"])


def test_the_advice_for_real_values_works_and_its_run_scores_anomalies() -> None:
    with pytest.raises(BadData, match="requires values in") as caught:
        it.fit("vae", X, epochs=1)
    advised = re.findall(r"data\.scale=(\w+)", str(caught.value))
    assert set(advised) == {"standard", "minmax"}
    for options in (STANDARD, {"data.scale": "minmax"}):
        scores = it.fit("vae", X, epochs=1, options=options).score(FAR)
        assert set(np.argsort(-scores)[:2]) == {20, 21}


def test_brightness_beyond_the_range_of_training_is_scored() -> None:
    run = it.fit("simple", SCENES, epochs=1)
    scores = run.score(np.vstack([SCENES[:5], SCENES[:1] + 3]))
    assert np.isfinite(scores).all()
    assert scores.argmax() == 5


def test_variational_scores_do_not_depend_on_the_order_of_rows() -> None:
    run = it.fit("vae", X, epochs=1, options=STANDARD)
    np.testing.assert_allclose(run.score(X[::-1])[::-1], run.score(X), rtol=1e-5)
