"""The k-sparse codes: how many units are kept for the classifier, and a run on small pictures that tells its story."""

import json

import numpy as np
import pytest

from isthmus.data.preparing import prepare
from isthmus.papers import makhzani2013
from isthmus.papers.makhzani2013 import _rows, codes
from isthmus.runs.fit import fit

pytestmark = pytest.mark.slow


def test_codes_keep_the_alpha_k_largest_units_of_the_same_networks():
    data = prepare("digits", makhzani2013.recipe(5).data, 0)
    model = fit(makhzani2013.recipe(5), data, epochs=1, seed=0).model
    x = data.train.tensor[:50]
    once, twice = codes(model, 5, 1.0, x), codes(model, 5, 2.0, x)
    assert np.array_equal(once, model.encode(x).numpy())
    assert set((twice != 0).sum(1)) == {10}
    assert np.array_equal(np.where(once != 0, twice, 0), once)


@pytest.mark.parametrize(("k", "test", "met"), [(25, 1.35, True), (25, 1.36, False), (70, 1.0, None)])
def test_the_bar_is_the_published_error_where_there_is_one(k, test, met):
    figures = {"test": test, "valid": 1.0, "alpha": 2.0, "C": 0.1, "unused": 0.0}
    assert _rows(k, figures)[0].met is met


@pytest.fixture(scope="module")
def story(told):
    return told(makhzani2013, ITERATIONS=20)


def test_digits_are_told_apart(story):
    rows = {row["what"]: row for row in story[1]["rows"]}
    assert 0 < rows["test error, k = 40"]["ours"] < 15
    assert rows["test error, k = 10"]["published"] == 2.10


def test_what_is_chosen_is_the_best_on_the_validation_images(story):
    figures = json.loads((story[0] / "pieces" / "k10-classified.json").read_text())["figures"]
    tried = {(alpha, strength): error for alpha, strength, error in figures["validation"]}
    assert len(tried) == 4
    assert tried[figures["alpha"], figures["C"]] == min(tried.values()) == figures["valid"]


def test_filters_are_drawn_for_each_k_and_finished_pieces_are_kept(story):
    _, results, said = story
    assert set(results["pictures"]) == {"filters-k40.png", "filters-k10.png"}
    assert [text.endswith("already finished") for text in said] == [True] * 4
