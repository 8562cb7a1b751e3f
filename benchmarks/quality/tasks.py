"""What is waited for: the figure of each task, its data, and who competes."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
# the networks and training loops of the comparison of speed; own modules come first
sys.path += [str(HERE.parent / "speed"), str(HERE.parent)]

from by_isthmus import OPTIONS  # noqa: E402
from records import keep, kept, kind, versions  # noqa: E402, F401  the other modules take them from here
from rows import MALLOC, PEERS, Competitor, environment  # noqa: E402, F401

VALID_IMAGES, VALID_PEOPLE = 5000, 4
"""Last training images, or people, that decide when to stop."""
TRIAL = {"train": 2000, "valid": 300, "test": 300}


@dataclass(frozen=True)
class Task:
    """A network on images, and the figure that ends its training.

    ``goal`` is the figure, ``easy`` the one of a trial; ``sign`` is 1 where more is better, else -1. Each
    opponent takes the one of ``batches`` with which it is faster.
    """

    title: str
    net: str
    figure: str
    unit: str
    goal: float
    easy: float
    sign: int
    batches: tuple[int, int]
    data: str = "mnist"
    who: tuple[str, ...] = ("isthmus", "isthmus, chosen", "hand", "hand, our options", "pythae", "keras, jax")

    def met(self, value: float, goal: float) -> bool:
        """Whether a figure reaches the goal; NaN does not."""
        return self.sign * value >= self.sign * goal


TASKS = {
    "deep": Task(
        "MNIST, deep autoencoder 784-1000-500-250-30: squared error of an image",
        "deep",
        "squared_error",
        "",
        3.0,
        45.0,
        -1,
        (100, 500),
    ),
    "vae": Task("MNIST, VAE 784-512-16: bound on log p(x)", "vae", "bound", "nats", -103.0, -230.0, 1, (100, 1000)),
    "conv": Task(
        "MNIST, convolutional network of the Keras tutorial: cross-entropy per pixel",
        "conv28",
        "cross_entropy",
        "nats",
        0.095,
        0.3,
        -1,
        (100, 500),
    ),
    "faces": Task(
        "Olivetti, faces of unseen people restored from Gaussian noise",
        "restoring",
        "psnr",
        "dB",
        25.7,
        16.0,
        1,
        (8, 32),
        "olivetti",
        # neither pythae nor Keras has such a model
        ("isthmus", "isthmus, chosen", "hand", "hand, our options"),
    ),
}

NOISE = {"corruption.kind": "gaussian", "corruption.scale": 0.2, "corruption.clip": True}
RECIPES = OPTIONS | {"restoring": ("denoiser", NOISE)}
"""The recipe of each net, and what is changed in it."""

COMPETITORS = {
    "isthmus": Competitor("train_isthmus"),
    "isthmus, chosen": Competitor("train_isthmus"),
    "hand": Competitor("train_hand"),
    "hand, our options": Competitor("train_hand"),
    "pythae": Competitor("train_pythae", PEERS, MALLOC),
    "keras, jax": Competitor("train_keras", PEERS, {"KERAS_BACKEND": "jax"}),
}
"""``chosen`` uses the options that ``--search`` found; ``our options`` is the hand-written loop with the same ones."""


def splits(task: Task, *, trial: bool) -> dict[str, np.ndarray]:
    """Images (N, H, W) of 8 bits for training, validation and test; with noisy copies of the last two, if restored."""
    from isthmus.data import load_dataset
    from isthmus.options import DataOptions

    loaded = load_dataset(task.data, DataOptions(), seed=0)
    images = loaded.train.x
    if task.data == "mnist":
        found = {"train": images[:-VALID_IMAGES], "valid": images[-VALID_IMAGES:], "test": loaded.test.x}
    else:
        found = _people(images, loaded.train.groups())
    if trial:
        found = {name: x[: TRIAL[name]] for name, x in found.items()}
    return found | (_noisy(found) if task.figure == "psnr" else {})


def _people(images: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """The test people of ``benchmarks/denoising.py``, and those before them for validation."""
    from denoising import TEST_PEOPLE

    known = np.unique(groups)
    test, valid = known[-TEST_PEOPLE:], known[-TEST_PEOPLE - VALID_PEOPLE : -TEST_PEOPLE]
    of = {"valid": np.isin(groups, valid), "test": np.isin(groups, test)}
    return {"train": images[~of["valid"] & ~of["test"]], **{name: images[rows] for name, rows in of.items()}}


def _noisy(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Noisy copies of validation and test images; those of the test are of ``benchmarks/denoising.py``, seed 0."""
    from denoising import corrupted

    seeds = {"valid": 1000, "test": 0}
    return {
        f"{name}_noisy": corrupted(found[name].astype(np.float32) / 255, "gaussian", seed)
        for name, seed in seeds.items()
    }


Settings = dict[str, Any]
"""Options of a run in the words of Isthmus, by path; opponents read those that they have."""
Spec = dict[str, Any]
"""One run as plain data: ``task``, ``who``, ``seed``, ``goal``, ``limit`` (s), ``settings``, ``data``, ``test``."""
