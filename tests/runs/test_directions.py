"""Directions between classes of a run's data, examples moved along them, and examples near others."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus as it
from isthmus.cli.app import main
from isthmus.errors import BadData, BadOption, IncompatibleParts, ShapeError, UnknownName
from isthmus.runs.directions import Direction, direction_of

FACES = Path(os.environ.get("ISTHMUS_DATA", "")) / "cmu_faces" / "cmu_faces.npz"
RNG = np.random.default_rng(0)
BRIGHT = np.arange(200) % 2 == 1
X = (0.3 * RNG.random((200, 6, 6)) + 0.5 * BRIGHT[:, None, None]).astype(np.float32)
NAMES = np.array(["dark", "bright"])[BRIGHT.astype(int)]


@pytest.fixture(scope="module")
def run() -> it.Run:
    options = {"latent.size": 3, "training.epochs": 40, "net.widths": [16], "data.validation": 0.2}
    return it.fit("deep", X, labels=NAMES, options=options)


def test_a_direction_leads_from_the_codes_of_one_class_to_those_of_the_other(run):
    found = run.direction("bright")
    train = run.data.train
    z = run.model.encode(train.tensor).numpy()
    target = np.array(run.data.label_names)[train.labels] == "bright"
    np.testing.assert_allclose(found.vector, z[target].mean(0) - z[~target].mean(0), rtol=1e-4, atol=1e-5)
    assert (found.away, found.toward, found.method) == ("dark", "bright", "means")
    assert found.examples == (int((~target).sum()), int(target.sum()))
    np.testing.assert_allclose(run.direction("dark").vector, -found.vector, rtol=1e-4, atol=1e-5)


def test_dark_images_become_bright_by_its_strength(run):
    dark = X[~BRIGHT][:20]
    means = [run.alter(dark, "bright", strength=s).mean() for s in (-0.5, 0, 0.5, 1)]
    assert means == sorted(means)
    gap = X[BRIGHT].mean() - X[~BRIGHT].mean()
    assert 0.25 * gap < means[3] - means[1] < 1.5 * gap
    np.testing.assert_allclose(run.alter(dark, "bright", strength=0), run.reconstruct(dark), atol=1e-5)


def test_the_residual_keeps_what_a_reconstruction_lacks(run):
    found = run.direction("bright")
    np.testing.assert_allclose(run.alter(X[:5], found, strength=0, residual=True), X[:5], atol=1e-5)
    z = run.encode(X[:5])
    change = run.decode(z + 0.3 * found.vector) - run.decode(z)
    np.testing.assert_allclose(
        run.alter(X[:5], found, strength=0.3, residual=True), np.clip(X[:5] + change, 0, 1), atol=1e-5
    )


def test_labels_can_be_given_beside_the_data_or_for_the_training_data(run):
    corner = (X[:, 0, 0] > np.median(X[:, 0, 0])).astype(int)
    own, passed = run.direction(1, labels=corner), run.direction(1, data=X, labels=corner)
    assert sum(own.examples) == len(run.data.train)
    assert sum(passed.examples) == len(X)
    z = run.encode(X)
    np.testing.assert_allclose(passed.vector, z[corner == 1].mean(0) - z[corner == 0].mean(0), rtol=1e-4, atol=1e-5)
    rows = run.data.train.rows
    z, corner = z[rows], corner[rows]
    np.testing.assert_allclose(own.vector, z[corner == 1].mean(0) - z[corner == 0].mean(0), rtol=1e-4, atol=1e-5)


def test_a_number_below_0_is_a_class_like_others(run):
    signs = np.where(BRIGHT, 1, -1)
    found = run.direction(1, data=X, labels=signs)
    assert (found.away, found.examples) == ("-1", (100, 100))
    np.testing.assert_allclose(run.direction(-1, data=X, labels=signs).vector, -found.vector, rtol=1e-4, atol=1e-5)


def test_pairs_give_their_mean_difference_and_so_does_arithmetic_on_codes(run):
    before, after = X[~BRIGHT][:30], X[BRIGHT][:30]
    found = run.direction(before=before, after=after)
    np.testing.assert_allclose(found.vector, (run.encode(after) - run.encode(before)).mean(0), rtol=1e-4, atol=1e-5)
    one = run.alter(X[:1], before=before[:1], after=after[:1])
    z = run.encode(X[:1]) + run.encode(after[:1]) - run.encode(before[:1])
    np.testing.assert_allclose(one, run.decode(z), atol=1e-5)


def test_three_classes_have_all_others_at_the_start_unless_one_is_named(run):
    thirds = np.arange(200) % 3
    assert run.direction(2, labels=thirds).away == "other"
    found = run.direction(2, away=0, labels=thirds, method="logistic")
    assert (found.away, found.toward, found.method) == ("0", "2", "logistic")


def test_columns_of_tables_and_arrays_of_files_are_labels(tmp_path):
    frame = pd.DataFrame(RNG.normal(size=(80, 4)), columns=list("abcd"))
    frame["kind"], frame["smoker"] = ["x", "y"] * 40, ["no"] * 20 + ["yes"] * 60
    run = it.fit(
        "deep",
        frame,
        epochs=2,
        options={
            "data.labels": "kind",
            "data.exclude": ["smoker"],
            "likelihood.kind": "gaussian",
            "data.scale": "standard",
        },
    )
    assert run.direction("y").examples == tuple(np.bincount(run.data.train.labels))
    found = run.direction("yes", data=frame, labels="smoker")
    assert (found.away, found.examples) == ("no", (20, 60))
    path = tmp_path / "faces.npz"
    glasses = np.arange(200) % 4 == 0
    np.savez(path, images=X, glasses=glasses.astype(int), glasses_names=np.array(["none", "glasses"]))
    run = it.fit("deep", path, epochs=1)
    found = run.direction("glasses", labels="glasses")
    assert (found.away, found.toward) == ("none", "glasses")
    assert found.examples[1] == glasses[run.data.train.rows].sum()
    assert run.direction("Glasses", labels="glasses", data=str(path)).examples == (150, 50)


def test_a_model_of_feature_maps_has_directions_of_their_shape():
    run = it.fit("conv", X, epochs=1, labels=NAMES)
    found = run.direction("bright", method="logistic")
    assert found.vector.shape == run.encode(X[:1]).shape[1:]
    assert run.alter(X[:3], found).shape == (3, 6, 6)


def test_a_sparse_code_stays_sparse(run):
    sparse = it.fit(
        "deep", X, labels=NAMES, epochs=2, options={"latent.kind": "top_k", "latent.size": 8, "latent.k": 2}
    )
    seen = []
    decode = sparse.model.decode
    sparse.model.decode = lambda z: seen.append(z) or decode(z)
    sparse.alter(X[:4], "bright")
    assert all((z != 0).sum(1).max() <= 2 for z in seen)


def test_examples_near_others_are_between_a_reconstruction_and_a_new_sample(run):
    y = run.neighborhood(X[:6], 5, distance=0.3)
    assert y.shape == (6, 5, 6, 6)
    assert np.array_equal(y, run.neighborhood(X[:6], 5, distance=0.3))
    assert not np.array_equal(y, run.neighborhood(X[:6], 5, distance=0.3, seed=1))
    far = [
        np.abs(run.neighborhood(X[:6], 20, distance=r) - run.reconstruct(X[:6])[:, None]).mean() for r in (0, 0.2, 0.8)
    ]
    assert far == sorted(far)
    assert far[0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, BadOption, "The direction is not given"),
        ({"toward": "brigt"}, UnknownName, "did you mean 'bright'.* 'bright' and 'dark'|'bright', 'dark'"),
        ({"toward": "bright", "away": "bright"}, BadOption, "to itself"),
        ({"toward": "bright", "method": "mean"}, BadOption, "did you mean 'means'"),
        ({"before": X[:2]}, BadOption, "needs both"),
        ({"before": X[:2], "after": X[:3]}, ShapeError, "2 examples before, but 3 after"),
        ({"toward": "bright", "before": X[:2], "after": X[:2]}, BadOption, "not both"),
        ({"toward": 1, "labels": [0, 1]}, BadData, "2 labels, but the training data has more"),
        ({"toward": 1, "data": X, "labels": [0, 1]}, BadData, "2 labels for 200 examples"),
        ({"toward": 1, "labels": "smile"}, BadData, "only in memory"),
        ({"toward": 1, "data": X}, BadData, "has no labels, but a direction"),
    ],
)
def test_mistakes_are_named(run, arguments, error, words):
    with pytest.raises(error, match=words):
        direction_of(run, **arguments)


def test_discrete_codes_and_directions_of_other_runs_are_refused(run):
    discrete = it.fit("fsq", X, epochs=1, labels=NAMES)
    with pytest.raises(IncompatibleParts, match="needs a real-valued code"):
        discrete.direction("bright")
    with pytest.raises(IncompatibleParts, match="needs a real-valued code"):
        discrete.neighborhood(X[:1])
    with pytest.raises(ShapeError, match="direction of the same run"):
        run.alter(X[:1], Direction(np.zeros(2, np.float32), "a", "b", "means", (1, 1)))
    with pytest.raises(BadOption, match="strength must be"):
        run.alter(X[:1], "bright", strength=float("nan"))


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("altered")
    np.savez(base / "data.npz", x=X, y=NAMES)
    replace(run, densities={}).save(base / "run")
    return base


@pytest.mark.parametrize("name", ["out.npy", "out.csv", "out.png"])
def test_the_command_alters_examples_in_every_format(run, folder, capsys, name):
    out = folder / name
    data = ["--data", str(folder / "data.npz")]
    assert main(["alter", str(folder / "run"), str(folder / "data.npz"), str(out), "--toward", "bright", *data]) == 0
    assert "direction dark (100 examples) to bright (100), means" in capsys.readouterr().err
    if name.endswith("npy"):
        np.testing.assert_allclose(np.load(out), run.alter(X, "bright", data=X, labels=NAMES), atol=1e-5)
    assert out.stat().st_size > 1000


def test_the_command_samples_near_examples(run, folder, capsys):
    np.save(folder / "some.npy", X[:3])
    arguments = ["sample", str(folder / "run"), str(folder / "near.npy"), "--near", str(folder / "some.npy"), "-n", "4"]
    assert main(arguments) == 2
    assert "only in memory. Pass --data" in capsys.readouterr().err
    assert main([*arguments, "--data", str(folder / "data.npz")]) == 0
    assert main(arguments) == 0
    assert np.load(folder / "near.npy").shape == (3, 4, 6, 6)
    assert main([*arguments[:2], str(folder / "near.png"), *arguments[3:]]) == 0
    assert main([*arguments[:-1], "0"]) == 2
    assert "at least 1 and at most 1000, but is 0" in capsys.readouterr().err
    assert main([*arguments, "--density", "kde"]) == 2
    assert "Leave out --density" in capsys.readouterr().err


def test_the_command_says_which_options_name_a_direction(folder, capsys):
    assert main(["alter", str(folder / "run"), str(folder / "data.npz"), str(folder / "no.npy")]) == 2
    assert "Pass --toward CLASS, or pairs of examples (--before, --after)" in capsys.readouterr().err
    assert not (folder / "no.npy").exists()


@pytest.mark.skipif(not FACES.is_file(), reason="ISTHMUS_DATA has no cmu_faces")
def test_named_faces_have_four_kinds_of_labels():
    run = it.fit("deep", "cmu_faces", options={"training.steps": 2, "data.size": [30, 32]})
    assert run.direction("sunglasses", labels="eyes").away == "open"
    with pytest.raises(BadData, match=r"without labels 'eye' .*person, pose, expression, eyes"):
        run.direction("sunglasses", labels="eye")
