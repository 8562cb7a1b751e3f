"""The Python of the user guide, of the first page and of the recipes' pages runs, each page from top to bottom."""

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from house import ROOT
from pages import python_blocks, replaced, run
from site_pages import generate

from isthmus import zoo
from isthmus.zoo import RECIPES

DOCS = ROOT / "docs"
WRITTEN = (DOCS / "index.md", DOCS / "choose.md", *sorted((DOCS / "guide").glob("*.md")))
GUIDE = {path.stem: blocks for path in WRITTEN if (blocks := python_blocks(path.read_text()))}
PAGES = generate.pages()
QUICK = {
    # pages show settings for real use
    r"epochs=\d+": "epochs=1",
    r"temperatures=[\d_]+": "temperatures=20",
    r"population=[\d_]+": "population=600",
    r"\((2, 8, 32)\)": "(2,)",
}
RECIPE = {r"latent=(1000|512|196)\b": "latent=24", r"\bk=\d+": "k=4", r"channels=\([\d, ]+\)": "channels=(4, 4)"}
"""Smaller networks of the recipes' pages."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, whose modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_pages_with_python_are_found() -> None:
    assert {"index", "reduce", "generate", "own-networks", "training"} <= set(GUIDE)
    assert sum(len(blocks) for blocks in GUIDE.values()) > 30


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDE)
def test_python_of_a_page_runs_from_top_to_bottom(name: str, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    with mpl.rc_context({"backend": "agg"}):
        for block in GUIDE[name]:
            if block.startswith("# networks.py"):
                (folder / "networks.py").write_text(block)
            else:
                run(replaced(block, QUICK), names)
    sys.modules.pop("networks", None)


def test_the_guide_shows_every_way_to_be_called_back_and_to_load_an_own_network() -> None:
    training, own = "".join(GUIDE["training"]), "".join(GUIDE["own-networks"])
    for shown in ("valid=", "labels=", "device=", "callbacks=", "it.LivePlot", "resume=True", "training.patience"):
        assert shown in training
    for shown in ("it.autoencoder(", "size=", "networks:build", "allow_import=True"):
        assert shown in own


@pytest.mark.parametrize("name", RECIPES)
def test_python_of_the_page_of_a_recipe_makes_the_recipe(name: str) -> None:
    (block,) = python_blocks(PAGES[f"recipes/{name}.md"])
    made: dict[str, Any] = {}
    run(block.replace("it.fit(", "(").replace("), x)", "),)[0]"), made)
    assert made["run"] == zoo.recipe(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_python_of_the_page_of_a_recipe_trains_it(name: str) -> None:
    (block,) = python_blocks(PAGES[f"recipes/{name}.md"])
    images = np.random.default_rng(0).random((160, 16, 16), dtype=np.float32)
    names: dict[str, Any] = {"x": images}
    short = "x, epochs=1" if zoo.recipe(name).training.optimizer != "exact" else "x"
    run(replaced(block, RECIPE | {r"\), x\)": f"), {short})"}), names)
    assert names["run"].reconstruct(images[:2]).shape == (2, 16, 16)
