"""Whatever stands in a file from a stranger, reading it works or is refused in one sentence.

The inputs are drawn by hypothesis, the same in each run; ``benchmarks/fuzzing.py`` draws many more, guided by coverage.
"""

import pytest

from fuzz.drawing import answer, draw
from fuzz.files import FILES, SPECIAL
from fuzz.targets import TARGETS
from isthmus.data.readers.known import FORMATS

EXAMPLES = 40


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_clean_answers_only(name: str) -> None:
    target, answers = TARGETS[name], []
    draw(target, EXAMPLES, lambda content: answers.append(answer(target, content)))
    # spoiled metrics are left out, never refused
    assert any(answers) or name == "run metrics", "nothing was refused: the inputs are tame"


def test_every_format_of_files_is_fuzzed() -> None:
    absent = [known.name for known in FORMATS if known.name not in FILES.keys() | SPECIAL]
    assert not absent, f"tests/fuzz/files.py has no small files of {absent}"


@pytest.mark.parametrize("name", [name for name in TARGETS if name.endswith(" file")])
def test_the_small_files_are_read(name: str) -> None:
    target = TARGETS[name]
    answers = [answer(target, content) for content in FILES[name.removesuffix(" file")]()]
    assert None in answers, answers[0]


@pytest.mark.parametrize("name", ["run record", "run weights"])
def test_what_is_whole_is_read(name: str) -> None:
    target = TARGETS[name]
    assert answer(target, target.whole()[target.file]) is None
