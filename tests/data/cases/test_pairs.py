"""Pairs of noisy and clean pictures, in any form: the clean ones are the targets, and the noisy ones are encoded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import isthmus as it
from isthmus.errors import BadData, BadOption, IsthmusError

Array = npt.NDArray[Any]
R = np.random.default_rng(0)
CLEAN = (R.random((60, 8, 8)) > 0.7).astype(np.float32)
NOISY = np.clip(CLEAN * 0.7 + 0.3 * R.random((60, 1, 8)), 0, 1).astype(np.float32)
ALL = {"data.test": 0, "data.validation": 0}


@pytest.fixture(scope="module")
def paired() -> it.Run:
    """A run on pairs."""
    return it.fit("denoising", (NOISY, CLEAN), epochs=1)


def archive(**names: str) -> Callable[[Path], Any]:
    arrays = {"noisy": NOISY, "clean": CLEAN}

    def write(folder: Path) -> Path:
        np.savez(folder / "p.npz", **{key: arrays[value] for key, value in names.items()})
        return folder / "p.npz"

    return write


FORMS: dict[str, Callable[[Path], Any]] = {
    "noisy and clean": archive(noisy="noisy", clean="clean"),
    "x_train and y_train": archive(x_train="noisy", y_train="clean"),
    "X and y": archive(X="noisy", y="clean"),
    "input and target": archive(input="noisy", target="clean"),
    "inputs and targets": archive(inputs="noisy", targets="clean"),
    "x_noisy and x_train": archive(x_noisy="noisy", x_train="clean"),
    "x_noisy and x": archive(x_noisy="noisy", x="clean"),
    "noisy_x and clean_x": archive(noisy_x="noisy", clean_x="clean"),
    "x_train_noisy and x_train": archive(x_train_noisy="noisy", x_train="clean"),
    "mapping": lambda p: {"noisy": NOISY, "clean": CLEAN},
    "tensors": lambda p: (torch.tensor(NOISY), torch.tensor(CLEAN)),
    "channel axis": lambda p: (NOISY, CLEAN[..., None]),
    "mapping with a channel axis": lambda p: {"noisy": NOISY[..., None], "clean": CLEAN},
    "clean bytes": lambda p: (NOISY, (CLEAN * 255).astype(np.uint8)),
    "data set": lambda p: TensorDataset(torch.tensor(NOISY), torch.tensor(CLEAN)),
    "loader": lambda p: DataLoader(TensorDataset(torch.tensor(NOISY), torch.tensor(CLEAN)), batch_size=7),
    "generator": lambda p: ((NOISY[i : i + 20], CLEAN[i : i + 20]) for i in (0, 20, 40)),
}


@pytest.mark.parametrize("form", FORMS)
def test_pairs_in_every_form_are_inputs_and_targets(form: str, paired: it.Run, tmp_path: Path) -> None:
    run = it.fit("denoising", FORMS[form](tmp_path), epochs=1)
    assert run.data is not None
    assert run.data.train.inputs is not None
    clean = run.data.train.tensor.reshape(-1, 8, 8)
    rows = run.data.train.rows
    np.testing.assert_allclose(clean, CLEAN[rows], atol=1e-6)
    np.testing.assert_allclose(run.data.train.inputs.reshape(-1, 8, 8), NOISY[rows], atol=1e-6)
    np.testing.assert_allclose(run.encode(NOISY), paired.encode(NOISY), atol=1e-5)
    assert run.evaluate()["loss"] == pytest.approx(paired.evaluate()["loss"], rel=1e-5)


def pictures(folder: Path, **named: Array) -> Path:
    """A folder with a folder of PNG files for each array."""
    for name, values in named.items():
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(values):
            Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(("first", "second"), [("noisy", "clean"), ("Input", "Target")])
def test_two_folders_of_pictures_are_pairs_by_name(first: str, second: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", **{first: NOISY, second: CLEAN})
    run = it.fit("denoising", folder, epochs=1)
    rows = [int(Path(name).stem) for name in run.data.train.names]
    np.testing.assert_allclose(run.data.train.tensor.reshape(-1, 8, 8), CLEAN[rows], atol=1e-6)
    np.testing.assert_allclose(run.data.train.inputs.reshape(-1, 8, 8), NOISY[rows], atol=0.5 / 255 + 1e-6)


def test_a_picture_without_a_partner_is_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", noisy=NOISY[:12], clean=CLEAN[:10])
    with pytest.raises(BadData, match=r"without a partner: '10', '11'\. Give both"):
        it.fit("denoising", folder, epochs=1)
    (folder / "noisy" / "10.png").unlink()
    (folder / "noisy" / "11.png").unlink()
    (folder / "noisy" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(BadData, match=r"3\.png.*A pair needs both of its pictures"):
        it.fit("denoising", folder, epochs=1)


def test_pairs_of_both_splits_are_found_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", x_train=CLEAN, x_train_noisy=NOISY, x_test=CLEAN[:9], x_test_noisy=NOISY[:9])
    run = it.fit("denoising", tmp_path / "p.npz", epochs=1)
    np.testing.assert_allclose(run.data.test.inputs.reshape(-1, 8, 8), NOISY[:9], atol=1e-6)


@pytest.mark.parametrize("targets", [CLEAN, torch.tensor(CLEAN), CLEAN[..., None], CLEAN.astype(np.float64)])
def test_targets_are_an_argument_too(targets: Any, paired: it.Run) -> None:
    run = it.fit("denoising", NOISY, targets=targets, labels=np.arange(60) % 3, epochs=1)
    np.testing.assert_allclose(run.encode(NOISY), paired.encode(NOISY), atol=1e-5)
    assert run.data.train.labels.tolist() == (run.data.train.rows % 3).tolist()


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "denoise"])
@pytest.mark.parametrize("form", ["noisy and clean", "tensors", "data set", "mapping"])
def test_verbs_take_the_noisy_ones_of_pairs(verb: str, form: str, paired: it.Run, tmp_path: Path) -> None:
    act = getattr(paired, verb)
    np.testing.assert_allclose(act(FORMS[form](tmp_path)), act(NOISY), atol=1e-6)


def test_metrics_of_pairs_compare_the_restored_with_the_clean(paired: it.Run) -> None:
    restored = np.asarray(paired.denoise(NOISY)).reshape(60, -1)
    error = ((restored - CLEAN.reshape(60, -1)) ** 2).sum(1).mean()
    assert paired.evaluate((NOISY, CLEAN))["squared_error"] == pytest.approx(error, rel=1e-5)
    assert paired.evaluate(CLEAN)["squared_error"] != pytest.approx(error, rel=1e-2)


def test_scores_of_pairs_are_those_of_the_clean_given_the_noisy(paired: it.Run) -> None:
    restored = np.clip(np.asarray(paired.denoise(NOISY), np.float64).reshape(60, -1), 1e-7, 1 - 1e-7)
    clean = CLEAN.reshape(60, -1)
    nats = -(clean * np.log(restored) + (1 - clean) * np.log1p(-restored)).sum(1)
    np.testing.assert_allclose(paired.score((NOISY, CLEAN)), nats, rtol=1e-3)


def test_targets_of_a_table_are_scaled_as_their_inputs() -> None:
    x = R.normal(size=(60, 2)) @ R.normal(size=(2, 6)) * 50 + 1000
    noisy = x + R.normal(size=x.shape)
    options = {"likelihood.kind": "gaussian", "data.scale": "standard"}
    run = it.fit("simple", (noisy, x), epochs=1, options=options)
    rows = run.data.train.rows
    np.testing.assert_allclose(run.scaling.invert(run.data.train.tensor), x[rows], rtol=1e-5)
    np.testing.assert_allclose(run.scaling.invert(run.data.train.inputs), noisy[rows], rtol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        (NOISY, CLEAN[:, :4]),
        (NOISY, CLEAN[:30]),
        {"noisy": NOISY, "clean": CLEAN[:, :4]},
        {"noisy": NOISY, "clean": CLEAN[:30]},
    ],
)
def test_targets_of_another_shape_are_refused(data: Any) -> None:
    with pytest.raises(BadData):
        it.fit("denoising", data, epochs=1)


def test_the_other_shape_is_named() -> None:
    with pytest.raises(BadData, match=r"\(60, 8, 8\), but (their )?targets (of|have) shape \(60, 4, 8\)"):
        it.fit("denoising", (NOISY, CLEAN[:, :4]), epochs=1)
    with pytest.raises(BadData, match=r"\(60, 8, 8\), but their targets have shape \(60, 4, 8\)"):
        it.fit("denoising", NOISY, targets=CLEAN[:, :4], epochs=1)


def test_a_closed_form_refuses_targets_with_what_works() -> None:
    with pytest.raises(BadOption, match=r"training\.optimizer=adam"):
        it.fit("pca", (NOISY, CLEAN), options={"latent.size": 2})
    it.fit("pca", (NOISY, CLEAN), epochs=1, options={"latent.size": 2, "training.optimizer": "adam"})


@pytest.mark.parametrize("recipe", ["vae", "conv_denoising", "simple", "top_k"])
def test_other_recipes_train_on_pairs(recipe: str) -> None:
    run = it.fit(recipe, (NOISY, CLEAN), epochs=1)
    assert run.data.train.inputs is not None
    assert np.isfinite(run.evaluate()["loss"])


def test_a_saved_run_on_pairs_evaluates_them_again(tmp_path: Path) -> None:
    run = it.fit("denoising", FORMS["noisy and clean"](tmp_path), epochs=1, out=tmp_path / "run")
    assert it.load(tmp_path / "run").evaluate() == pytest.approx(run.evaluate())


def test_one_label_per_example_is_a_label() -> None:
    for labels in (np.arange(60) % 3, np.array(["a", "b", "c"] * 20), (np.arange(60) % 3)[:, None]):
        run = it.fit("simple", (NOISY, labels), epochs=1)
        assert run.data.train.inputs is None
        assert run.data.train.labels.tolist() == (run.data.train.rows % 3).tolist()


def test_one_hot_labels_are_refused_with_what_to_pass() -> None:
    with pytest.raises(IsthmusError, match="one label per example"):
        it.fit("simple", (NOISY, np.eye(3)[np.arange(60) % 3]), epochs=1)
