"""A trained run meets data again: treated as its own was, or refused; and a person's arrays go in as they are."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from isthmus import fit, load
from isthmus.cli.app import main
from isthmus.errors import BadData, BadOption, Diverged, ShapeError
from isthmus.runs.data import data_for, inputs_for
from isthmus.runs.inference import evaluate_split
from isthmus.runs.run import Run
from isthmus.training.engine import Engine

GREY = np.random.default_rng(0).random((60, 6, 5)).astype(np.float32)
BYTES = (GREY * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (GREY, {}),
        (BYTES, {}),
        ((GREY > 0.5).astype(np.uint8), {}),
        (BYTES, {"data.scale": "none", "likelihood.kind": "gaussian"}),
        (GREY.reshape(60, 30) * 50 + 7, {"data.scale": "standard", "likelihood.kind": "gaussian"}),
        (GREY * 9, {"data.scale": "standard", "likelihood.kind": "gaussian"}),
    ],
)
def test_a_run_takes_what_fit_took_and_answers_in_its_units(x: np.ndarray, options: dict[str, object]) -> None:
    run = fit("simple", x, epochs=1, options=options)
    assert run.data is not None
    rows = [
        int(np.flatnonzero([np.allclose(run.to_tensor(x)[i], t) for i in range(60)])[0]) for t in run.data.train.x[:3]
    ]
    inside = run.model.encode(run.data.train.x[:3]).numpy()
    np.testing.assert_allclose(run.encode(x[rows]), inside, rtol=1e-5, atol=1e-5)
    back = run.reconstruct(x[rows])
    assert back.shape == x[rows].shape
    np.testing.assert_allclose(run.decode(run.encode(x[rows])), back, rtol=1e-4, atol=1e-4)
    assert run.evaluate(x[rows])["n"] == 3
    assert repr(run).startswith("<Run simple on array, weights of epoch 1")
    if options.get("data.scale") == "standard":
        assert abs(back.mean() - x.mean()) < 3 * x.std()


def test_further_data_is_binarized_as_the_run_s_own(tmp_path: Path) -> None:
    np.save(tmp_path / "gray.npy", GREY)
    run = fit("vae", GREY, epochs=1, options={"data.binarize": "static"})
    x = inputs_for(run, str(tmp_path / "gray.npy")).x
    assert set(x.unique().tolist()) == {0.0, 1.0}
    figures, _ = evaluate_split(run, data_for(run, tmp_path / "gray.npy"))
    assert figures["cross_entropy_floor"] == 0.0


def test_further_data_out_of_range_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", GREY * 10)
    run = fit("vae", GREY, epochs=1)
    with pytest.raises(BadData, match=r"in \[0, 1\]"):
        data_for(run, tmp_path / "large.npy")
    with pytest.raises(BadData, match=r"in \[0, 1\]"):
        inputs_for(run, str(tmp_path / "large.npy"))


def test_what_is_only_input_is_neither_binarized_nor_held_against_the_likelihood(tmp_path: Path) -> None:
    np.save(tmp_path / "noisy.npy", GREY * 10 - 3)
    run = fit("vae", GREY, epochs=1, options={"data.binarize": "static"})
    x = inputs_for(run, str(tmp_path / "noisy.npy"), "noisy").x
    np.testing.assert_allclose(x[:, 0], GREY * 10 - 3, rtol=1e-6)


def test_importance_samples_are_drawn_where_they_are_asked_for(tmp_path: Path) -> None:
    run = fit("vae", GREY, epochs=1)
    heard: list[float] = []
    figures, part = evaluate_split(run, data_for(run), importance_samples=3, callback=heard.append)
    assert "nll" in figures
    assert heard[-1] == 1.0
    assert part == "the held-out test set of array, 6 examples"


def test_a_single_further_example_can_be_measured(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", GREY[:1])
    figures, part = evaluate_split(run := fit("vae", GREY, epochs=1), data_for(run, tmp_path / "one.npy"))
    assert figures["n"] == 1
    assert part == "all examples of one.npy, 1 example"


def test_a_minmax_table_whose_other_parts_leave_the_range_is_clipped_to_it() -> None:
    table = np.random.default_rng(0).normal(size=(200, 3))
    run = fit("simple", table, epochs=1, options={"data.scale": "minmax"})
    assert run.data is not None
    held = [run.data.valid, run.data.test]
    for part in held:
        assert part is not None
        raw = run.scaling.apply(torch.from_numpy(table[part.rows])).float()
        assert torch.equal(part.tensor, raw.clamp(0, 1))
    scaled = torch.cat([run.scaling.apply(torch.from_numpy(table[part.rows])) for part in held if part is not None])
    assert not 0 <= scaled.min() <= scaled.max() <= 1
    with pytest.warns(UserWarning, match=r"2 of 3 examples have values outside the range .* clipped"):
        x = inputs_for(run, np.array([[9.0, 0, 0], [0, 0, -9], [0, 0, 0]])).x
    assert (x[0, 0], x[1, 2]) == (1, 0)
    far, near = run.score(np.array([[9.0, 0, 0], [0, 0, 0]]))
    assert far > near


@pytest.mark.parametrize("shape", [(8, 8, 8), (3, 5, 5), (1, 1, 1), (8,)])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_codes_of_any_shape_are_read_back(shape: tuple[int, ...], suffix: str, tmp_path: Path) -> None:
    from isthmus.runs.outputs import RowNames, write_array
    from isthmus.runs.writing import read_codes

    codes = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    rows = RowNames(labels=np.arange(4), classes=np.arange(4))
    write_array(tmp_path / f"codes{suffix}", codes, name="z", rows=rows)
    back, _ = read_codes(tmp_path / f"codes{suffix}")
    np.testing.assert_allclose(back.reshape(codes.shape), codes, rtol=1e-6)


def test_fit_leaves_the_global_generator_as_it_was() -> None:
    before = torch.random.get_rng_state()
    fit("vae", GREY, epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_interrupt_keeps_the_best_weights_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    epoch = Engine._epoch

    def interrupted(self: Engine) -> str | None:
        if self.at.epoch == 2:
            raise KeyboardInterrupt
        return epoch(self)

    monkeypatch.setattr(Engine, "_epoch", interrupted)
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "vae", "--epochs", "9", "--out", "run"]) == 130
    assert "Interrupted during epoch 3. The best weights so far are in 'run'." in capsys.readouterr().err
    record = json.loads(Path("run/run.json").read_text())
    assert record["outcome"]["stopped"] == "interrupted in epoch 3"
    run = load("run")
    assert [row["epoch"] for row in run.history] == [1, 2]
    best = min(row["valid"]["loss"] for row in run.history)
    from isthmus.metrics.losses import losses
    from isthmus.models.seeding import derive_seed

    valid = data_for(run).valid
    assert valid is not None
    assert losses(run.objective, valid.x, seed=derive_seed(0, "validation"))["loss"] == pytest.approx(best, rel=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("before", [False, True])
def test_a_run_that_ends_in_its_first_epoch_leaves_nothing_and_spoils_nothing(before: bool, tmp_path: Path) -> None:
    if before:
        fit("linear", GREY, epochs=1, out=tmp_path / "run")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    options = {"training.optimizer": "sgd", "training.learning_rate": 1e30}
    with pytest.raises(Diverged, match="no weights are kept"):
        fit("linear", GREY, epochs=3, options=options, out=tmp_path / "run", overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_a_divergence_after_good_epochs_saves_the_best_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Engine._step

    def poisoned(self: Engine, x: torch.Tensor, *rest: object) -> dict[str, torch.Tensor]:
        return step(self, x * torch.nan if self.step > 7 else x, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "_step", poisoned)
    with pytest.raises(Diverged, match="The best weights before that are kept"):
        fit("vae", GREY, epochs=9, options={"training.batch_size": 16}, out=tmp_path / "run")
    run = load(tmp_path / "run")
    assert len(run.history) == 2
    assert str(run.metadata.outcome["stopped"]).startswith("Training diverged in epoch 3")
    assert all(bool(torch.isfinite(p).all()) for p in run.model.parameters())


def test_a_last_step_that_blows_up_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Engine._step

    def last(self: Engine, *rest: object) -> dict[str, torch.Tensor]:
        parts = step(self, *rest)  # type: ignore[arg-type]
        if self.step == self.total - 1:
            for parameter in self.objective.parameters():
                parameter.data.fill_(torch.inf)
        return parts

    monkeypatch.setattr(Engine, "_step", last)
    with pytest.raises(Diverged, match=r"the validation loss is (nan|inf) at its end"):
        fit("vae", GREY, epochs=1)


def test_losses_nobody_looked_at_are_caught_at_the_end_of_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an accelerator, where only every fiftieth loss is looked at."""
    from isthmus.training import engine

    init = engine.Engine.__init__

    def blind(self: Engine, *rest: object, **more: object) -> None:
        init(self, *rest, **more)  # type: ignore[arg-type]
        self.look = 50

    monkeypatch.setattr(engine.Engine, "__init__", blind)
    with pytest.raises(Diverged, match=r"the training loss is nan at its end"):
        fit(
            "vae",
            GREY,
            epochs=1,
            options={"training.optimizer": "sgd", "training.learning_rate": 1e300, "training.batch_size": 8},
        )


def test_best_weights_without_validation_are_judged_by_final_weights() -> None:
    """Under a rising KL weight the first training losses are the smallest, and say nothing."""
    options = {
        "data.validation": 0, "penalties.kl.weight.value": 10, "penalties.kl.weight.shape": "linear",
        "penalties.kl.weight.fraction": 1.0,
    }  # fmt: skip
    run = fit("vae", GREY, epochs=60, options=options)
    losses = [row["train"]["reconstruction"] + 10 * row["train"]["kl"] for row in run.history]
    assert run.metadata.outcome["kept_epoch"] == 1 + losses.index(min(losses))
    assert run.metadata.outcome["kept_epoch"] > 30


def test_the_model_and_data_move_to_the_device_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands for an accelerator: operands on two devices fail there as they do on one."""
    from isthmus import zoo
    from isthmus.training import engine

    elsewhere = SimpleNamespace(device=torch.device("meta"), world_size=1, global_rank=0)
    monkeypatch.setattr(engine, "fabric", lambda _device: elsewhere)
    recipe = zoo.recipe("vae").with_options({"training.precision": "32"})
    made = engine.Engine(recipe.build((1, 6, 5)), recipe.training, torch.rand(8, 1, 6, 5))
    assert {p.device.type for p in made.objective.parameters()} == {"meta"}
    assert made.objective(made.train).total.device.type == "meta"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net.widths": [1000000, 1000000]}, "at most 2.1e\\+09 are allowed"),
        ({"net.norm": "batch", "training.batch_size": 1}, "at least two examples per batch"),
        ({"latent.size": True}, "size cannot be true"),
        ({"net.dropout": True}, "dropout cannot be true"),
    ],
)
def test_what_cannot_work_is_refused_before_memory_is_taken(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        fit("vae", GREY, epochs=1, options=options)


@pytest.mark.parametrize("value", ["auto", "32", "bf16"])
def test_every_precision_can_be_asked_for_as_text(value: str) -> None:
    assert fit("linear", GREY, epochs=1, options={"training.precision": value}).recipe.training.precision == value


def test_epochs_asked_for_win_over_the_steps_of_a_recipe() -> None:
    run = fit("linear", GREY, epochs=3, options={"training.steps": 1})
    assert len(run.history) == 3


def test_arrays_of_another_shape_are_refused() -> None:
    run = fit("linear", GREY, epochs=1)
    with pytest.raises(ShapeError, match="was trained on examples of shape"):
        run.encode(np.zeros((3, 9, 9)))


def test_other_data_is_measured_on_its_own_test_part_where_it_has_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x_train=GREY[:40], x_test=GREY[40:])
    run = fit("simple", GREY, epochs=1)
    figures, part = evaluate_split(run, data_for(run, tmp_path / "other.npz"))
    assert part == "the test set of other.npz, 20 examples"
    assert figures == run.evaluate(GREY[40:])


@pytest.fixture
def trained_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved run whose data lies outside its folder, the current folder and $ISTHMUS_DATA."""
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    for name in ("data", "runs", "here"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "data" / "x.npy", GREY)
    fit("simple", tmp_path / "data" / "x.npy", epochs=1, out=tmp_path / "runs" / "run")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "runs" / "run"


def unsigned(folder: Path, signature: object = "") -> Run:
    """The run as somebody else would write it: with another signature of its data."""
    run = load(folder)
    run.metadata = replace(run.metadata, machine=run.metadata.machine | {"source_signature": signature})
    return run


def test_a_run_trained_by_this_user_finds_its_data_from_any_folder(trained_elsewhere: Path) -> None:
    assert len(load(trained_elsewhere).metadata.machine["source_signature"]) == 64
    assert data_for(load(trained_elsewhere)).test is not None


@pytest.mark.parametrize("signature", ["", "0" * 64, None, 7, "é" * 64, "\ud800"])
def test_a_run_of_unknown_origin_needs_its_data_named(signature: object, trained_elsewhere: Path) -> None:
    run = unsigned(trained_elsewhere, signature)
    with pytest.raises(BadData, match=r"^The run was not trained by this user, .* Pass data=\.\.\. to name the data"):
        data_for(run)
    own, named = data_for(load(trained_elsewhere)), data_for(run, run.metadata.source)
    assert own.test is not None
    assert named.test is not None
    assert torch.equal(own.test.tensor, named.test.tensor)


def test_a_key_of_another_user_signs_nothing_here(
    trained_elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "another"))
    with pytest.raises(BadData, match="not trained by this user"):
        data_for(load(trained_elsewhere))
    assert not (tmp_path / "another").exists()


@pytest.mark.parametrize("place", ["beside the run", "current folder", "ISTHMUS_DATA"])
def test_a_run_of_unknown_origin_may_open_data_in_the_permitted_folders(
    place: str, trained_elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = unsigned(trained_elsewhere)
    if place == "beside the run":
        run.folder = tmp_path / "data" / "run"
    elif place == "current folder":
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "data"))
    assert data_for(run).test is not None


def test_a_link_in_a_permitted_folder_is_followed_to_where_it_points(trained_elsewhere: Path, tmp_path: Path) -> None:
    link = tmp_path / "here" / "x.npy"
    link.symlink_to(tmp_path / "data" / "x.npy")
    run = unsigned(trained_elsewhere)
    run.metadata = replace(run.metadata, source=str(link))
    with pytest.raises(BadData, match="not trained by this user"):
        data_for(run)
