"""The pictures of a run come from the right arrays: grids, walks and orders are checked, not their looks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from scipy.stats import norm

from isthmus import fit, plots
from isthmus.data.prepared import PreparedData, PreparedSplit
from isthmus.data.preparing import prepare
from isthmus.reports import figures
from isthmus.runs.run import Run


def made(recipe: str, data: str = "digits", **options: object) -> tuple[Run, PreparedData]:
    run = fit(recipe, data, epochs=1, options=options)
    return run, prepare(data, run.recipe.data, 0)


def names(run: Run, data: PreparedData) -> set[str]:
    return {picture.name for picture in figures.run_figures(run, data)}


EVERY = {"curves", "reconstructions", "filters"}


@pytest.mark.parametrize(
    ("recipe", "data", "options", "more"),
    [
        ("vae", "digits", {}, {"interpolation", "samples", "plane", "traversals"}),
        ("vae", "digits", {"latent.size": 2}, {"interpolation", "samples", "traversals", "codes", "manifold"}),
        ("simple", "digits", {"latent.size": 2}, {"interpolation", "codes", "manifold"}),
        ("conv", "digits", {}, {"interpolation"}),
        ("vae", "encoder:6", {"latent.size": 2}, {"interpolation", "samples", "codes"}),
        ("deep", "digits", {"corruption.kind": "masking"}, {"interpolation", "denoised"}),
        ("linear", "encoder:6", {"corruption.kind": "gaussian", "latent.size": 3}, {"interpolation", "denoised"}),
        ("vamp_vae", "digits", {"latent.size": 2}, {"interpolation", "samples", "traversals", "codes", "manifold"}),
        ("wae_mmd", "digits", {}, {"interpolation", "samples", "plane", "traversals"}),
        ("categorical_vae", "digits", {"latent.size": 20}, {"samples"}),
        ("vq_vae", "digits", {}, set()),
        ("deep", "digits", {"latent.kind": "top_k"}, {"interpolation"}),
    ],
)
def test_each_run_has_the_pictures_that_apply(
    recipe: str, data: str, options: dict[str, object], more: set[str], tmp_path: Path
) -> None:
    run, ready = made(recipe, data, **options)
    assert names(run, ready) == EVERY | more
    drawn = figures.draw(run, ready, tmp_path)
    assert {path.name for _, path in drawn} == {f"{name}.png" for name in EVERY | more}
    assert all(path.stat().st_size > 1000 for _, path in drawn)


def test_the_grid_of_a_vae_goes_through_the_inverse_gaussian_distribution_function() -> None:
    run, ready = made("vae", **{"latent.size": 2})
    codes, x, y = figures.grid(run, ready.train)
    shares = torch.linspace(0.05, 0.95, 20).double()
    assert x == pytest.approx(norm.ppf(shares).tolist(), abs=1e-5)
    assert x == y
    assert codes.shape == (400, 2)
    # the top left picture has the least z1 and the greatest z2
    assert codes[0].tolist() == pytest.approx([x[0], y[-1]])
    assert codes[-1].tolist() == pytest.approx([x[-1], y[0]])


def test_the_grid_without_a_prior_spans_the_codes_in_use() -> None:
    run, ready = made("linear", **{"latent.size": 2})
    _, x, y = figures.grid(run, ready.train)
    z = run.model.encode(ready.train.x)
    for axis, ticks in ((0, x), (1, y)):
        low, high = torch.quantile(z[:, axis], torch.tensor([0.05, 0.95])).tolist()
        assert (ticks[0], ticks[-1]) == pytest.approx((low, high), abs=1e-5)


def test_a_walk_is_the_decoded_straight_line() -> None:
    run, ready = made("simple", **{"latent.size": 4})
    a, b = ready.train.x[:2], ready.train.x[2:4]
    walk = figures.lines_between(run, a, b, 5)
    middle = run.model.decode((run.model.encode(a) + run.model.encode(b)) / 2)
    assert walk.shape == (2, 5, 1, 8, 8)
    torch.testing.assert_close(walk[:, 2], middle)
    torch.testing.assert_close(walk[:, 0], run.model.reconstruct(a))
    torch.testing.assert_close(walk[:, 4], run.model.reconstruct(b))


def test_the_ends_of_walks_are_of_different_classes_where_labels_are_known() -> None:
    _, ready = made("simple")
    part = PreparedSplit(ready.train.x, ready.train.labels)
    first, last = figures.end_points(part, 5)
    assert len(first) == len(last) == 5
    chosen = torch.cat([first, last])
    found = {int(part.labels[i]) for x in chosen for i in [(part.x == x).all((1, 2, 3)).nonzero()[0, 0]]}  # type: ignore[index]
    assert found == set(range(10))


def test_the_corners_are_examples_of_four_classes_spread_over_all() -> None:
    x = torch.arange(14.0).reshape(14, 1, 1, 1)
    labels = np.array([6, 6, 5, 4, 4, 3, 2, 1, 0, 0, 3, 1, 2, 5])
    corners = figures.corner_points(PreparedSplit(x, labels))
    # classes 0, 2, 4 and 6 of seven, the first example of each
    assert corners.flatten().tolist() == [8, 6, 3, 0]
    assert figures.corner_points(PreparedSplit(x)).flatten().tolist() == [0, 1, 2, 3]
    few = figures.corner_points(PreparedSplit(x[:3], np.array([0, 0, 1])))
    assert few.flatten().tolist() == [0, 2, 1, 0]


def test_the_plane_is_the_bilinear_interpolation_of_four_codes() -> None:
    run, ready = made("vae", **{"latent.size": 4})
    corners = figures.corner_points(ready.train)
    grid = figures.bilinear(run, corners, 3).reshape(3, 3, 1, 8, 8)
    z = run.model.encode(corners)
    for row, column, corner in ((0, 0, 0), (0, 2, 1), (2, 0, 2), (2, 2, 3)):
        torch.testing.assert_close(grid[row, column], run.model.decode(z[corner : corner + 1])[0])
    torch.testing.assert_close(grid[1, 1], run.model.decode(z.mean(0, keepdim=True))[0])
    torch.testing.assert_close(grid[0, 1], run.model.decode(z[:2].mean(0, keepdim=True))[0])
    torch.testing.assert_close(grid[1, 2], run.model.decode(z[[1, 3]].mean(0, keepdim=True))[0])


def test_walks_work_on_a_single_example() -> None:
    _, ready = made("simple")
    first, last = figures.end_points(PreparedSplit(ready.train.x[:1]), 6)
    assert len(first) == len(last) == 1


def test_filters_are_the_incoming_weights_as_pictures() -> None:
    run, _ = made("simple", **{"latent.size": 5})
    weights = figures.first_layer(run)
    assert weights is not None
    linear = next(m for m in run.model.encoder.modules() if isinstance(m, torch.nn.Linear))
    assert torch.equal(torch.from_numpy(weights), linear.weight.detach().reshape(5, 1, 8, 8))


def test_traversals_come_in_the_order_of_the_nats_they_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    run, ready = made("vae", **{"latent.size": 4})
    seen: dict[str, list[float] | list[str]] = {}

    def spy(frames, values, kl, *, names, channels):
        seen.update(kl=kl.tolist(), names=list(names), frames=frames)
        return figures.plots.samples(frames[:, 0])

    monkeypatch.setattr(figures.plots, "traversals", spy)
    next(p for p in figures.run_figures(run, ready) if p.name == "traversals").draw()
    assert seen["kl"] == sorted(seen["kl"], reverse=True)  # type: ignore[type-var]
    assert sorted(seen["names"]) == ["z1", "z2", "z3", "z4"]  # type: ignore[type-var]
    # the first row moves the latent it names from -2.5 to 2.5, the others stay at the code of an example
    z = run.model.encode(figures.corner_points(figures.evaluation_split(ready))[1:2]).repeat(2, 1)
    z[:, int(seen["names"][0][1:]) - 1] = torch.tensor([-2.5, 2.5])  # type: ignore[index]
    np.testing.assert_allclose(seen["frames"][0, [0, -1]], run.model.decode(z), atol=1e-6)  # type: ignore[index]


def test_without_known_nats_latents_walk_through_the_quantiles_of_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    run, ready = made("wae_mmd", **{"latent.size": 3})
    with torch.no_grad():
        last = [m for m in run.model.encoder.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.weight[1] *= 9
        last.weight[0] = 0
    seen: dict[str, object] = {}

    def spy(frames, values, *, names, values_name, channels):
        seen.update(frames=frames, values=values, names=names)
        return figures.plots.samples(frames[:, 0])

    monkeypatch.setattr(figures.plots, "traversals", spy)
    next(p for p in figures.run_figures(run, ready) if p.name == "traversals").draw()
    z = run.model.encode(figures.evaluation_split(ready).x)
    # the most varied first; the constant one is left out
    assert [name.split()[0] for name in seen["names"]] == ["z2", "z3"]  # type: ignore[attr-defined]
    assert seen["names"][0].split()[2] == f"{z[:, 1].std(correction=0):.2g}"  # type: ignore[index]
    for row, unit in ((0, 1), (1, 2)):
        code = run.model.encode(figures.corner_points(figures.evaluation_split(ready))[1:2]).repeat(2, 1)
        code[:, unit] = torch.quantile(z[:, unit], torch.tensor([0.02, 0.98]))
        made_of = seen["frames"][row, [0, -1]]  # type: ignore[index]
        np.testing.assert_allclose(made_of, run.model.decode(code), atol=1e-5)
    assert (seen["values"][0], seen["values"][-1]) == pytest.approx((0.02, 0.98))  # type: ignore[index]


def test_the_grid_of_another_prior_spans_the_codes_in_use() -> None:
    run, ready = made("vamp_vae", **{"latent.size": 2})
    _, x, _ = figures.grid(run, ready.train)
    low, high = torch.quantile(run.model.encode(ready.train.x)[:, 0], torch.tensor([0.05, 0.95])).tolist()
    assert (x[0], x[-1]) == pytest.approx((low, high), abs=1e-5)


def test_a_denoised_picture_shows_original_corrupted_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    run, ready = made("deep", **{"corruption.kind": "gaussian"})
    seen: dict[str, object] = {}

    def spy(rows, *, psnr, channels):
        seen.update(rows=rows, psnr=psnr)
        return figures.plots.samples(rows["original"])

    monkeypatch.setattr(figures.plots, "denoised", spy)
    next(p for p in figures.run_figures(run, ready) if p.name == "denoised").draw()
    rows: dict[str, np.ndarray] = seen["rows"]  # type: ignore[assignment]
    x = figures.evaluation_split(ready).x[:12]
    assert list(rows) == ["original", "corrupted", "restored"]
    np.testing.assert_array_equal(rows["original"], x)
    assert rows["corrupted"].min() < 0
    np.testing.assert_allclose(rows["restored"], run.model.reconstruct(torch.from_numpy(rows["corrupted"])), atol=1e-6)
    for values, shown in zip(seen["psnr"], ("corrupted", "restored"), strict=True):  # type: ignore[call-overload]
        error = ((x.numpy() - rows[shown].clip(0, 1)) ** 2).mean((1, 2, 3))
        np.testing.assert_allclose(values, -10 * np.log10(error), rtol=1e-4)


def test_figures_of_missing_cells_and_of_pairs_are_drawn(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).random((60, 8, 8)).astype(np.float32)
    holes = np.where(np.random.default_rng(1).random(gray.shape) < 0.1, np.nan, gray)
    run = fit("simple", holes, epochs=1)
    assert "reconstructions" in run.plot()
    pairs = fit("conv", (np.clip(gray + 0.3, 0, 1), gray), epochs=1)
    plots.save(pairs.plot("denoised"), tmp_path / "denoised.png")
    rows = pairs.plot("denoised").findobj(Text)
    assert {"original", "corrupted", "restored"} <= {text.get_text() for text in rows}
