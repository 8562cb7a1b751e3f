"""The record of invalid examples, merged over the processes of distributed training."""

from isthmus.data.base import Location
from isthmus.data.transforms.bad_examples import BadExamples


def record(*rows: int, before: int = 0) -> BadExamples:
    """The record of one process: ``before`` examples found before training, then rows of the stream."""
    found = BadExamples("skip", 1000)
    for number in range(before):
        found.add(None, Location("t.npy", number), "it holds NaN")
    for row in rows:
        found.add(row, Location("t.npy", row), "it is damaged")
    return found


def test_rows_met_by_several_processes_count_once() -> None:
    first, second = record(3, 700, 3), record(700, 12)
    states = [first.state(), second.state()]
    first.merge_states(states)
    second.merge_states(states)
    for merged in (first, second):
        assert merged.count == 3
        assert merged.rows().tolist() == [3, 12, 700]
        assert sorted(entry.row for entry in merged.entries) == [3, 12, 700]
    assert first.to_dict()["count"] == 3


def test_examples_found_before_training_count_once_too() -> None:
    first, second = record(900, before=2), record(901, before=2)
    first.merge_states([first.state(), second.state()])
    assert first.count == 4
    assert sorted(entry.row for entry in first.entries) == [0, 1, 900, 901]


def test_a_state_is_merged_with_itself_without_change() -> None:
    found = record(5, 6, before=1)
    state = found.state()
    found.merge_states([state])
    assert found.state() == state
