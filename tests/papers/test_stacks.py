"""Figures 2 and 3 at toy size: every row, both ways to train, and the targets that decide."""

import math
from dataclasses import replace

import pytest

from isthmus.cli.app import main
from isthmus.papers import hinton2006, labels, sutskever2013, vincent2008
from isthmus.papers.reproduction import Reproduction, reproduce
from isthmus.zoo import RECIPES

TOY = replace(hinton2006.TASKS[1], widths=(20, 10), code=3, linear=(("PCA", 3, 1.0), ("logistic PCA", 3, 1.0)))


@pytest.fixture
def toy(shrunken, monkeypatch):
    monkeypatch.setattr(hinton2006, "TASKS", (TOY,))
    return shrunken(hinton2006)


def test_both_figures_have_their_rows_and_pictures(toy):
    results = reproduce(hinton2006.PAPER, toy)
    rows = {row["what"]: row for row in results["rows"]}
    mean, *codes = (rows[f"MNIST: {name}"]["ours"] for name in ("mean image", "PCA, 3", "logistic PCA, 3"))
    assert max(codes) < mean
    assert {"MNIST: deep, original training", "MNIST: deep, modern training (random shifts)"} <= set(rows)
    assert all(row["met"] is None for row in results["rows"]), "targets are not asked of the quick form"
    assert sum("two-dimensional codes" in what for what in rows) == 2
    assert set(results["pictures"]) == {"figure2-mnist.png", "figure3.png"}


def test_without_pretraining_random_weights_are_trained_as_then_and_as_now(toy):
    toy.pretrain = False
    results = reproduce(hinton2006.PAPER, toy)
    assert results["command"] == "isthmus reproduce hinton2006 --quick --no-pretrain"
    whats = [row["what"] for row in results["rows"]]
    assert "MNIST: random weights, momentum" in whats
    assert not any("original training" in what or "deep" in what for what in whats)


def test_a_baseline_is_met_within_three_per_cent_and_a_deep_net_at_most_at_its_bar(toy):
    rows = [
        hinton2006._row(TOY, "PCA, 3", value, 1.0, "within", met=abs(value / 1.0 - 1) <= hinton2006.WITHIN)
        for value in (0.96, 0.98, 1.02, 1.04)
    ]
    assert [row.met for row in rows] == [False, True, True, False]


def test_nets_are_the_published_ones():
    sizes = {task.name: (*task.widths, task.code) for task in hinton2006.TASKS}
    assert sizes == {
        "CURVES": (400, 200, 100, 50, 25, 6), "MNIST": (1000, 500, 250, 30), "FACES": (2000, 1000, 500, 30),
    }  # fmt: skip
    for task in hinton2006.TASKS:
        original = hinton2006.net(task, hinton2006.ORIGINAL, task.original)
        assert (original.pretraining.kind, original.training.optimizer, original.net.model_extra["activation"]) == (
            "rbm",
            "cg",
            "sigmoid",
        )


def test_the_quick_form_shortens_the_baselines_too(toy):
    steps = {}
    for quick in (True, False):
        toy.quick = quick
        steps[quick] = hinton2006._baseline(toy, "logistic PCA", 3).training.steps
    assert steps == {True: 720, False: 12_000}


def test_only_a_paper_that_pretrains_can_be_remade_without(capsys, tmp_path):
    assert main(["reproduce", "higgins2017", "--no-pretrain", "--out", str(tmp_path)]) == 2
    assert "--no-pretrain is set, but paper 'higgins2017' does not use pretraining" in capsys.readouterr().err


def test_optimizers_are_compared_at_equal_updates_and_the_best_rate(shrunken, monkeypatch):
    monkeypatch.setattr(sutskever2013, "TASKS", (replace(TOY, name="CURVES"),))
    monkeypatch.setattr(sutskever2013, "METHODS", dict(list(sutskever2013.METHODS.items())[2:4]))
    results = reproduce(sutskever2013.PAPER, shrunken(sutskever2013))
    assert [row["what"].split(", learning rate")[0] for row in results["rows"]] == [
        "CURVES: Nesterov 0.99, 600 updates", "CURVES: Adam, 600 updates",
    ]  # fmt: skip
    assert set(results["pictures"]) == {"curves.png"}


@pytest.mark.parametrize(
    ("best", "tried", "kept"),
    [
        (0.05, [0.1, 0.05, 0.01], [0.05, 0.1]),
        (0.4, [0.1, 0.05, 0.01, 0.3, 0.9], [0.3, 0.9]),
        (1e-4, [0.1, 0.05, 0.01, 0.003, 0.001, 0.0003, 0.0001], [0.0001, 0.0003]),
    ],
)
def test_rates_are_tried_until_the_best_is_no_end_or_enough_are(tmp_path, monkeypatch, best, tried, kept):
    asked = []

    def trained(_sitting, _task, _data, _name, rate, steps):
        asked.append(rate)
        assert steps == 150
        return {"error": abs(math.log(rate / best))}

    monkeypatch.setattr(sutskever2013, "_trained", trained)
    assert sutskever2013._best(Reproduction(tmp_path), TOY, None, "SGD", 1500) == kept
    assert asked == tried


def test_labels_are_counted_drawn_evenly_and_worth_something(shrunken, monkeypatch):
    monkeypatch.setattr(labels, "SOURCES", {name: labels.SOURCES[name] for name in ("random", "RBM")})
    for name, value in (("UNITS", 30), ("STEPS", 100), ("EPOCHS", 1)):
        monkeypatch.setattr(labels, name, value)
    reproduction = shrunken(labels)
    results = reproduce(labels.PAPER, reproduction)
    rows = {row["what"]: row["ours"] for row in results["rows"]}
    assert len(rows) == 3 * 2 * 3
    assert all(0 <= value <= 100 for value in rows.values())
    assert set(results["pictures"]) == {"whole.png", "probe.png", "neighbors.png"}
    data = labels.images_of(reproduction, "mnist", RECIPES["deep"].make())
    x, y = labels._labeled(data, 100, 0)
    assert y.bincount().tolist() == [10] * 10
    assert not x.equal(labels._labeled(data, 100, 1)[0])


def test_three_stacked_layers_are_compared_with_random_weights_and_with_no_noise(shrunken, monkeypatch):
    monkeypatch.setattr(vincent2008, "ERRORS", {"mnist": vincent2008.ERRORS["mnist"]})
    rows = {row.what: row for row in vincent2008._errors(shrunken(vincent2008))}
    assert list(rows) == [f"mnist: test error, {kind}" for kind in ("random weights", "no noise", "25% destroyed")]
    assert rows["mnist: test error, 25% destroyed"].published == 1.28
    errors = [row.ours for row in rows.values()]
    assert all(0 < error < 100 for error in errors)
    assert len(set(errors)) > 1


def test_the_rate_on_labels_is_the_best_on_validation_and_small_sets_are_trained_for_as_many_updates(
    shrunken, monkeypatch
):
    seen = []

    def judged(_model, _data, *, fine_tuning, seed):
        seen.append(fine_tuning)
        return {"valid": abs(fine_tuning.learning_rate - 2e-3), "test": fine_tuning.learning_rate}

    monkeypatch.setattr(vincent2008, "classified", judged)
    monkeypatch.setattr(vincent2008, "UNITS", 4)
    reproduction = shrunken(vincent2008)
    reproduction.quick = False
    data = vincent2008.images_of(reproduction, "digits", RECIPES["denoising"].make())
    assert vincent2008._stacked(reproduction, data, None, 0)["test"] == 2e-3
    assert [whole.learning_rate for whole in seen] == [1e-3, 2e-3]
    assert all(whole.epochs * -(-len(data.train) // 100) >= 5000 for whole in seen)
