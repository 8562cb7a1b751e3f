r"""Importance weighted autoencoders (Burda, Grosse & Salakhutdinov, 2016), table 1, one stochastic layer.

Dynamically binarized MNIST, the net 784-[200-200 tanh]-50 and its mirror image, output bias from the training means;
-log p(x) of the 10,000 test images by 5,000 importance samples. The paper trains 3,280 epochs at batch size 20, in
eight stages of decreasing learning rate; here the same stages are shorter and the batch is larger, see :data:`PAPER`.
Each stage is a piece: an interrupted run resumes at the first unfinished stage.
"""

from typing import Any

import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file, save_file
from torch import Tensor

from isthmus import plots
from isthmus.data import load_dataset
from isthmus.files.atomic import replacing
from isthmus.metrics.evaluation import evaluate
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import derive_seed, seeded
from isthmus.options import DataOptions
from isthmus.papers.reproduction import Paper, Reproduction, Row
from isthmus.training.engine import Engine

PUBLISHED = {1: 86.76, 50: 84.78}
"""-log p(x) in nats by the number of importance samples in training: dynamic binarization, one stochastic layer."""
ACTIVE = {1: 19, 50: 25}
WITHIN = 0.5
BATCH, VALIDATION = 100, 400
STAGES: dict[int, tuple[tuple[float, int], ...]] = {
    1: (
        *((4e-3, 60), (3e-3, 100), (2e-3, 100), (1.4e-3, 100), (1e-3, 100), (6e-4, 80), (3e-4, 40), (1e-4, 20)),
        *((3e-4, 100), (1e-4, 60)),
    ),
    50: ((4e-3, 10), (3e-3, 16), (2e-3, 16), (1.4e-3, 16), (1e-3, 16), (6e-4, 12), (3e-4, 8), (1e-4, 6)),
}
"""Learning rate and epochs of each stage, by the number of samples; the second line is a restart.

Stages may be appended: finished stages are not repeated.
"""
TEST_SAMPLES, VALIDATION_SAMPLES = 5000, 100
"""Importance samples of the final result, and of the curve on the validation images."""


def recipe(samples: int) -> Recipe:
    """The paper's model, with K = ``samples``."""
    return Recipe.from_dict(
        {
            "name": "burda2016",
            "net": {"kind": "mlp", "widths": [200, 200], "activation": "tanh"},
            "latent": {"kind": "gaussian", "size": 50},
            "likelihood": {"kind": "bernoulli", "from_mean": True},
            "fidelity": {"kind": "importance", "samples": samples},
            "training": {"batch_size": BATCH, "schedule": "constant", "keep": "last"},
        }
    )


def run(reproduction: Reproduction) -> list[Row]:
    """Train with K = 1 and K = 50 in stages, then evaluate both once on the test images."""
    train, valid, test = _images(reproduction)
    rows, curves = [], {}
    for samples in PUBLISHED:
        curves[samples] = _trained(reproduction, samples, train, valid)
        stages = len(_stages(reproduction, samples))

        def measure(samples: int = samples, stages: int = stages) -> dict[str, Any]:
            objective = _built(reproduction, samples, train, stages - 1)
            return evaluate(
                objective, test, seed=reproduction.seed, importance_samples=_samples(reproduction, TEST_SAMPLES)
            )

        plan = recipe(samples).to_dict()
        metrics = reproduction.piece(f"k{samples}-test", measure, stages=_stages(reproduction, samples), recipe=plan)
        published = PUBLISHED[samples]
        met = abs(metrics["nll"] - published) <= WITHIN or metrics["nll"] < published
        epochs = sum(epochs for _, epochs in _stages(reproduction, samples))
        rows.append(
            Row(
                f"-log p(x), K = {samples}, {epochs} epochs",
                metrics["nll"],
                published,
                "78.01 (NVAE); 82.90 (IWAE, two layers)",
                "nats",
                f"within {WITHIN} nats",
                met,
            )
        )
        rows.append(Row(f"active units, K = {samples}", metrics["active_units"], ACTIVE[samples]))
    plots.save(_curve(curves), reproduction.place("curves.png"))
    return rows


def _stages(reproduction: Reproduction, samples: int) -> list[tuple[float, int]]:
    if reproduction.quick:
        epochs = 2 if samples == 1 else 1
        return [(4e-3, epochs), (6e-4, epochs)]
    return list(STAGES[samples])


def _samples(reproduction: Reproduction, full: int) -> int:
    return 50 if reproduction.quick else full


def _images(reproduction: Reproduction) -> tuple[Tensor, Tensor, Tensor]:
    """Gray training images, binarized anew in training, and validation and test images, binarized once."""
    dataset = load_dataset("mnist", DataOptions())
    assert dataset.test is not None
    raw = (split.read(0, len(split)).values for split in (dataset.train, dataset.test))
    gray, test = (torch.from_numpy(images)[:, None].float() / 255 for images in raw)
    if reproduction.quick:
        gray, test = torch.cat([gray[:6000], gray[-VALIDATION:]]), test[:500]
    with seeded(derive_seed(reproduction.seed, "binarise")):
        valid, test = torch.bernoulli(gray[-VALIDATION:]), torch.bernoulli(test)
    return gray[:-VALIDATION], valid, test


def _built(reproduction: Reproduction, samples: int, train: Tensor, stage: int) -> Objective:
    """The objective with the weights after ``stage``; with initial weights for -1."""
    with seeded(derive_seed(reproduction.seed, "weights")):
        objective = recipe(samples).build(tuple(train.shape[1:]))
        objective.init_from_data(train)
    if stage >= 0:
        objective.model.load_state_dict(load_file(_weights(reproduction, samples, stage)))
    return objective


def _weights(reproduction: Reproduction, samples: int, stage: int) -> str:
    return str(reproduction.place(f"pieces/k{samples}-stage{stage}.safetensors"))


def _trained(reproduction: Reproduction, samples: int, train: Tensor, valid: Tensor) -> list[tuple[int, float]]:
    """Train all stages; returns the number of epochs and the validation metric after each."""
    curve, done = [], 0
    for stage, (rate, epochs) in enumerate(_stages(reproduction, samples)):

        def trained(stage: int = stage, rate: float = rate, epochs: int = epochs) -> dict[str, Any]:
            objective = _built(reproduction, samples, train, stage - 1)
            options = recipe(samples).training.model_copy(update={"learning_rate": rate, "epochs": epochs})
            seed = derive_seed(reproduction.seed, "stage", stage) % 2**31
            outcome = Engine(objective, options, train, seed=seed, dynamic=True).run()
            metrics = evaluate(
                objective, valid, seed=reproduction.seed, importance_samples=_samples(reproduction, VALIDATION_SAMPLES)
            )
            weights = {name: value.contiguous() for name, value in objective.model.state_dict().items()}
            with replacing(reproduction.place(f"pieces/k{samples}-stage{stage}.safetensors")) as path:
                save_file(weights, path)
            return {"nll": metrics["nll"], "bound": outcome.history[-1].train["bound"]}

        earlier = _stages(reproduction, samples)[: stage + 1]
        results = reproduction.piece(
            f"k{samples}-stage{stage}", trained, stages=earlier, recipe=recipe(samples).to_dict()
        )
        done += epochs
        curve.append((done, float(results["nll"])))
    return curve


def _curve(curves: dict[int, list[tuple[int, float]]]) -> Figure:
    """Validation -log p(x) after each stage, with the published values."""
    return plots.lines(
        {f"K = {k}": ([float(e) for e, _ in points], [v for _, v in points]) for k, points in curves.items()},
        title="IWAE on MNIST: validation -log p(x) by epoch",
        axis_labels=("epochs", f"-log p(x) of {VALIDATION} validation images, nats"),
        levels={f"paper, K = {k}": value for k, value in PUBLISHED.items()},
    )


PAPER = Paper(
    name="burda2016",
    title="Burda et al. (2016), table 1: -log p(x) of dynamically binarized MNIST",
    claim="-log p(x) on MNIST: VAE 86.76, IWAE with K = 50 84.78 nats",
    quick="6,000 training and 500 test images, 4 and 2 epochs, 50 importance samples; the targets do not apply",
    run=run,
    budget=f"{sum(e for _, e in STAGES[1])} epochs with K = 1 and {sum(e for _, e in STAGES[50])} with K = 50 at batch "
    f"size {BATCH} (the paper: 3,280 epochs at batch size 20)",
    source="table 1, one stochastic layer, K = 1 and 50, as quoted by others; data and protocol from the code of the "
    "authors; active units not checked against the paper.",
    data_sets=("mnist",),
)
