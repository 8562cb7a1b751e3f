r"""Contractive auto-encoders (Rifai et al., 2011), table 1: how much each kind of autoencoder contracts on MNIST.

One tied sigmoid layer of 1,000 units and cross-entropy for all; they differ in what keeps them from copying: nothing,
weight decay, masking noise, Gaussian noise, or the contractive penalty. The figure is the mean Frobenius norm of the
encoder's Jacobian over test images. The paper's column is on a scale of its own, so the order is what is compared.
"""

from itertools import pairwise
from typing import Any

from isthmus import plots
from isthmus.fitting import fit
from isthmus.metrics.evaluation import evaluate
from isthmus.papers.sitting import Paper, Row, Sitting, images_of, mean_and_spread
from isthmus.recipe import Recipe
from isthmus.zoo import contractive

PUBLISHED = {"CAE": 0.73, "DAE-g": 0.86, "AE + weight decay": 5.00, "DAE-b": 7.87, "AE": 17.5}
"""Mean norm, times 1e-4 in the paper's scale, in the order that is claimed."""
CHANGES: dict[str, dict[str, object]] = {
    "CAE": {},
    "DAE-g": {"penalties.contractive": None, "corruption.kind": "gaussian", "corruption.scale": 0.5},
    "AE + weight decay": {
        "penalties.contractive": None,
        "training.optimiser": "adamw",
        "training.weight_decay": 0.3,
    },
    "DAE-b": {"penalties.contractive": None, "corruption.kind": "masking", "corruption.fraction": 0.25},
    "AE": {"penalties.contractive": None},
}
"""What each kind changes in the contractive recipe."""
SEEDS = (0, 1, 2)
EPOCHS = 20


def recipe(kind: str) -> Recipe:
    """One of the five kinds of table 1."""
    return contractive().with_options({"latent.size": 1000, **CHANGES[kind]})


def run(sitting: Sitting) -> list[Row]:
    """Train each kind with each seed; the order of their Jacobian norms."""
    seeds, epochs = ((0,), 3) if sitting.quick else (SEEDS, EPOCHS)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in PUBLISHED}
    data = images_of(sitting, "mnist", contractive())
    assert data.test is not None
    test = data.test.x
    for kind in PUBLISHED:
        for seed in seeds:

            def trained(kind: str = kind, seed: int = seed) -> dict[str, Any]:
                done = fit(recipe(kind), data, epochs=epochs, seed=sitting.seed + seed)
                return evaluate(done.objective, test, seed=sitting.seed)

            name = f"{kind.lower().replace(' ', '').replace('+', '-')}-seed{seed}"
            found[kind].append(sitting.piece(name, trained, epochs=epochs, changes=CHANGES[kind]))
    norms = {kind: mean_and_spread([f["jacobian_norm"] for f in figures]) for kind, figures in found.items()}
    losses = {kind: mean_and_spread([f["cross_entropy"] for f in figures]) for kind, figures in found.items()}
    kinds = [float(place) for place in range(len(PUBLISHED))]
    figure = plots.lines(
        {
            "here": (kinds, [norms[k][0] / norms["AE"][0] for k in PUBLISHED]),
            "paper": (kinds, [v / PUBLISHED["AE"] for v in PUBLISHED.values()]),
        },
        title="How much each kind contracts, relative to the plain autoencoder",
        axis_labels=("", "mean |J|_F relative to AE"),
        x_names=list(PUBLISHED),
    )
    plots.save(figure, sitting.place("jacobian.png"))
    return _rows(norms) + [Row(f"cross-entropy, {k}", v, unit="nats", spread=s) for k, (v, s) in losses.items()]


def _rows(norms: dict[str, tuple[float, float | None]]) -> list[Row]:
    """The column of the table; the last row tells whether the order holds."""
    ordered = all(norms[a][0] < norms[b][0] for a, b in pairwise(PUBLISHED))
    return [
        Row(
            f"mean |J|_F, {kind}",
            norms[kind][0],
            f"{published:g}e-4",
            bar="in this order" if kind == "AE" else "",
            met=ordered if kind == "AE" else None,
            spread=norms[kind][1],
        )
        for kind, published in PUBLISHED.items()
    ]


PAPER = Paper(
    name="rifai2011",
    title="Rifai et al. (2011), table 1: the Jacobian's norm on MNIST",
    claim="mean Jacobian norm: CAE < DAE-g < AE with weight decay < DAE-b < AE",
    quick="6,000 training and 1,000 test images, 3 epochs, one seed",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}, 1,000 tied sigmoid units",
)
