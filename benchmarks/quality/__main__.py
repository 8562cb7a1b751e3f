"""Quality per second: time of training until a stated figure, beside pythae, Keras on JAX and a hand-written loop.

    ISTHMUS_DATA=... python benchmarks/quality --search [--tasks deep vae conv faces]
    ISTHMUS_DATA=... python benchmarks/quality [--tasks ...] [--seeds 0 1 2] [--limit 900]
    ISTHMUS_DATA=... python benchmarks/quality --trial

Each run is a process of its own, one after another, and starts from the same images in memory. Its clock runs from
there to the end of the first epoch after which the validation images reach the figure; validation does not count,
compilation does, anew in each run. Validation images are the last 5,000 training images of MNIST, and four people of
Olivetti. The figure of the test images at that moment is reported, and decides nothing. Isthmus takes part with the
options of its recipe, and with those that ``--search`` has chosen on validation images. The others train by Adam at
1e-3 from Glorot weights, with that of two batch sizes which is faster with the first seed; the hand-written loop also
with our options.
"""

import argparse
import os
import statistics
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from running import Field, Run, fastest, prepared, resolved
from search import chosen, search
from tasks import COMPETITORS, PEERS, TASKS, Settings, keep, kept, kind, versions

from isthmus.models.hardware import describe

BUSY = 0.5
"""Load of the machine above which threads that wait in turns take several times as long."""


def choices(field: Field, who: str, found: Settings | None) -> list[Settings]:
    """What a competitor may choose from with the first seed; nothing where it needs a search that has not been made."""
    if who == "isthmus":
        return [{}]
    if who == "isthmus, chosen":
        return [found] if found else []
    if who == "hand, our options":
        return [resolved(field.task.net, found or {}, field.images)]
    return [{"training.batch_size": batch} for batch in field.task.batches]


def measure(field: Field, seeds: list[int], found: Settings | None, asked: list[str]) -> dict[str, list[Run]]:
    """The runs of the ``asked`` competitors on all seeds, and under ``dropped`` those with the slower batch size.

    The runs of the others are those that were kept on this kind of machine.
    """
    before = kept("quality.json").get(kind(describe()), {}).get(field.name, {}).get("runs", {})
    runs: dict[str, list[Run]] = {who: before[who] for who in field.task.who if who not in asked and who in before}
    open_choices = {who: choices(field, who, found) if who in asked else [] for who in field.task.who}
    dropped = []
    for seed in seeds:
        for who in [who for who in field.task.who if open_choices[who]]:
            best, tried = fastest(field, who, seed, open_choices[who])
            # who runs out of time is not asked again
            late = not best["reached"] and best.get("seconds", 0) >= field.limit
            open_choices[who] = [] if late else [best["settings"]]
            runs.setdefault(who, []).append(best)
            dropped += [{"who": who, **run} for run in tried if run is not best]
            _say(who, seed, best)
    return runs | {"dropped": dropped}


def _say(who: str, seed: int, run: Run) -> None:
    figure = f"{run['valid']:.4g} after {run['epochs']} epochs" if "valid" in run else run["failed"][-300:]
    print(f"  seed {seed}: {who}, {run.get('seconds', 0):.1f} s, validation {figure}", file=sys.stderr, flush=True)


def judged(field: Field, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Seconds, ratio to ours on the same seed, and test figures, by competitor."""
    our = {run["seed"]: run for run in runs.get("isthmus, chosen", runs["isthmus"]) if run["reached"]}
    figures = {}
    for who, theirs in runs.items():
        both = [(their, our[their["seed"]]) for their in theirs if their["reached"] and their["seed"] in our]
        figures[who] = {
            "reached": sum(run["reached"] for run in theirs),
            "runs": len(theirs),
            "seconds": [run["seconds"] if run["reached"] else None for run in theirs],
            "ratios": [their["seconds"] / best["seconds"] for their, best in both],
            "test": [run.get("test") for run in theirs],
            "test_reached": sum("test" in run and field.task.met(run["test"], field.goal) for run in theirs),
            "epochs": [run.get("epochs") for run in theirs],
            "settings": theirs[-1]["settings"],
            "step": theirs[-1].get("step", {}),
        }
    return figures


def show(field: Field, figures: dict[str, Any]) -> None:
    """The table of a task."""
    task = field.task
    print(f"\n{task.title}, until {field.goal:g} {task.unit}".rstrip())
    print(f"  {'':18} {'seconds [min, max]':>26} {'ratio to ours':>21}  {'test figure':>18}  epochs, batch size, step")
    for who, row in figures.items():
        seconds = _spread([s for s in row["seconds"] if s is not None], ".1f") or f"not reached in {field.limit:g} s"
        ratios = _spread(row["ratios"], ".2f")
        test = [value for value in row["test"] if value is not None]
        shown = f"{statistics.fmean(test):.4g}" if test else "-"
        deviation = f" +- {statistics.stdev(test):.2g}" if len(test) > 1 else ""
        star = "*" if row["test_reached"] < row["runs"] else " "
        of = "" if row["reached"] == row["runs"] else f", reached in {row['reached']} of {row['runs']} runs"
        how = f"{row['epochs']}, {row['settings'].get('training.batch_size', 'as the recipe')}{_words(row['step'])}"
        print(f"  {who:18} {seconds:>26} {ratios:>21}  {shown + deviation + star:>18}  {how}{of}")
    if any(row["test_reached"] < row["runs"] for row in figures.values()):
        print("  * the test figure of a run is short of the goal", flush=True)


def _words(step: dict[str, Any]) -> str:
    return f", {step['precision']}{', compiled' * step['compiled']}" if step else ""


def _spread(values: list[float], form: str) -> str:
    if not values:
        return ""
    return f"{statistics.fmean(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def record_of(field: Field, seeds: list[int], figures: dict[str, Any], runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Everything about a task, as plain data."""
    return {
        "title": field.task.title,
        "figure": field.task.figure,
        "unit": field.task.unit,
        "goal": field.goal,
        "clock": "from images in memory to the first epoch that reaches the figure on validation images; "
        "without imports and validation",
        "command": f"python benchmarks/quality --tasks {field.name} --seeds {' '.join(map(str, seeds))} "
        f"--limit {field.limit:g}",
        "date": date.today().isoformat(),
        "machine": describe(),
        "versions": versions(),
        "figures": figures,
        "runs": runs,
    }


def main() -> None:
    """Search, or measure, print one table per task, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS], default=[*TASKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of training after which a run gives up")
    parser.add_argument("--search", action="store_true", help="choose options of Isthmus on validation images")
    parser.add_argument("--trial", action="store_true", help="a few images, easy figures, one seed; keeps nothing")
    parser.add_argument("--who", nargs="+", choices=[*COMPETITORS], help="measured anew; others as they were kept")
    options = parser.parse_args()
    if not PEERS.exists():
        sys.exit("The other libraries are not installed. Make .venv-peers with make bench.")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tasks:
            field = prepared(name, Path(folder), 60.0 if options.trial else options.limit, trial=options.trial)
            if options.search:
                print(f"{field.task.title}: options on validation images", flush=True)
                search(field, trial=options.trial)
                continue
            seeds = options.seeds[:1] if options.trial else options.seeds
            load = os.getloadavg()[0]
            if load > BUSY:
                print(f"Other work is running here (load {load:.1f}): these times mean little.", flush=True)
            runs = measure(field, seeds, chosen(name), options.who or list(field.task.who))
            dropped = runs.pop("dropped")
            figures = judged(field, runs)
            show(field, figures)
            if not options.trial:
                record = record_of(field, seeds, figures, runs | {"dropped": dropped})
                keep("quality.json", name, record | {"load_before": load})


if __name__ == "__main__":
    main()
