r"""Auto-encoding variational Bayes (Kingma & Welling, 2014), figures 2, 3 and 5, on MNIST.

One hidden tanh layer of 500 units on each side, batch 100, grey pixels under a Bernoulli likelihood; the bound on
log p(x) of training and test images against the training examples seen, with 3, 5, 10, 20 and 200 latents. The paper
prints curves and no table, so what it says of them is tested: more latents raise the bound, and superfluous ones do
not overfit, as the bound itself switches them off. Same net, other training: Adam with a cosine rate for 30 epochs
(Adagrad and 10^8 examples there), and none of its weak weight decay.

Nothing is chosen by the test images: the last weights are kept, and the test curve is only drawn. Beside the bound of
small codes stands log p(x) by importance samples (figure 3 has 3 latents, 100 units and a hybrid Monte Carlo estimate,
so its heights are others); two latents are drawn as a plane (figure 5 and appendix A).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from isthmus import gallery, plots
from isthmus.data.prepare import Prepared
from isthmus.fitting import fit
from isthmus.metrics.evaluation import evaluate
from isthmus.papers.sitting import Paper, Row, Sitting, images_of, mean_and_spread
from isthmus.plots.lines import Line
from isthmus.recipe import Recipe
from isthmus.zoo import vae

LATENTS = (3, 5, 10, 20, 200)
"""Sizes of the code in figure 2."""
PUBLISHED = {
    **{("bound", size): "rises" for size in (3, 5, 10, 20)},
    **{(figure, 200): "as with 20" for figure in ("bound", "gap")},
}
"""What the curves of figure 2 say, from memory and sure; no height is, so none is set beside ours."""
WHAT = {
    "bound": ("bound on log p(x)", "nats"),
    "gap": ("training bound above the test bound", "nats"),
    "active": ("active units", ""),
    "likelihood": ("log p(x) by importance samples", "nats"),
}
SMALL, DRAWS = (3, 5, 10), 200
"""Sizes of which log p(x) is measured, and importance samples of each test image."""
SUPERFLUOUS, ENOUGH, WITHIN = 200, 20, 1.0
"""The code that has far too many latents, the one it is compared with, and nats that it may be worse."""
SEEDS, EPOCHS = (0, 1, 2), 30

Figures = dict[str, Any]
Spread = dict[int, tuple[float, float | None]]
"""Mean over seeds and their standard deviation, by the number of latents."""


def recipe(latent: int) -> Recipe:
    """The paper's net with ``latent`` latents."""
    return vae(latent, hidden=(500,)).with_options({"net.activation": "tanh", "training.keep": "last"})


def run(sitting: Sitting) -> list[Row]:
    """Train each size with each seed along the test images, then the plane."""
    seeds, epochs = ((0,), 3) if sitting.quick else (SEEDS, EPOCHS)
    data = images_of(sitting, "mnist", recipe(LATENTS[0]))
    found = {size: [_piece(sitting, data, size, seed, epochs) for seed in seeds] for size in LATENTS}
    _draw_curves(sitting, {size: figures[0] for size, figures in found.items()})
    _draw_plane(sitting, data, epochs)
    return _rows(found)


def _piece(sitting: Sitting, data: Prepared, latent: int, seed: int, epochs: int) -> Figures:
    """Train one model; its curves, and its figures on test and training images at the end."""
    draws = (20 if sitting.quick else DRAWS) if latent in SMALL else 0

    def trained() -> Figures:
        assert data.test is not None
        # the test images take the place of the validation part: they are followed, and choose nothing
        done = fit(recipe(latent), replace(data, valid=data.test), epochs=epochs, seed=sitting.seed + seed)
        test = evaluate(done.objective, data.test.x, seed=sitting.seed, importance_samples=draws)
        train = evaluate(done.objective, data.train.tensor[: len(data.test)], seed=sitting.seed)
        return {"test": test, "train": train, "curves": _curves(done.history, len(data.train))}

    plan = recipe(latent).to_dict()
    return sitting.piece(f"latent{latent}-seed{seed}", trained, recipe=plan, epochs=epochs, draws=draws)


def _rows(found: dict[int, list[Figures]]) -> list[Row]:
    """The ends of the curves, and the bars that are set."""
    small = {size: found[size] for size in SMALL}
    values = {
        "bound": _over_seeds(found, lambda f: f["test"]["elbo"]),
        "gap": _over_seeds(found, lambda f: f["train"]["elbo"] - f["test"]["elbo"]),
        "active": _over_seeds(found, lambda f: f["test"]["active_units"]),
        "likelihood": _over_seeds(small, lambda f: -f["test"]["nll"]),
    }
    bars = _bars(values["bound"], values["gap"])
    rows = []
    for key, (what, unit) in WHAT.items():
        for size, (value, spread) in values[key].items():
            bar, met = bars.get((key, size), ("", None))
            published = PUBLISHED.get((key, size), "-")
            rows.append(Row(f"{what}, {size} latents", value, published, unit=unit, bar=bar, met=met, spread=spread))
    return rows


def _bars(bound: Spread, gap: Spread) -> dict[tuple[str, int], tuple[str, bool]]:
    """What the ends of the curves should do, by figure and size, and whether they do."""
    rises = all(bound[a][0] < bound[b][0] for a, b in pairwise(size for size in LATENTS if size <= ENOUGH))
    near = f"at most {WITHIN:g} nat {{}} than with {ENOUGH}"
    return {
        ("bound", ENOUGH): ("rises up to here", rises),
        ("bound", SUPERFLUOUS): (near.format("lower"), bound[SUPERFLUOUS][0] >= bound[ENOUGH][0] - WITHIN),
        ("gap", SUPERFLUOUS): (near.format("wider"), gap[SUPERFLUOUS][0] <= gap[ENOUGH][0] + WITHIN),
    }


def _over_seeds(found: dict[int, list[Figures]], figure: Callable[[Figures], float]) -> Spread:
    """Mean and spread of a figure, by the number of latents."""
    return {size: mean_and_spread([figure(f) for f in figures]) for size, figures in found.items()}


def _curves(history: list[dict[str, Any]], examples: int) -> dict[str, Line]:
    """The bound against the training examples seen, of test images and of training images.

    An epoch's training loss is a mean over the epoch, so it stands at the epoch's middle; the first one is mostly that
    of a net that knows nothing, so the curves begin with the second, as the paper's do at 10^5 examples.
    """
    later = history[1:]
    return {
        "test": ([row["epoch"] * examples for row in later], [-row["valid"]["loss"] for row in later]),
        "train": ([(row["epoch"] - 0.5) * examples for row in later], [-row["train"]["loss"] for row in later]),
    }


def _draw_curves(sitting: Sitting, figures: dict[int, Figures]) -> None:
    """Figure 2, of the first seed."""
    test, train = ({f"{size} latents": f["curves"][part] for size, f in figures.items()} for part in ("test", "train"))
    figure = plots.lines(
        test,
        beside=train,
        title="The bound on MNIST: test solid, training dashed",
        axis_labels=("training examples seen", "bound on log p(x), nats per image"),
        log_x=True,
    )
    plots.save(figure, sitting.place("curves.png"))


def _draw_plane(sitting: Sitting, data: Prepared, epochs: int) -> None:
    """Figure 5: two latents, decoded at evenly spaced shares of the prior."""
    plan = recipe(2).with_options({"training.epochs": epochs})
    gallery.draw(sitting.model("plane", plan, data), data, sitting.out, only="manifold")


PAPER = Paper(
    name="kingma2014",
    title="Kingma & Welling (2014), figures 2, 3 and 5: the bound on MNIST by the size of the code",
    claim="more latents raise the bound, and superfluous ones do not overfit: the bound prunes them",
    quick="6,000 training and 1,000 test images, 3 epochs, one seed, 20 importance samples; the bars do not apply",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}, Adam with a cosine rate (the paper: Adagrad, 10^8 "
    "examples)",
    source="figures 2, 3 and 5 are curves without a table; what is said of them is read off, not checked against "
    "numbers.",
    needs=("mnist",),
)
