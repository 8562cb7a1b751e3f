"""Draw the pictures of the recipes' pages: each recipe is trained briefly, then its images are drawn.

python docs/draw_recipes.py                         # all recipes on glyphs
python docs/draw_recipes.py vae top_k --data digits --steps 500

A model with a prior shows samples below its reconstructions; a denoising model shows the corrupted images, too. One
that learns from noisy images alone is given noisy ones. The pictures go to ``docs/pictures/recipes/NAME.png``, which
the pages show if they exist.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

import isthmus as it
from isthmus.data import load_dataset
from isthmus.metrics.denoising import is_denoising
from isthmus.models.seeding import seeded
from isthmus.parts.hooks import HasOwnTarget
from isthmus.runs import densities
from isthmus.runs.data import data_for, evaluation_split
from isthmus.runs.run import Run
from isthmus.zoo import RECIPES

FOLDER = Path(__file__).parent / "pictures" / "recipes"
COLUMNS = 12
DATA = ("glyphs", "digits")
SAMPLED = {"rae"}
"""Recipes without a prior that are meant to be sampled, from a density of their codes."""
STEPS, STEPS_CONV = 2000, 500
"""Training steps of a fully connected and of a convolutional network: about twenty seconds on one core."""
STEPS_OF = {
    "contractive": 1500,
    "contractive_h": 600,
    "conv": 1500,
    "deepsim": 1500,
    "factor_vae": 1700,
    "iwae": 300,
    "spatial": 1500,
    "spatial_mlp": 1500,
    "top_k_inpainting": 1800,
    "vae_gan": 1500,
    "vae_perceptual": 1500,
    "wae_gan": 1200,
}
"""Training steps of recipes whose steps take longer or less long, or whose images need more of them."""
QUALITIES, MOST = ((16, 1.0), (12, 1.0), (8, 1.0), (12, 0.85), (10, 0.75)), 20_000
"""Numbers of gray levels and sizes; the first that keeps a picture below so many bytes is used."""
SMALL = 16
"""Width in pixels below which single pixels are shown."""
NOISE = 0.2
"""Standard deviation of the noise of images for recipes that learn from noisy ones."""
LABELS = 1.1
"""Width of the column of labels, in widths of an image."""


def rows(run: Run) -> dict[str, np.ndarray]:
    """The rows of images of a run by label, each (COLUMNS, H, W): test images, their reconstructions, samples."""
    x = evaluation_split(data_for(run)).x[:COLUMNS]
    x = x if isinstance(x, torch.Tensor) else x[torch.arange(COLUMNS)]
    found = {"original": run.to_plot(x)}
    if is_denoising(run.model):
        with seeded(0):
            corrupted = run.model.corruption(x).x
        found["corrupted"], found["restored"] = run.to_plot(corrupted), run.to_plot(run.model.reconstruct(corrupted))
    elif isinstance(run.model.corruption, HasOwnTarget):
        found = {"noisy": found["original"], "restored": run.to_plot(run.model.reconstruct(x))}
    else:
        found["reconstruction"] = run.to_plot(run.model.reconstruct(x))
    if run.model.generative or run.recipe.name in SAMPLED:
        found["sample"] = run.to_plot(densities.sample(run, COLUMNS, seed=0))
    return {label: np.clip(images[:, 0], 0, 1) for label, images in found.items()}


def draw(images: dict[str, np.ndarray], title: str) -> Figure:
    """The rows as a picture with a title: labels on the left, dark images on white."""
    height = len(images)
    inches = 0.56 * height + 0.28
    figure = plt.figure(figsize=(0.52 * (COLUMNS + 2 * LABELS), inches), dpi=100)
    figure.text(0.15, 1 - 0.05 / inches, title, va="top", fontsize=9, color="#333333")
    grid = figure.add_gridspec(height, 1, left=0.15, right=0.995, top=1 - 0.28 / inches, bottom=0.01, hspace=0.1)
    for place, (label, row) in enumerate(images.items()):
        axes = figure.add_subplot(grid[place])
        # a white column between two images
        framed = np.concatenate(list(np.pad(row, ((0, 0), (0, 0), (0, 1)))), 1)[:, :-1]
        smooth = "nearest" if row.shape[2] < SMALL else "bilinear"
        axes.imshow(framed, cmap="gray_r", vmin=0, vmax=1, interpolation=smooth)
        axes.set_axis_off()
        axes.text(-0.015, 0.5, label, transform=axes.transAxes, ha="right", va="center", fontsize=9, color="#333333")
    return figure


def picture(name: str, data: str, x: np.ndarray, steps: int | None) -> Path:
    """Train a recipe on images and write its picture."""
    recipe = it.zoo.recipe(name)
    exact = recipe.training.optimizer == "exact"
    steps = steps or STEPS_OF.get(name) or (STEPS_CONV if recipe.net.kind in ("conv", "unet") else STEPS)
    options: dict[str, object] = {} if exact else {"training.steps": steps}
    if recipe.corruption.kind == "recorruption":
        x = x / 255 + NOISE * np.random.default_rng(0).standard_normal(x.shape)
        options |= {"data.scale": "none"}
    run = it.fit(recipe, x, options=options, seed=0)
    figure = draw(rows(run), f"{name}, {data}, {'closed form' if exact else f'{steps:,} steps'}")
    figure.canvas.draw()
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("L")
    plt.close(figure)
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    for levels, size in QUALITIES:
        shown = pixels.resize((round(pixels.width * size), round(pixels.height * size)))
        shown.quantize(levels).save(path, optimize=True)
        if path.stat().st_size < MOST:
            break
    return path


def main() -> None:
    """Read the arguments and draw."""
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description="Draw the pictures of the recipes' pages.")
    parser.add_argument("names", nargs="*", metavar="RECIPE", help="recipes to draw; all by default")
    parser.add_argument("--data", default=DATA[0], choices=DATA, help="data set to train on")
    parser.add_argument("--steps", type=int, help="training steps; fewer for a quick look")
    given = parser.parse_args()
    # read once for all recipes
    x = load_dataset(given.data).train.x
    for name in given.names or list(RECIPES):
        start = time.process_time()
        path = picture(name, given.data, x, given.steps)
        seconds, size = time.process_time() - start, path.stat().st_size / 1000
        print(f"{path.relative_to(FOLDER.parents[2])}  {size:.1f} kB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
