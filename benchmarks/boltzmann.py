"""Speed of learning a Boltzmann machine beside scikit-learn's BernoulliRBM in the same process, and what is learnt.

784-1000, batch 100, one epoch of MNIST images from fresh weights in each turn. The competitors take turns in rotation
(A B A B ...); the first turn of each is warm-up and dropped; ratios are of medians, with the least and the greatest of
single rotations. scikit-learn runs persistent chains, which take the same products as CD-1, and no momentum; the error
is that of mean-field reconstructions of the images learnt from (squared, summed over pixels, mean over images).

    ISTHMUS_DATA=... python benchmarks/boltzmann.py [--turns 7] [--images 20000] [--threads 2]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from sklearn.neural_network import BernoulliRBM
from threadpoolctl import threadpool_limits

from isthmus.boltzmann import BoltzmannMachine, Contrastive, learn
from isthmus.data import load
from isthmus.training.hardware import describe, has_bf16, tune_allocator

RESULT = Path(__file__).parent / "results" / "boltzmann.json"
HIDDEN, BATCH, RATE = 1000, 100, 0.1
Turn = Callable[[], tuple[float, BoltzmannMachine]]
"""Seconds of one epoch, and what was learnt."""


def by_sklearn(x: np.ndarray) -> tuple[float, BoltzmannMachine]:
    """One epoch of BernoulliRBM in the precision of ``x``."""
    rbm = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=1, random_state=0)
    started = time.perf_counter()
    rbm.fit(x)
    seconds = time.perf_counter() - started
    arrays = (rbm.components_, rbm.intercept_visible_, rbm.intercept_hidden_)
    weight, visible, hidden = (torch.from_numpy(np.ascontiguousarray(array)).float() for array in arrays)
    return seconds, BoltzmannMachine.of(weight, visible, hidden)


def by_isthmus(x: torch.Tensor, precision: str, persistent: bool) -> tuple[float, BoltzmannMachine]:
    """One epoch of ours; drawing the weights and all preparation count."""
    torch.manual_seed(0)
    options = Contrastive(epochs=1, batch=BATCH, rate=RATE, precision=precision, persistent=persistent)
    started = time.perf_counter()
    machine = BoltzmannMachine(x.shape[1], HIDDEN)
    learn(machine, x, options)
    return time.perf_counter() - started, machine


def measured(turns: dict[str, Turn], rotations: int, x: torch.Tensor) -> dict:
    """All rotations; seconds and the error after the epoch for each competitor."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    errors: dict[str, float] = {}
    for rotation in range(rotations + 1):
        for name, turn in turns.items():
            took, machine = turn()
            if rotation:
                seconds[name].append(took)
            else:
                errors[name] = (x - machine.reconstruct(x)).square().sum(1).mean().item()
    return {name: {"seconds": seconds[name], "squared_error": errors[name]} for name in turns}


def ratios(rows: dict, against: str) -> None:
    """Add to each row how many times as fast as ``against`` it is: by medians, and least and greatest by rotation."""
    base = rows[against]["seconds"]
    for row in rows.values():
        single = [a / b for a, b in zip(base, row["seconds"], strict=True)]
        middle = statistics.median(base) / statistics.median(row["seconds"])
        row[f"ratio to {against}"] = {"median": middle, "least": min(single), "greatest": max(single)}


def main() -> None:
    """Measure, print one table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tune_allocator()
    images = load("mnist").train.x[: options.images]
    x = torch.tensor(np.asarray(images)).reshape(len(images), -1).float() / 255
    turns: dict[str, Turn] = {
        "sklearn float64": lambda: by_sklearn(x.double().numpy()),
        "sklearn float32": lambda: by_sklearn(x.numpy()),
        "isthmus": lambda: by_isthmus(x, "auto", persistent=False),
        "isthmus persistent": lambda: by_isthmus(x, "auto", persistent=True),
        "isthmus float32": lambda: by_isthmus(x, "32", persistent=False),
    }
    with threadpool_limits(options.threads, user_api="blas"):
        rows = measured(turns, options.turns, x)
    for against in ("sklearn float64", "sklearn float32"):
        ratios(rows, against)
    print("784-1000: images/s (median); ratio to sklearn float64 and float32 [least, greatest rotation]; squared error")
    for name, row in rows.items():
        shown = [row[f"ratio to sklearn {kind}"] for kind in ("float64", "float32")]
        spread = "  ".join(f"{r['median']:5.2f} [{r['least']:.2f}, {r['greatest']:.2f}]" for r in shown)
        print(f"  {name:20} {len(x) / statistics.median(row['seconds']):9,.0f}  {spread}  {row['squared_error']:.2f}")
    record = {
        "date": date.today().isoformat(),
        "machine": describe() | {"bf16": has_bf16(torch.device("cpu"))},
        "images": len(x),
        "batch": BATCH,
        "hidden": HIDDEN,
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(f"kept in {RESULT}")


if __name__ == "__main__":
    main()
