"""Speed beside other libraries: one table, every row measured side by side in interleaved rotations.

    ISTHMUS_DATA=... python benchmarks/speed [--rows vae100 encode ...] [--turns 3] [--rotations 3]

Each row keeps images/s, losses and peak memory of every turn in ``results/speed.json``; rows that are not requested
are kept. ``.venv-peers`` holds the other libraries: ``make bench`` builds it.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import startup
from record import keep, versions
from roofline import roofline
from rows import PEERS, ROOT, ROWS, Row
from turns import Turn, rotate

RESULT = ROOT / "benchmarks" / "results" / "speed.json"
EQUAL = 0.005
"""Relative difference below which final losses count as equal."""


def images(row: Row, folder: Path) -> Path:
    """A file with the images (N, H, W) of a row, 8 bits a pixel, the same for all competitors."""
    from isthmus.data import load_dataset
    from isthmus.options import DataOptions

    path = folder / f"{row.data}-{row.images}.npy"
    if not path.exists():
        x = load_dataset(row.data, DataOptions(), seed=0).train.x
        x = x.reshape(len(x), *x.shape[1:3])
        np.save(path, np.resize(x, (row.images, *x.shape[1:])).astype(np.uint8))
    return path


def judged(row: Row, rotations: list[dict[str, list[Turn]]]) -> dict[str, Any]:
    """Medians, ranges, ratios and losses of a row; a ratio for each rotation."""
    figures = {}
    for who in row.competitors:
        rates = [turn["rate"] for rotation in rotations for turn in rotation[who]]
        ratios = [_median(rotation, row.ours) / _median(rotation, who) for rotation in rotations]
        losses = [rotation[who][-1]["loss"] for rotation in rotations]
        target = row.targets.get(who)
        figures[who] = {
            "rate": statistics.median(rates),
            "least": min(rates),
            "greatest": max(rates),
            "ratios": ratios,
            "target": target,
            "reached": None if target is None else min(ratios) >= target,
            "loss": statistics.fmean(losses),
            "peak": max(turn["peak"] for rotation in rotations for turn in rotation[who]),
        }
    ours = figures[row.ours]["loss"]
    for figure in figures.values():
        # encoding has no loss, and some competitors minimize a different one
        comparable = math.isfinite(figure["loss"]) and ours > 0
        figure["equal_loss"] = abs(figure["loss"] / ours - 1) <= EQUAL if comparable else None
    return figures


def _median(rotation: dict[str, list[Turn]], who: str) -> float:
    return statistics.median(turn["rate"] for turn in rotation[who])


def show(row: Row, figures: dict[str, Any]) -> None:
    """One row of the table."""
    print(f"\n{row.title}: images/s, median [min, max]; ratio of Isthmus to each in each rotation; loss; peak memory")
    for who, figure in figures.items():
        ratios = " ".join(f"{ratio:5.2f}" for ratio in figure["ratios"])
        target = "" if figure["target"] is None else f"target {figure['target']:.2f}"
        verdict = {None: "", True: "reached", False: "NOT reached"}[figure["reached"]]
        star = {None: "", True: " ", False: "*"}[figure["equal_loss"]]
        loss = f"{figure['loss']:8.3f}{star}" if star else f"{'-':>8} "
        print(
            f"  {who:17} {figure['rate']:9,.0f} [{figure['least']:,.0f}, {figure['greatest']:,.0f}]".ljust(52),
            f"{ratios}  {target:11} {verdict:11} {loss} {figure['peak']:6,.0f} MiB",
            flush=True,
        )


def measure(name: str, turns: int, rotations: int, folder: Path) -> dict[str, Any]:
    """All rotations of a row, printed and as plain data."""
    from isthmus.models.hardware import describe

    row = ROWS[name]
    load = os.getloadavg()[0]
    measured = [rotate(name, row, images(row, folder), turns, folder) for _ in range(rotations)]
    figures = judged(row, measured)
    show(row, figures)
    limit = roofline(row, figures[row.ours]["rate"])
    return {
        "title": row.title,
        "command": f"python benchmarks/speed --rows {name} --turns {turns} --rotations {rotations}",
        "date": date.today().isoformat(),
        "load_before": load,
        "machine": describe(),
        "versions": versions(),
        "figures": figures,
        "roofline": limit,
        "rotations": measured,
    }


def main() -> None:
    """Measure, print one table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, "startup"], default=[*ROWS, "startup"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--try", dest="trial", action="store_true", help="keep nothing")
    options = parser.parse_args()
    print("* marks a final loss that differs by more than 0.5 % from that of Isthmus")
    if not PEERS.exists():
        sys.exit("The other libraries are not installed. Make .venv-peers with make bench.")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.rows:
            if name == "startup":
                found = startup.measure(options.rotations)
            else:
                found = measure(name, options.turns, options.rotations, Path(folder))
            if not options.trial:
                keep(RESULT, name, found)


if __name__ == "__main__":
    main()
