"""Training speed of a Boltzmann machine beside scikit-learn's BernoulliRBM in the same process, and the error reached.

784-1000, batch 100, one epoch of MNIST images from fresh weights in each turn. The competitors take turns in rotation
(A B A B ...); the first turn of each is warm-up and dropped; ratios are of medians, with the least and the greatest of
single rotations. scikit-learn runs persistent chains, which take the same products as CD-1 (ours one more, to tell
the reconstruction error), and no momentum. The error is that of mean-field reconstructions of the images learned from
(squared, summed over pixels, mean over images). CPU seconds, of all threads, are kept beside those of the clock: they
suffer less from busy neighbors.

    ISTHMUS_DATA=... python benchmarks/boltzmann.py [--turns 7] [--images 20000] [--threads 2]
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from sklearn.neural_network import BernoulliRBM
from speed.rows import NUMPY_KERNELS
from threadpoolctl import threadpool_limits

from isthmus.boltzmann import BoltzmannMachine, ContrastiveDivergence, learn
from isthmus.data import load_dataset
from isthmus.models.hardware import describe, has_bf16, tune_allocator

RESULT = Path(__file__).parent / "results" / "boltzmann.json"
HIDDEN, BATCH, RATE = 1000, 100, 0.1
CLOCKS: dict[str, Callable[[], float]] = {"seconds": time.perf_counter, "cpu_seconds": time.process_time}
Turn = Callable[[], BoltzmannMachine]
"""One epoch; the reconstruction error."""


def by_sklearn(x: np.ndarray) -> BoltzmannMachine:
    """One epoch of BernoulliRBM in the precision of ``x``."""
    rbm = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=1, random_state=0).fit(x)
    arrays = (rbm.components_, rbm.intercept_visible_, rbm.intercept_hidden_)
    weight, visible, hidden = (torch.from_numpy(np.ascontiguousarray(array)).float() for array in arrays)
    return BoltzmannMachine.of(weight, visible, hidden)


def by_isthmus(x: torch.Tensor, precision: str, persistent: bool) -> BoltzmannMachine:
    """One epoch of Isthmus, with weight initialization and all preparation."""
    torch.manual_seed(0)
    options = ContrastiveDivergence(
        epochs=1, batch_size=BATCH, learning_rate=RATE, precision=precision, persistent=persistent
    )
    machine = BoltzmannMachine(x.shape[1], HIDDEN)
    learn(machine, x, options)
    return machine


def measure(turns: dict[str, Turn], rotations: int, x: torch.Tensor) -> dict:
    """All rotations; for each competitor the seconds of its turns by both clocks, and the error after an epoch."""
    rows: dict[str, dict] = {name: {clock: [] for clock in CLOCKS} for name in turns}
    for rotation in range(rotations + 1):
        for name, turn in turns.items():
            started = {clock: now() for clock, now in CLOCKS.items()}
            machine = turn()
            took = {clock: now() - started[clock] for clock, now in CLOCKS.items()}
            if rotation:
                for clock, seconds in took.items():
                    rows[name][clock].append(seconds)
            else:
                rows[name]["squared_error"] = (x - machine.reconstruct(x)).square().sum(1).mean().item()
    return rows


def ratio(rows: dict, name: str, against: str, clock: str) -> dict[str, float]:
    """How many times as fast as ``against``: by medians, and the least and greatest of single rotations."""
    base, own = rows[against][clock], rows[name][clock]
    single = [a / b for a, b in zip(base, own, strict=True)]
    return {"median": statistics.median(base) / statistics.median(own), "least": min(single), "greatest": max(single)}


def table(rows: dict, images: int, clock: str) -> dict:
    """Print the figures by one clock, and give the ratios as plain data."""
    print(f"by {clock}: images/s (median); ratio to sklearn float64 and float32 [least, greatest]; squared error")
    ratios = {}
    for name, row in rows.items():
        ratios[name] = {
            against: ratio(rows, name, against, clock) for against in ("sklearn float64", "sklearn float32")
        }
        spread = "  ".join(f"{r['median']:5.2f} [{r['least']:.2f}, {r['greatest']:.2f}]" for r in ratios[name].values())
        print(f"  {name:20} {images / statistics.median(row[clock]):9,.0f}  {spread}  {row['squared_error']:.2f}")
    return ratios


def main() -> None:
    """Measure, print one table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--images", type=int, default=20_000)
    # threads that wait for each other measure their neighbors on a busy machine: take 1 there
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if os.environ.keys() & set(NUMPY_KERNELS):
        # scikit-learn computes with numpy, which read these when it was imported
        others = {name: value for name, value in os.environ.items() if name not in NUMPY_KERNELS}
        os.execve(sys.executable, [sys.executable, *sys.argv], others)  # noqa: S606  itself, once more
    torch.set_num_threads(options.threads)
    tune_allocator()
    images = load_dataset("mnist").train.x[: options.images]
    x = torch.tensor(np.asarray(images)).reshape(len(images), -1).float() / 255
    double = x.double().numpy()
    turns: dict[str, Turn] = {
        "sklearn float64": lambda: by_sklearn(double),
        "sklearn float32": lambda: by_sklearn(x.numpy()),
        "isthmus": lambda: by_isthmus(x, "auto", persistent=False),
        "isthmus persistent": lambda: by_isthmus(x, "auto", persistent=True),
        "isthmus float32": lambda: by_isthmus(x, "32", persistent=False),
    }
    with threadpool_limits(options.threads, user_api="blas"):
        rows = measure(turns, options.turns, x)
    record = {
        "date": date.today().isoformat(),
        "machine": describe() | {"bf16": has_bf16(torch.device("cpu"))},
        "images": len(x),
        "batch": BATCH,
        "hidden": HIDDEN,
        "threads": options.threads,
        "rows": rows,
        "ratios": {clock: table(rows, len(x), clock) for clock in CLOCKS},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
