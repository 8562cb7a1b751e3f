"""The bound by the size of the code: what its curves and targets say, and the whole story at toy size."""

import pytest

from isthmus.papers import kingma2014
from isthmus.papers.reproduction import reproduce


def figures(test: float, train: float, active: int = 3) -> dict:
    return {"test": {"elbo": test, "active_units": active, "nll": -test - 1}, "train": {"elbo": train}}


def found(**changes: tuple[float, float]) -> dict[int, list[dict]]:
    """Ends of curves that do all that is asked, but for the changes: n20=(test, train)."""
    ends = {3: (-140, -139), 5: (-125, -124), 10: (-108, -106), 20: (-102, -99), 200: (-102.5, -99)}
    ends |= {int(name[1:]): pair for name, pair in changes.items()}
    return {size: [figures(test - 1, train), figures(test + 1, train)] for size, (test, train) in ends.items()}


def verdicts(ends: dict[int, list[dict]]) -> list[bool | None]:
    return [row.met for row in kingma2014._rows(ends) if row.target]


def test_all_bars_are_met_where_more_latents_help_and_superfluous_ones_do_not_hurt():
    assert verdicts(found()) == [True, True, True]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"n10": (-126, -125)}, [False, True, True]),
        ({"n200": (-103.5, -100.5)}, [True, False, True]),
        ({"n200": (-102.9, -98.5)}, [True, True, False]),
    ],
)
def test_each_bar_is_missed_by_what_it_forbids(changes, expected):
    assert verdicts(found(**changes)) == expected


def test_rows_are_means_over_seeds_and_log_p_is_told_of_small_codes_alone():
    rows = {row.what: row for row in kingma2014._rows(found())}
    bound = rows["bound on log p(x), 20 latents"]
    assert (bound.ours, bound.spread, bound.published) == (-102, pytest.approx(2**0.5), "increases")
    assert rows["training bound minus test bound, 20 latents"].ours == 3
    assert rows["log p(x) by importance sampling, 3 latents"].ours == -139
    assert "log p(x) by importance sampling, 20 latents" not in rows


def test_curves_begin_with_the_second_epoch_and_training_stands_at_the_middle_of_one():
    history = [{"epoch": k, "train": {"loss": 10.0 - k}, "valid": {"loss": 20.0 - k}} for k in (1, 2, 3)]
    curves = kingma2014._curves(history, 100)
    assert curves["test"] == ([200, 300], [-18, -17])
    assert curves["train"] == ([150, 250], [-8, -7])


def test_the_story_at_toy_size_makes_its_rows_and_pictures(shrunken):
    reproduction = shrunken(kingma2014)
    results = reproduce(kingma2014.PAPER, reproduction)
    assert set(results["pictures"]) == {"curves.png", "manifold.png"}
    assert len(results["rows"]) == 18
    values = {row["what"]: row["ours"] for row in results["rows"]}
    for size in kingma2014.SMALL:
        # importance samples lie above the bound, up to the noise of one draw of it
        assert values[f"log p(x) by importance sampling, {size} latents"] > values[f"bound on log p(x), {size} latents"]
    before = dict(reproduction.seconds)
    assert reproduce(kingma2014.PAPER, reproduction)["seconds"] == before
