"""Splits repeat, count right, and keep groups whole."""

import numpy as np
import pytest

from isthmus.data.dataset import Dataset
from isthmus.data.preparing import prepare_dataset
from isthmus.data.sources.arrays import Examples
from isthmus.data.transforms.splits import SplitRows, split
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions


def examples(count: int, groups: np.ndarray | None = None) -> Examples:
    return Examples(np.arange(count)[:, None], np.arange(count), groups)


def parts(made: SplitRows) -> list[list[int]]:
    return [[] if rows is None else rows.tolist() for rows in (made.train, made.valid, made.test)]


def test_random_parts_have_their_shares_and_every_row_once():
    made = split(Dataset("a", examples(1000)), DataOptions(test=0.2, validation=0.1), 0)
    train, valid, test = parts(made)
    assert (len(train), len(valid), len(test)) == (720, 80, 200)
    assert sorted(train + valid + test) == list(range(1000))
    assert made.held_out == "held-out set"


def test_the_same_seed_gives_the_same_rows_in_the_same_order():
    dataset = Dataset("a", examples(100))
    first, same, other = (parts(split(dataset, DataOptions(), s)) for s in (3, 3, 4))
    assert first == same
    assert first != other
    assert first[0] != sorted(first[0])


@pytest.mark.parametrize("groups", [None, np.arange(100) // 5])
def test_the_test_part_does_not_depend_on_the_validation_share(groups: np.ndarray | None):
    dataset = Dataset("a", examples(100, groups))
    tests = [parts(split(dataset, DataOptions(validation=v), 1))[2] for v in (0.0, 0.1, 0.4)]
    assert tests[0] == tests[1] == tests[2]
    assert len(tests[0]) == 10


def test_the_sources_own_parts_are_used():
    own = Dataset("a", examples(50), examples(7), examples(9))
    made = split(own, DataOptions(), 0)
    assert (parts(made), made.valid, made.test) == ([list(range(50)), [], []], None, None)
    assert made.held_out == "test set"
    tested = split(Dataset("a", examples(50), test=examples(9)), DataOptions(), 0)
    assert [len(p) for p in parts(tested)] == [45, 5, 0]
    assert tested.held_out == "test set"
    valid = split(Dataset("a", examples(50), examples(7)), DataOptions(), 0)
    assert [len(p) for p in parts(valid)] == [45, 0, 5]
    assert valid.held_out == "held-out set"


def test_prepared_splits_are_the_source_s_own_and_the_rows_drawn() -> None:
    own = Dataset("a", examples(50), examples(7), examples(9))
    made = prepare_dataset(own, DataOptions(), 0)
    assert [(len(p), p.x[:, 0].tolist()) for p in made.splits.values()] == [(n, list(range(n))) for n in (50, 7, 9)]
    whole = Dataset("a", examples(50))
    drawn = prepare_dataset(whole, DataOptions(), 3)
    assert [p.x[:, 0].tolist() for p in drawn.splits.values()] == parts(split(whole, DataOptions(), 3))
    for part in drawn.splits.values():
        np.testing.assert_array_equal(part.labels, part.x[:, 0])


def test_no_share_is_no_part():
    made = split(Dataset("a", examples(5)), DataOptions(test=0, validation=0), 0)
    assert (parts(made), made.held_out) == ([[0, 1, 2, 3, 4], [], []], "none")
    assert (made.valid, made.test) == (None, None)
    assert [len(p) for p in parts(split(Dataset("a", examples(20)), DataOptions(test=0), 0))] == [18, 2, 0]


def test_validation_is_5000_at_most():
    made = split(Dataset("a", examples(60_000), test=examples(3)), DataOptions(validation=0.5), 0)
    assert (len(made.train), len(made.valid)) == (55_000, 5_000)


def test_small_shares_give_one_example_and_large_ones_leave_one():
    assert [len(p) for p in parts(split(Dataset("a", examples(3)), DataOptions(), 0))] == [1, 1, 1]
    made = split(Dataset("a", examples(10)), DataOptions(test=0.99, validation=0.99), 0)
    assert [len(p) for p in parts(made)] == [1, 1, 8]


@pytest.mark.parametrize("seed", range(5))
def test_no_person_is_in_two_parts(seed: int):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 20, 600) * 7
    made = split(Dataset("a", examples(600, groups)), DataOptions(test=0.2, validation=0.1), seed)
    who = [set(groups[rows].tolist()) for rows in (made.train, made.valid, made.test)]
    assert sum(map(len, who)) == len(set.union(*who))
    assert sorted(row for part in parts(made) for row in part) == list(range(600))
    largest = np.bincount(groups).max()
    assert abs(len(made.test) - 120) <= largest / 2
    assert abs(len(made.valid) - 0.1 * (600 - len(made.test))) <= largest / 2


def test_groups_much_larger_than_the_share_give_the_smallest():
    groups = np.repeat([0, 1, 2], [50, 40, 10])
    made = split(Dataset("a", examples(100, groups)), DataOptions(test=0.01, validation=0), 0)
    assert set(groups[made.test]) == {2}


def test_each_part_keeps_a_group_whatever_the_shares():
    groups = np.repeat([0, 1, 2], 10)
    made = split(Dataset("a", examples(30, groups)), DataOptions(test=0.9, validation=0.9), 0)
    assert [len(set(groups[rows])) for rows in (made.train, made.valid, made.test)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (examples(2), "'a' has 2 examples, too few for 3 splits"),
        (examples(30, np.arange(30) % 2), "'a' has 2 groups .* too few for 3 splits .*data.test=0"),
    ],
)
def test_too_few_are_refused(made: Examples, message: str):
    with pytest.raises(BadData, match=message):
        split(Dataset("a", made), DataOptions(), 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(BadOption, match="seed must be at least 0"):
        split(Dataset("a", examples(20)), DataOptions(), -1)
