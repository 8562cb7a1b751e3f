r"""Wasserstein autoencoders (Tolstikhin et al., 2018), table 1, on MNIST in place of CelebA.

A VAE, WAE-MMD and WAE-GAN with a code of 8 values, the same fully connected nets and the same cost, the squared error
summed over pixels in [0, 1] (a Gaussian likelihood, whose mean is the output). The lambda of the paper is relative to
0.05 times that sum, here to half of it, so its lambda = 10 on MNIST is a weight of 100
(:mod:`isthmus.zoo.wasserstein`); the weight of the critic is that of the recipe. The VAE has the scale with which its
samples are nearest to the validation images.

The metrics are the squared error of test images; the distance between the aggregate posterior of the test images and
the prior, by MMD and by the W2 distance of Gaussians with their moments; the sharpness of samples (variance of the
Laplacian, mean over images, as in the paper); and the Frechet distance of 10,000 samples to the test images. That
distance is **not FID**: its features are the hidden units of a small digit classifier trained here, not those of
Inception, so only its order is compared with the column of the paper.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from isthmus import functional as F
from isthmus import plots
from isthmus.data.prepared import PreparedData
from isthmus.files.atomic import replacing
from isthmus.metrics.evaluation import evaluate
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import seeded
from isthmus.papers.reproduction import Paper, Reproduction, Row, images_of, mean_and_spread
from isthmus.runs.interpolation import end_points, lines_between
from isthmus.runs.run import Run
from isthmus.zoo import vae, wae_gan, wae_mmd

FID = {"VAE": 63, "WAE-MMD": 55, "WAE-GAN": 42}
"""On CelebA, table 1; 55 and 42 as quoted by others, 63 from memory."""
SHARPNESS = {"VAE": 3e-3, "WAE-MMD": 3e-3, "WAE-GAN": 6e-3, "data": 2e-2}
"""On CelebA, table 1, from memory."""
BEST = "34 (2-stage VAE)"
"""The FID on CelebA with the nets of the paper, from memory."""
SCALES = (0.17, 0.3, 0.55)
"""Likelihood scales tried for the VAE: variances of 0.03, 0.1 and 0.3."""
LATENT, HIDDEN, SEEDS, EPOCHS = 8, (512, 512), (0, 1, 2), 20
FEATURES = {"units": 64, "passes": 10}
"""Hidden units of the classifier, and its epochs."""
SAMPLES, PAIRED = 10_000, 5000
"""Samples for the Frechet distance, and codes for the MMD, which is quadratic in their number."""
SHOWN = 12
"""Images per row."""
COLUMNS: dict[str, tuple[str, Mapping[str, float | str], str]] = {
    "squared_error": ("squared error per test image", {}, "below that of the VAE"),
    "mmd": ("MMD^2 of codes and prior", {}, ""),
    "w2": ("W2 of codes and prior, by their moments", {}, ""),
    "sharpness": ("sharpness of samples", SHARPNESS, "above that of the VAE"),
    "frechet": (
        "Frechet distance of samples (not FID)",
        {kind: f"FID {value}" for kind, value in FID.items()},
        "below that of the VAE",
    ),
}
"""Name, published values and target of each metric."""

Metrics = dict[str, Any]


def recipe(kind: str, scale: float) -> Recipe:
    """One of the three models; ``scale`` is the likelihood scale of the VAE."""
    if kind == "VAE":
        cost = {"likelihood.kind": "gaussian", "likelihood.scale": scale, "training.learning_rate": 1e-3}
        return vae(LATENT, hidden=HIDDEN).with_options(cost)
    return {"WAE-MMD": wae_mmd, "WAE-GAN": wae_gan}[kind](LATENT, hidden=HIDDEN)


def run(reproduction: Reproduction) -> list[Row]:
    """Train the feature classifier, select the scale of the VAE on the validation images, evaluate all seeds."""
    seeds, epochs, scales = ((0,), 5, SCALES[1:2]) if reproduction.quick else (SEEDS, EPOCHS, SCALES)
    data = images_of(reproduction, "mnist", recipe("WAE-MMD", 1))
    known = _features(reproduction, data)
    tried = {scale: _piece(reproduction, data, "VAE", scale, 0, epochs) for scale in scales}
    scale = min(tried, key=lambda s: float(tried[s]["valid_frechet"]))
    found = {kind: [_piece(reproduction, data, kind, scale, seed, epochs) for seed in seeds] for kind in FID}
    models = {kind: _trained(reproduction, data, kind, scale, 0, epochs) for kind in FID}
    _draw(reproduction, data, models)
    chosen = [
        Row("selected scale of the VAE", scale),
        Row("accuracy of the feature classifier", known["accuracy"]),
    ]
    return _rows(found, known) + chosen


def _name(kind: str, scale: float, seed: int) -> str:
    return f"{kind.lower()}-{scale:g}-seed{seed}" if kind == "VAE" else f"{kind.lower()}-seed{seed}"


def _trained(reproduction: Reproduction, data: PreparedData, kind: str, scale: float, seed: int, epochs: int) -> Run:
    """A trained model."""
    chosen = recipe(kind, scale).with_options({"training.epochs": epochs})
    return reproduction.model(_name(kind, scale, seed), chosen, data, seed=seed)


def _piece(reproduction: Reproduction, data: PreparedData, kind: str, scale: float, seed: int, epochs: int) -> Metrics:
    """Metrics of one model on the test images, and the distance by which its scale is selected."""
    name, plan = _name(kind, scale, seed), recipe(kind, scale)

    def measure() -> Metrics:
        assert data.test is not None
        assert data.valid is not None
        done = _trained(reproduction, data, kind, scale, seed, epochs)
        # clamped as for display, because the mean of a Gaussian may leave the range of pixels
        samples = done.model.sample(min(SAMPLES, len(data.train)), seed=reproduction.seed).clamp(0, 1)
        return {
            "squared_error": evaluate(done.objective, data.test.x, seed=reproduction.seed)["squared_error"],
            **_match(done.model, data.test.tensor, reproduction.seed),
            "sharpness": F.sharpness(samples).mean().item(),
            "frechet": _frechet(reproduction, samples, data.test.tensor),
            "valid_frechet": _frechet(reproduction, samples, data.valid.tensor),
        }

    return reproduction.piece(name, measure, recipe=plan.to_dict(), epochs=epochs, samples=SAMPLES, features=FEATURES)


def _match(model: Autoencoder, x: Tensor, seed: int) -> Metrics:
    """Distances between the codes of ``x``, sampled from q, and the prior."""
    with seeded(seed):
        z = model.encode(x, sample=True)
        prior = model.prior_distribution().sample(torch.Size((len(x),)))
    loc, factor = F.fitted_gaussian(z)
    distance = F.squared_wasserstein_full(loc, factor, torch.zeros_like(loc), torch.eye(LATENT)[None])
    return {"mmd": F.squared_mmd(z[:PAIRED], prior[:PAIRED]).item(), "w2": distance.item() ** 0.5}


def _features(reproduction: Reproduction, data: PreparedData) -> Metrics:
    """Train the feature classifier and store its first layer; its accuracy, and the metrics of real images."""

    def trained() -> Metrics:
        assert data.test is not None
        train, test = data.train, data.test
        classifier = MLPClassifier((FEATURES["units"],), max_iter=FEATURES["passes"], random_state=reproduction.seed)
        with warnings.catch_warnings():
            # the number of epochs is fixed, so the tolerance is not reached
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(train.tensor.flatten(1).numpy(), train.labels)
        layer = {"weight": classifier.coefs_[0], "bias": classifier.intercepts_[0]}
        with replacing(reproduction.place("pieces/features.safetensors")) as path:
            save_file({name: torch.from_numpy(value).float().contiguous() for name, value in layer.items()}, path)
        return {
            "accuracy": classifier.score(test.tensor.flatten(1).numpy(), test.labels),
            "frechet": _frechet(reproduction, train.tensor[:SAMPLES], test.tensor),
            "sharpness": F.sharpness(test.tensor).mean().item(),
        }

    return reproduction.piece("features", trained, features=FEATURES, samples=SAMPLES)


def _frechet(reproduction: Reproduction, x: Tensor, y: Tensor) -> float:
    """Squared Frechet distance of two sets of images: of Gaussians with the moments of their features."""
    layer = load_file(reproduction.place("pieces/features.safetensors"))
    features = [torch.relu(v.flatten(1) @ layer["weight"] + layer["bias"]).double() for v in (x, y)]
    one, other = (F.fitted_gaussian(values) for values in features)
    return F.squared_wasserstein_full(*one, *other).item()


def _rows(found: dict[str, list[Metrics]], real: Metrics) -> list[Row]:
    """The table by metric; the targets of WAEs are relative to the VAE."""
    rows = []
    for key, (what, published, target) in COLUMNS.items():
        if key in real:
            rows.append(Row(f"{what}: data", real[key], published.get("data", "-")))
        values = {kind: mean_and_spread([m[key] for m in by_seed]) for kind, by_seed in found.items()}
        base = values["VAE"][0]
        for kind, (value, spread) in values.items():
            condition = target if kind != "VAE" else ""
            met = (value > base if key == "sharpness" else value < base) if condition else None
            known = BEST if key == "frechet" and kind == "WAE-GAN" else "-"
            rows.append(
                Row(f"{what}: {kind}", value, published.get(kind, "-"), known, target=condition, met=met, spread=spread)
            )
    return rows


def _draw(reproduction: Reproduction, data: PreparedData, models: dict[str, Run]) -> None:
    """Draw samples, reconstructions and interpolations of the first seed, in rows by model."""
    assert data.test is not None
    x, ends = data.test.tensor[:SHOWN], end_points(data.test, 2)
    samples = {
        kind: torch.split(run.model.sample(3 * SHOWN, seed=reproduction.seed), SHOWN) for kind, run in models.items()
    }
    paths = {kind: lines_between(run, *ends, SHOWN) for kind, run in models.items()}
    strips = {
        "samples": (
            "Samples from the prior",
            {"test images": x}
            | {f"{kind}, {k + 1}": row for kind, rows in samples.items() for k, row in enumerate(rows)},
        ),
        "reconstructions": (
            "Reconstructions of test images",
            {"test images": x} | {kind: run.model.reconstruct(x) for kind, run in models.items()},
        ),
        "interpolations": (
            "Interpolations between the codes of test images",
            {f"{kind}, pair {k + 1}": path[k] for k in (0, 1) for kind, path in paths.items()},
        ),
    }
    for name, (title, rows) in strips.items():
        figure = plots.strip({row: images.numpy() for row, images in rows.items()}, title=title)
        plots.save(figure, reproduction.place(f"{name}.png"))


PAPER = Paper(
    name="tolstikhin2018",
    title="Tolstikhin et al. (2018), table 1: VAE, WAE-MMD and WAE-GAN, on MNIST",
    claim="WAEs reconstruct better than a VAE with the same nets, and their samples are sharper and nearer to the data",
    quick="6,000 training and 1,000 test images, 5 epochs, one seed, one scale of the VAE; the targets do not apply",
    run=run,
    budget=f"{EPOCHS} epochs, seeds {', '.join(map(str, SEEDS))}, 784-512-512-8, lambda 10 (the paper: CelebA, 55 "
    "epochs); the scale of the VAE by validation",
    source="table 1 (CelebA): distances of WAE-MMD and WAE-GAN as quoted by others, the rest not checked against the "
    "paper; only their order is compared, on other images.",
    data_sets=("mnist",),
)
