"""Quality per second (``benchmarks/quality``): when a run ends, what is measured, which one is best."""

import importlib
import math
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks" / "quality"
# tasks makes the modules of the comparison of speed importable
MODULES = ("figures", "judge", "running", "tasks", "records", "search")


@pytest.fixture
def quality(monkeypatch):
    """The modules of the benchmark, which are scripts and not part of a package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in set(sys.modules) - before:
        if str(FOLDER.parent) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def images(n=4):
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28)).astype(np.uint8)


def gray(quality, level):
    """A network that answers one gray level, with the posterior equal to the prior."""
    return quality.figures.Coder(lambda x: torch.zeros(len(x), 8), lambda z: torch.full((len(z), 784), level))


def judge_of(quality, goal, limit=100.0):
    x = quality.figures.part(np.zeros((4, 28, 28), np.uint8), None)
    found = quality.judge.Judge(quality.tasks.TASKS["deep"], goal, limit, x)
    found.start()
    return found


def test_training_ends_at_the_first_epoch_that_reaches_the_figure(quality):
    judge = judge_of(quality, goal=784 * 0.1**2 + 1e-4)
    assert [judge.ends(gray(quality, level)) for level in (0.3, 0.2, 0.1)] == [False, False, True]
    assert judge.reached
    assert [value for _, value in judge.track] == pytest.approx([784 * v * v for v in (0.3, 0.2, 0.1)])


def test_training_ends_when_time_is_over_or_the_figure_is_not_a_number(quality):
    late, broken = judge_of(quality, 0.0, limit=0.0), judge_of(quality, 0.0)
    assert late.ends(gray(quality, 0.5))
    assert broken.ends(gray(quality, math.nan))
    assert not late.reached
    assert not broken.reached


def test_validation_takes_no_time(quality, monkeypatch):
    def slow(coder, images):
        time.sleep(0.2)
        return 1.0

    monkeypatch.setitem(quality.judge.FIGURES, "squared_error", slow)
    judge = judge_of(quality, goal=0.0)
    for _ in range(2):
        judge.ends(gray(quality, 0.5))
    assert judge.seconds < 0.2


def test_figures_are_their_closed_forms(quality):
    x = images()
    part, half = quality.figures.part(x, None), gray(quality, 0.5)
    assert quality.figures.cross_entropy(half, part) == pytest.approx(math.log(2))
    assert quality.figures.bound(half, part) == pytest.approx(-784 * math.log(2))
    expected = ((x / 255 - 0.5) ** 2).sum() / len(x)
    assert quality.figures.squared_error(half, part) == pytest.approx(expected, rel=1e-6)
    shifted = quality.figures.Coder(
        lambda h: torch.cat([torch.full((len(h), 8), 2.0), torch.zeros(len(h), 8)], 1), half.decode
    )
    assert quality.figures.bound(shifted, part) == pytest.approx(-784 * math.log(2) - 8 * 2.0)


def test_a_choice_has_as_long_as_the_best_one_before_it(quality):
    told = {100: (True, 7.0), 500: (False, 7.0), 1000: (True, 5.0)}
    limits = []

    class Field:
        task = quality.tasks.TASKS["deep"]

        def run(self, who, seed, settings, *, limit):
            limits.append(limit)
            reached, seconds = told[settings["training.batch_size"]]
            return {"reached": reached, "seconds": seconds, "valid": 3.0, "settings": settings}

    best, tried = quality.running.fastest(Field(), "hand", 0, [{"training.batch_size": size} for size in told])
    assert best["settings"] == {"training.batch_size": 1000}
    assert limits == [None, 7.0, 7.0]
    assert len(tried) == 3


def test_of_two_runs_that_miss_the_figure_the_closer_one_is_ahead(quality):
    vae, deep = quality.tasks.TASKS["vae"], quality.tasks.TASKS["deep"]
    high, low = ({"reached": False, "valid": value} for value in (-104.0, -120.0))
    assert quality.running.ahead(vae, high, low)
    assert quality.running.ahead(deep, low, high)
    assert not quality.running.ahead(vae, {"reached": False, "failed": "Diverged"}, low)


def test_the_options_of_a_recipe_are_resolved_for_the_hand_written_loop(quality):
    found = quality.running.resolved("deep", {"training.batch_size": 500, "net.init": "he"}, 55_000)
    assert found["training.epochs"] == 13  # about 1,500 steps of Muon, of 110 a pass
    assert (found["training.batch_size"], found["net.init"], found["training.schedule"]) == (500, "he", "cosine")


def test_the_options_that_a_search_has_chosen_are_those_of_this_kind_of_machine(quality, monkeypatch, tmp_path):
    monkeypatch.setattr(quality.records, "RESULTS", tmp_path)
    monkeypatch.setattr(quality.search, "versions", dict)

    made = []

    class Field:
        name, task, goal, images = "deep", quality.tasks.TASKS["deep"], 3.0, 55_000

        def run(self, who, seed, settings, *, limit=None, test):
            made.append(settings)
            seconds = 1 / settings["training.batch_size"]
            # the fastest options fail with another seed
            reached = seed == 1000 or settings["training.epochs"] != 15
            return {"reached": reached, "seconds": seconds, "epochs": 1, "valid": 2.0, "settings": settings}

    other = {"machine": {"processor": "another", "cpus": 1}, "chosen": {"net.init": "he"}}
    quality.records.keep("quality_search.json", "deep", other)
    assert quality.search.chosen("deep") == {"net.init": "he"}
    found = quality.search.search(Field())
    assert (found["training.batch_size"], found["training.epochs"]) == (250, 12)
    assert quality.search.chosen("deep") == found
    tries = len(made)
    assert quality.search.search(Field()) == found
    assert len(made) == tries
    assert quality.search.chosen("vae") is None


# torch imports its own deprecated functions with its compiler
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_the_step_of_a_run_is_recorded(quality):
    isthmus = importlib.import_module("train_isthmus")
    judge = judge_of(quality, goal=0.0, limit=0.0)
    isthmus.train({"task": "deep", "seed": 0, "settings": {"training.precision": "32"}}, images(), judge)
    assert judge.step == {"precision": "float32", "compiled": False}
    assert len(judge.track) == 1
