"""The notebooks of the lecture notes run, and are where a reader finds them; a callback draws in a notebook."""

import os
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from house import ROOT
from matplotlib.figure import Figure
from pages import code_cells, run

FOLDER = ROOT / "docs" / "notes"
TOPICS = {
    "traditional-and-variational": ("PCA", "fine-tuning", "prior", "grid", "maximum likelihood", "perceptual"),
    "regularized-autoencoders": ("overcomplete", "Boltzmann", "sparse", "denoising", "contractive", "transposed"),
    "losses-and-divergences": ("N-M-N", "dropout", "cross-entropy", "entropy", "Wasserstein", "blurred"),
    "lower-bound-and-beta": ("posterior", "bound", "beta-VAE", "disentangled", "feature points"),
    "compression-and-continuous-codes": ("compression", "JPEG", "Keras", "max-pooling", "sparse", "continuous"),
}
"""Notebooks of the five sets of lecture notes, and topics of each."""


def text(name: str) -> str:
    """The source of a notebook."""
    return (FOLDER / f"{name}.md").read_text()


def test_every_notebook_is_in_the_table_of_contents_and_described() -> None:
    index = (FOLDER / "index.md").read_text()
    contents = re.search(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    assert contents is not None
    listed = [line for line in contents[1].splitlines() if line and not line.startswith(":")]
    assert listed == list(TOPICS)
    assert set(listed) == {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert all(f"]({name}.md)" in index for name in TOPICS)


@pytest.mark.parametrize("name", TOPICS)
def test_a_notebook_covers_the_topics_of_its_notes(name: str) -> None:
    prose = " ".join(re.sub(r"^```\{code-cell\}.*?^```", "", text(name), flags=re.DOTALL | re.MULTILINE).split())
    assert [topic for topic in TOPICS[name] if topic.lower() not in prose.lower()] == []


@pytest.mark.parametrize("name", TOPICS)
def test_a_notebook_is_executed_by_the_site_and_has_short_cells(name: str) -> None:
    assert text(name).startswith("---\nfile_format: mystnb\n")
    cells = code_cells(text(name))
    assert len(cells) > 8
    assert len(cells) == text(name).count("{code-cell}")
    assert max(len(cell.strip().splitlines()) for cell in cells) <= 14


@pytest.mark.slow
@pytest.mark.parametrize("name", TOPICS)
def test_a_notebook_runs_and_shows_figures(name: str) -> None:
    names: dict[str, Any] = {}
    with mpl.rc_context():
        shown = [run(cell, names) for cell in code_cells(text(name))]
    figures = [value for value in shown if isinstance(value, Figure)]
    assert len(figures) >= 4
    for figure in figures:
        # IPython asks a figure for its picture by this name
        assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


LIVE = """
import isthmus as it
import numpy as np
x = np.random.default_rng(0).random((60, 6))
run = it.fit("deep", x, epochs=3, callbacks=[it.LivePlot()])
run.plot("curves")
"""


@pytest.mark.slow
def test_a_live_plot_is_drawn_again_after_every_epoch_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra docs is not installed: make docs")
    nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed: make docs")
    pytest.importorskip("ipykernel", reason="the extra docs is not installed: make docs")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    updates: list[dict[str, Any]] = []

    class Client(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
        """Records pictures that replace earlier ones."""

        def process_message(self, message: dict[str, Any], cell: Any, index: int) -> Any:
            """Record a message of the kernel."""
            if message["msg_type"] == "update_display_data":
                updates.append(message["content"])
            return super().process_message(message, cell, index)

    cell = nbformat.v4.new_code_cell(LIVE)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    Client(notebook, timeout=120, kernel_name="python3").execute()
    kinds = [output["output_type"] for output in cell.outputs if output["output_type"] != "stream"]
    assert kinds == ["display_data", "execute_result"], "one picture of the callback, and the figure of the last line"
    assert all("image/png" in output["data"] for output in cell.outputs if "data" in output)
    assert len(updates) == 2, "drawn after the first of three epochs, then updated twice"
    assert len({content["data"]["image/png"] for content in updates}) == 2
    (place,) = {content["transient"]["display_id"] for content in updates}
    assert place
