"""Whatever stands in a file from a stranger, reading it works or is refused in one sentence.

The inputs are drawn by hypothesis, the same in each run; ``benchmarks/fuzzing.py`` draws many more, guided by coverage.
"""

import pytest

from fuzz.drawing import answer, draw
from fuzz.targets import TARGETS

EXAMPLES = 40


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_clean_answers_only(name: str) -> None:
    target, answers = TARGETS[name], []
    draw(target, EXAMPLES, lambda content: answers.append(answer(target, content)))
    # spoiled metrics are left out, never refused
    assert any(answers) or name == "run metrics", "nothing was refused: the inputs are tame"


@pytest.mark.parametrize("name", ["run record", "run weights"])
def test_what_is_whole_is_read(name: str) -> None:
    target = TARGETS[name]
    assert answer(target, target.whole()[target.file]) is None
