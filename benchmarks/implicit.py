"""An implicit model beside explicit ones at equal time: GAN, VAE and Wasserstein autoencoder on Fashion-MNIST.

Every model is trained for the same number of processor seconds: the cost of its update is measured first, and its
learning rate schedule spans the updates that fit. Explicit models are sampled from their prior and from a mixture of
Gaussians that is fitted to their codes. All are compared with the test images in the features of a judge that no loss
has seen. A run diverges if its loss or a weight is no longer finite; a collapse shows as a low recall.

    ISTHMUS_DATA=... python benchmarks/implicit.py [--seeds 0 1 2 3 4] [--seconds 90] [--split valid]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import torch

from isthmus import fit
from isthmus.comparison.compare import compare
from isthmus.errors import Diverged
from isthmus.models.hardware import describe
from isthmus.runs.run import Run

RESULTS = Path(__file__).parent / "results" / "implicit.json"
CHANNELS, TRIAL = [32, 64], (50, 350)
"""Feature maps of all networks; updates of the two short runs whose difference is the cost of an update."""
SHARED = {"training.batch_size": 64, "training.keep": "last", "latent.size": 16}
MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "vae": ("conv_vae", {"net.channels": CHANNELS, "likelihood.kind": "optimal_gaussian", "net.norm": "none"}),
    "wae": ("wae_mmd", {"net.kind": "conv", "net.channels": CHANNELS}),
    "gan": ("gan", {"net.channels": CHANNELS, "penalties.discriminator.channels": CHANNELS, "latent.size": 32}),
}
DENSITIES = ("prior", "gmm")


def trained(name: str, steps: int, seed: int, folder: Path) -> tuple[Run, float]:
    """A run of so many updates, and its processor seconds."""
    recipe, options = MODELS[name]
    started = time.process_time()
    options = SHARED | options | {"training.steps": steps}
    run = fit(recipe, "fashion_mnist", options=options, seed=seed, out=folder / name, overwrite=True)
    return run, time.process_time() - started


def updates(name: str, seconds: float, folder: Path) -> int:
    """How many updates take so many processor seconds."""
    trained(name, TRIAL[0], 0, folder)
    few, many = (trained(name, steps, 0, folder)[1] for steps in TRIAL)
    return max(1, round(seconds / ((many - few) / (TRIAL[1] - TRIAL[0]))))


def measured(seed: int, steps: Mapping[str, int], split: str, folder: Path) -> dict[str, object]:
    """The measures of all models of one seed, and which of them diverged."""
    runs: dict[str, Run] = {}
    cost: dict[str, float] = {}
    diverged: dict[str, str] = {}
    for name, number in steps.items():
        try:
            runs[name], cost[name] = trained(name, number, seed, folder)
        except Diverged as error:
            diverged[name] = str(error)
    found = compare(runs, kinds=DENSITIES, split=split, seed=seed)
    return found.to_dict() | {"seed": seed, "cpu_seconds": cost, "diverged": diverged}


def show(found: Mapping[str, object]) -> None:
    """Print the measures of one seed."""
    print(f"seed {found['seed']}, judge {found['judge']}, CPU s {found['cpu_seconds']}, diverged {found['diverged']}")
    for model in found["models"]:
        for name, measures in model["samples"].items():
            values = "  ".join(f"{key} {value:.3g}" for key, value in measures.items())
            print(f"  {model['name']:4} {name:6} {values}", flush=True)


def main() -> None:
    """Train, measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--split", choices=["test", "valid"], default="test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        steps = {name: updates(name, given.seconds, Path(folder)) for name in given.models}
        print(f"updates in {given.seconds:g} s: {steps}", flush=True)
        rows = []
        for seed in given.seeds:
            rows.append(measured(seed, steps, given.split, Path(folder)))
            show(rows[-1])
    if given.split == "test":
        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(given), "updates": steps}
        RESULTS.write_text(json.dumps(content | {"seeds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
