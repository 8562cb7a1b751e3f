"""Runs that start from the weights of others: stages, what is taken over, and what is refused."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from torch import Tensor

import isthmus as it
from isthmus.errors import BadData, BadOption, BadRun, IncompatibleParts
from isthmus.runs.start import cost_of, start_of


def data(n: int = 80) -> np.ndarray:
    return np.random.default_rng(0).random((n, 8, 8), np.float32)


def first(recipe: object = "vae", epochs: int = 2, **options: object) -> it.Run:
    return it.fit(recipe, data(), epochs=epochs, options={f"training.{k}": v for k, v in options.items()})


def weights(run: it.Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def moved(before: dict[str, Tensor], run: it.Run) -> set[str]:
    """The parts of the model whose weights differ."""
    return {name.split(".")[0] for name, value in run.model.state_dict().items() if not value.equal(before[name])}


@pytest.mark.parametrize(("stage", "changed"), [("decoder", {"decoder"}), ("encoder", {"encoder"})])
@pytest.mark.parametrize("recipe", ["vae", "conv_vae", "vq_vae", "sigma_vae"])
def test_a_stage_changes_its_network_and_not_a_bit_of_the_others(recipe, stage, changed):
    start = first(recipe)
    before = weights(start)
    run = it.fit(start, data(), epochs=2, options={"training.stage": stage})
    found = moved(before, run)
    assert changed <= found
    assert not found & {"decoder": {"encoder", "latent"}, "encoder": {"decoder", "likelihood"}}[stage]
    # and the run that it started from is as it was
    assert all(v.equal(before[name]) for name, v in start.model.state_dict().items())
    assert all(p.requires_grad for p in run.model.encoder.parameters())


def test_a_run_goes_on_from_its_weights_with_its_data_and_its_seed(tmp_path):
    start = it.fit("vae", data(), epochs=3, seed=5, out=tmp_path / "first")
    run = it.fit(start)
    assert run.metadata.seed == 5
    assert run.metadata.start["recipe"] == "vae"
    assert cost_of(run)["updates"] == 2 * start.history[-1]["step"]
    assert cost_of(run)["seconds"] > cost_of(start)["seconds"] > 0
    assert run.recipe.training.epochs == 3
    fresh = it.fit("vae", data(), epochs=3, seed=5)
    assert run.history[0]["train"]["loss"] < fresh.history[0]["train"]["loss"]
    from_folder = it.fit("vae", data(), start=tmp_path / "first", epochs=3, seed=5)
    assert from_folder.metadata.start["weights"] == run.metadata.start["weights"]


def test_a_critic_is_added_to_a_decoder(tmp_path):
    start = first("conv_vae")
    options = {
        "training.stage": "decoder",
        "penalties.discriminator.kind": "discriminator",
        "penalties.discriminator.channels": [4],
        "training.steps": 4,
    }
    run = it.fit(start, data(), options=options, out=tmp_path / "sharp")
    assert moved(weights(start), run) == {"decoder"}
    assert "discriminator_critic" in run.history[-1]["train"]
    again = it.load(tmp_path / "sharp")
    for name, value in run.objective.penalties["discriminator"].critic.state_dict().items():
        assert again.objective.penalties["discriminator"].critic.state_dict()[name].equal(value)
    assert again.evaluate(data())["loss"] == pytest.approx(run.evaluate(data())["loss"], rel=1e-5)


def test_a_staged_run_that_is_interrupted_ends_with_the_same_bits(tmp_path):
    start = first("conv_vae")
    options = {
        "training.stage": "decoder",
        "penalties.discriminator.kind": "discriminator",
        "penalties.features.kind": "features",
        "penalties.features.learns": "none",
        "training.checkpoint_interval": 0,
        "training.keep": "last",
        "training.ema_decay": 0.9,
    }

    class Interrupt(it.Callback):
        def on_step_end(self, state):
            if state.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    whole = it.fit(start, data(), epochs=4, options=options)
    call = {"epochs": 4, "options": options, "out": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        it.fit(start, data(), callbacks=[Interrupt()], **call)
    other = first("conv_vae", epochs=3, keep="last")
    with pytest.raises(BadRun, match=r"start\.weights"):
        it.fit(other, data(), resume=True, **call)
    again = it.fit(start, data(), resume=True, **call)
    assert all(v.equal(weights(again)[name]) for name, v in weights(whole).items())


def test_parts_that_differ_start_anew_and_are_named():
    start = first("vae")
    with pytest.warns(UserWarning, match=r"^The decoder of the run vae on array differ, so"):
        run = it.fit(
            start.recipe.with_options({"likelihood.kind": "pixel_gaussian", "training.steps": 1}), data(), start=start
        )
    assert run.recipe.likelihood.kind == "pixel_gaussian"


def test_what_a_stage_does_not_train_must_be_the_same():
    start = first("vae")
    for options, stage, part in (
        ({"latent.size": 4}, "decoder", "encoder"),
        ({"net.widths": [9]}, "encoder", "decoder"),
    ):
        with pytest.raises(IncompatibleParts, match=f"^The {part} differs from that of the run vae on array"):
            it.fit(start, data(), options=options | {"training.stage": stage})
    with pytest.raises(IncompatibleParts, match="Neither encoder nor decoder"):
        it.fit("conv", data(), start=start)


def test_what_would_replace_the_weights_or_fix_new_ones_is_refused():
    start = first("deep")
    for options in ({"pretraining.kind": "rbm"}, {"training.optimizer": "exact", "net.kind": "linear"}):
        with pytest.raises((BadOption, IncompatibleParts)):
            it.fit(start, data(), options=options)
    with pytest.raises(BadOption, match=r"training\.stage=decoder fixes weights that were not trained yet"):
        it.fit("vae", data(), options={"training.stage": "decoder"})
    with pytest.raises(BadOption, match="fit needs data"):
        it.fit("vae")


def test_another_seed_would_mix_training_and_test_examples(tmp_path):
    np.save(tmp_path / "x.npy", data())
    start = it.fit("vae", str(tmp_path / "x.npy"), epochs=1)
    with pytest.raises(BadOption, match=r"seed=1 would hold out other examples of x.*Use seed=0"):
        it.fit(start, seed=1)
    assert it.fit(start, epochs=1).metadata.source == str(tmp_path / "x.npy")


def test_a_run_without_its_data_asks_for_it(tmp_path):
    it.fit("vae", data(), epochs=1, out=tmp_path / "run")
    with pytest.raises(BadData, match="only in memory"):
        it.fit(it.load(tmp_path / "run"))


def test_the_start_is_recorded_by_its_weights(tmp_path):
    run = it.fit("vae", data(), epochs=1, out=tmp_path / "run")
    assert start_of(run).digest == start_of(tmp_path / "run").digest
    it.fit(run, epochs=1, out=tmp_path / "next")
    recorded = json.loads((tmp_path / "next" / "run.json").read_text())["start"]
    assert recorded == {"recipe": "vae", "folder": str(tmp_path / "run"), "weights": start_of(run).digest}
    with torch.no_grad():
        next(run.model.parameters()).add_(1)
    assert start_of(run).digest != recorded["weights"]
