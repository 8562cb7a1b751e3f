"""The documentation site builds without a warning, and the built pages are complete and load nothing from a network."""

import subprocess
import sys
from pathlib import Path

import pytest
from check_links import check
from house import ROOT

from isthmus.zoo import RECIPES

pytest.importorskip("sphinx", reason="the extra docs is not installed: make docs")
pytest.importorskip("myst_nb", reason="the extra docs is not installed: make docs")
pytest.importorskip("furo", reason="the extra docs is not installed: make docs")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", str(folder / "trees")]
    made = subprocess.run([*command, str(ROOT / "docs"), str(folder / "html")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    return folder / "html"


def test_links_anchors_and_images_exist_and_nothing_is_loaded_from_a_network(built: Path) -> None:
    assert check(built) == []


def test_every_recipe_has_a_page_with_mathematics_that_is_rendered_without_a_network(built: Path) -> None:
    for name in RECIPES:
        page = (built / "recipes" / f"{name}.html").read_text(encoding="utf-8")
        assert f"isthmus fit {name}" in page
        assert 'src="../_static/mathjax/' in page or "math" not in page
    assert 'class="math' in (built / "recipes" / "vae.html").read_text(encoding="utf-8")


def test_the_reference_has_the_signatures_of_public_functions(built: Path) -> None:
    assert 'id="isthmus.runs.fit.fit"' in (built / "reference" / "api" / "runs.html").read_text(encoding="utf-8")
