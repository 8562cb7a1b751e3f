"""Whatever stands in a file from a stranger, reading it works or is refused in one sentence.

The inputs are drawn by hypothesis, the same in each run; ``benchmarks/fuzzing.py`` draws many more, guided by coverage.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fuzz.judge import judge
from fuzz.targets import TARGETS, lowered

EXAMPLES = 40


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_clean_answers_only(name: str) -> None:
    target = TARGETS[name]
    answers = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        content = target.make(lambda count: data.draw(st.integers(0, count - 1)))
        with tempfile.TemporaryDirectory() as place, lowered():
            folder = target.laid(Path(place), content)
            answers.append(judge(lambda: target.read(folder), folder))

    attempt()
    # spoiled metrics are left out, never refused
    assert any(answers) or name == "run metrics", "nothing was refused, so the inputs are too tame"


def test_what_is_whole_is_read() -> None:
    for name in ("run record", "run weights"):
        target = TARGETS[name]
        with tempfile.TemporaryDirectory() as place, lowered():
            folder = target.laid(Path(place), target.whole()[target.file])
            assert judge(lambda folder=folder, target=target: target.read(folder), folder) is None
