"""What the README shows works: its Python is run, its commands are parsed, their options belong to their recipes."""

import re
import shlex

import numpy as np
import pytest
import typer
from house import ROOT
from pages import python_blocks, replaced, run

from isthmus import zoo
from isthmus.cli.app import app
from isthmus.models.overrides import parse_pairs

README = (ROOT / "README.md").read_text()
CODE = python_blocks(README)
INDENTED = re.findall(r"^    (isthmus .+?)(?:\s+#.*)?$", README.replace("\\\n", " "), re.MULTILINE)
INLINE = [command for command in re.findall(r"`(isthmus [^`]+)`", README) if not re.search(r"[A-Z]{3,}", command)]
COMMANDS = list(dict.fromkeys([*INDENTED, *INLINE]))
IMAGES = np.random.default_rng(0).random((40, 28, 28), dtype=np.float32)


@pytest.mark.parametrize("code", CODE, ids=range(len(CODE)))
def test_python_of_the_readme_runs(code: str) -> None:
    # the README shows settings for real data
    run(replaced(code, {r"epochs=\d+": "epochs=1"}), {"x": IMAGES})


def test_the_readme_is_short_and_shows_commands_and_python() -> None:
    assert 110 <= len(README.splitlines()) <= 150
    assert len(CODE) == 1
    assert len(INDENTED) > 10
    assert len(INLINE) > 2


def test_recipes_and_short_names_of_the_readme_exist() -> None:
    table = README.partition("| to | start with |")[2].partition("\n\n")[0]
    words = set(re.findall(r"`([a-z0-9_]+)`", table + README.partition("Short names work too:")[2].partition("\n")[0]))
    assert len(words) > 20
    assert words <= zoo.RECIPES.keys() | zoo.ALIASES.keys()


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_readme_are_known(line: str) -> None:
    command = typer.main.get_command(app)
    _, name, *arguments = shlex.split(line)
    if name.startswith("--"):
        return
    context = command.commands[name].make_context(name, arguments)  # raises where an option or argument is unknown
    if name == "fit":
        changes = parse_pairs(context.params["changes"] or [])
        kind = context.params["pretrain"]
        zoo.recipe(context.params["recipe"]).with_options(changes | ({"pretraining.kind": kind} if kind else {}))
