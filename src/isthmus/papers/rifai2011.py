r"""Contractive auto-encoders (Rifai et al., 2011), table 1: error, contraction and saturation of each kind on MNIST.

All kinds have one tied sigmoid layer of 1,000 units and a cross-entropy loss; they differ in the regularizer: none,
weight decay, masking noise, Gaussian noise, or the contractive penalty. As in the paper each kind has the strength with
which its codes classify best: here by a ridge classifier on the validation images. Two columns of the table are the
mean Frobenius norm of the Jacobian of the encoder, which the paper reports on another scale, so that only the order is
compared, and the fraction of saturated units, with activations below 0.05 or above 0.95, averaged over images. The
third column is the test error of a network that is initialized with the encoder and fine-tuned on labels. A Boltzmann
machine is compared with the five kinds.
"""

from itertools import pairwise
from typing import Any

from sklearn.linear_model import RidgeClassifier

from isthmus import plots
from isthmus.data.prepared import PreparedData
from isthmus.metrics.codes import saturation, sensitivity
from isthmus.metrics.evaluation import evaluate
from isthmus.models.recipe import Recipe
from isthmus.options import PretrainingOptions, TrainingOptions
from isthmus.papers.reproduction import Paper, Reproduction, Row, classified, images_of, mean_and_spread
from isthmus.pretraining.greedy import stack
from isthmus.runs.run import Run
from isthmus.zoo import contractive

RBM = "RBM"
PUBLISHED = {"CAE": 0.73, "DAE-g": 0.86, RBM: 2.50, "AE + weight decay": 5.00, "DAE-b": 7.87, "AE": 17.5}
"""Mean norm in units of 1e-4, on the scale of the paper, in the claimed order."""
SATURATED = {"CAE": 86.36, "DAE-g": 17.77, RBM: 78.59, "AE + weight decay": 12.97, "DAE-b": 68.19, "AE": 49.90}
"""Saturated units in percent."""
ERRORS = {"CAE": 1.14, "DAE-g": 1.18, RBM: 1.30, "DAE-b": 1.57, "AE + weight decay": 1.68, "AE": 1.78}
"""Test error in percent."""
FINE = TrainingOptions(epochs=20, batch_size=100, learning_rate=4e-3, schedule="cosine", keep="last")
"""Fine-tuning of encoder and head; the learning rate was selected on the validation set with one kind (docs/log.md)."""
NO_PENALTY: dict[str, object] = {"penalties.contractive": None}
KINDS: dict[str, tuple[dict[str, object], str, tuple[float, ...]]] = {
    "CAE": ({}, "penalties.contractive.weight", (0.3, 1.0, 3.0)),
    "DAE-g": ({**NO_PENALTY, "corruption.kind": "gaussian"}, "corruption.scale", (0.3, 0.5, 1.0)),
    "AE + weight decay": ({**NO_PENALTY, "training.optimizer": "adamw"}, "training.weight_decay", (0.3, 1.0, 3.0)),
    "DAE-b": ({**NO_PENALTY, "corruption.kind": "masking"}, "corruption.fraction", (0.1, 0.25, 0.4)),
    "AE": (NO_PENALTY, "training.weight_decay", (0.0,)),
}
"""Changes of each kind to the contractive recipe, the option with its strength, and the strengths tried.

The strengths of masking noise are the grid of Vincent et al. (2010); docs/log.md has the results of a wider grid.
"""
SEEDS = (0, 1, 2)
EPOCHS = 20
CLASSIFIED = 20_000
"""Training images of the ridge classifier."""


def recipe(kind: str, strength: float) -> Recipe:
    """One of the five kinds of table 1."""
    changes, option, _ = KINDS[kind]
    return contractive().with_options({"latent.size": 1000, **changes, option: strength})


def run(reproduction: Reproduction) -> list[Row]:
    """Select the strength of each kind on the validation images, then evaluate each seed on the test images."""
    seeds, epochs = ((0,), 2) if reproduction.quick else (SEEDS, EPOCHS)
    data = images_of(reproduction, "mnist", contractive())
    found: dict[str, list[dict[str, Any]]] = {}
    full: dict[str, list[float]] = {}
    chosen: dict[str, float] = {}
    for kind, (_, _, strengths) in KINDS.items():
        tried = {
            v: _piece(reproduction, data, kind, v, 0, epochs)
            for v in (strengths[1:2] if reproduction.quick else strengths)
        }
        tried = tried or {strengths[0]: _piece(reproduction, data, kind, strengths[0], 0, epochs)}
        chosen[kind] = max(tried, key=lambda v: float(tried[v]["accuracy"]))
        others = [_piece(reproduction, data, kind, chosen[kind], seed, epochs) for seed in seeds[1:]]
        found[kind] = [tried[chosen[kind]], *others]
        full[kind] = [_saturation(reproduction, data, kind, chosen[kind], seed, epochs) for seed in seeds]
    wrong = {k: [_error(reproduction, data, k, chosen[k], seed, epochs) for seed in seeds] for k in KINDS}
    machines = [_machine(reproduction, data, seed, epochs) for seed in seeds]
    wrong[RBM], full[RBM] = ([machine[column] for machine in machines] for column in ("test", "saturated"))
    kept = {**found, RBM: machines}
    norms = {kind: mean_and_spread([m["jacobian_norm"] for m in by_seed]) for kind, by_seed in kept.items()}
    losses = {kind: mean_and_spread([m["cross_entropy"] for m in by_seed]) for kind, by_seed in found.items()}
    kinds = [float(position) for position in range(len(PUBLISHED))]
    figure = plots.lines(
        {
            "ours": (kinds, [norms[k][0] / norms["AE"][0] for k in PUBLISHED]),
            "paper": (kinds, [v / PUBLISHED["AE"] for v in PUBLISHED.values()]),
        },
        title="Contraction of each kind, relative to the plain autoencoder",
        axis_labels=("", "mean |J|_F relative to AE"),
        x_names=list(PUBLISHED),
    )
    plots.save(figure, reproduction.place("jacobian.png"))
    rows = _wrong(wrong) + _rows(norms) + _saturated(full)
    rows += [Row(f"cross-entropy, {k}", v, unit="nats", spread=s) for k, (v, s) in losses.items()]
    return rows + [Row(f"selected {KINDS[k][1]}, {k}", v) for k, v in chosen.items() if len(KINDS[k][2]) > 1]


def _piece(
    reproduction: Reproduction, data: PreparedData, kind: str, strength: float, seed: int, epochs: int
) -> dict[str, Any]:
    """Train one model; its test metrics, and the accuracy of its codes on the validation images."""

    def trained() -> dict[str, Any]:
        assert data.test is not None
        assert data.valid is not None
        done = _trained(reproduction, data, kind, strength, seed, epochs)
        z, labels = done.model.encode(data.train.x[:CLASSIFIED]).numpy(), data.train.labels
        assert labels is not None
        classifier = RidgeClassifier(alpha=10.0).fit(z, labels[:CLASSIFIED])
        accuracy = classifier.score(done.model.encode(data.valid.tensor).numpy(), data.valid.labels)
        return evaluate(done.objective, data.test.x, seed=reproduction.seed) | {"accuracy": accuracy}

    return reproduction.piece(_name(kind, strength, seed), trained, recipe=_recipe(kind, strength, epochs).to_dict())


def _saturation(
    reproduction: Reproduction, data: PreparedData, kind: str, strength: float, seed: int, epochs: int
) -> float:
    """Fraction of saturated units on the test images, in percent."""

    def measure() -> dict[str, float]:
        assert data.test is not None
        done = _trained(reproduction, data, kind, strength, seed, epochs)
        return {"saturated": 100 * saturation(done.model, data.test.x)}

    name = f"{_name(kind, strength, seed)}-saturation"
    return float(reproduction.piece(name, measure, recipe=_recipe(kind, strength, epochs).to_dict())["saturated"])


def _error(reproduction: Reproduction, data: PreparedData, kind: str, strength: float, seed: int, epochs: int) -> float:
    """Test error in percent of a network initialized with the encoder."""
    tuned = _fine(reproduction)

    def measure() -> dict[str, float]:
        model = _trained(reproduction, data, kind, strength, seed, epochs).model
        return classified(model, data, fine_tuning=tuned, seed=reproduction.seed + seed)

    name = f"{_name(kind, strength, seed)}-error"
    made = {"recipe": _recipe(kind, strength, epochs).to_dict(), "fine": tuned.model_dump(mode="json")}
    return float(reproduction.piece(name, measure, **made)["test"])


def _machine(reproduction: Reproduction, data: PreparedData, seed: int, epochs: int) -> dict[str, Any]:
    """All columns of a Boltzmann machine, with its weights in a plain autoencoder."""
    plain, tuned = _recipe("AE", 0.0, epochs), _fine(reproduction)
    pretraining = PretrainingOptions(kind="rbm", epochs=(epochs,))

    def trained() -> dict[str, Any]:
        assert data.test is not None
        model = stack(plain, pretraining, data.train.tensor, seed=reproduction.seed + seed)
        columns = sensitivity(model, data.test.tensor) | {"saturated": 100 * saturation(model, data.test.tensor)}
        return columns | classified(model, data, fine_tuning=tuned, seed=reproduction.seed + seed)

    made = {"levels": pretraining.model_dump(mode="json"), "fine": tuned.model_dump(mode="json")}
    return reproduction.piece(f"rbm-seed{seed}", trained, recipe=plain.to_dict(), **made)


def _fine(reproduction: Reproduction) -> TrainingOptions:
    """The options of fine-tuning."""
    return FINE.model_copy(update={"epochs": 3}) if reproduction.quick else FINE


def _recipe(kind: str, strength: float, epochs: int) -> Recipe:
    """The recipe of one model."""
    return recipe(kind, strength).with_options({"training.epochs": epochs})


def _trained(reproduction: Reproduction, data: PreparedData, kind: str, strength: float, seed: int, epochs: int) -> Run:
    """Train one model and store it."""
    return reproduction.model(_name(kind, strength, seed), _recipe(kind, strength, epochs), data, seed=seed)


def _name(kind: str, strength: float, seed: int) -> str:
    return f"{kind.lower().replace(' ', '').replace('+', '-')}-{strength:g}-seed{seed}"


def _rows(norms: dict[str, tuple[float, float | None]]) -> list[Row]:
    """The column of norms; the target of the last row is the order."""
    ordered = all(norms[a][0] < norms[b][0] for a, b in pairwise(PUBLISHED))
    return [
        Row(
            f"mean |J|_F, {kind}",
            norms[kind][0],
            f"{published:g}e-4",
            target="in this order" if kind == "AE" else "",
            met=ordered if kind == "AE" else None,
            spread=norms[kind][1],
        )
        for kind, published in PUBLISHED.items()
    ]


def _wrong(errors: dict[str, list[float]]) -> list[Row]:
    """The column of test errors."""
    found = {kind: mean_and_spread(values) for kind, values in errors.items()}
    ordered = all(found[a][0] < found[b][0] for a, b in pairwise(ERRORS))
    rows = []
    for kind, published in ERRORS.items():
        value, spread = found[kind]
        target, met = ("at most 1.14", value <= published) if kind == "CAE" else ("", None)
        if kind == "AE":
            target, met = "in this order", ordered
        best = "0.81 (Rifai et al., NIPS 2011)" if kind == "CAE" else "-"
        rows.append(Row(f"test error, {kind}", value, published, best, "%", target, met, spread))
    return rows


def _saturated(full: dict[str, list[float]]) -> list[Row]:
    """The column of saturated units; the target of the contractive kind is the highest fraction."""
    fractions = {kind: mean_and_spread(values) for kind, values in full.items()}
    highest = max(fractions, key=lambda kind: fractions[kind][0]) == "CAE"
    return [
        Row(
            f"saturated units, {kind}",
            fractions[kind][0],
            published,
            unit="%",
            target="highest of all" if kind == "CAE" else "",
            met=highest if kind == "CAE" else None,
            spread=fractions[kind][1],
        )
        for kind, published in SATURATED.items()
    ]


PAPER = Paper(
    name="rifai2011",
    title="Rifai et al. (2011), table 1: test error, norm of the Jacobian and saturated units on MNIST",
    claim="the CAE has the lowest error, 1.14 %, the smallest norm of the Jacobian and the most saturated units",
    quick="6,000 training and 1,000 test images, 2 epochs, one strength, one seed",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}, 1,000 tied sigmoid units; strengths by validation",
    source="table 1, as quoted by others; the best known (Rifai et al., NIPS 2011) not checked against the paper.",
    notes=(
        "The order of the norms depends on the strengths tried: with masking noise of 0.25, 0.5 and 0.75 instead of "
        "the published 0.1, 0.25 and 0.4 it failed by 0.04, and the range of Gaussian noise, whose best strength was "
        "the largest, was extended to 1 (docs/log.md).",
    ),
    data_sets=("mnist",),
)
