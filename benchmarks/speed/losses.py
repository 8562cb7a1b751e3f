"""Losses after equal steps with several seeds: whether competitors learn alike, or one differs by more than chance.

    ISTHMUS_DATA=... python benchmarks/speed/losses.py [--rows deep100 ...] [--turns 4] [--seeds 5]

A seed decides the initial weights, which are the same for all competitors, the order of the images, and the noise.
Differences to Isthmus are taken seed by seed; speed is not measured. The loss is the mean over the last turn; a run of
``benchmarks/speed`` with ``--turns 3`` makes four, of which the first is warm-up. Results are kept in
``results/losses.json``, by kind of machine.
"""

import argparse
import math
import statistics
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from records import images, keep
from rows import NAMES, Row, row_of
from turns import start, take

ALIKE = ("isthmus", "hand", "hand, whole step", "pythae", "keras, jax")
"""Competitors that train from the initial weights of a seed."""
USUAL = ("vae100", "vae1000", "deep100", "deep500", "conv28", "conv64")


def losses(name: str, row: Row, turns: int, seeds: int, folder: Path) -> dict[str, list[float]]:
    """The loss of the last turn with each seed, by competitor, one process after another."""
    found: dict[str, list[float]] = {who: [] for who in row.competitors if who in ALIKE}
    for seed in range(seeds):
        for who, ends in found.items():
            log = folder / f"{who}.log"
            worker = start(name, who, images(row, folder), log, seed)
            try:
                ends.append([take(worker, log) for _ in range(turns)][-1]["loss"])
            finally:
                worker.kill()
                worker.wait()
    return found


def summary(ends: list[float], ours: list[float]) -> dict[str, Any]:
    """Mean and spread, and by what share Isthmus' loss is higher, with the standard error of its mean over seeds."""
    higher = [a / b - 1 for a, b in zip(ours, ends, strict=True)]
    several = len(ends) > 1
    return {
        "losses": ends,
        "mean": statistics.fmean(ends),
        "deviation": statistics.stdev(ends) if several else math.nan,
        "isthmus_higher": statistics.fmean(higher),
        "standard_error": statistics.stdev(higher) / math.sqrt(len(higher)) if several else math.nan,
    }


def measure(name: str, row: Row, turns: int, seeds: int, folder: Path) -> dict[str, Any]:
    """All seeds of a row, printed and as plain data."""
    from isthmus.models.hardware import describe

    found = losses(name, row, turns, seeds, folder)
    table = {who: summary(ends, found[row.ours]) for who, ends in found.items()}
    print(f"\n{row.title}: loss, mean and deviation [min, max] of {seeds} seeds; by how much Isthmus' is higher")
    for who, one in table.items():
        spread = f"{one['mean']:9.3f} {one['deviation']:6.3f} [{min(one['losses']):.3f}, {max(one['losses']):.3f}]"
        higher = f"{one['isthmus_higher']:+.2%}, standard error {one['standard_error']:.2%}"
        print(f"  {who:17} {spread:38} {'' if who == row.ours else higher}", flush=True)
    return {
        "title": row.title,
        "command": f"python benchmarks/speed/losses.py --rows {name} --turns {turns} --seeds {seeds}",
        "date": date.today().isoformat(),
        "machine": describe(),
        "competitors": table,
    }


def main() -> None:
    """Train with all seeds, print one table, keep the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    trained = [name for name in NAMES if row_of(name).ours == "isthmus"]
    parser.add_argument("--rows", nargs="+", choices=trained, default=USUAL, metavar="ROW")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, help="images of a turn, in a trial that keeps nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.rows:
            row = row_of(name)
            row = replace(row, images=options.images or row.images)
            found = measure(name, row, options.turns, options.seeds, Path(folder))
            if not options.images:
                keep("losses.json", name, found)


if __name__ == "__main__":
    main()
