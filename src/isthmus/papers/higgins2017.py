r"""beta-VAE (Higgins et al., 2017): KL and reconstruction as functions of beta.

The images of the paper are not available here; its claim for all data sets is tested on MNIST: a larger beta narrows
the bottleneck, so the KL decreases and the reconstruction gets worse. The net is fully connected and the code has 10
latents as in the paper (there with 1200 units per layer, here with 512); the optimizer is Adam.
"""

from itertools import pairwise
from typing import Any

from isthmus import plots
from isthmus.metrics.evaluation import evaluate
from isthmus.models.recipe import Recipe
from isthmus.papers.reproduction import Paper, Reproduction, Row, images_of, mean_and_spread
from isthmus.runs.fit import fit
from isthmus.zoo import vae

BETAS = (1, 2, 4, 8)
SEEDS = (0, 1, 2)
EPOCHS = 6


def recipe(beta: float) -> Recipe:
    """The beta-VAE of the paper, smaller."""
    return vae(latent=10, hidden=(512, 512)).with_options({"penalties.kl.weight": beta, "training.learning_rate": 2e-3})


def run(reproduction: Reproduction) -> list[Row]:
    """Train with each beta and each seed, and compare KL and reconstruction."""
    seeds, epochs = ((0,), 3) if reproduction.quick else (SEEDS, EPOCHS)
    data = images_of(reproduction, "mnist", recipe(1))
    found: dict[int, list[dict[str, Any]]] = {}
    for beta in BETAS:
        found[beta] = []
        for seed in seeds:

            def trained(beta: int = beta, seed: int = seed) -> dict[str, Any]:
                assert data.test is not None
                done = fit(recipe(beta), data, epochs=epochs, seed=reproduction.seed + seed)
                return evaluate(done.objective, data.test.x, seed=reproduction.seed)

            made = {"recipe": recipe(beta).to_dict(), "epochs": epochs}
            found[beta].append(reproduction.piece(f"beta{beta}-seed{seed}", trained, **made))
    rows = _rows(found)
    betas = [float(beta) for beta in BETAS]
    series = {
        "KL(q(z|x) || N(0, I))": (betas, [_of(found[beta], "kl")[0] for beta in BETAS]),
        "-E log p(x|z)": (betas, [_of(found[beta], "reconstruction")[0] for beta in BETAS]),
    }
    labels = ("beta", "nats per test image")
    plots.save(plots.lines(series, title="beta-VAE on MNIST", axis_labels=labels), reproduction.place("beta.png"))
    return rows


def _of(metrics: list[dict[str, Any]], name: str) -> tuple[float, float | None]:
    """Mean and standard deviation of a metric over seeds; ``reconstruction`` is the negative bound minus the KL."""
    values = [-m["elbo"] - m["kl"] if name == "reconstruction" else m[name] for m in metrics]
    return mean_and_spread(values)


def _rows(found: dict[int, list[dict[str, Any]]]) -> list[Row]:
    rows = []
    for name, what, decreases in (
        ("kl", "KL", True),
        ("reconstruction", "-E log p(x|z)", False),
        ("active_units", "active units (of 10)", True),
    ):
        values = [_of(found[beta], name)[0] for beta in BETAS]
        if name == "active_units":
            monotonic = all(after <= before for before, after in pairwise(values))
        else:
            monotonic = all((after < before) == decreases for before, after in pairwise(values))
        for beta, value in zip(BETAS, values, strict=True):
            last = beta == BETAS[-1]
            rows.append(
                Row(
                    f"{what} at beta {beta}",
                    value,
                    "decreases" if decreases else "increases",
                    unit="" if name == "active_units" else "nats",
                    target=("decreases" if decreases else "increases") + " with beta" if last else "",
                    met=monotonic if last else None,
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
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}; 784-512-512-10 (the paper: 1200 units, other images)",
    source="the claim about beta in the text; the metric of the paper needs images that are not available here, so no "
    "value of the paper is compared.",
    data_sets=("mnist",),
)
