"""Denoising faces of unseen people: denoising autoencoders compared with filters, in dB, three seeds.

Two corruptions: Gaussian noise of sigma 0.2, cut to [0, 1]; and 50 % of the pixels missing. A third task,
``unclipped``, has the noise as it is, and nets that are trained on one noisy copy of each image beside one that is
trained on the clean images. The last six people are the test part. A filter's strength is chosen on training people.
Seed s corrupts the test images and trains the nets. BM3D takes part where it is installed (pip install bm3d; its
license is for research). On the color photographs of ``bsds500`` the noise has sigma 0.1, the nets are trained on
patches of 64x64, and tested on images of 128x128.

ISTHMUS_DATA=... python benchmarks/denoising.py [--data olivetti] [--task gaussian masking] [--recipe ...] [--quick]
"""

import argparse
import json
import os
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from image_filters import Images, Restorer, hole_filters, noise_filters

from isthmus import fit, plots
from isthmus.data import load_dataset
from isthmus.functional import ssim
from isthmus.models.hardware import describe
from isthmus.models.tiling import takes_any_size
from isthmus.options import DataOptions

RESULTS = Path(__file__).parent / "results" / "denoising.json"
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIGMA, HOLES, TEST_PEOPLE = 0.2, 0.5, 6
CLEAN = "conv_denoising on clean images"
ANY_DAMAGE = "denoiser for any damage"
RECIPES = (CLEAN, "conv_denoising", "conv_denoising_overcomplete", "denoising", "denoiser", ANY_DAMAGE)
"""What is trained, most of it on the damage of the task; the first one sees none, so it reconstructs that too, and the
last one sees noise and missing pixels of any strength."""
NOISY_ONLY = ("blind_spot_denoiser", "recorrupted_denoiser", "recorrupted_denoiser on these images too")
"""Trained on noisy images alone, with a corruption of their own; the last one also on the images that it restores."""
OF_PHOTOGRAPHS, TEST_PHOTOGRAPHS = 0.1, 50
"""Sigma of the noise of color photographs, and how many of them are restored."""
PATCHES = {"data.patch_size": 64, "data.patches_per_image": 50}
CORRUPTIONS: dict[str, dict[str, object]] = {
    "gaussian": {"corruption.kind": "gaussian", "corruption.scale": SIGMA, "corruption.clip": True},
    "masking": {"corruption.kind": "masking", "corruption.fraction": HOLES},
    "unclipped": {"corruption.kind": "gaussian", "corruption.scale": SIGMA},
}
TITLES = {"gaussian": f"Noise of sigma {SIGMA:g}", "masking": f"{HOLES:.0%} of the pixels missing"}
"""Of the figures."""
SHOWN = 8
"""Faces of a figure."""


def psnrs(x: Images, y: Images) -> np.ndarray:
    """Peak signal-to-noise ratio of each image of ``y`` cut to [0, 1], in dB."""
    error = ((np.clip(y, 0, 1) - x) ** 2).reshape(len(x), -1).mean(1, dtype=np.float64)
    return -10 * np.log10(error)


def psnr(x: Images, y: Images) -> float:
    """Mean over images of the peak signal-to-noise ratio, in dB."""
    return float(psnrs(x, y).mean())


def similarity(x: Images, y: Images) -> float:
    """Mean structural similarity."""
    a, b = (torch.from_numpy(np.clip(v, 0, 1).astype(np.float64)) for v in (x, y))
    a, b = (v[:, None] if v.ndim == 3 else v.movedim(-1, 1) for v in (a, b))
    return float(ssim(a, b).mean())


def sigma_of(x: Images) -> float:
    """The standard deviation of the noise: that of photographs for images in color."""
    return OF_PHOTOGRAPHS if x.ndim == 4 else SIGMA


def corrupted(x: Images, task: str, seed: int) -> Images:
    """The corruption of the task, sampled with ``seed``; missing pixels are NaN."""
    rng = np.random.default_rng(seed)
    if task == "masking":
        return np.where(rng.random(x.shape) >= HOLES, x, np.nan).astype(np.float32)
    noisy = (x + sigma_of(x) * rng.standard_normal(x.shape)).astype(np.float32)
    return noisy if task == "unclipped" else noisy.clip(0, 1)


def images_of(name: str) -> tuple[Images, Images]:
    """Images in [0, 1] to learn from and to restore: faces (N, H, W), or photographs (N, H, W, 3)."""
    if name != "bsds500":
        return people(name)
    whole = load_dataset(name, DataOptions(patch_size=128, patches_per_image=1), seed=0)
    assert whole.test is not None
    train, test = (split.x.astype(np.float32) / 255 for split in (whole.train, whole.test))
    return train, test[:: max(1, len(test) // TEST_PHOTOGRAPHS)]


def people(name: str) -> tuple[Images, Images]:
    """Images (N, H, W) in [0, 1] of all people but the last six, and of those."""
    examples = load_dataset(name, DataOptions(), seed=0).train
    groups = examples.groups()
    assert groups is not None
    unseen = np.isin(groups, np.unique(groups)[-TEST_PEOPLE:])
    x = examples.x.astype(np.float32) / 255
    return x[~unseen], x[unseen]


def trained(
    recipe: str, task: str, seed: int, train: Images, test: Images, changes: dict[str, object]
) -> tuple[Restorer, dict[str, float]]:
    """The denoiser that a recipe trains on a file of both splits, and the seconds by the clock and of the cores."""
    own = {CLEAN: {"corruption.kind": "identity"}, ANY_DAMAGE: {}}.get(recipe, CORRUPTIONS[task])
    if recipe in NOISY_ONLY:
        train, own = corrupted(train, task, 2000 + seed), {"data.scale": "none"}
        if recipe.endswith("these images too"):
            train = np.concatenate([train, corrupted(test, task, seed)])
    if (recipe, task) == ("denoiser", "masking"):
        own = own | {"corruption.as_missing": True}
    # all training people are learned from; the number of steps was chosen on four of them
    own = own | {"data.validation": 0}
    if train.ndim == 4:
        own = own | PATCHES | ({"corruption.scale": OF_PHOTOGRAPHS} if recipe not in (CLEAN, ANY_DAMAGE) else {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "faces.npz"
        np.savez(file, x_train=train, x_test=test)
        data = "bsds500" if train.ndim == 4 else file
        started, before = time.perf_counter(), os.times()
        run = fit(recipe.partition(" ")[0], data, seed=seed, options=own | changes)
        now = os.times()
    seconds = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": now.user + now.system - before.user - before.system,
    }
    if takes_any_size(run.model):
        return lambda images: run.denoise(images), seconds
    return lambda images: run.denoise(np.nan_to_num(images)), seconds


def row(method: str, test: Images, restored: dict[int, Images], **more: object) -> dict[str, object]:
    """One line of the table, printed as soon as it is known."""
    values = [psnr(test, y) for y in restored.values()]
    alike = [similarity(test, y) for y in restored.values()]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    extra = "  ".join(f"{key} {value}" for key, value in more.items())
    print(f"  {method:28} {np.mean(values):6.2f} dB  +- {spread:.2f}  SSIM {np.mean(alike):.3f}  {extra}", flush=True)
    return {"psnr": float(np.mean(values)), "spread": spread, "values": values, "ssim": float(np.mean(alike)), **more}


def table(task: str, args: argparse.Namespace) -> tuple[dict[str, object], dict[str, Images]]:
    """All methods on one task, and what they restored with the first seed."""
    train, test = images_of(args.data)
    tuning = train[:: max(1, len(train) // (4 if args.quick or train.ndim == 4 else 40))]
    test = test[::12] if args.quick else test
    broken = {seed: corrupted(test, task, seed) for seed in args.seeds}
    print(f"{args.data}, {task}: {len(train)} images to learn from, {len(test)} to restore")
    lines = {"corrupted": row("corrupted", test, {seed: np.nan_to_num(x) for seed, x in broken.items()})}
    shown = {"original": test, "corrupted": np.nan_to_num(broken[args.seeds[0]])}
    harmed = corrupted(tuning, task, 1000)
    filters = (
        noise_filters(sigma_of(train), color=train.ndim == 4, quick=args.quick)
        if task != "masking"
        else hole_filters(quick=args.quick)
    )
    for name, choices in filters.items() if args.filters else ():
        best = max(choices, key=lambda label: psnr(tuning, choices[label](harmed)))
        restored = {seed: choices[best](x) for seed, x in broken.items()}
        lines[name] = row(name, test, restored, **({"chosen": best} if best else {}))
        shown[name] = restored[args.seeds[0]]
    usual = RECIPES if task != "unclipped" else ("denoiser", *NOISY_ONLY)
    for recipe in usual if args.recipe is None else args.recipe:
        restored, times = {}, []
        for seed in args.seeds:
            restore, seconds = trained(recipe, task, seed, train, test, {"training.steps": 20} if args.quick else {})
            restored[seed] = restore(broken[seed])
            times.append(seconds)
        both = {key: [round(each[key], 1) for each in times] for key in times[0]}
        lines[recipe] = row(recipe, test, restored, **both)
        shown[recipe] = restored[args.seeds[0]]
    return {"train": len(train), "test": len(test), "methods": lines}, shown


def draw(task: str, figures: dict[str, object], shown: dict[str, Images]) -> None:
    """Write a figure of original, corrupted, best filter and denoiser."""
    methods: dict[str, dict[str, float]] = figures["methods"]  # type: ignore[assignment]
    filters = [name for name in shown if name in methods and name not in (*RECIPES, "corrupted")]
    if "denoiser" not in shown or not filters:
        return
    best = max(filters, key=lambda name: methods[name]["psnr"])
    chosen = slice(None, None, max(1, len(shown["original"]) // SHOWN))
    rows = {name: shown[name][chosen][:SHOWN, None].clip(0, 1) for name in ("original", "corrupted", best, "denoiser")}
    clean = rows["original"]
    restored = [psnrs(clean, rows[name]) for name in (best, "denoiser")]
    figure = plots.denoised(rows, psnr=restored, title=TITLES[task])
    plots.save(figure, PICTURES / f"denoising-{task}.png")


def main() -> None:
    """Print the tables; keep the figures, beside those of earlier calls on other data or tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", choices=("olivetti", "cmu_faces", "bsds500"), default="olivetti")
    parser.add_argument("--task", nargs="+", choices=tuple(CORRUPTIONS), default=list(CORRUPTIONS))
    parser.add_argument("--recipe", nargs="*", choices=(*RECIPES, *NOISY_ONLY), help="by default those of the task")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--filters", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--quick", action="store_true", help="a few images and steps: does it run at all; keeps nothing"
    )
    args = parser.parse_args()
    for task in args.task if args.data != "bsds500" else ["gaussian"]:
        key = f"{args.data}, {task}"
        figures, shown = table(task, args)
        if args.quick:
            continue
        record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        methods = record.get(key, {}).get("methods", {}) | figures["methods"]  # type: ignore[operator]
        made = {"date": date.today().isoformat(), "machine": describe(), "scikit-image": version("scikit-image")}
        record[key] = figures | {"methods": methods, "seeds": args.seeds, **made}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(record, indent=2) + "\n")
        if args.data == "olivetti" and task in TITLES:
            draw(task, figures, shown)
    if not args.quick:
        print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
