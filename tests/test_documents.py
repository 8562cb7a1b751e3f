"""What the README shows works: its Python is run, its commands are parsed, their options belong to their recipes."""

import re
import shlex

import numpy as np
import pytest
import torch
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
    rows = (torch.as_tensor(IMAGES.reshape(40, -1)) > 0.5).float()
    labels = np.arange(40) % 3
    names = {"x": rows if "boltzmann" in code else IMAGES, "labels": labels, "x_test": IMAGES, "labels_test": labels}
    # the README shows settings for real data
    code = replaced(code, {r"epochs=\d+": "epochs=1", "10_000": "100"})
    import isthmus as it

    names |= {"it": it, "xv": IMAGES, "yv": labels}
    if "run.model" in code:
        names["run"] = it.fit(it.zoo.vae(latent=4), IMAGES, epochs=1)
    run(code, names)


def test_the_readme_shows_commands() -> None:
    assert len(INDENTED) > 15
    assert len(INLINE) > 5


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
