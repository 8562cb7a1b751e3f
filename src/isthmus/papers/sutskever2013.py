r"""On the importance of initialization and momentum (Sutskever et al., 2013), table 1: optimizers on deep autoencoders.

The three nets of Hinton & Salakhutdinov (2006) with sigmoid units and sparse initial weights, batches of 200, no
regularizer; the metric is the squared error of the training images. The paper uses 750,000 updates, which take hours
per optimizer, and lowers the momentum for the last 1,000; here each optimizer has the same, stated fraction of them.
The two best learning rates after a tenth of these updates are trained in full, and the better result counts. The
momentum increases as in the paper, in shorter stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus import plots
from isthmus.data.prepared import PreparedData
from isthmus.errors import Diverged
from isthmus.metrics.reconstruction import reconstruction
from isthmus.papers.hinton2006 import TASKS, Task, net
from isthmus.papers.reproduction import Paper, Reproduction, Row, fingerprint, images_of

PUBLISHED: dict[str, dict[str, float | str]] = {
    "CURVES": {"SGD": 0.48, "Nesterov 0.9": 0.16, "Nesterov 0.99": 0.096},
    "MNIST": {"SGD": 2.1, "Nesterov 0.9": 1.0, "Nesterov 0.99": 0.73},
    "FACES": {
        "SGD": "36.4 (other scale)",
        "Nesterov 0.9": "14.2 (other scale)",
        "Nesterov 0.99": "8.5 (other scale)",
    },
}
"""Training squared error after 750,000 updates; FACES has another scale than in 2006 and here."""
BEST = {"CURVES": "0.058 (Hessian-free)", "MNIST": "0.69 (Hessian-free)", "FACES": "7.5 (Hessian-free, other scale)"}
FULL = 750_000
UPDATES = {"CURVES": 15_000, "MNIST": 7_500, "FACES": 2_500}
BATCH = 200
TRIED = 10
"""Learning rates are compared after one in ``TRIED`` of the updates."""
KEPT = 2
"""Number of the best learning rates that are trained in full, as their order may change later."""
FURTHER, MOST = 3.0, 7
"""While the best learning rate is the highest or lowest tried, one that differs by the factor ``FURTHER`` is tried too,
up to ``MOST`` learning rates."""


@dataclass(frozen=True)
class Method:
    """An optimizer: its options, and the learning rates tried."""

    options: Mapping[str, object]
    rates: tuple[float, ...]


NESTEROV: dict[str, object] = {"training.optimizer": "nesterov", "training.momentum_stage": 50}
"""The stages are a fifth of those of the paper, because training is much shorter."""
METHODS = {
    "SGD": Method({"training.optimizer": "sgd", "training.momentum": 0.0}, (0.1, 0.05, 0.01)),
    "Nesterov 0.9": Method(NESTEROV | {"training.momentum": 0.9}, (2e-2, 1e-2, 3e-3)),
    "Nesterov 0.99": Method(NESTEROV | {"training.momentum": 0.99}, (1e-2, 3e-3, 1e-3)),
    "Adam": Method({"training.optimizer": "adam"}, (1e-2, 3e-3, 1e-3)),
    "Muon": Method({"training.optimizer": "muon"}, (3e-2, 1e-2, 3e-3)),
}


def run(reproduction: Reproduction) -> list[Row]:
    """Train every net with every optimizer, with the same number of updates."""
    rows: list[Row] = []
    for task in TASKS[: 1 if reproduction.quick else None]:
        data = images_of(reproduction, task.data, net(task))
        steps = 600 if reproduction.quick else UPDATES[task.name]
        curves = {}
        for name in METHODS:
            full = {
                rate: _trained(reproduction, task, data, name, rate, steps)
                for rate in _best(reproduction, task, data, name, steps)
            }
            best = min(full, key=lambda rate: float(full[rate]["error"]))
            found = full[best]
            curves[f"{name}, learning rate {best:g}"] = (found["updates"], found["losses"])
            rows.append(_row(task, name, float(found["error"]), steps, best))
        figure = plots.lines(
            curves,
            title=f"{task.name}: training loss by optimizer",
            axis_labels=("updates", "training loss, nats per image"),
            log_y=True,
        )
        plots.save(figure, reproduction.place(f"{task.name.lower()}.png"))
    return rows


def _best(reproduction: Reproduction, task: Task, data: PreparedData, name: str, steps: int) -> list[float]:
    """The learning rates with the lowest error after a fraction of the updates, the best first."""
    errors: dict[float, float] = {}
    ahead = list(METHODS[name].rates)
    while ahead:
        rate = ahead.pop(0)
        errors[rate] = float(_trained(reproduction, task, data, name, rate, steps // TRIED)["error"])
        best = min(errors, key=lambda tried: errors[tried])
        if not ahead and not reproduction.quick and len(errors) < MOST and best in (min(errors), max(errors)):
            ahead = [float(f"{best * FURTHER if best == max(errors) else best / FURTHER:.1g}")]
    return sorted(errors, key=lambda tried: errors[tried])[: 1 if reproduction.quick else KEPT]


def _row(task: Task, name: str, error: float, steps: int, rate: float) -> Row:
    published = PUBLISHED[task.name].get(name, "-")
    return Row(f"{task.name}: {name}, {steps:,} updates, learning rate {rate:g}", error, published, BEST[task.name])


def _trained(
    reproduction: Reproduction, task: Task, data: PreparedData, name: str, rate: float, steps: int
) -> dict[str, Any]:
    """Train with one optimizer; returns the final training error, and the losses by update."""
    recipe = net(task, {"net.activation": "sigmoid", "net.init": "sparse", **METHODS[name].options}).with_options(
        {
            "training.learning_rate": rate,
            "training.steps": steps,
            "training.batch_size": BATCH,
            "training.schedule": "constant",
        }
    )
    label = f"{task.name}-{name}-{rate:g}-{steps}".lower().replace(" ", "-")

    def trained() -> dict[str, Any]:
        try:
            done = reproduction.model(label, recipe, data)
        except Diverged:
            return {"error": float("inf"), "updates": [], "losses": []}
        return {
            "error": reconstruction(done.model, data.train.x)["squared_error"],
            "updates": [row["step"] for row in done.history],
            "losses": [row["train"]["loss"] for row in done.history],
        }

    return reproduction.piece(label, trained, recipe=recipe.to_dict(), data=fingerprint(data))


PAPER = Paper(
    name="sutskever2013",
    title="Sutskever et al. (2013), table 1: training error of deep autoencoders by optimizer",
    claim="momentum trains deep autoencoders nearly as well as Hessian-free optimization: MNIST 0.73, SGD 2.1",
    quick="CURVES only, 6,000 images, 600 updates",
    run=run,
    budget=f"batch {BATCH}; updates, the same for all optimizers: "
    + ", ".join(f"{name} {steps:,}" for name, steps in UPDATES.items())
    + f" (the paper: {FULL:,}); the two learning rates with the lowest training error after a tenth of them are "
    "trained in full, and the better result counts; one seed",
    source="table 1, from the paper: training errors after 750,000 updates.",
    notes=(
        "Layers with more than 1,024 inputs have a fraction of the learning rate shown (as everywhere in Isthmus; the "
        "paper has one learning rate for all layers): layers with 2,000 inputs in FACES have 0.512 of it.",
        "While the best learning rate of the short runs is the highest or lowest, one that differs by a factor of "
        "three is tried too. In the short runs of FACES the momentum does not exceed 0.9, so those of 0.9 and 0.99 are "
        "equal.",
    ),
    data_sets=("mnist", "olivetti"),
)
