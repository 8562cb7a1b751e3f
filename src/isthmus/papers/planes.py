r"""Two-dimensional codes of MNIST: principal components, a deep autoencoder and a variational one, side by side.

The sheet is figure 3 of Hinton & Salakhutdinov (2006) with a third map: the test images at their codes by PCA, by the
deep autoencoder 784-1000-500-250-2, and by a VAE with the same layers. Every map is judged by the accuracy of the
nearest neighbors of a test image among training images. The VAE has a prior, so its plane can be read everywhere: the
second picture decodes a grid at evenly spaced quantiles of it (Kingma & Welling, 2014, figure 5).
"""

from functools import partial

from isthmus.data.prepared import PreparedData
from isthmus.models.recipe import Recipe
from isthmus.papers.hinton2006 import ALL, MODERN, NEIGHBORS, PLANE, embedded, sheet
from isthmus.papers.reproduction import Paper, Reproduction, Row, images_of
from isthmus.reports import figures
from isthmus.runs.run import Run
from isthmus.zoo import deep, pca, vae

WIDTHS = (1000, 500, 250)


def recipes(*, quick: bool) -> dict[str, Recipe]:
    """The three maps, by the name in the sheet."""
    changes = {**MODERN, **PLANE, **ALL} | ({"training.epochs": 1} if quick else {})
    return {
        "PCA": pca(2).with_options(ALL),
        "784-1000-500-250-2": deep(2, WIDTHS).with_options(changes),
        "VAE": vae(2, WIDTHS).with_options(changes),
    }


def run(reproduction: Reproduction) -> list[Row]:
    """Train the three models, draw the sheet and the grid of the VAE."""
    plans = recipes(quick=reproduction.quick)
    data = images_of(reproduction, "mnist", plans["VAE"])
    runs = {name: _trained(reproduction, f"plane-{name.lower()}", plan, data) for name, plan in plans.items()}
    found = {name: embedded(trained, data) for name, trained in runs.items()}
    assert data.test is not None
    assert data.test.labels is not None
    sheet(reproduction, found, data.test.labels, "planes.png")
    figures.draw(runs["VAE"], data, reproduction.out, only="manifold")
    lowest = found["PCA"][1]
    rows = []
    for name, (_, accuracy) in found.items():
        target, met = ("", None) if name == "PCA" else ("above PCA", accuracy > lowest)
        rows.append(
            Row(f"accuracy of {NEIGHBORS} nearest neighbors, {name}", accuracy, "figure only", target=target, met=met)
        )
    return rows


def _trained(reproduction: Reproduction, label: str, plan: Recipe, data: PreparedData) -> Run:
    """A model, whose time of training is kept."""
    model = partial(reproduction.model, label, plan, data)
    reproduction.piece(label, lambda: {"epochs": len(model().history)}, recipe=plan.to_dict())
    return model()


PAPER = Paper(
    name="planes",
    title="MNIST in two dimensions: PCA, a deep autoencoder (Hinton & Salakhutdinov, 2006, figure 3) and a VAE",
    claim="a deep autoencoder separates the digits where two principal components do not",
    quick="6,000 training and 1,000 test images, 1 epoch; the targets do not apply",
    run=run,
    budget=f"{PLANE['training.epochs']} epochs, one seed, Muon",
    source="figure 3 of the paper has no numbers.",
    data_sets=("mnist",),
)
