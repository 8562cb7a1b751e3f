"""Feature points of the drawn sequences ``movers``: do they follow the things that move, and how steadily?

Networks are trained on the frames of 160 sequences alone. Then a ridge regression from the codes of the training frames
to the true positions of three squares and a hand is applied to 32 other sequences. Measured are, there,

    r2        variance of the positions that the regression explains: of each thing, and the mean
    error     median distance from the true position, in pixels of 60
    fve       variance of the frames, averaged in blocks of 3x3 pixels, that reconstructions explain (of their gray
              values where no others are decoded)
    jitter    root mean square of the second difference of the codes from frame to frame, relative to their standard
              deviation; and of the positions that the regression gives, in half sides of the image
    presence  how well the presence of the point that follows a square best tells whether it is seen (area under the
              curve; seen is above 0.8 of it, hidden below 0.3; of the two squares that others may hide)

Rows are the network without training, the recipes, ``spatial_mlp`` with separated points, the same on windows of three
frames without and with slowness, and a convolutional code of equal size. ``--split valid`` draws other sequences, for
choices.

    python benchmarks/feature_points.py [--seeds 0 1 2] [--models spatial_mlp ...] [--split valid]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from isthmus import fit
from isthmus.data.base import Array
from isthmus.data.catalogue.movers import Movers, movers
from isthmus.models.hardware import describe
from isthmus.runs.points import FeaturePoints
from isthmus.runs.run import Run

RESULTS = Path(__file__).parent / "results" / "feature_points.json"
TRAIN = (160, 2016)
"""Number and seed of the sequences for training, which are those of ``isthmus fit ... movers``."""
OTHERS = {"test": (32, 71), "valid": (32, 72)}
SIDE, BLOCK, CODE = 60, 3, 32
RIDGE = 1e-3
SEEN, HIDDEN = 0.8, 0.3
COMMON = {"training.batch_size": 64, "training.steps": 5000, "latent.size": CODE, "training.keep": "last"}
APART = {"penalties.separation.kind": "separation", "penalties.separation.weight": 3.0}
WINDOWS = {"data.window": 3, "data.stride": 1, "training.batch_size": 21, "training.steps": 2000} | APART
SLOW = {"penalties.slowness.kind": "slowness", "penalties.slowness.weight": 2.0}
SHORT = {"training.steps": 1500}
SQUARED = {"likelihood.kind": "gaussian", "likelihood.scale": 1.0}
MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "untrained": ("spatial_mlp", COMMON | {"training.steps": 1, "training.learning_rate": 1e-9}),
    "spatial": ("spatial", COMMON | SHORT),
    "spatial_mlp": ("spatial_mlp", COMMON | SHORT),
    "separation": ("spatial_mlp", COMMON | APART),
    "windows": ("spatial_mlp", COMMON | WINDOWS),
    "slowness": ("spatial_mlp", COMMON | WINDOWS | SLOW),
    "conv": ("conv", COMMON | SHORT | SQUARED | {"net.channels": [32, 64]}),
}


def trained(name: str, drawn: Movers, seed: int, options: Mapping[str, object], folder: Path) -> tuple[Run, float]:
    """A run on the frames of all sequences, and the processor seconds of its training."""
    recipe, own = MODELS[name]
    own = own | options
    frames = drawn.frames if "data.window" in own else drawn.frames.reshape(-1, *drawn.frames.shape[2:])
    started = time.process_time()
    run = fit(recipe, frames, options=dict(own), seed=seed, out=folder / name, overwrite=True)
    return run, time.process_time() - started


def codes(run: Run, drawn: Movers) -> Array:
    """The codes of all frames, (N, T, d)."""
    flat = drawn.frames.reshape(-1, *drawn.frames.shape[2:])
    given = drawn.frames if run.recipe.data.window is not None else flat
    z: Array = run.encode(given)
    return z.reshape(*drawn.frames.shape[:2], -1).astype(np.float64)


def measured(run: Run, train: Movers, other: Movers) -> dict[str, object]:
    """The measures of a run on other sequences."""
    z, z_other = codes(run, train), codes(run, other)
    scale = z.reshape(-1, z.shape[-1]).std(0).clip(1e-6)
    found, mapped = regressed(z / scale, train, z_other / scale, other)
    moving = z_other.std((0, 1)) > 1e-4
    jitter = np.diff(z_other, n=2, axis=1)[..., moving] / z_other.std((0, 1))[moving]
    found |= {
        "fve": explained(run, other),
        "jitter": float(np.sqrt((jitter**2).mean())),
        "mapped_jitter": float(np.sqrt((np.diff(mapped, n=2, axis=1) ** 2).mean())),
        "true_jitter": float(np.sqrt((np.diff(other.positions, n=2, axis=1) ** 2).mean())),
    }
    return found | (of_points(run, train, other) if run.recipe.net.kind == "spatial" else {})


def regressed(z: Array, train: Movers, z_other: Array, other: Movers) -> tuple[dict[str, object], Array]:
    """What a ridge regression from codes to positions explains in other sequences, and the positions that it gives."""
    y, truth = train.positions.reshape(-1, 8), other.positions
    flat = z.reshape(len(y), -1)
    model = Ridge(alpha=RIDGE * len(flat)).fit(flat, y)
    mapped = model.predict(z_other.reshape(-1, z_other.shape[-1])).reshape(truth.shape)
    left = ((truth - mapped) ** 2).sum((0, 1, 3))
    r2 = 1 - left / ((truth - truth.mean((0, 1))) ** 2).sum((0, 1, 3))
    error = np.median(np.linalg.norm(truth - mapped, axis=-1), axis=(0, 1)) * SIDE / 2
    return {"r2": float(r2.mean()), "r2_each": r2.round(4).tolist(), "error": error.round(2).tolist()}, mapped


def explained(run: Run, other: Movers) -> float:
    """The fraction of the variance of frames, averaged in blocks, that reconstructions explain."""
    x = torch.from_numpy(other.frames).flatten(0, 1).movedim(-1, 1).float() / 255
    windowed = run.recipe.data.window is not None
    parts = []
    with torch.no_grad():
        for some in x.split(500):
            # the network of a run on windows takes any number of frames
            made = run.model.output(run.model.posterior(some[:, None] if windowed else some).mean).mean
            parts.append(made.reshape(some.shape))
    pool = torch.nn.functional.avg_pool2d
    target, made = pool(x, BLOCK), pool(torch.cat(parts), BLOCK)
    if run.recipe.net.kind == "spatial" and run.model.decoder.gray:
        target, made = target.mean(1), made.mean(1)
    return 1 - ((target - made) ** 2).sum().item() / ((target - target.mean(0)) ** 2).sum().item()


def of_points(run: Run, train: Movers, other: Movers) -> dict[str, object]:
    """What presence and predictability are worth: areas under the curve, and r2 of the best and worst eight points."""
    own, points = points_of(run, train), points_of(run, other)
    order = np.argsort(-own.predictability)
    found: dict[str, object] = {}
    for name, chosen in {"best8": order[:8], "worst8": order[8:]}.items():
        a, b = (p.take(chosen.tolist()).xy.reshape(*d.frames.shape[:2], -1) for p, d in ((own, train), (points, other)))
        scale = a.reshape(-1, a.shape[-1]).std(0).clip(1e-6)
        found[f"r2_{name}"] = regressed(a / scale, train, b / scale, other)[0]["r2"]
    smooth = [p.smoothed(causal=True).xy.reshape(*d.frames.shape[:2], -1) for p, d in ((own, train), (points, other))]
    scale = smooth[0].reshape(-1, smooth[0].shape[-1]).std(0).clip(1e-6)
    filtered, mapped = regressed(smooth[0] / scale, train, smooth[1] / scale, other)
    found |= {"r2_filtered": filtered["r2"]}
    found["mapped_jitter_filtered"] = float(np.sqrt((np.diff(mapped, n=2, axis=1) ** 2).mean()))
    return found | {"presence": presence(own, train, points, other)}


def points_of(run: Run, drawn: Movers) -> FeaturePoints:
    """The points of all frames, with sequences as recordings."""
    flat = drawn.frames.reshape(-1, *drawn.frames.shape[2:])
    found = run.points(drawn.frames if run.recipe.data.window is not None else flat)
    length = drawn.frames.shape[1]
    return FeaturePoints(found.xy, found.presence, range(0, len(found), length))


def presence(own: FeaturePoints, train: Movers, points: FeaturePoints, other: Movers) -> list[float]:
    """Of two squares, the area under the curve of the presence of its point, which is chosen on the training frames."""
    areas = []
    for thing in range(2):
        truth = train.positions[:, :, thing].reshape(-1, 2)
        fit_of = [
            np.mean([abs(np.corrcoef(own.xy[:, k, c], truth[:, c])[0, 1]) for c in (0, 1)])
            if own.xy[:, k].std(0).min() > 1e-4
            else 0.0
            for k in range(own.count)
        ]
        visible = other.visible[:, :, thing].reshape(-1)
        clear = (visible > SEEN) | (visible < HIDDEN)
        values = points.presence[clear, int(np.argmax(fit_of))]
        areas.append(round(float(roc_auc_score(visible[clear] > SEEN, values)), 3))
    return areas


def main() -> None:
    """Train, measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--split", choices=list(OTHERS), default="test")
    parser.add_argument("--set", nargs="+", default=[], metavar="OPTION=VALUE", help="options for all models")
    given = parser.parse_args()
    options = {key: json.loads(value) for key, _, value in (text.partition("=") for text in given.set)}
    torch.set_num_threads(1)
    train, other = movers(*TRAIN), movers(*OTHERS[given.split])
    rows = []
    for seed in given.seeds:
        for name in given.models:
            with tempfile.TemporaryDirectory() as folder:
                run, seconds = trained(name, train, seed, options, Path(folder))
                row = {"model": name, "seed": seed, "cpu_seconds": round(seconds), **measured(run, train, other)}
            print(json.dumps(row), flush=True)
            rows.append(row)
    if given.split == "test":
        kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        again = {(row["model"], row["seed"]) for row in rows}
        others = [row for row in kept if (row["model"], row["seed"]) not in again]
        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(given), "rows": others + rows}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
