r"""Blur of variational autoencoders on faces: the same network as an autoencoder and as a VAE, measured and shown.

The decoder of a Gaussian likelihood states a mean. Where the code leaves open which of several images it stands for,
the mean of the best decoder is the average of them, which is smooth. A VAE has a code with noise, which could leave
open more than that of an autoencoder of its size: whether it does is the question. The blur is measured by PSNR, by
sharpness (the variance of the Laplacian) and by the power at high spatial frequencies, each relative to the images
themselves. A draw from p(x | z) has the power of the images, since sigma is what the mean leaves over, but as noise of
independent pixels and not as detail.

What sharpens is tried on the same faces: a larger code, and a second stage in which the decoder of the VAE alone is
trained further, for as long with its likelihood alone, with the features of a comparator, with a critic, or with both.
Samples are decoded from the prior, and from a mixture of Gaussians that is fitted to the codes.

Olivetti faces of people who are in the training set, in 64x64 pixels, three seeds; test images decide nothing.
"""

import statistics
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus import plots
from isthmus.data.prepared import PreparedData
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import seeded
from isthmus.papers.reproduction import Paper, Reproduction, Row, images_of, mean_and_spread
from isthmus.runs import densities
from isthmus.runs.run import Run
from isthmus.zoo import conv_vae

DATA, LATENT, LARGER, SEEDS = "olivetti", 64, 256, (0, 1, 2)
EPOCHS, LONGER = 400, 60
"""Epochs of a model, and of the second stage of its decoder."""
HIGH = 1 / 8
"""Spatial frequency in cycles per pixel from which on power counts as high: waves of up to 8 pixels."""
SHOWN = 8
STAGE = {"training.stage": "decoder", "training.learning_rate": 5e-4, "training.schedule": "constant"}
FEATURES = {"penalties.features.kind": "features", "penalties.features.weight": 1.0}
CRITIC = {
    "penalties.discriminator.kind": "discriminator",
    "penalties.discriminator.ratio": 1.0,
    "penalties.discriminator.matching": 1.0,
    "penalties.discriminator.critic_lr_ratio": 2.0,
}
STAGES = {"longer": {}, "features": FEATURES, "critic": CRITIC, "both": FEATURES | CRITIC}
"""What the second stage of the decoder adds to its likelihood, by key."""
NAMES = {
    "ae": "autoencoder",
    "vae": "VAE",
    "larger": f"VAE, code of {LARGER}",
    "longer": "VAE, decoder trained longer",
    "features": "the same with features",
    "critic": "the same with a critic",
    "both": "the same with both",
    "draw": "draw from p(x|z)",
    "prior": "decoded prior",
    "mixture": "decoded mixture",
    "sharper": "decoded mixture, with both",
}
"""What is compared with the images, by key; the last three are samples."""
SAMPLES = ("prior", "mixture", "sharper")
SPECTRA = ("images", "ae", "vae", "both", "draw", "mixture")
"""Versions whose spectra are drawn: as many as there are colors."""
MEASURES = {"psnr": ("PSNR", "dB"), "sharpness": ("sharpness", "of that of the images"), "high": ("power", "of that")}

Metrics = dict[str, Any]


def recipes(*, quick: bool) -> dict[str, Recipe]:
    """One network with a deterministic code, with a Gaussian one, and with a larger one."""
    common = {
        "likelihood.kind": "optimal_gaussian",
        "training.keep": "last",
        "training.epochs": 2 if quick else EPOCHS,
        "data.validation": 0.0,
        "data.random_flip": True,
    }
    variational = conv_vae(LATENT).with_options(common)
    plain = variational.with_options({"latent.kind": "deterministic", "penalties.kl": None})
    return {"ae": plain, "vae": variational, "larger": variational.with_options({"latent.size": LARGER})}


def run(reproduction: Reproduction) -> list[Row]:
    """Train both models with each seed, measure the blur, and draw faces and spectra."""
    plans = recipes(quick=reproduction.quick)
    data = images_of(reproduction, DATA, plans["vae"], quick_train=200, quick_test=40)
    seeds = (0,) if reproduction.quick else SEEDS
    found = [_piece(reproduction, data, plans, seed) for seed in seeds]
    versions = _versions(reproduction, _trained(reproduction, data, plans, 0), data)
    _draw(reproduction, versions)
    return _rows(found)


def _trained(reproduction: Reproduction, data: PreparedData, plans: dict[str, Recipe], seed: int) -> dict[str, Run]:
    runs = {name: reproduction.model(f"{name}-seed{seed}", plan, data, seed=seed) for name, plan in plans.items()}
    for name, added in STAGES.items():
        epochs = 2 if reproduction.quick else LONGER
        plan = plans["vae"].with_options(STAGE | added | {"training.epochs": epochs})
        runs[name] = reproduction.model(f"{name}-seed{seed}", plan, data, seed=seed, start=runs["vae"])
    return runs


def _versions(reproduction: Reproduction, runs: dict[str, Run], data: PreparedData) -> dict[str, Tensor]:
    """The test images, and what the models make of them, clamped as for display."""
    assert data.test is not None
    x = data.test.tensor
    model = runs["vae"].model
    with seeded(reproduction.seed), torch.no_grad():
        draw = model.output(model.encode(x)).sample()
    made = {"images": x} | {name: run.model.reconstruct(x) for name, run in runs.items()}
    made |= {"draw": draw, "prior": model.sample(len(x), seed=reproduction.seed)}
    for name, source in {"mixture": "vae", "sharper": "both"}.items():
        run = replace(runs[source], data=data)
        made[name] = densities.sample(run, len(x), density="gmm", seed=reproduction.seed).cpu()
    return {name: y.clamp(0, 1) for name, y in made.items()}


def _piece(reproduction: Reproduction, data: PreparedData, plans: dict[str, Recipe], seed: int) -> Metrics:
    """The measures of one seed, by version and measure."""

    def measure() -> Metrics:
        return measured(_versions(reproduction, _trained(reproduction, data, plans, seed), data))

    return reproduction.piece(f"blur-seed{seed}", measure, recipe=plans["vae"].to_dict())


def measured(versions: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """PSNR in dB of what is paired with the images, and sharpness and high power relative to them."""
    x = versions["images"]
    sharp, high = F.sharpness(x).mean(), high_power(x)
    found = {}
    for name in NAMES:
        y = versions[name]
        found[name] = {"sharpness": (F.sharpness(y).mean() / sharp).item(), "high": (high_power(y) / high).item()}
        if name not in SAMPLES:
            found[name]["psnr"] = F.psnr(x, y).mean().item()
    return found


def high_power(x: Tensor) -> Tensor:
    """Mean power of images at high spatial frequencies."""
    frequencies, power = F.power_spectrum(x)
    return power[:, frequencies >= HIGH].mean()


def _rows(found: list[Metrics]) -> list[Row]:
    """The table by measure; autoencoder and VAE are expected to be blurred, and features and critic to sharpen."""
    rows = []
    for measure, (what, unit) in MEASURES.items():
        title = f"{what} above {HIGH:g} cycles per pixel" if measure == "high" else what
        for name, words in NAMES.items():
            if measure not in found[0][name]:
                continue
            value, spread = mean_and_spread([each[name][measure] for each in found])
            blurred = measure != "psnr" and name in ("ae", "vae")
            target, met = ("below 1", value < 1) if blurred else ("", None)
            if measure == "sharpness" and name == "both":
                before = statistics.mean(each["longer"][measure] for each in found)
                target, met = "1.5 times that without", value >= 1.5 * before
            rows.append(Row(f"{title}: {words}", value, unit=unit, target=target, met=met, spread=spread))
    return rows


def _draw(reproduction: Reproduction, versions: dict[str, Tensor]) -> None:
    """Draw faces in rows, and the spectra of some versions."""
    titles = {"images": "images"} | NAMES
    every = max(1, len(versions["images"]) // SHOWN)
    rows = {titles[name]: y[::every][:SHOWN].numpy() for name, y in versions.items()}
    plots.save(plots.strip(rows, title="Faces, and what the models make of them"), reproduction.place("faces.png"))
    spectra = {}
    for name in SPECTRA:
        frequencies, power = F.power_spectrum(versions[name])
        spectra[titles[name]] = (frequencies.tolist(), power.mean(0).tolist())
    figure = plots.lines(
        spectra,
        title="Power spectra of faces",
        axis_labels=("spatial frequency, cycles per pixel", "power, squared gray levels"),
        log_y=True,
    )
    plots.save(figure, reproduction.place("spectra.png"))


PAPER = Paper(
    name="blur",
    title="Why faces of a VAE are blurred: autoencoder, VAE and draws from its decoder",
    claim="the mean of a decoder averages over what the code leaves open, so it has less power at high frequencies",
    quick="200 training and 40 test images, 2 epochs, one seed; the targets do not apply",
    run=run,
    budget=f"{EPOCHS} epochs, {LONGER} more of the decoder, seeds {', '.join(map(str, SEEDS))}",
    source="statements of the literature about blurred samples; no numbers are compared.",
    data_sets=(DATA,),
)
