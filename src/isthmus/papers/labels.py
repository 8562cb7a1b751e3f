r"""What unsupervised training is worth: test error on MNIST against the number of labels.

An encoder 784-500-500 learns from all training images without their labels, in one of several ways, or not at all.
Then a head stands on it and some images get labels: the whole net is trained on them, or the head alone (a linear
probe), or the nearest labelled codes vote. Every label counts, so none is spent on choosing: lengths and rates are the
same everywhere, after one look at validation images (docs/log.md). The labelled images are drawn anew with each seed,
equally many of each digit.
"""

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from isthmus import plots
from isthmus.data.prepare import Prepared
from isthmus.model import Autoencoder
from isthmus.options import PretrainingOptions, TrainingOptions
from isthmus.papers.sitting import Paper, Row, Sitting, images_of, mean_and_spread
from isthmus.recipe import Recipe
from isthmus.supervised import supervise
from isthmus.training.batches import stream
from isthmus.training.stacked import stack
from isthmus.zoo import deep, vae

UNITS = 500
SOURCES: dict[str, PretrainingOptions] = {
    "random": PretrainingOptions(),
    "RBM": PretrainingOptions(kind="rbm", epochs=(15,)),
    "denoising": PretrainingOptions(kind="denoising", epochs=(15,)),
    "contractive": PretrainingOptions(kind="contractive", epochs=(10,)),
}
"""Ways to train the encoder level by level; a variational autoencoder is one more."""
VAE = "VAE"
LABELS = (10, 100, 600, 1000, 3000, 0)
"""Numbers of labels; 0 stands for all."""
SEEDS = (0, 1, 2, 3, 4)
STEPS, EPOCHS = 1000, 10
WHOLE = TrainingOptions(batch=100, rate=4e-3, schedule="cosine", keep="last")
HEAD = TrainingOptions(batch=100, rate=5e-3, schedule="cosine", keep="last", precision="32")
NEIGHBOURS = 5
WAYS = {"whole": "whole net trained", "probe": "linear probe", "neighbours": f"{NEIGHBOURS} nearest neighbours"}


def run(sitting: Sitting) -> list[Row]:
    """Every way to learn without labels, every number of labels, every seed."""
    seeds, counts = ((0,), (100, 1000)) if sitting.quick else (SEEDS, LABELS)
    data = images_of(sitting, "mnist", deep().with_options({"data.validation": 0.0}))
    errors = {name: [_errors(sitting, data, name, seed, counts) for seed in seeds] for name in (*SOURCES, VAE)}
    rows: list[Row] = []
    for way, words in WAYS.items():
        curves, spreads = {}, {}
        for name, by_seed in errors.items():
            found = {count: mean_and_spread([e[f"{way}-{count}"] for e in by_seed]) for count in counts}
            curves[name] = ([float(count or len(data.train)) for count in counts], [v for v, _ in found.values()])
            spreads[name] = [spread or 0.0 for _, spread in found.values()]
            for count, (value, spread) in found.items():
                rows.append(
                    Row(f"{words}, {count or len(data.train):,} labels, {name}", value, unit="%", spread=spread)
                )
        figure = plots.lines(
            curves,
            title=f"MNIST, {words}: error by the number of labels",
            axis_labels=("labels", "test error, %; bars: standard deviation"),
            spreads=spreads,
            log_x=True,
            log_y=True,
        )
        plots.save(figure, sitting.place(f"{way}.png"))
    return rows


def _errors(sitting: Sitting, data: Prepared, name: str, seed: int, counts: tuple[int, ...]) -> dict[str, float]:
    """Test errors in per cent of one encoder, by what stands on it and the number of labels."""

    def measured() -> dict[str, float]:
        source = _encoder(sitting, data, name, seed)
        found: dict[str, float] = {}
        for count in counts:
            x, y = _labelled(data, count, sitting.seed + seed)
            found |= {f"{way}-{count}": e for way, e in _judged(source, data, x, y, sitting.seed + seed).items()}
        return found

    trained = {"whole": WHOLE.model_dump(mode="json"), "head": HEAD.model_dump(mode="json"), "neighbours": NEIGHBOURS}
    levels = SOURCES[name].model_dump(mode="json") if name in SOURCES else None
    how = trained | {"recipe": _recipe(sitting, name).to_dict(), "levels": levels}
    return sitting.piece(f"{name}-seed{seed}", measured, counts=counts, steps=STEPS, epochs=EPOCHS, units=UNITS, **how)


def _encoder(sitting: Sitting, data: Prepared, name: str, seed: int) -> Autoencoder:
    """An encoder that has seen all training images, or none, and no label."""
    if name == VAE:
        return sitting.model(f"vae-seed{seed}", _recipe(sitting, name), data, seed=seed).model
    levels = SOURCES[name].model_copy(update={"epochs": (2,)}) if sitting.quick else SOURCES[name]
    return stack(_recipe(sitting, name), levels, data.train.tensor, seed=sitting.seed + seed)


def _recipe(sitting: Sitting, name: str) -> Recipe:
    """The recipe whose encoder is learnt."""
    if name == VAE:
        return vae(50, (UNITS, UNITS)).with_options({"training.epochs": 2 if sitting.quick else 20})
    return deep(UNITS, (UNITS,)).with_options({"net.activation": "sigmoid", "latent.activation": "sigmoid"})


def _labelled(data: Prepared, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """``count`` training images with their labels, equally many of each digit as far as that goes; 0 is all."""
    labels = torch.as_tensor(data.train.labels)
    if not count:
        return data.train.tensor, labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(stream(seed, "labels", count)))
    each = count // 10
    chosen = torch.cat([order[labels[order] == digit][:each] for digit in range(10)])
    return data.train.tensor[chosen], labels[chosen]


def _judged(source: Autoencoder, data: Prepared, x: Tensor, y: Tensor, seed: int) -> dict[str, float]:
    """Test errors in per cent after training on labels in each way."""
    assert data.test is not None
    test = data.test.tensor, torch.as_tensor(data.test.labels)
    # at least so many steps for a few labels, and so many passes over many
    steps = max(STEPS, EPOCHS * -(-len(x) // WHOLE.batch))
    whole = supervise(source, x, y, whole=WHOLE.model_copy(update={"steps": steps}), classes=10, seed=seed)
    probe = supervise(source, x, y, head=HEAD.model_copy(update={"steps": steps}), classes=10, seed=seed)
    codes, asked = (source.encode(part).flatten(1).numpy() for part in (x, test[0]))
    votes = KNeighborsClassifier(min(NEIGHBOURS, len(x) // 10)).fit(codes, y.numpy())
    wrong = float(np.mean(votes.predict(asked) != test[1].numpy()))
    return {"whole": 100 * whole.error(*test), "probe": 100 * probe.error(*test), "neighbours": 100 * wrong}


PAPER = Paper(
    name="labels",
    title="Error against the number of labels, by what was learnt without them (MNIST)",
    claim="from 100 to 1,000 labels, what was learnt without them takes a fifth to a third of the errors away; with 10 "
    "hardly any, with all of them stacked levels still help",
    quick="6,000 training and 1,000 test images, 100 and 1,000 labels, 2 epochs without labels, one seed",
    run=run,
    budget=f"784-{UNITS}-{UNITS}; RBM and denoising 15 epochs a level, contractive 10, VAE 20; with labels {STEPS:,} "
    f"steps or {EPOCHS} epochs, whichever is more; seeds {', '.join(map(str, SEEDS))}",
    source="no paper's table: a report of our own, over the ways to learn without labels.",
    notes=(
        "With 10 labels the neighbours are one, for there is one image of a digit.",
        "The VAE has another net (rectified units, 50 means on top) without a random start of its own, so its "
        "rows mix net and method; the levels of machines and of denoising had 15 epochs, contractive ones 10.",
    ),
    needs=("mnist",),
)
