"""Generation: densities of codes after training, and a stage with a critic beside one without.

A convolutional VAE is trained; codes from its prior and from densities that are fitted afterwards are compared. Then
the decoder alone is trained further, for the same number of updates with the likelihood alone (the control, whose
learning rate falls) and with a critic and feature matching (constant rate, averaged weights). Samples are compared with
test images, in the features of a judge that no loss has seen; with ``--split valid`` with the validation images, for
choices. Faces are a random split of the images of 20 people; as they are few, the kernel distance is theirs.

ISTHMUS_DATA=... python benchmarks/generation.py [--data fashion_mnist cmu_faces] [--seeds 0 1 2] [--split valid]
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
from isthmus.data.catalogue.table import load_dataset
from isthmus.models.hardware import describe
from isthmus.runs.run import Run

RESULTS = Path(__file__).parent / "results" / "generation.json"
VAE = {"likelihood.kind": "optimal_gaussian", "net.upsampling": "upsample", "training.keep": "last"}
BASES: dict[str, dict[str, object]] = {
    "fashion_mnist": VAE
    | {
        "net.channels": [24, 48],
        "net.norm": "none",
        "latent.size": 16,
        "training.batch_size": 64,
        "training.learning_rate": 1.5e-3,
        "training.steps": 1200,
    },
    "fashion_mnist:recipe": VAE
    | {
        "net.channels": [24, 48],
        "net.upsampling": "transposed",
        "latent.size": 16,
        "training.batch_size": 64,
        "training.learning_rate": 1.5e-3,
        "training.steps": 1200,
    },
    "cmu_faces": VAE
    | {
        "net.channels": [24, 48, 96],
        "net.norm": "group",
        "latent.size": 64,
        "training.batch_size": 16,
        "training.learning_rate": 1.5e-3,
        "training.steps": 10000,
        "data.random_flip": True,
        "data.test": 0.15,
    },
}
STAGES: dict[str, dict[str, object]] = {
    "fashion_mnist": {"training.steps": 1200, "penalties.discriminator.channels": [24, 48]},
    "cmu_faces": {"training.steps": 2500, "penalties.discriminator.channels": [24, 48, 96]},
}
"""Of each data set, options of the model, and of both stages of its decoder; the recipe's own network has none."""
STAGE = {"training.stage": "decoder", "training.learning_rate": 5e-4}
CRITIC = {
    "penalties.discriminator.kind": "discriminator",
    "penalties.discriminator.ratio": 1.5,
    "penalties.discriminator.matching": 1.0,
    "training.schedule": "constant",
    "training.ema_decay": 0.995,
}
DENSITIES = ("prior", "gaussian", "gmm", "kde")


def trained(folder: Path, what: object, options: Mapping[str, object], **more: object) -> tuple[Run, float]:
    """A run and the processor seconds of its training."""
    started = time.process_time()
    run = fit(what, options=dict(options), out=folder, overwrite=True, **more)
    return run, time.process_time() - started


def opened(name: str) -> dict[str, object]:
    """The data of a data set as arguments of ``fit``; faces at half of their size, not kept together by person.

    A judge that tells persons apart sees no blur, so faces come without labels: theirs tells single images apart.
    """
    if name != "cmu_faces":
        return {"data": name.partition(":")[0]}
    x = torch.from_numpy(load_dataset(name).train.x).float()[:, None] / 255
    return {"data": torch.nn.functional.avg_pool2d(x, 2)[:, 0].numpy()}


def measured(name: str, seed: int, split: str, folder: Path) -> dict[str, object]:
    """The measures of all models of one seed."""
    runs, cost = {}, {}
    runs["vae"], cost["vae"] = trained(folder / "vae", "conv_vae", BASES[name], seed=seed, **opened(name))
    if name in STAGES:
        own = dict(STAGES[name])
        channels = own.pop("penalties.discriminator.channels")
        added = {"control": {}, "critic": CRITIC | {"penalties.discriminator.channels": channels}}
        for model, options in added.items():
            runs[model], cost[model] = trained(folder / model, runs["vae"], STAGE | own | options)
    found = compare(runs, kinds=DENSITIES, split=split, seed=seed)
    rounded = {model: round(value) for model, value in cost.items()}
    return found.to_dict() | {"data": name, "seed": seed, "cpu_seconds": rounded}


def show(found: Mapping[str, object]) -> None:
    """Print the measures of one seed."""
    print(f"{found['data']}, seed {found['seed']}, judge {found['judge']}, CPU seconds {found['cpu_seconds']}")
    for model in found["models"]:
        rows = {"reconstructions": model["reconstructions"], **model["samples"]}
        for name, measures in rows.items():
            values = "  ".join(f"{key} {value:.3g}" for key, value in measures.items())
            print(f"  {model['name']:8} {name:16} {values}", flush=True)


def main() -> None:
    """Train, measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=list(BASES), default=list(BASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", choices=["test", "valid"], default="test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.data:
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measured(name, seed, given.split, Path(folder)))
            show(rows[-1])
    if given.split == "test":
        kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        others = [row for row in kept if row["data"] not in given.data]
        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(given), "rows": others + rows}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
