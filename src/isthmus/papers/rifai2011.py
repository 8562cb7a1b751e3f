r"""Contractive auto-encoders (Rifai et al., 2011), table 1: each kind's error, contraction and saturation on MNIST.

One tied sigmoid layer of 1,000 units and cross-entropy for all; they differ in what keeps them from copying: nothing,
weight decay, masking noise, Gaussian noise, or the contractive penalty. As in the paper each kind gets the strength
with which its codes classify best: here by a ridge classifier on the validation images. Two columns of the table are
the mean Frobenius norm of the encoder's Jacobian, where the paper is on a scale of its own and
the order is compared, and the share of saturated units, mean over images; saturated is an activation below 0.05 or
above 0.95. The third is the test error of a network that starts from the encoder and is trained on labels. Beside the
five kinds stands a Boltzmann machine.
"""

from itertools import pairwise
from typing import Any

from sklearn.linear_model import RidgeClassifier

from isthmus import plots
from isthmus.data.prepare import Prepared
from isthmus.metrics.codes import saturation, sensitivity
from isthmus.metrics.evaluation import evaluate
from isthmus.options import PretrainingOptions, TrainingOptions
from isthmus.papers.sitting import Paper, Row, Sitting, classified, images_of, mean_and_spread
from isthmus.recipe import Recipe
from isthmus.run import Run
from isthmus.training.stacked import stack
from isthmus.zoo import contractive

RBM = "RBM"
PUBLISHED = {"CAE": 0.73, "DAE-g": 0.86, RBM: 2.50, "AE + weight decay": 5.00, "DAE-b": 7.87, "AE": 17.5}
"""Mean norm, times 1e-4 in the paper's scale, in the order that is claimed."""
SATURATED = {"CAE": 86.36, "DAE-g": 17.77, RBM: 78.59, "AE + weight decay": 12.97, "DAE-b": 68.19, "AE": 49.90}
"""Saturated units in per cent."""
ERRORS = {"CAE": 1.14, "DAE-g": 1.18, RBM: 1.30, "DAE-b": 1.57, "AE + weight decay": 1.68, "AE": 1.78}
"""Test error in per cent."""
FINE = TrainingOptions(epochs=20, batch=100, rate=4e-3, schedule="cosine", keep="last")
"""How encoder and head are trained on labels: the rate by validation, with one kind (docs/log.md)."""
NO_PENALTY: dict[str, object] = {"penalties.contractive": None}
KINDS: dict[str, tuple[dict[str, object], str, tuple[float, ...]]] = {
    "CAE": ({}, "penalties.contractive.weight", (0.3, 1.0, 3.0)),
    "DAE-g": ({**NO_PENALTY, "corruption.kind": "gaussian"}, "corruption.scale", (0.3, 0.5, 1.0)),
    "AE + weight decay": ({**NO_PENALTY, "training.optimiser": "adamw"}, "training.weight_decay", (0.3, 1.0, 3.0)),
    "DAE-b": ({**NO_PENALTY, "corruption.kind": "masking"}, "corruption.fraction", (0.1, 0.25, 0.4)),
    "AE": (NO_PENALTY, "training.weight_decay", (0.0,)),
}
"""What each kind changes in the contractive recipe, the option that holds its strength, and the strengths tried.

Those of masking noise are the grid of Vincent et al. (2010); docs/log.md tells what a wider one does.
"""
SEEDS = (0, 1, 2)
EPOCHS = 20
CLASSIFIED = 20_000
"""Training images whose codes the classifier learns from."""


def recipe(kind: str, strength: float) -> Recipe:
    """One of the five kinds of table 1."""
    changes, option, _ = KINDS[kind]
    return contractive().with_options({"latent.size": 1000, **changes, option: strength})


def run(sitting: Sitting) -> list[Row]:
    """Choose each kind's strength on the validation images, then measure it with each seed on the test images."""
    seeds, epochs = ((0,), 2) if sitting.quick else (SEEDS, EPOCHS)
    data = images_of(sitting, "mnist", contractive())
    found: dict[str, list[dict[str, Any]]] = {}
    full: dict[str, list[float]] = {}
    chosen: dict[str, float] = {}
    for kind, (_, _, strengths) in KINDS.items():
        tried = {v: _piece(sitting, data, kind, v, 0, epochs) for v in (strengths[1:2] if sitting.quick else strengths)}
        tried = tried or {strengths[0]: _piece(sitting, data, kind, strengths[0], 0, epochs)}
        chosen[kind] = max(tried, key=lambda v: float(tried[v]["accuracy"]))
        others = [_piece(sitting, data, kind, chosen[kind], seed, epochs) for seed in seeds[1:]]
        found[kind] = [tried[chosen[kind]], *others]
        full[kind] = [_saturation(sitting, data, kind, chosen[kind], seed, epochs) for seed in seeds]
    wrong = {k: [_error(sitting, data, k, chosen[k], seed, epochs) for seed in seeds] for k in KINDS}
    machines = [_machine(sitting, data, seed, epochs) for seed in seeds]
    wrong[RBM], full[RBM] = ([machine[column] for machine in machines] for column in ("test", "saturated"))
    kept = {**found, RBM: machines}
    norms = {kind: mean_and_spread([f["jacobian_norm"] for f in figures]) for kind, figures in kept.items()}
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
    rows = _wrong(wrong) + _rows(norms) + _saturated(full)
    rows += [Row(f"cross-entropy, {k}", v, unit="nats", spread=s) for k, (v, s) in losses.items()]
    return rows + [Row(f"{KINDS[k][1]} chosen for {k}", v) for k, v in chosen.items() if len(KINDS[k][2]) > 1]


def _piece(sitting: Sitting, data: Prepared, kind: str, strength: float, seed: int, epochs: int) -> dict[str, Any]:
    """Train one model; its test figures, and how well its codes classify the validation images."""

    def trained() -> dict[str, Any]:
        assert data.test is not None
        assert data.valid is not None
        done = _trained(sitting, data, kind, strength, seed, epochs)
        z, labels = done.model.encode(data.train.x[:CLASSIFIED]).numpy(), data.train.labels
        assert labels is not None
        classifier = RidgeClassifier(alpha=10.0).fit(z, labels[:CLASSIFIED])
        accuracy = classifier.score(done.model.encode(data.valid.tensor).numpy(), data.valid.labels)
        return evaluate(done.objective, data.test.x, seed=sitting.seed) | {"accuracy": accuracy}

    return sitting.piece(_name(kind, strength, seed), trained, recipe=_recipe(kind, strength, epochs).to_dict())


def _saturation(sitting: Sitting, data: Prepared, kind: str, strength: float, seed: int, epochs: int) -> float:
    """Share of saturated units on the test images, in per cent."""

    def measured() -> dict[str, float]:
        assert data.test is not None
        done = _trained(sitting, data, kind, strength, seed, epochs)
        return {"saturated": 100 * saturation(done.model, data.test.x)}

    name = f"{_name(kind, strength, seed)}-saturation"
    return float(sitting.piece(name, measured, recipe=_recipe(kind, strength, epochs).to_dict())["saturated"])


def _error(sitting: Sitting, data: Prepared, kind: str, strength: float, seed: int, epochs: int) -> float:
    """Test error in per cent of a network that starts from the encoder."""
    tuned = _fine(sitting)

    def measured() -> dict[str, float]:
        model = _trained(sitting, data, kind, strength, seed, epochs).model
        return classified(model, data, whole=tuned, seed=sitting.seed + seed)

    name = f"{_name(kind, strength, seed)}-error"
    made = {"recipe": _recipe(kind, strength, epochs).to_dict(), "fine": tuned.model_dump(mode="json")}
    return float(sitting.piece(name, measured, **made)["test"])


def _machine(sitting: Sitting, data: Prepared, seed: int, epochs: int) -> dict[str, Any]:
    """All columns of a Boltzmann machine, whose weights stand in a plain autoencoder."""
    plain, tuned = _recipe("AE", 0.0, epochs), _fine(sitting)
    levels = PretrainingOptions(kind="rbm", epochs=(epochs,))

    def trained() -> dict[str, Any]:
        assert data.test is not None
        model = stack(plain, levels, data.train.tensor, seed=sitting.seed + seed)
        columns = sensitivity(model, data.test.tensor) | {"saturated": 100 * saturation(model, data.test.tensor)}
        return columns | classified(model, data, whole=tuned, seed=sitting.seed + seed)

    made = {"levels": levels.model_dump(mode="json"), "fine": tuned.model_dump(mode="json")}
    return sitting.piece(f"rbm-seed{seed}", trained, recipe=plain.to_dict(), **made)


def _fine(sitting: Sitting) -> TrainingOptions:
    """How encoder and head are trained on labels."""
    return FINE.model_copy(update={"epochs": 3}) if sitting.quick else FINE


def _recipe(kind: str, strength: float, epochs: int) -> Recipe:
    """The recipe of one model."""
    return recipe(kind, strength).with_options({"training.epochs": epochs})


def _trained(sitting: Sitting, data: Prepared, kind: str, strength: float, seed: int, epochs: int) -> Run:
    """Train one model and keep it."""
    return sitting.model(_name(kind, strength, seed), _recipe(kind, strength, epochs), data, seed=seed)


def _name(kind: str, strength: float, seed: int) -> str:
    return f"{kind.lower().replace(' ', '').replace('+', '-')}-{strength:g}-seed{seed}"


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


def _wrong(errors: dict[str, list[float]]) -> list[Row]:
    """The column of test errors."""
    found = {kind: mean_and_spread(values) for kind, values in errors.items()}
    ordered = all(found[a][0] < found[b][0] for a, b in pairwise(ERRORS))
    rows = []
    for kind, published in ERRORS.items():
        value, spread = found[kind]
        bar, met = ("at most 1.14", value <= published) if kind == "CAE" else ("", None)
        if kind == "AE":
            bar, met = "in this order", ordered
        best = "0.81 (Rifai et al., NIPS 2011)" if kind == "CAE" else "-"
        rows.append(Row(f"test error, {kind}", value, published, best, "%", bar, met, spread))
    return rows


def _saturated(full: dict[str, list[float]]) -> list[Row]:
    """The column of saturated units: of all kinds the contractive one has most."""
    shares = {kind: mean_and_spread(values) for kind, values in full.items()}
    most = max(shares, key=lambda kind: shares[kind][0]) == "CAE"
    return [
        Row(
            f"saturated units, {kind}",
            shares[kind][0],
            published,
            unit="%",
            bar="most of all" if kind == "CAE" else "",
            met=most if kind == "CAE" else None,
            spread=shares[kind][1],
        )
        for kind, published in SATURATED.items()
    ]


PAPER = Paper(
    name="rifai2011",
    title="Rifai et al. (2011), table 1: test error, Jacobian's norm and saturated units on MNIST",
    claim="CAE 1.14 % errors, the fewest; its Jacobian's norm is the smallest, and it saturates most",
    quick="6,000 training and 1,000 test images, 2 epochs, one strength, one seed",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}, 1,000 tied sigmoid units; strengths by validation",
    source="table 1, as others quote it; the best known (Rifai et al., NIPS 2011) not checked against the text.",
    notes=(
        "The order of the norms depends on the strengths offered: with masking noise of 0.25, 0.5 and 0.75 "
        "instead of the published 0.1, 0.25 and 0.4 it failed by 0.04, and the Gaussian noise, whose best was "
        "the strongest, was widened to 1 (docs/log.md).",
    ),
    needs=("mnist",),
)
