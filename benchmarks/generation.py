"""Generation on Fashion-MNIST: densities after training, and a stage with a critic beside one without.

A convolutional VAE is trained; codes from its prior and from densities that are fitted afterwards are compared. Then
the decoder alone is trained further, for the same number of updates with the likelihood alone (the control) and with a
critic and feature matching. Samples are compared with the test images, in the features of a judge that no loss has
seen; with ``--split valid`` with the validation images, for choices.

ISTHMUS_DATA=... python benchmarks/generation.py [--seeds 0 1 2] [--updates 1200] [--stage 600] [--split valid]
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
from isthmus.models.hardware import describe
from isthmus.runs.run import Run

RESULTS = Path(__file__).parent / "results" / "generation.json"
BASE = {
    "net.channels": [24, 48],
    "latent.size": 16,
    "likelihood.kind": "optimal_gaussian",
    "training.batch_size": 64,
    "training.learning_rate": 1.5e-3,
    "training.keep": "last",
}
STAGE = {"training.stage": "decoder", "training.learning_rate": 5e-4, "training.keep": "last"}
CRITIC = {
    "penalties.discriminator.kind": "discriminator",
    "penalties.discriminator.channels": [24, 48],
    "penalties.discriminator.ratio": 1.0,
    "penalties.discriminator.matching": 1.0,
    "penalties.discriminator.critic_lr_ratio": 2.0,
}
DENSITIES = ("prior", "gaussian", "gmm", "kde")


def trained(what: object, options: Mapping[str, object], folder: Path, **more: object) -> tuple[Run, float]:
    """A run and the processor seconds of its training."""
    started = time.process_time()
    run = fit(what, options=dict(options), out=folder, overwrite=True, **more)
    return run, time.process_time() - started


def measured(seed: int, given: argparse.Namespace, folder: Path) -> dict[str, object]:
    """The measures of all models of one seed."""
    vae, seconds = trained(
        "conv_vae", BASE | {"training.steps": given.updates}, folder / "vae", data="fashion_mnist", seed=seed
    )
    cost = {"vae": seconds}
    runs = {"vae": vae}
    for name, options in {"control": {}, "critic": CRITIC}.items():
        runs[name], cost[name] = trained(vae, STAGE | {"training.steps": given.stage} | options, folder / name)
    found = compare(runs, kinds=DENSITIES, split=given.split, seed=seed, progress=print)
    return found.to_dict() | {"seed": seed, "cpu_seconds": {name: round(value) for name, value in cost.items()}}


def show(found: Mapping[str, object]) -> None:
    """Print the measures of one seed."""
    print(f"seed {found['seed']}, judge {found['judge']}, CPU seconds {found['cpu_seconds']}")
    for model in found["models"]:
        rows = {"reconstructions": model["reconstructions"], **model["samples"]}
        for name, measures in rows.items():
            values = "  ".join(f"{key} {value:.3g}" for key, value in measures.items())
            print(f"  {model['name']:8} {name:16} {values}")


def main() -> None:
    """Train, measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=1200)
    parser.add_argument("--stage", type=int, default=600)
    parser.add_argument("--split", choices=["test", "valid"], default="test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(seed, given, Path(folder)))
        show(rows[-1])
    if given.split == "test":
        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(given), "seeds": rows}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
