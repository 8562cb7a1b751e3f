"""Directions between classes: how many altered images a classifier takes for the class, and what else they keep.

An autoencoder is trained on a part of the images. For each pair of classes the direction is computed on these images;
its method and strength, and whether the residual is added, are chosen on validation images; test images of the first
class are then moved once. Measured are

    success   fraction of them that a classifier, trained on the images alone, takes for the second class
    region    fraction that it does and whose five nearest training images, in its features, are mostly of that class
    identity  faces: fraction whose nearest test image, in the features of a classifier of persons, shows the same
              person; clothes: is the image itself, among those of its class, in features that tell examples apart
    random    success of 20 random directions of the same length: mean, and the best of them

Only pairs are reported whose classes the classifier finds in 85 % of the test images and of their reconstructions.

    ISTHMUS_DATA=... python benchmarks/directions.py [--data fashion_mnist cmu_faces] [--seeds 0 1 2]
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import permutations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus import fit
from isthmus.data.base import Array
from isthmus.data.catalogue.table import load_dataset
from isthmus.functional.directions import DIRECTIONS
from isthmus.models.hardware import describe
from isthmus.models.seeding import seeded
from isthmus.options import DataOptions
from isthmus.parts.nets.comparator import comparator
from isthmus.runs.directions import Direction, altered
from isthmus.runs.run import Run
from isthmus.training.classifiers import train_features

RESULTS = Path(__file__).parent / "results" / "directions.json"
GATE, RANDOM = 0.85, 20
STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
JUDGE = {"fashion_mnist": 3000, "cmu_faces": 1500}
CLOTHES = (("T-shirt/top", "Dress"), ("Dress", "T-shirt/top"), ("Sneaker", "Ankle boot"), ("Ankle boot", "Sneaker"))
CLOTHES += (("Pullover", "Coat"), ("T-shirt/top", "Pullover"))
FACTORS = ("pose", "eyes")
MODELS = {
    "fashion_mnist": {
        "net.channels": [32, 64],
        "latent.size": 32,
        "likelihood.kind": "optimal_gaussian",
        "training.batch_size": 64,
        "training.learning_rate": 1.5e-3,
        "training.steps": 4000,
        "training.keep": "last",
    },
    "cmu_faces": {
        "net.channels": [32, 64, 128],
        "net.norm": "group",
        "net.upsampling": "upsample",
        "latent.size": 64,
        "likelihood.kind": "optimal_gaussian",
        "training.batch_size": 32,
        "training.learning_rate": 1.5e-3,
        "training.steps": 3000,
        "training.keep": "last",
    },
}


class Classifier:
    """A network trained on the classes of images, or to tell them apart, with its features."""

    def __init__(self, x: Tensor, labels: Array | None, steps: int, seed: int) -> None:
        with seeded(seed):
            self.net = comparator(tuple(x.shape[1:]), (24, 48, 96), 64, 5)
        classes = None if labels is None else torch.from_numpy(labels).long()
        self.head = train_features(self.net, x, classes, seed=seed, steps=steps)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Features (N, 64)."""
        return torch.cat([self.net(some)[-1] for some in torch.split(x, 500)])

    @torch.no_grad()
    def classes(self, x: Tensor) -> Array:
        """The class of each image."""
        return self.head(self.features(x)).argmax(1).numpy()


class Setting(NamedTuple):
    """How a direction is found and used."""

    method: str
    residual: bool
    strength: float


@dataclass
class Task:
    """The images of one data set, one of its labels, and what judges it.

    Attributes:
        x: images by split.
        labels: their classes by split.
        judge: classifier of these classes.
        who: the person of each image by split; ``None`` where examples are told apart instead.
        features: what tells persons, or examples, apart.
    """

    x: dict[str, Tensor]
    labels: dict[str, Array]
    judge: Classifier
    who: dict[str, Array] | None
    features: Classifier

    @cached_property
    def of_train(self) -> Tensor:
        """Features of the training images."""
        return self.judge.features(self.x["train"])

    def success(self, y: Tensor, target: int) -> dict[str, float]:
        """The fraction of images taken for the target, and of those that also lie in its region."""
        found = self.judge.classes(y) == target
        near = torch.cdist(self.judge.features(y), self.of_train).topk(5, largest=False).indices.numpy()
        inside = (self.labels["train"][near] == target).sum(1) >= 3
        return {"success": float(found.mean()), "region": float((found & inside).mean())}

    def identity(self, split: str, rows: Array, y: Tensor) -> float:
        """The fraction of altered images that keep their person, or else are nearest to their own original."""
        if self.who is not None:
            near = torch.cdist(self.features.features(y), self.features.features(self.x[split])).argmin(1).numpy()
            return float((self.who[split][near] == self.who[split][rows]).mean())
        near = torch.cdist(self.features.features(y), self.features.features(self.x[split][rows])).argmin(1).numpy()
        return float((near == np.arange(len(rows))).mean())


def images(name: str, labels: str | None, seed: int) -> tuple[Tensor, Array, tuple[str, ...], dict[str, Array]]:
    """Model inputs (N, 1, H, W), their classes and names, and the rows of each split."""
    data = load_dataset(name, DataOptions(labels=labels))
    x, y = np.asarray(data.train.x), np.asarray(data.train.labels)
    if data.test is not None:
        held = len(x)
        x, y = np.concatenate([x, data.test.x]), np.concatenate([y, data.test.labels])
        order = np.random.default_rng(seed).permutation(held)
        rows = {"train": order[:-5000], "valid": order[-5000:], "test": np.arange(held, len(x))}
    else:
        order = np.random.default_rng(seed).permutation(len(x))
        cut = round(0.7 * len(x)), round(0.85 * len(x))
        rows = dict(zip(("train", "valid", "test"), np.split(order, cut), strict=True))
    x = torch.from_numpy(x).float()[:, None] / 255
    if x.shape[-1] > 64:
        x = torch.nn.functional.avg_pool2d(x, 2)
    return x, y, data.label_names, rows


def tasks(name: str, seed: int) -> dict[str, tuple[Task, list[tuple[int, int]], tuple[str, ...]]]:
    """The tasks of a data set by their label, with the pairs of classes and their names."""
    found = {}
    labels = FACTORS if name == "cmu_faces" else (None,)
    person = Classifier(*_train(name, "person", seed), JUDGE[name], seed + 1000) if name == "cmu_faces" else None
    for label in labels:
        x, y, names, rows = images(name, label, seed)
        by_split, classes = {s: x[r] for s, r in rows.items()}, {s: y[r] for s, r in rows.items()}
        judge = Classifier(by_split["train"], classes["train"], JUDGE[name], seed + 2000)
        if person is None:
            other, who = Classifier(by_split["train"], None, JUDGE[name], seed), None
        else:
            known = images(name, "person", seed)[1]
            other, who = person, {s: known[r] for s, r in rows.items()}
        pairs = list(permutations(range(len(names)), 2))
        if name == "fashion_mnist":
            pairs = [(names.index(a), names.index(b)) for a, b in CLOTHES]
        found[label or "class"] = Task(by_split, classes, judge, who, other), pairs, names
    return found


def _train(name: str, label: str, seed: int) -> tuple[Tensor, Array]:
    x, y, _, rows = images(name, label, seed)
    return x[rows["train"]], y[rows["train"]]


def measured(
    run: Run, task: Task, split: str, start: int, end: int, found: Direction, how: Setting
) -> dict[str, float]:
    """The measures of images of a split that are moved along a direction."""
    rows = np.flatnonzero(task.labels[split] == start)
    x = task.x[split][torch.from_numpy(rows)]
    y = altered(run, x, found, strength=how.strength, residual=how.residual).clamp(0, 1)
    return task.success(y, end) | {"identity": task.identity(split, rows, y), "n": len(rows)}


def chosen(run: Run, task: Task, start: int, end: int, found: dict[str, Direction]) -> Setting:
    """The setting with the most success on validation images, and the most identity (faces) or region (clothes)."""
    other = "region" if task.who is None else "identity"

    def worth(how: Setting) -> float:
        measures = measured(run, task, "valid", start, end, found[how.method], how)
        return min(measures["success"], 0.98) + min(measures[other], 0.9)

    return max((Setting(*values) for values in product(found, (False, True), STRENGTHS)), key=worth)


def random_success(run: Run, task: Task, start: int, end: int, found: Direction, how: Setting) -> list[float]:
    """Success of random directions as long as the one that was found."""
    generator = np.random.default_rng(0)
    each = []
    for _ in range(RANDOM):
        drawn = generator.standard_normal(found.vector.shape).astype(np.float32)
        drawn *= np.linalg.norm(found.vector) / np.linalg.norm(drawn)
        other = Direction(drawn, "", "", "random", (0, 0))
        each.append(measured(run, task, "test", start, end, other, how)["success"])
    return [float(np.mean(each)), float(np.max(each))]


def gates(run: Run, task: Task) -> list[tuple[float, float]]:
    """For each class, the fraction of its test images, and of their reconstructions, that the classifier finds."""
    found = []
    for label in np.unique(task.labels["test"]):
        x = task.x["test"][torch.from_numpy(task.labels["test"] == label)]
        found.append(tuple(float((task.judge.classes(v) == label).mean()) for v in (x, run.model.reconstruct(x))))
    return found


def of_seed(name: str, seed: int) -> list[dict[str, object]]:
    """The measures of all pairs of classes of a data set."""
    every = tasks(name, seed)
    x = next(iter(every.values()))[0].x["train"]
    run = fit("conv_vae", x.numpy()[:, 0], options=MODELS[name] | {"data.validation": 0, "data.test": 0}, seed=seed)
    rows: list[dict[str, object]] = []
    for label, (task, pairs, names) in every.items():
        gate = gates(run, task)
        for start, end in pairs:
            low = min(*gate[start], *gate[end])
            row = {"data": name, "label": label, "from": names[start], "to": names[end], "seed": seed, "gate": low}
            labeled = {"data": task.x["train"][:, 0].numpy(), "labels": task.labels["train"]}
            found = {name: run.direction(end, away=start, method=name, **labeled) for name in DIRECTIONS}
            how = chosen(run, task, start, end, found)
            row |= {"setting": how._asdict()} | measured(run, task, "test", start, end, found[how.method], how)
            row["random"] = random_success(run, task, start, end, found[how.method], how)
            rows.append(row)
            show(row)
    return rows


def show(row: dict[str, object]) -> None:
    """Print the measures of one pair."""
    how = row["setting"]
    words = f"{how['method']} x{how['strength']}{' residual' if how['residual'] else ''}"
    values = "  ".join(f"{key} {row[key]:.2f}" for key in ("success", "region", "identity", "gate"))
    closed = "" if row["gate"] >= GATE else "  (gate closed)"
    low, high = row["random"]
    print(
        f"{row['from']:12} to {row['to']:12} n {row['n']:4} {words:24} {values}  random {low:.2f} {high:.2f}{closed}",
        flush=True,
    )


def summarize(rows: list[dict[str, object]]) -> None:
    """Print the mean over seeds of each pair, and of all pairs of a label, whose gates are open."""
    open_rows = [row for row in rows if row["gate"] >= GATE]
    groups = {}
    for row in open_rows:
        groups.setdefault(f"{row['data']}: {row['from']} to {row['to']}", []).append(row)
        groups.setdefault(f"{row['data']}: all of {row['label']}", []).append(row)
    for name, some in groups.items():
        values = "  ".join(
            f"{key} {np.mean([row[key] for row in some]):.2f}" for key in ("success", "region", "identity")
        )
        random = [np.mean([row["random"][k] for row in some]) for k in (0, 1)]
        print(f"{name:45} n {len(some):2}  {values}  random {random[0]:.2f} {random[1]:.2f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=["fashion_mnist", "cmu_faces"], choices=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in given.data:
        rows = [row for seed in given.seeds for row in of_seed(name, seed)]
        summarize(rows)
        kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        rows = [row for row in kept if row["data"] != name] + rows
        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(given), "rows": rows}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
