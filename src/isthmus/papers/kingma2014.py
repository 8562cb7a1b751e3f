r"""Auto-encoding variational Bayes (Kingma & Welling, 2014), figures 2, 3 and 5, on MNIST.

One hidden tanh layer of 500 units in encoder and decoder, batch size 100, gray pixels with a Bernoulli likelihood; the
bound on log p(x) of training and test images against the number of training examples, with 3, 5, 10, 20 and 200
latents. The paper has curves and no table, so its statements about them are tested: more latents increase the bound,
and superfluous latents do not overfit because the bound regularizes them. The net is that of the paper, the training is
not: Adam with a cosine schedule for 30 epochs (the paper: Adagrad, 10^8 examples), without its small weight decay.

Nothing is selected on the test images: the last weights are kept, and the test curve is only drawn. For small codes
log p(x) is also estimated by importance sampling (figure 3 has 3 latents, 100 units and a hybrid Monte Carlo estimate,
so its values differ); a model with two latents is shown as a decoded grid (figure 5 and appendix A).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from isthmus import plots
from isthmus.data.prepared import PreparedData
from isthmus.metrics.evaluation import evaluate
from isthmus.models.recipe import Recipe
from isthmus.papers.reproduction import Paper, Reproduction, Row, images_of, mean_and_spread
from isthmus.plots.lines import Line
from isthmus.reports import figures
from isthmus.runs.fit import fit
from isthmus.zoo import vae

LATENTS = (3, 5, 10, 20, 200)
"""Sizes of the code in figure 2."""
PUBLISHED = {
    **{("bound", size): "increases" for size in (3, 5, 10, 20)},
    **{(metric, 200): "as with 20" for metric in ("bound", "gap")},
}
"""What the curves of figure 2 show, from memory; their values are not certain, so none is compared with ours."""
WHAT = {
    "bound": ("bound on log p(x)", "nats"),
    "gap": ("training bound minus test bound", "nats"),
    "active": ("active units", ""),
    "likelihood": ("log p(x) by importance sampling", "nats"),
}
SMALL, SAMPLES = (3, 5, 10), 200
"""Code sizes for which log p(x) is estimated, and importance samples per test image."""
SUPERFLUOUS, ENOUGH, WITHIN = 200, 20, 1.0
"""A code size with far too many latents, the one it is compared with, and the permitted difference in nats."""
SEEDS, EPOCHS = (0, 1, 2), 30

Metrics = dict[str, Any]
Spread = dict[int, tuple[float, float | None]]
"""Mean and standard deviation over seeds, by the number of latents."""


def recipe(latent: int) -> Recipe:
    """The net of the paper with ``latent`` latents."""
    return vae(latent, hidden=(500,)).with_options({"net.activation": "tanh", "training.keep": "last"})


def run(reproduction: Reproduction) -> list[Row]:
    """Train each code size with each seed, then the model with two latents."""
    seeds, epochs = ((0,), 3) if reproduction.quick else (SEEDS, EPOCHS)
    data = images_of(reproduction, "mnist", recipe(LATENTS[0]))
    found = {size: [_piece(reproduction, data, size, seed, epochs) for seed in seeds] for size in LATENTS}
    _draw_curves(reproduction, {size: by_seed[0] for size, by_seed in found.items()})
    _draw_plane(reproduction, data, epochs)
    return _rows(found)


def _piece(reproduction: Reproduction, data: PreparedData, latent: int, seed: int, epochs: int) -> Metrics:
    """Train one model; its curves, and its final metrics on test and training images."""
    samples = (20 if reproduction.quick else SAMPLES) if latent in SMALL else 0

    def trained() -> Metrics:
        assert data.test is not None
        # the test images are the validation set: they are evaluated in each epoch, but nothing is selected on them
        done = fit(recipe(latent), replace(data, valid=data.test), epochs=epochs, seed=reproduction.seed + seed)
        test = evaluate(done.objective, data.test.x, seed=reproduction.seed, importance_samples=samples)
        train = evaluate(done.objective, data.train.tensor[: len(data.test)], seed=reproduction.seed)
        return {"test": test, "train": train, "curves": _curves(done.history, len(data.train))}

    plan = recipe(latent).to_dict()
    return reproduction.piece(f"latent{latent}-seed{seed}", trained, recipe=plan, epochs=epochs, draws=samples)


def _rows(found: dict[int, list[Metrics]]) -> list[Row]:
    """The final values of the curves, with their targets."""
    small = {size: found[size] for size in SMALL}
    values = {
        "bound": _over_seeds(found, lambda f: f["test"]["elbo"]),
        "gap": _over_seeds(found, lambda f: f["train"]["elbo"] - f["test"]["elbo"]),
        "active": _over_seeds(found, lambda f: f["test"]["active_units"]),
        "likelihood": _over_seeds(small, lambda f: -f["test"]["nll"]),
    }
    targets = _targets(values["bound"], values["gap"])
    rows = []
    for key, (what, unit) in WHAT.items():
        for size, (value, spread) in values[key].items():
            target, met = targets.get((key, size), ("", None))
            published = PUBLISHED.get((key, size), "-")
            rows.append(
                Row(f"{what}, {size} latents", value, published, unit=unit, target=target, met=met, spread=spread)
            )
    return rows


def _targets(bound: Spread, gap: Spread) -> dict[tuple[str, int], tuple[str, bool]]:
    """The targets by metric and code size, and whether they are met."""
    increases = all(bound[a][0] < bound[b][0] for a, b in pairwise(size for size in LATENTS if size <= ENOUGH))
    near = f"at most {WITHIN:g} nat {{}} than with {ENOUGH}"
    return {
        ("bound", ENOUGH): (f"increases up to {ENOUGH} latents", increases),
        ("bound", SUPERFLUOUS): (near.format("lower"), bound[SUPERFLUOUS][0] >= bound[ENOUGH][0] - WITHIN),
        ("gap", SUPERFLUOUS): (near.format("larger"), gap[SUPERFLUOUS][0] <= gap[ENOUGH][0] + WITHIN),
    }


def _over_seeds(found: dict[int, list[Metrics]], metric: Callable[[Metrics], float]) -> Spread:
    """Mean and standard deviation of a metric, by the number of latents."""
    return {size: mean_and_spread([metric(m) for m in by_seed]) for size, by_seed in found.items()}


def _curves(history: list[dict[str, Any]], examples: int) -> dict[str, Line]:
    """The bound on test images and on training images against the number of training examples.

    The training loss is a mean over an epoch, so it is shown at the middle of the epoch. The curves begin with the
    second epoch, as those of the paper begin at 10^5 examples, because the first is dominated by the initial weights.
    """
    later = history[1:]
    return {
        "test": ([row["epoch"] * examples for row in later], [-row["valid"]["loss"] for row in later]),
        "train": ([(row["epoch"] - 0.5) * examples for row in later], [-row["train"]["loss"] for row in later]),
    }


def _draw_curves(reproduction: Reproduction, found: dict[int, Metrics]) -> None:
    """Draw figure 2, for the first seed."""
    test, train = ({f"{size} latents": m["curves"][split] for size, m in found.items()} for split in ("test", "train"))
    figure = plots.lines(
        test,
        beside=train,
        title="Bound on MNIST: test set solid, training set dashed",
        axis_labels=("training examples", "bound on log p(x), nats per image"),
        log_x=True,
    )
    plots.save(figure, reproduction.place("curves.png"))


def _draw_plane(reproduction: Reproduction, data: PreparedData, epochs: int) -> None:
    """Draw figure 5: images decoded at evenly spaced quantiles of the prior of two latents."""
    plan = recipe(2).with_options({"training.epochs": epochs})
    figures.draw(reproduction.model("plane", plan, data), data, reproduction.out, only="manifold")


PAPER = Paper(
    name="kingma2014",
    title="Kingma & Welling (2014), figures 2, 3 and 5: the bound on MNIST by the size of the code",
    claim="more latents increase the bound, and superfluous latents do not overfit: the bound prunes them",
    quick="6,000 training and 1,000 test images, 3 epochs, one seed, 20 importance samples; the targets do not apply",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}, Adam with a cosine schedule (the paper: Adagrad, "
    "10^8 examples)",
    source="figures 2, 3 and 5 are curves without a table; the statements about them are not checked against numbers.",
    data_sets=("mnist",),
)
