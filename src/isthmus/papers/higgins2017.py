r"""beta-VAE (Higgins et al., 2017): how KL and reconstruction move with beta.

The paper trains on images that cannot be had here; what it says of every data set is tested on MNIST: a larger beta
narrows the bottleneck, so the KL falls and the reconstruction gets worse. The net is fully connected and the code
has 10 latents as in the paper (there 1200 units to a layer; here 512); the optimiser is Adam.
"""

from itertools import pairwise
from typing import Any

from isthmus import plots
from isthmus.fitting import fit
from isthmus.metrics.evaluation import evaluate
from isthmus.papers.sitting import Paper, Row, Sitting, images_of, mean_and_spread
from isthmus.recipe import Recipe
from isthmus.zoo import vae

BETAS = (1, 2, 4, 8)
SEEDS = (0, 1, 2)
EPOCHS = 6


def recipe(beta: float) -> Recipe:
    """The beta-VAE of the paper, smaller."""
    return vae(latent=10, hidden=(512, 512)).with_options({"penalties.kl.weight": beta, "training.rate": 2e-3})


def run(sitting: Sitting) -> list[Row]:
    """Train each beta with each seed and tell how KL and reconstruction move."""
    seeds, epochs = ((0,), 3) if sitting.quick else (SEEDS, EPOCHS)
    data = images_of(sitting, "mnist", recipe(1))
    found: dict[int, list[dict[str, Any]]] = {}
    for beta in BETAS:
        found[beta] = []
        for seed in seeds:

            def trained(beta: int = beta, seed: int = seed) -> dict[str, Any]:
                assert data.test is not None
                done = fit(recipe(beta), data, epochs=epochs, seed=sitting.seed + seed)
                return evaluate(done.objective, data.test.x, seed=sitting.seed)

            made = {"recipe": recipe(beta).to_dict(), "epochs": epochs}
            found[beta].append(sitting.piece(f"beta{beta}-seed{seed}", trained, **made))
    rows = _rows(found)
    betas = [float(beta) for beta in BETAS]
    series = {
        "KL(q(z|x) || N(0, I))": (betas, [_of(found[beta], "kl")[0] for beta in BETAS]),
        "-E log p(x|z)": (betas, [_of(found[beta], "reconstruction")[0] for beta in BETAS]),
    }
    labels = ("beta", "nats per test image")
    plots.save(plots.lines(series, title="beta-VAE on MNIST", axis_labels=labels), sitting.place("beta.png"))
    return rows


def _of(figures: list[dict[str, Any]], name: str) -> tuple[float, float | None]:
    """A figure over seeds; ``reconstruction`` is what the bound leaves beside the KL."""
    values = [-f["elbo"] - f["kl"] if name == "reconstruction" else f[name] for f in figures]
    return mean_and_spread(values)


def _rows(found: dict[int, list[dict[str, Any]]]) -> list[Row]:
    rows = []
    for name, what, falls in (
        ("kl", "KL", True),
        ("reconstruction", "-E log p(x|z)", False),
        ("active_units", "active units of 10", True),
    ):
        values = [_of(found[beta], name)[0] for beta in BETAS]
        if name == "active_units":
            right = all(after <= before for before, after in pairwise(values))
        else:
            right = all((after < before) == falls for before, after in pairwise(values))
        for beta, value in zip(BETAS, values, strict=True):
            last = beta == BETAS[-1]
            rows.append(
                Row(
                    f"{what} at beta {beta}",
                    value,
                    "falls" if falls else "rises",
                    unit="" if name == "active_units" else "nats",
                    bar=("falls" if falls else "rises") + " with beta" if last else "",
                    met=right if last else None,
                    spread=_of(found[beta], name)[1],
                )
            )
    return rows


PAPER = Paper(
    name="higgins2017",
    title="Higgins et al. (2017): KL and reconstruction over beta, on MNIST",
    claim="a larger beta lowers the KL and worsens the reconstruction",
    quick="6,000 training and 1,000 test images, 3 epochs, one seed",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}; 784-512-512-10 (the paper: 1200 units, own images)",
    source="the text's claim about beta; its metric needs images that cannot be had here, so no number of the paper is "
    "compared.",
    needs=("mnist",),
)
