"""Arguments of fit beside the recipe: own validation data, labels, the device, and what it says of the data."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from isthmus import fit, load, zoo
from isthmus.cli.app import main
from isthmus.errors import BadData, BadOption, BadRun, ShapeError
from isthmus.runs.data import data_for

DIGITS = load_digits()
X, Y = DIGITS.images[:300] / 16, DIGITS.target[:300]
SMALL = {"net.widths": [16], "latent.size": 2}


def test_own_validation_data_is_used_and_nothing_else_is_held_out_for_it() -> None:
    run = fit("vae", X[:200], valid=X[200:], epochs=1, options=SMALL)
    assert run.metadata.counts == {"train": 180, "valid": 100, "test": 20}
    assert run.data is not None
    assert run.data.valid is not None
    np.testing.assert_allclose(run.data.valid.tensor.numpy()[:, 0], X[200:].astype(np.float32))
    assert run.recipe.data.validation == 0


def test_own_validation_data_decides_which_weights_are_kept() -> None:
    kept = {}
    for name, valid in {"like": X[200:], "unlike": 1 - X[200:]}.items():
        run = fit("vae", X[:200], valid=valid, epochs=4, options=SMALL)
        losses = [row["valid"]["loss"] for row in run.history]
        assert run.metadata.outcome["kept_epoch"] == 1 + int(np.argmin(losses))
        kept[name] = losses
    assert kept["like"] != kept["unlike"]


def test_own_validation_data_is_scaled_as_the_training_data() -> None:
    table = np.random.default_rng(0).normal(5, 3, (80, 4))
    run = fit("linear", table[:60], valid=table[60:], epochs=1, options={"data.scale": "standard", "data.test": 0})
    assert run.data is not None
    assert run.data.valid is not None
    expected = (table[60:] - table[:60].mean(0)) / table[:60].std(0)
    np.testing.assert_allclose(run.data.valid.tensor.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_run_with_own_validation_data_has_the_same_test_set_when_it_is_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "v.npy", X[:50])
    run = fit("vae", tmp_path / "x.npy", valid=tmp_path / "v.npy", epochs=1, options=SMALL, out=tmp_path / "run")
    assert run.evaluate() == load(tmp_path / "run").evaluate()
    assert run.metadata.validation == str(tmp_path / "v.npy")
    paths = [str(tmp_path / name) for name in ("x.npy", "v.npy", "by-command")]
    changes = ["--set", "net.widths=16", "--set", "latent.size=2"]
    command = ["fit", "vae", paths[0], "--valid", paths[1], "--out", paths[2], "--epochs", "1", "--json"]
    assert main([*command, *changes]) == 0
    assert load(tmp_path / "by-command").history[0]["valid"] == run.history[0]["valid"]


def test_other_validation_data_does_not_resume_a_run(tmp_path: Path) -> None:
    def call(valid: np.ndarray, stop: bool) -> None:
        def interrupt(_state: object) -> None:
            if stop:
                os.kill(os.getpid(), signal.SIGINT)

        more = {"epochs": 3, "options": SMALL, "out": tmp_path / "run", "resume": True}
        fit("vae", X[:200], valid=valid, callbacks=[interrupt], **more)

    with pytest.raises(KeyboardInterrupt):
        call(X[200:], stop=True)
    with pytest.raises(BadRun, match="was started with other values of the validation set, but this call has these"):
        call(X[200:] / 2, stop=False)
    call(X[200:], stop=False)


@pytest.mark.parametrize(
    ("valid", "error", "message"),
    [
        (np.zeros((5, 9, 9)), ShapeError, "examples of shape"),
        (np.full((5, 8, 8), np.inf), BadData, "The validation set holds 320 infinite values"),
        (np.full((5, 8, 8), 2.0), BadData, r"0 to 1|\[0, 1\]"),
        (iter([]), BadData, "holds no example"),
        (object(), BadData, "of type object is not supported"),
    ],
)
def test_wrong_validation_data_is_refused_before_training(
    valid: object, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        fit("vae", X, valid=valid, epochs=1, options=SMALL, out=tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_validation_data_from_an_iterator_is_read_into_memory() -> None:
    run = fit("vae", X[:200], valid=iter([X[200:250], X[250:]]), epochs=1, options=SMALL)
    assert run.metadata.counts["valid"] == 100
    whole = fit("vae", X[:200], valid=X[200:], epochs=1, options=SMALL)
    assert run.history[0]["valid"] == whole.history[0]["valid"]


def test_missing_values_of_validation_data_are_left_out() -> None:
    valid = X[200:].copy()
    valid[3, 2, 2] = np.nan
    run = fit("vae", X[:200], valid=valid, epochs=1, options=SMALL)
    assert np.isfinite(run.history[0]["valid"]["loss"])
    assert run.metadata.missing == "1 missing values in 1 of 300 examples"


def test_labels_follow_their_examples_through_the_split() -> None:
    names = np.array([f"digit {label}" for label in Y])
    for labels in (Y, names):
        run = fit("vae", X, labels=labels, epochs=1, options=SMALL)
        assert run.data is not None
        for split in (run.data.train, run.data.valid, run.data.test):
            assert split is not None
            assert split.labels is not None
            rows = [
                int(np.flatnonzero((X.astype(np.float32) == x[0].numpy()).all((1, 2)))[0]) for x in split.tensor[:9]
            ]
            np.testing.assert_array_equal(split.labels[:9], Y[rows])
    assert run.metadata.label_names == tuple(f"digit {label}" for label in range(10))


def test_labels_do_not_change_the_run() -> None:
    with_labels, without = (fit("vae", X, labels=y, epochs=1, options=SMALL) for y in (Y, None))
    np.testing.assert_array_equal(with_labels.encode(X), without.encode(X))


def test_labels_of_a_table_are_a_column(tmp_path: Path) -> None:
    rows = "\n".join(f"{a:.3f},{b:.3f},{c}" for a, b, c in zip(X[:, 2, 3], X[:, 4, 4], Y, strict=True))
    (tmp_path / "t.csv").write_text(f"a,b,digit\n{rows}\n")
    run = fit("linear", tmp_path / "t.csv", labels="digit", epochs=1)
    assert run.metadata.shape == (2,)
    assert data_for(run).test.labels is not None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("labels", "message"),
    [(Y[:5], "300 examples but labels of shape"), (np.linspace(0, 1, 300), "not all integers")],
)
def test_wrong_labels_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(BadData, match=message):
        fit("vae", X, labels=labels, epochs=1, options=SMALL)


def test_labels_as_an_array_need_an_array() -> None:
    with pytest.raises(BadData, match=r"labels=\.\.\. .*are for examples in memory"):
        fit("vae", "digits", labels=DIGITS.target, epochs=1, options=SMALL)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", r"device cannot be 'gpu'.*Allowed: auto, cpu, cuda, mps\."),
        ("cpu:1", r"device cannot be 'cpu:1'\. Use auto, cpu, cuda, mps, or cuda:N"),
        ("cuda", r"device='cuda' is not available on this machine\. Use device='auto'"),
        ("cuda:0", r"device='cuda:0' is not available on this machine"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(BadOption, match=message):
        fit("vae", X, epochs=1, options=SMALL, device=device)


def test_the_device_is_where_the_model_is_trained_and_loaded(tmp_path: Path) -> None:
    run = fit("vae", X, epochs=1, options=SMALL, device="cpu", out=tmp_path / "run")
    assert run.model.like.device.type == "cpu"
    assert load(tmp_path / "run", device="cpu").model.like.device.type == "cpu"
    with pytest.raises(BadOption, match="device cannot be 'tpu'"):
        load(tmp_path / "run", device="tpu")


def test_the_first_line_says_what_is_held_out(capsys: pytest.CaptureFixture[str]) -> None:
    fit("vae", X, epochs=1, options=SMALL, progress=True)
    first = capsys.readouterr().err.splitlines()[0]
    assert (
        first == "array: 243 training, 27 validation and 30 test examples; the test examples are held out (data.test)"
    )
    fit("vae", X, epochs=1, options=SMALL | {"data.test": 0, "data.validation": 0}, progress=True)
    assert capsys.readouterr().err.splitlines()[0] == "array: 300 training examples"


def test_recipes_fit_narrow_tables_and_say_which_size_they_took() -> None:
    table = np.random.default_rng(0).random((60, 4))
    for name in ("pca", "simple", "vae", "wae_mmd"):
        run = fit(name, table, epochs=1)
        assert run.encode(table).shape == (60, 2)
        assert run.recipe.latent.size == 2
    assert fit("pca", np.random.default_rng(0).random((60, 100))).recipe.latent.size == 30
    assert fit("simple", np.random.default_rng(0).random((60, 1)), epochs=1).recipe.latent.size == 1


def test_a_size_that_is_given_is_not_changed() -> None:
    table = np.random.default_rng(0).random((60, 4))
    assert fit(zoo.vae(latent=6), table, epochs=1).encode(table).shape == (60, 6)
    with pytest.raises(ValueError, match=r"latent\.size"):
        fit(zoo.pca(latent=6), table)


def test_aliases_stand_for_recipes() -> None:
    for alias, name in zoo.ALIASES.items():
        assert zoo.recipe(alias) == zoo.recipe(name)
    assert zoo.recipe("VAE").name == zoo.recipe("Vae").name == "vae"
    assert zoo.recipe("beta-VAE").name == "beta_vae"
