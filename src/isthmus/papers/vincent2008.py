r"""Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008).

Its filters: one tied sigmoid layer on MNIST, trained with 0, 10, 25 and 50 % of the pixels destroyed, from the same
initial weights, so that single neurons can be followed over the noise. Its manifold view: points near a curve in the
plane, Gaussian corruption, and the arrows r(x) - x that bring them back. Where the density is known the best
reconstruction is known too, :math:`r(\tilde x) - \tilde x = \sigma^2 \nabla \log p_\sigma(\tilde x)` with the density
:math:`p_\sigma` of the corrupted points (Miyasawa, 1961; Alain & Bengio, 2014), and the arrows are compared with it.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus import plots
from isthmus.data.base import Array
from isthmus.fitting import fit
from isthmus.metrics.evaluation import evaluate
from isthmus.model import seeded
from isthmus.papers.sitting import Paper, Row, Sitting, images_of
from isthmus.recipe import Recipe
from isthmus.run import Run, load
from isthmus.zoo import denoising

DESTROYED = (0.0, 0.1, 0.2, 0.25, 0.5)
FILTERS = (0.0, 0.1, 0.25, 0.5)
FOLLOWED = (0.0, 0.1, 0.2, 0.5)
EPOCHS = 10
NOISE, THICKNESS = 0.25, 0.05
"""Standard deviations of the corruption, and of the data about its curve."""


def run(sitting: Sitting) -> list[Row]:
    """Train at each level of noise, draw the filters, then the plane."""
    levels = (0.0, 0.25, 0.5) if sitting.quick else DESTROYED
    figures = {level: sitting.piece(f"noise{level:g}", lambda v=level: _trained(sitting, v)) for level in levels}  # type: ignore[misc]
    weights = {level: _filters(sitting, level) for level in levels}
    for level in [v for v in FILTERS if v in levels]:
        title = f"First-layer filters, {level:.0%} of the pixels destroyed"
        plots.save(plots.filters(weights[level], title=title), sitting.place(f"filters-{100 * level:.0f}.png"))
    _draw_followed(sitting, {v: w for v, w in weights.items() if v in FOLLOWED})
    smooth = {level: _smoothness(w) for level, w in weights.items()}
    rises = all(after > before for before, after in pairwise(smooth.values()))
    rows = [
        Row(
            f"correlation of neighbouring weights, {level:.0%} destroyed",
            value,
            "rises",
            bar="rises with the noise" if level == levels[-1] else "",
            met=rises if level == levels[-1] else None,
        )
        for level, value in smooth.items()
    ]
    rows += [
        Row(f"cross-entropy of clean test images, {level:.0%} destroyed", f["cross_entropy"], unit="nats")
        for level, f in figures.items()
    ]
    return rows + _plane(sitting)


def _trained(sitting: Sitting, level: float) -> dict[str, Any]:
    """One tied sigmoid layer at a level of noise; its weights are kept as a run."""
    recipe = denoising(fraction=level)
    data = images_of(sitting, "mnist", recipe)
    epochs = 4 if sitting.quick else EPOCHS
    run = fit(recipe, data, epochs=epochs, seed=sitting.seed, out=_folder(sitting, level), overwrite=True)
    assert data.test is not None
    return evaluate(run.objective, data.test.x, seed=sitting.seed)


def _folder(sitting: Sitting, level: float) -> str:
    return str(sitting.place(f"pieces/noise{level:g}"))


def _filters(sitting: Sitting, level: float) -> Array:
    """Incoming weights of the hidden units, (units, 1, 28, 28)."""
    weight = next(iter(load(_folder(sitting, level)).model.encoder.parameters()))
    return weight.detach().reshape(-1, 1, 28, 28).numpy()


def _smoothness(weights: Array) -> float:
    """Mean correlation of a weight with its right and lower neighbour: 0 for noise, near 1 for strokes.

    Over the inner 18x18 pixels: those of the margin are never on, so their weights stay as they were drawn.
    """
    w = weights[:, 0, 5:-5, 5:-5]
    pairs = ((w[:, :, :-1], w[:, :, 1:]), (w[:, :-1], w[:, 1:]))
    found = [[np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)] for one, other in pairs]
    return float(np.mean(found))


def _draw_followed(sitting: Sitting, weights: dict[float, Array]) -> None:
    """Two neurons over the noise: those that the strongest noise shaped most."""
    last = weights[max(weights)]
    a, b = np.argsort(-np.square(last).sum((1, 2, 3)))[:2]
    table = np.stack([[w[unit, 0] for w in weights.values()] for unit in (a, b)])
    figure = plots.followed(
        table,
        rows=("neuron A", "neuron B"),
        columns=[f"{level:.0%}" for level in weights],
        title="Two neurons from the same initial weights, by the share of pixels destroyed",
    )
    plots.save(figure, sitting.place("neurons.png"))


# the plane


def curve(t: Tensor) -> Tensor:
    """Points on an S-shaped curve, t from 0 to 1."""
    return torch.stack([3 * t - 1.5, torch.sin(2 * torch.pi * t)], -1)


def score(x: Tensor, variance: float) -> Tensor:
    r"""The score :math:`\nabla \log p(x)` of points spread evenly along the curve and blurred by a Gaussian.

    The integral over the curve is a sum over 2,000 points of it, far finer than the blur.
    """
    centres = curve(torch.linspace(0, 1, 2000, dtype=x.dtype))
    share = torch.softmax(-torch.cdist(x, centres).square() / (2 * variance), 1)
    return (share @ centres - x) / variance


def _plane(sitting: Sitting) -> list[Row]:
    """Train on points near the curve; compare the arrows with the score."""

    def trained() -> dict[str, Any]:
        with seeded(sitting.seed):
            t = torch.rand(2000 if sitting.quick else 20_000)
            x = curve(t) + THICKNESS * torch.randn(len(t), 2)
        recipe = Recipe.from_dict(
            {
                "name": "plane",
                "net": {"kind": "mlp", "widths": [128, 128], "activation": "silu"},
                "latent": {"kind": "deterministic", "size": 64, "activation": "silu"},
                "likelihood": {"kind": "gaussian", "scale": 0.25},
                "corruption": {"kind": "gaussian", "scale": NOISE},
                "training": {"batch": 500, "rate": 2e-3, "schedule": "cosine", "precision": "32"},
            }
        )
        steps = 1500 if sitting.quick else 12_000
        run = fit(recipe, x, options={"training.steps": steps}, seed=sitting.seed)
        run.save(sitting.place("pieces/plane"))
        return _compared(sitting, run)

    figures = sitting.piece("plane", trained)
    _draw_plane(sitting, load(sitting.place("pieces/plane")))
    bar = 0.9 if sitting.quick else 0.99
    return [
        Row("cosine of r(x) - x and the score", figures["cosine"], bar=f"at least {bar}", met=figures["cosine"] >= bar),
        Row("relative error of r(x) - x against sigma^2 times the score", figures["error"]),
    ]


def _corrupted(seed: int, n: int) -> Tensor:
    with seeded(seed + 1):
        clean = curve(torch.rand(n)) + THICKNESS * torch.randn(n, 2)
        return clean + NOISE * torch.randn(n, 2)


def _compared(sitting: Sitting, run: Run) -> dict[str, float]:
    """How well the arrows at fresh corrupted points agree with the known field."""
    x = _corrupted(sitting.seed, 5000)
    ours = run.model.reconstruct(x) - x
    best = NOISE**2 * score(x, NOISE**2 + THICKNESS**2)
    cosine = (ours * best).sum() / (ours.norm() * best.norm())
    return {"cosine": cosine.item(), "error": ((ours - best).norm() / best.norm()).item()}


def _draw_plane(sitting: Sitting, run: Run) -> None:
    with seeded(sitting.seed):
        clean = curve(torch.rand(400)) + THICKNESS * torch.randn(400, 2)
    x = _corrupted(sitting.seed, 60)
    across, up = torch.meshgrid(torch.linspace(-2, 2, 21), torch.linspace(-1.6, 1.6, 17), indexing="ij")
    grid = torch.stack([across.flatten(), up.flatten()], 1)
    # where corrupted points come to lie; further out nothing was ever seen
    near = torch.cdist(grid, curve(torch.linspace(0, 1, 500))).amin(1) < 2 * NOISE
    grid = grid[near]
    figure = plots.field(
        clean.numpy(),
        x.numpy(),
        run.model.reconstruct(x).numpy(),
        grid.numpy(),
        (run.model.reconstruct(grid) - grid).numpy(),
        (NOISE**2 * score(grid, NOISE**2 + THICKNESS**2)).numpy(),
        title="A denoising autoencoder points to where the data is dense",
        names=("r(x) - x", "sigma² × score"),
    )
    plots.save(figure, sitting.place("plane.png"))


PAPER = Paper(
    name="vincent2008",
    title="Vincent et al. (2008): filters by noise, and the manifold view",
    claim="noise makes filters less local; a denoising autoencoder points back to the data",
    quick="6,000 training images, 4 epochs, three levels of noise; 2,000 points of the plane",
    run=run,
    budget=f"{EPOCHS} epochs at each of five levels, 512 tied sigmoid units; 12,000 steps in the plane",
)
