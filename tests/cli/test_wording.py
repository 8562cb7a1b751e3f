"""Messages of the library as the command prints them: flags in place of arguments, and no Python keyword."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.cli.app import main
from isthmus.cli.wording import as_flags

RUNS = Path(__file__).parents[2] / "src" / "isthmus" / "runs"
SWITCHES = ("resume", "overwrite", "allow_different_results", "tensorboard", "corrupt")
VALUES = ("strategy", "out", "data", "max_restarts", "importance_samples")
NAMED = re.compile(rf"(?<![\w.])({'|'.join(SWITCHES + VALUES)})=")
KEYWORD = re.compile(r"(?<![\w.-])[a-z_]+=(True|False|None|\.\.\.|')")


def messages() -> Iterator[str]:
    """The strings of ``runs/`` that name an argument, without docstrings; ``{}`` stands for a value."""
    for path in sorted(RUNS.glob("*.py")):
        tree = ast.parse(path.read_text())
        documented = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        inside = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
        for node in ast.walk(tree):
            if id(node) in documented | inside:
                continue
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            if NAMED.search(text):
                yield text


def test_every_argument_that_a_message_names_is_among_those_tested():
    found = {name for text in messages() for name in NAMED.findall(text)}
    assert found == {*SWITCHES, "strategy", "out", "data"}
    assert len(list(messages())) > 10


@pytest.mark.parametrize("text", sorted(set(messages())))
def test_a_message_of_runs_names_the_flag_and_no_python_keyword(text: str) -> None:
    translated = as_flags(text)
    for name in NAMED.findall(text):
        assert f"--{name.replace('_', '-')}" in translated
    assert not KEYWORD.search(translated), translated
    assert not NAMED.search(translated), translated
    assert translated.endswith(".") == text.endswith(".")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Set data.scale=minmax.", "Use --set data.scale=minmax."),
        ("Or set data.test=0 or data.validation=0.", "Or use --set data.test=0 or --set data.validation=0."),
        ("Set training.optimizer=adam or muon.", "Use --set training.optimizer=adam or muon."),
        ("Use 5, or net.downsampling=stride.", "Use 5, or --set net.downsampling=stride."),
        ("Skip them with data.on_bad_data=skip.", "Skip them with --on-bad-data skip."),
        ("Set one each, such as pretraining.epochs=9,5.", "Set one each, such as --set pretraining.epochs=9,5."),
        ("Use --set data.scale=minmax.", "Use --set data.scale=minmax."),
    ],
)  # fmt: skip
def test_an_option_that_is_to_be_set_gets_the_flag(message: str, expected: str) -> None:
    assert as_flags(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "Interpolation needs a real-valued code, but latent.kind=vq has a discrete one. Use another run.",
        "net.unit_norm=true needs columns of its own, but with net.tied=true it has none.",
        "Train longer (training.epochs, now 5).",
        "checkout=True and run.data=... are other names.",
        "The seed must be at least 0, but is -1.",
        "training.steps must be at least 1, but is 0.",
    ],
)
def test_a_fact_about_an_option_stays_as_it_is(message: str) -> None:
    assert as_flags(message) == message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Resume with the same call and resume=True.", "Resume with the same command and --resume."),
        ("Use strategy='ddp'.", "Use --strategy ddp."),
        ("strategy cannot be 'dpp'; did you mean 'ddp'?", "--strategy cannot be 'dpp'; did you mean 'ddp'?"),
        ("steps must be at least 2, but is 1.", "--steps must be at least 2, but is 1."),
        ("Pass data=... to name the data.", "Pass --data to name the data."),
        ("Pass max_restarts=2, or leave it out.", "Pass --max-restarts 2, or leave it out."),
        ("Set importance_samples=0.", "Use --importance-samples 0."),
        ("Try isthmus.fit('vae', 'digits', out='RUN').", "Try isthmus fit vae digits --out RUN."),
    ],
)
def test_an_argument_becomes_its_flag(message: str, expected: str) -> None:
    assert as_flags(message) == expected


def test_the_command_prints_messages_and_warnings_with_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "linear", "--epochs", "1", "--out", "run", "--json"]) == 0
    capsys.readouterr()
    assert main(["fit", "linear", "--epochs", "1", "--out", "run"]) == 2
    assert capsys.readouterr().err == (
        "isthmus: 'run' already holds a run. Use another folder, or replace it with --overwrite.\n"
    )
    assert main(["fit", "linear", "--strategy", "dpp", "--out", "other"]) == 2
    assert capsys.readouterr().err.startswith("isthmus: --strategy cannot be 'dpp'; did you mean 'ddp'?")
    assert main(["evaluate", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "isthmus: 'nowhere' is not a run folder: it does not exist. Train a run first, for example with isthmus fit "
        "vae digits --out RUN.\n"
    )
