"""Hypothesis draws the inputs of a reader: the same ones in each run, and a failing one is made small."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fuzz.judge import judge
from fuzz.targets import Target, lowered
from isthmus.errors import IsthmusError


def answer(target: Target, content: bytes) -> str | None:
    """The sentence that a reader refuses these bytes with, or ``None`` where it takes them.

    Raises:
        Unclean: it did anything else.
    """
    _warm(target)
    with tempfile.TemporaryDirectory() as place, lowered():
        folder = target.laid(Path(place), content)
        return judge(lambda: target.read(folder), folder)


_warmed: set[str] = set()


def _warm(target: Target) -> None:
    """Read valid files once without the judge, since libraries may run code of their own at their first use."""
    if target.name not in _warmed:
        _warmed.add(target.name)
        for content in target.valid():
            with tempfile.TemporaryDirectory() as place, suppress(IsthmusError):
                target.read(target.laid(Path(place), content))


def draw(target: Target, examples: int, take: Callable[[bytes], object]) -> None:
    """Give ``take`` as many inputs of a reader; where it raises, hypothesis looks for a smaller one and raises that."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        take(target.make(lambda count: data.draw(st.integers(0, count - 1))))

    attempt()
