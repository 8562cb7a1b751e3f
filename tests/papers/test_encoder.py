"""The encoder problems: what counts as solved, as right and as distinct; a shrunken run tells its story."""

import json

import pytest
import torch

from isthmus.papers import encoder
from isthmus.papers.encoder import Problem, distinct, right, solved
from isthmus.papers.reproduction import Reproduction, reproduce

GOOD = torch.tensor([[0.9, 0.1, 0.2], [0.4, 0.6, 0.0], [0.3, 0.3, 0.7]])


def test_a_problem_is_solved_when_every_output_is_on_its_side_of_one_half():
    assert solved(GOOD)


@pytest.mark.parametrize(("place", "value"), [((0, 0), 0.45), ((0, 0), 0.5), ((1, 0), 0.55), ((1, 0), 0.5)])
def test_one_output_on_the_wrong_side_or_on_the_line_is_enough_to_fail(place, value):
    outputs = GOOD.clone()
    outputs[place] = value
    assert not solved(outputs)


def test_a_pattern_is_right_when_its_own_unit_is_the_largest_though_all_are_below_one_half():
    outputs = torch.tensor([[0.4, 0.1, 0.2], [0.45, 0.4, 0.0], [0.0, 0.1, 0.2]])
    assert right(outputs) == pytest.approx(2 / 3)
    assert not solved(outputs)


def test_codes_are_distinct_where_they_differ_after_rounding():
    corners = torch.cartesian_prod(*[torch.tensor([0.1, 0.9])] * 3)
    assert distinct(corners) == 8
    corners[7] = torch.tensor([0.6, 0.6, 0.4])
    assert distinct(corners) == 7


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A run of three problems with two seeds and few steps, its folder, and what it said."""
    folder, said = tmp_path_factory.mktemp("encoder"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "CLASSIC", (Problem(8, 3, "sigmoid", 2, 0.1), Problem(8, 3, "binary", 2, 0.1)))
        patch.setattr(encoder, "PLANE", (Problem(4, 2, "linear", 400, 0.3), Problem(9, 2, "linear", 2, 0.3)))
        patch.setattr(encoder, "SEEDS", 2)
        patch.setattr(encoder, "PLANE_SEEDS", 2)
        results = reproduce(encoder.PAPER, Reproduction(folder, say=said.append))
        again = reproduce(encoder.PAPER, Reproduction(folder, say=said.append))
    return folder, results, again, said


def test_the_table_says_what_was_solved_and_what_was_not(story):
    _, results, again, _ = story
    rows = {row["what"]: row for row in results["rows"]}
    assert again["rows"] == results["rows"]
    assert rows["4-2-4 linear, solved"]["ours"] == "2 of 2"
    assert rows["9-2-9 linear, solved"]["met"] is False
    assert rows["8-3-8 binary, all eight binary codes found"]["published"] == "16 of 20"
    assert rows["largest N of N-2-N solved with every seed"]["ours"] == 4


def test_finished_problems_are_not_done_again(story):
    *_, said = story
    assert sum(text.endswith("already finished") for text in said) == 4


def test_a_binary_unit_is_one_value_of_the_code_that_is_kept_and_drawn(story):
    folder, results, *_ = story
    piece = json.loads((folder / "pieces" / "8-3-8-binary.json").read_text())
    assert torch.tensor(piece["figures"]["codes"]).shape == (8, 6)
    units = encoder._units(Problem(8, 3, "binary", 2, 0.1), piece["figures"])
    assert units.shape == (8, 3)
    assert {f"codes-8-3-8-{kind}.png" for kind in ("sigmoid", "binary")} <= set(results["pictures"])
    assert (folder / "codes-4-2-4-linear.png").stat().st_size > 5000
