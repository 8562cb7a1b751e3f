r"""Unsupervised pretraining: test error on MNIST against the number of labels.

An encoder 784-500-500 is trained on all training images without their labels, in one of several ways, or not at all.
Then some images get labels, and the encoder is fine-tuned with a classification head, or only the head is trained (a
linear probe), or the codes are classified by their nearest neighbors. No labels are used for model selection: epochs
and learning rates are the same for all, after one comparison on validation images (docs/log.md). The labeled images are
sampled anew with each seed, with equal numbers per digit.
"""

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from isthmus import plots
from isthmus.data.prepared import PreparedData
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import derive_seed
from isthmus.options import PretrainingOptions, TrainingOptions
from isthmus.papers.reproduction import Paper, Reproduction, Row, images_of, mean_and_spread
from isthmus.pretraining.greedy import stack
from isthmus.training.supervised import supervise
from isthmus.zoo import deep, vae

UNITS = 500
SOURCES: dict[str, PretrainingOptions] = {
    "random": PretrainingOptions(),
    "RBM": PretrainingOptions(kind="rbm", epochs=(15,)),
    "denoising": PretrainingOptions(kind="denoising", epochs=(15,)),
    "contractive": PretrainingOptions(kind="contractive", epochs=(10,)),
}
"""Kinds of greedy pretraining of the encoder; the variational autoencoder is trained end to end."""
VAE = "VAE"
LABELS = (10, 100, 600, 1000, 3000, 0)
"""Numbers of labels; 0 means all."""
SEEDS = (0, 1, 2, 3, 4)
STEPS, EPOCHS = 1000, 10
FINE_TUNING = TrainingOptions(batch_size=100, learning_rate=4e-3, schedule="cosine", keep="last")
HEAD = TrainingOptions(batch_size=100, learning_rate=5e-3, schedule="cosine", keep="last", precision="32")
NEIGHBORS = 5
WAYS = {"whole": "fine-tuning", "probe": "linear probe", "neighbors": f"{NEIGHBORS} nearest neighbors"}


def run(reproduction: Reproduction) -> list[Row]:
    """Evaluate every kind of pretraining with every number of labels and every seed."""
    seeds, counts = ((0,), (100, 1000)) if reproduction.quick else (SEEDS, LABELS)
    data = images_of(reproduction, "mnist", deep().with_options({"data.validation": 0.0}))
    errors = {name: [_errors(reproduction, data, name, seed, counts) for seed in seeds] for name in (*SOURCES, VAE)}
    rows: list[Row] = []
    for way, title in WAYS.items():
        curves, spreads = {}, {}
        for name, by_seed in errors.items():
            found = {count: mean_and_spread([e[f"{way}-{count}"] for e in by_seed]) for count in counts}
            curves[name] = ([float(count or len(data.train)) for count in counts], [v for v, _ in found.values()])
            spreads[name] = [spread or 0.0 for _, spread in found.values()]
            for count, (value, spread) in found.items():
                rows.append(
                    Row(f"{title}, {count or len(data.train):,} labels, {name}", value, unit="%", spread=spread)
                )
        figure = plots.lines(
            curves,
            title=f"MNIST, {title}: error by number of labels",
            axis_labels=("labels", "test error, %; error bars: standard deviation"),
            spreads=spreads,
            log_x=True,
            log_y=True,
        )
        plots.save(figure, reproduction.place(f"{way}.png"))
    return rows


def _errors(
    reproduction: Reproduction, data: PreparedData, name: str, seed: int, counts: tuple[int, ...]
) -> dict[str, float]:
    """Test errors of one encoder in percent, by classifier and number of labels."""

    def measure() -> dict[str, float]:
        source = _encoder(reproduction, data, name, seed)
        found: dict[str, float] = {}
        for count in counts:
            x, y = _labeled(data, count, reproduction.seed + seed)
            found |= {
                f"{way}-{count}": e for way, e in _classified(source, data, x, y, reproduction.seed + seed).items()
            }
        return found

    trained = {
        "whole": FINE_TUNING.model_dump(mode="json"),
        "head": HEAD.model_dump(mode="json"),
        "neighbors": NEIGHBORS,
    }
    pretraining = SOURCES[name].model_dump(mode="json") if name in SOURCES else None
    how = trained | {"recipe": _recipe(reproduction, name).to_dict(), "levels": pretraining}
    return reproduction.piece(
        f"{name}-seed{seed}", measure, counts=counts, steps=STEPS, epochs=EPOCHS, units=UNITS, **how
    )


def _encoder(reproduction: Reproduction, data: PreparedData, name: str, seed: int) -> Autoencoder:
    """An encoder trained on all training images without labels, or with random weights."""
    if name == VAE:
        return reproduction.model(f"vae-seed{seed}", _recipe(reproduction, name), data, seed=seed).model
    pretraining = SOURCES[name].model_copy(update={"epochs": (2,)}) if reproduction.quick else SOURCES[name]
    return stack(_recipe(reproduction, name), pretraining, data.train.tensor, seed=reproduction.seed + seed)


def _recipe(reproduction: Reproduction, name: str) -> Recipe:
    """The recipe of the encoder."""
    if name == VAE:
        return vae(50, (UNITS, UNITS)).with_options({"training.epochs": 2 if reproduction.quick else 20})
    return deep(UNITS, (UNITS,)).with_options({"net.activation": "sigmoid", "latent.activation": "sigmoid"})


def _labeled(data: PreparedData, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """``count`` training images with their labels, equal numbers of each digit; 0 is all images."""
    labels = torch.as_tensor(data.train.labels)
    if not count:
        return data.train.tensor, labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(derive_seed(seed, "labels", count)))
    per_digit = count // 10
    chosen = torch.cat([order[labels[order] == digit][:per_digit] for digit in range(10)])
    return data.train.tensor[chosen], labels[chosen]


def _classified(source: Autoencoder, data: PreparedData, x: Tensor, y: Tensor, seed: int) -> dict[str, float]:
    """Test errors in percent of each classifier, trained on labels."""
    assert data.test is not None
    test = data.test.tensor, torch.as_tensor(data.test.labels)
    # EPOCHS passes over many labels, but at least STEPS steps for few
    steps = max(STEPS, EPOCHS * -(-len(x) // FINE_TUNING.batch_size))
    whole = supervise(source, x, y, fine_tuning=FINE_TUNING.model_copy(update={"steps": steps}), classes=10, seed=seed)
    probe = supervise(source, x, y, head=HEAD.model_copy(update={"steps": steps}), classes=10, seed=seed)
    z_train, z_test = (source.encode(images).flatten(1).numpy() for images in (x, test[0]))
    neighbors = KNeighborsClassifier(min(NEIGHBORS, len(x) // 10)).fit(z_train, y.numpy())
    wrong = float(np.mean(neighbors.predict(z_test) != test[1].numpy()))
    return {"whole": 100 * whole.error(*test), "probe": 100 * probe.error(*test), "neighbors": 100 * wrong}


PAPER = Paper(
    name="labels",
    title="MNIST test error by number of labels and kind of unsupervised pretraining",
    claim="with 100 to 1,000 labels, unsupervised pretraining removes a fifth to a third of the errors; with 10 labels "
    "hardly any; with all labels greedy pretraining still helps",
    quick="6,000 training and 1,000 test images, 100 and 1,000 labels, 2 epochs without labels, one seed",
    run=run,
    budget=f"784-{UNITS}-{UNITS}; RBM and denoising 15 epochs per layer, contractive 10, VAE 20; with labels {STEPS:,} "
    f"steps or {EPOCHS} epochs, whichever is more; seeds {', '.join(map(str, SEEDS))}",
    source="not from a paper: our own comparison of kinds of unsupervised pretraining.",
    notes=(
        "With 10 labels there is one image per digit, so one nearest neighbor is used.",
        "The VAE has another net (ReLU units, 50 latents) and no baseline with random weights, so its rows mix net and "
        "method; RBM and denoising layers were trained for 15 epochs, contractive layers for 10.",
    ),
    data_sets=("mnist",),
)
