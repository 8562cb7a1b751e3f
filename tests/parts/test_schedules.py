"""Weights over a run: where they start and end, and the way between."""

import math
from itertools import pairwise

import pytest

from isthmus.errors import BadOption
from isthmus.parts.schedules import SHAPES, Schedule

RISING = [s for s in SHAPES if s != "constant"]
rising = pytest.mark.parametrize("shape", RISING)
ENDS = pytest.mark.parametrize(("start", "value"), [(0.0, 1.0), (0.25, 4.0), (2.0, 0.5), (0.4, 0.1)])


@rising
@ENDS
def test_a_schedule_starts_at_start_and_stays_at_value_when_its_length_is_over(shape, start, value):
    s = Schedule(value, shape, start=start, fraction=0.4)
    assert s(0, 100) == start
    assert [s(step, 100) for step in (40, 41, 99, 100, 1000)] == [value] * 5
    assert s(39, 100) != value


@rising
@ENDS
def test_a_schedule_moves_one_way_only(shape, start, value):
    s = Schedule(value, shape, start=start, steps=50)
    way = [s(step, 80) for step in range(80)]
    pairs = list(pairwise(way))
    assert all((b - a) * (value - start) >= 0 for a, b in pairs)
    assert all(a != b for a, b in pairs[:50])


@rising
@ENDS
def test_half_way_a_schedule_has_made_half_the_way(shape, start, value):
    s = Schedule(value, shape, start=start, steps=50)
    assert s(25, 80) == pytest.approx((start + value) / 2, rel=1e-14)


@ENDS
def test_a_linear_schedule_makes_a_quarter_of_the_way_in_a_quarter_of_its_length(start, value):
    s = Schedule(value, "linear", start=start, steps=40)
    assert s(10, 80) == pytest.approx(start + (value - start) / 4, rel=1e-14)


@ENDS
def test_a_cosine_schedule_is_slow_at_first(start, value):
    s = Schedule(value, "cosine", start=start, steps=40)
    quarter = (1 - math.sqrt(0.5)) / 2  # cos(pi/4) = sqrt(1/2)
    assert s(10, 80) == pytest.approx(start + (value - start) * quarter, rel=1e-14)


@rising
@pytest.mark.parametrize("total", [20, 100, 333])
def test_a_length_as_a_share_and_as_steps_are_the_same_schedule(shape, total):
    by_share = Schedule(3.0, shape, start=1.0, fraction=0.2)
    by_steps = Schedule(3.0, shape, start=1.0, steps=total // 5)
    assert by_steps.length(total) == total // 5
    if total % 5 == 0:
        assert [by_share(s, total) for s in range(total)] == [by_steps(s, total) for s in range(total)]
    assert by_share.length(total) == 0.2 * total


def test_a_constant_is_its_value_at_every_step_and_ignores_its_start():
    s = Schedule(2.5, start=7.0)
    assert [s(step, 10) for step in (0, 5, 10)] == [2.5] * 3
    assert s.length(10) == 0


@pytest.mark.parametrize(
    ("schedule", "total", "expected"),
    [
        (Schedule(1.0), 1, False),
        (Schedule(1.0, "linear", fraction=1.0), 7, False),
        (Schedule(1.0, "linear", steps=10), 10, False),
        (Schedule(1.0, "linear", steps=11), 10, True),
        (Schedule(1.0, "cosine", steps=1000), 999, True),
    ],
)
def test_a_run_that_is_too_short_leaves_a_schedule_unfinished(schedule, total, expected):
    assert schedule.unfinished(total) is expected
    reached = any(schedule(step, total) == schedule.value for step in range(total + 1))
    assert reached is not expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shape": "lineal"},
            r"^A schedule's shape cannot be 'lineal'; did you mean 'linear'\? Allowed: constant, cos",
        ),
        ({"value": float("nan")}, r"^A schedule's value must be a finite number, but is nan\.$"),
        ({"value": float("inf")}, r"^A schedule's value must be a finite number, but is inf\.$"),
        ({"start": float("-inf")}, r"^A schedule's start must be a finite number, but is -inf\.$"),
        (
            {"shape": "linear"},
            r"^A schedule of shape 'linear' was given fraction=None and steps=None; constant takes n",
        ),
        ({"shape": "cosine", "fraction": 0.5, "steps": 3}, r"^A schedule of shape 'cosine' was given fraction=0\.5 an"),
        ({"fraction": 0.5}, r"^A schedule of shape 'constant' was given fraction=0\.5 and steps=None; constant takes"),
        ({"steps": 5}, r"^A schedule of shape 'constant' was given fraction=None and steps=5; .* Set one of them\.$"),
        ({"shape": "linear", "fraction": 0.0}, r"^A schedule's fraction must be above 0 and at most 1, but is 0\.$"),
        ({"shape": "linear", "fraction": 1.1}, r"^A schedule's fraction must be above 0 and at most 1, but is 1\.1\.$"),
        ({"shape": "linear", "steps": 0}, r"^A schedule's steps must be at least 1, but is 0\.$"),
    ],
)
def test_a_schedule_without_meaning_is_refused(options, message):
    with pytest.raises(BadOption, match=message):
        Schedule(**options)
