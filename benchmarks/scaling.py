"""How the cost of training grows with the number of examples, the width of the layers and the size of the code.

Each point is the whole engine, with metrics and checks, on the VAE; the seconds of the second epoch count, the first
warms up. A power law, seconds = a n^b, is fitted to the points (least squares of logarithms); for widths also to the
upper half of them, where products of matrices are all that counts.

    python benchmarks/scaling.py [--small]
"""

import argparse
import json
import math
import resource
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from isthmus import zoo
from isthmus.models.hardware import describe
from isthmus.training.engine import Engine

RESULTS = Path(__file__).parent / "results"
EXAMPLES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
WIDTHS = (128, 256, 512, 1024, 2048, 4096)
LATENTS = (2, 8, 32, 128, 512, 2048)
BATCH = 1000


def seconds(examples: int, side: int, width: int, latent: int, epochs: int = 3) -> float:
    """Seconds per epoch: the minimum of those after the first."""
    changes = {"latent.size": latent, "net.widths": [width], "training.batch_size": BATCH, "training.epochs": epochs}
    recipe = zoo.recipe("vae").with_options(changes)
    x = torch.rand(examples, 1, side, side, generator=torch.Generator().manual_seed(0))
    history = Engine(recipe.build((1, side, side)), recipe.training, x).run().history
    return min(record.seconds for record in history[1:])


def exponent(sizes: list[int], times: list[float]) -> float:
    """The exponent b of the least-squares power law."""
    return float(np.polyfit([math.log(size) for size in sizes], [math.log(time) for time in times], 1)[0])


def sweep(name: str, unit: str, points: dict[int, float]) -> dict[str, object]:
    """One law: its points, its exponents and a printed line."""
    sizes, times = list(points), list(points.values())
    half = len(sizes) // 2
    law = {"exponent": round(exponent(sizes, times), 3), "upper_half": round(exponent(sizes[half:], times[half:]), 3)}
    print(f"{name}: seconds an epoch ~ n^{law['exponent']} (upper half n^{law['upper_half']})")
    for size, time in points.items():
        print(f"  {size:>9,} {unit:10} {time:8.3f} s")
    return {"what": name, "unit": unit, "points": points, **law}


def main() -> None:
    """Measure the three laws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="three points of each, for a look")
    few = slice(0, 3) if parser.parse_args().small else slice(None)
    laws = [
        sweep("examples (8x8, width 512)", "examples", {n: seconds(n, 8, 512, 16) for n in EXAMPLES[few]}),
        sweep("width (28x28, 20,000 examples)", "units", {w: seconds(20_000, 28, w, 16) for w in WIDTHS[few]}),
        sweep("code (28x28, 20,000 examples)", "latents", {d: seconds(20_000, 28, 512, d) for d in LATENTS[few]}),
    ]
    result = {
        "command": "python benchmarks/scaling.py",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "batch": BATCH,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "laws": laws,
    }
    if few == slice(None):
        (RESULTS / "scaling.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
