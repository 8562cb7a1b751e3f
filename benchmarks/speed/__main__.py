"""Speed beside other libraries: one table, every row measured side by side in interleaved rotations.

    ISTHMUS_DATA=... python benchmarks/speed [--rows vae100 vae100-32 encode ...] [--turns 3] [--rotations 3]

A row is measured in the precision that Isthmus chooses for the processor, or in the one that its name or
``--precision`` states. Each row keeps images/s, losses and peak memory of every turn in ``results/speed.json``, by kind
of machine; what is not measured anew stays there. ``.venv-peers`` holds the other libraries: ``make bench`` builds it.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import startup
from precision import has_bf16
from records import images, keep, versions
from roofline import roofline
from rows import NAMES, PEERS, Row, row_of, usual_rows
from turns import Turn, rotate

EQUAL = 0.005
"""Relative difference below which final losses count as equal."""


def judged(row: Row, rotations: list[dict[str, list[Turn]]]) -> dict[str, Any]:
    """Medians, ranges, ratios and losses of a row; a ratio for each rotation, and one of the fastest turns.

    Where a machine changes its speed from turn to turn, the fastest turns are those that compare.
    """
    figures, targets = {}, row.targets_on(has_bf16())
    for who in row.competitors:
        rates = [turn["rate"] for rotation in rotations for turn in rotation[who]]
        ratios = [_median(rotation, row.ours) / _median(rotation, who) for rotation in rotations]
        losses = [rotation[who][-1]["loss"] for rotation in rotations]
        target = targets.get(who)
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
        figure["ratio_of_fastest"] = figures[row.ours]["greatest"] / figure["greatest"]
        # encoding has no loss, and some competitors minimize a different one
        comparable = math.isfinite(figure["loss"]) and ours > 0
        figure["equal_loss"] = abs(figure["loss"] / ours - 1) <= EQUAL if comparable else None
    return figures


def _median(rotation: dict[str, list[Turn]], who: str) -> float:
    return statistics.median(turn["rate"] for turn in rotation[who])


def show(row: Row, figures: dict[str, Any]) -> None:
    """One row of the table."""
    print(f"\n{row.title}: images/s, median [min, max]; ratio of Isthmus to each in each rotation")
    print("and (of the fastest turns); loss; peak memory")
    for who, figure in figures.items():
        ratios = " ".join(f"{ratio:5.2f}" for ratio in figure["ratios"])
        target = "" if figure["target"] is None else f"target {figure['target']:.2f}"
        verdict = {None: "", True: "reached", False: "NOT reached"}[figure["reached"]]
        star = {None: "", True: " ", False: "*"}[figure["equal_loss"]]
        loss = f"{figure['loss']:8.3f}{star}" if star else f"{'-':>8} "
        print(
            f"  {who:17} {figure['rate']:9,.0f} [{figure['least']:,.0f}, {figure['greatest']:,.0f}]".ljust(52),
            f"{ratios} ({figure['ratio_of_fastest']:.2f})  {target:11} {verdict:11} {loss} {figure['peak']:6,.0f} MiB",
            flush=True,
        )
    if (more := above_hand(row, figures)) is not None:
        print(f"  peak memory of Isthmus above that of the hand-written loop: {more:,.0f} MiB", flush=True)


def above_hand(row: Row, figures: dict[str, Any]) -> float | None:
    """By how many MiB the peak of Isthmus exceeds that of the plain hand-written loop, where both compete."""
    return figures[row.ours]["peak"] - figures["hand"]["peak"] if "hand" in figures else None


def measure(name: str, row: Row, turns: int, rotations: int, folder: Path) -> dict[str, Any]:
    """All rotations of a row, printed and as plain data."""
    from isthmus.models.hardware import describe

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
        "peak_above_hand": above_hand(row, figures),
        "roofline": limit,
        "rotations": measured,
    }


def in_precision(name: str, precision: str) -> str:
    """The name of a row in a precision, unless it states its own or has none."""
    return name if precision == "auto" or "-" in name or name == "startup" else f"{name}-{precision}"


def main() -> None:
    """Measure, print one table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    usual = [*usual_rows(has_bf16()), "startup"]
    parser.add_argument("--rows", nargs="+", choices=[*NAMES, "startup"], default=usual, metavar="ROW")
    parser.add_argument("--precision", choices=["auto", "32", "bf16"], default="auto", help="of rows that state none")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--try", dest="trial", action="store_true", help="keep nothing")
    parser.add_argument("--images", type=int, help="images of a turn, in a trial that keeps nothing")
    options = parser.parse_args()
    print("* marks a final loss that differs by more than 0.5 % from that of Isthmus")
    if not PEERS.exists():
        sys.exit("The other libraries are not installed. Make .venv-peers with make bench.")
    with tempfile.TemporaryDirectory() as folder:
        for name in dict.fromkeys(in_precision(name, options.precision) for name in options.rows):
            if name == "startup":
                found = startup.measure(options.rotations)
            else:
                row = row_of(name)
                row = replace(row, images=options.images or row.images)
                found = measure(name, row, options.turns, options.rotations, Path(folder))
            if not (options.trial or options.images):
                keep("speed.json", name, found)


if __name__ == "__main__":
    main()
