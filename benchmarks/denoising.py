"""Denoising faces of unseen people: denoising autoencoders compared with filters, in dB, three seeds.

Two corruptions: Gaussian noise of sigma 0.2, cut to [0, 1]; and 50 % of the pixels set to 0. The last six people are
the test part. A filter's strength is chosen on training people. Seed s corrupts the test images and trains the nets.

ISTHMUS_DATA=... python benchmarks/denoising.py [--data olivetti] [--task gaussian masking] [--recipe ...] [--quick]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.interpolate import griddata
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from isthmus import fit
from isthmus.data import load_dataset
from isthmus.models.hardware import describe
from isthmus.options import DataOptions

Images = npt.NDArray[np.float32]
Restorer = Callable[[Images], Images]

RESULTS = Path(__file__).parent / "results" / "denoising.json"
SIGMA, HOLES, TEST_PEOPLE = 0.2, 0.5, 6
RECIPES = ("conv_denoising", "conv_denoising_overcomplete", "denoising")
CORRUPTIONS: dict[str, dict[str, object]] = {
    "gaussian": {"corruption.kind": "gaussian", "corruption.scale": SIGMA, "corruption.clip": True},
    "masking": {"corruption.kind": "masking", "corruption.fraction": HOLES},
}


def psnr(x: Images, y: Images) -> float:
    """Mean over images of the peak signal-to-noise ratio of ``y`` cut to [0, 1], in dB."""
    error = ((np.clip(y, 0, 1) - x) ** 2).reshape(len(x), -1).mean(1, dtype=np.float64)
    return float((-10 * np.log10(error)).mean())


def corrupted(x: Images, task: str, seed: int) -> Images:
    """The corruption of the task, sampled with ``seed``."""
    rng = np.random.default_rng(seed)
    if task == "masking":
        return x * (rng.random(x.shape) >= HOLES).astype(np.float32)
    return np.clip(x + SIGMA * rng.standard_normal(x.shape), 0, 1).astype(np.float32)


def interpolated(images: Images) -> Images:
    """Linear interpolation between the remaining pixels; nearest neighbor outside their convex hull."""
    filled = []
    for image in images:
        known = np.argwhere(image > 0)
        holes = np.argwhere(image == 0)
        linear = griddata(known, image[image > 0], holes, method="linear")
        nearest = griddata(known, image[image > 0], holes, method="nearest")
        whole = image.copy()
        whole[image == 0] = np.where(np.isnan(linear), nearest, linear)
        filled.append(whole)
    return np.stack(filled)


def total_variation(weight: float) -> Restorer:
    """Chambolle's total-variation filter."""
    return lambda images: np.stack([denoise_tv_chambolle(image, weight=weight) for image in images])


def non_local_means(sigma: float, h: float, patch: int, distance: int) -> Restorer:
    """Non-local means with its own correction for noise of ``sigma``."""
    options = {"h": h, "sigma": sigma, "patch_size": patch, "patch_distance": distance, "fast_mode": False}
    return lambda images: np.stack([denoise_nl_means(image, **options) for image in images])


def filters(task: str, *, quick: bool) -> dict[str, dict[str, Restorer]]:
    """Every strength of every filter, by name; masked pixels are interpolated before a filter smooths."""
    weights = (0.14, 0.18, 0.22, 0.26) if task == "gaussian" else (0.0025, 0.005, 0.01, 0.02, 0.04)
    sigma, strengths = (SIGMA, (0.12, 0.16, 0.2, 0.24)) if task == "gaussian" else (0.0, (0.01, 0.02, 0.03, 0.05))
    windows = ((5, 6),) if quick else ((3, 7), (5, 6), (7, 11))
    found: dict[str, dict[str, Restorer]] = {
        "total variation": {f"weight={w}": total_variation(w) for w in weights},
        "non-local means": {
            f"h={h:g}, patch={p}, distance={d}": non_local_means(sigma, h, p, d)
            for h, (p, d) in product(strengths, windows)
        },
    }
    if task == "gaussian":
        return found
    chained = {
        name: {label: after_interpolation(restorer) for label, restorer in choices.items()}
        for name, choices in found.items()
    }
    return {"linear interpolation": {"": interpolated}, **chained}


def after_interpolation(restorer: Restorer) -> Restorer:
    """Interpolate masked pixels, then filter."""
    return lambda images: restorer(interpolated(images))


def people(name: str) -> tuple[Images, Images]:
    """Images (N, H, W) in [0, 1] of all people but the last six, and of those."""
    examples = load_dataset(name, DataOptions(), seed=0).train
    groups = examples.groups()
    assert groups is not None
    unseen = np.isin(groups, np.unique(groups)[-TEST_PEOPLE:])
    x = examples.x.astype(np.float32) / 255
    return x[~unseen], x[unseen]


def trained(recipe: str, task: str, seed: int, train: Images, test: Images, *, quick: bool) -> tuple[Restorer, float]:
    """The denoiser that a recipe trains on a file of both splits, and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "faces.npz"
        np.savez(file, x_train=train, x_test=test)
        started = time.perf_counter()
        options = CORRUPTIONS[task] | ({"training.steps": 20} if quick else {})
        run = fit(recipe, file, seed=seed, options=options)
    return lambda images: run.model.reconstruct(images[:, None])[:, 0], time.perf_counter() - started


def row(method: str, values: list[float], **more: object) -> dict[str, object]:
    """One line of the table, printed as soon as it is known."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    extra = "  ".join(f"{key} {value}" for key, value in more.items())
    print(f"  {method:28} {np.mean(values):6.2f} dB  +- {spread:.2f}  {extra}", flush=True)
    return {"psnr": float(np.mean(values)), "spread": spread, "values": values, **more}


def table(task: str, args: argparse.Namespace) -> dict[str, object]:
    """All methods on one task."""
    train, test = people(args.data)
    tuning = train[:: max(1, len(train) // (4 if args.quick else 40))]
    test = test[::12] if args.quick else test
    broken = {seed: corrupted(test, task, seed) for seed in args.seeds}
    print(f"{args.data}, {task}: {len(train)} images to learn from, {len(test)} of people never seen")
    lines = {"corrupted": row("corrupted", [psnr(test, broken[seed]) for seed in args.seeds])}
    harmed = corrupted(tuning, task, 1000)
    for name, choices in filters(task, quick=args.quick).items():
        best = max(choices, key=lambda label: psnr(tuning, choices[label](harmed)))
        values = [psnr(test, choices[best](broken[seed])) for seed in args.seeds]
        lines[name] = row(name, values, **({"chosen": best} if best else {}))
    for recipe in args.recipe:
        values, seconds = [], []
        for seed in args.seeds:
            restore, wall = trained(recipe, task, seed, train, test, quick=args.quick)
            values.append(psnr(test, restore(broken[seed])))
            seconds.append(round(wall, 1))
        lines[recipe] = row(recipe, values, seconds=seconds)
    return {"train": len(train), "test": len(test), "methods": lines}


def main() -> None:
    """Print the tables; keep the figures, beside those of earlier calls on other data or tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", choices=("olivetti", "cmu_faces"), default="olivetti")
    parser.add_argument("--task", nargs="+", choices=tuple(CORRUPTIONS), default=list(CORRUPTIONS))
    parser.add_argument("--recipe", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--quick", action="store_true", help="a few images and steps: does it run at all; keeps nothing"
    )
    args = parser.parse_args()
    for task in args.task:
        key = f"{args.data}, {task}"
        figures = table(task, args)
        if args.quick:
            continue
        record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        methods = record.get(key, {}).get("methods", {}) | figures["methods"]  # type: ignore[operator]
        made = {"date": date.today().isoformat(), "machine": describe(), "scikit-image": version("scikit-image")}
        record[key] = figures | {"methods": methods, "seeds": args.seeds, **made}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(record, indent=2) + "\n")
    if not args.quick:
        print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
