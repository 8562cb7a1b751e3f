"""Processor time of a fit on cores that other processes use too, for several settings of OpenMP's waiting threads.

Threads that wait for each other spin: on a quiet machine that is fast, on a busy one they burn the time of the thread
they wait for. Each turn fits the MLP VAE (784-512-16, batch 100, random images) in a process of its own, on a quiet
machine and then beside one busy process per core; the settings take turns. Ratios of a turn are to the quiet fit of the
library's own setting in the same turn.

    python benchmarks/shared_cores.py [--turns 3] [--steps 3000] [--threads 2]
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "shared_cores.json"
SETTINGS: dict[str, dict[str, str]] = {
    "library": {},
    "torch alone": {"WITHOUT": "yes"},
    "passive": {"WITHOUT": "yes", "OMP_WAIT_POLICY": "PASSIVE"},
    "1,000 spins": {"WITHOUT": "yes", "GOMP_SPINCOUNT": "1000"},
    "10,000 spins": {"WITHOUT": "yes", "GOMP_SPINCOUNT": "10000"},
}
"""Environment variables of each setting; ``WITHOUT`` switches off what the library does."""
FIT = """
import contextlib, json, os, resource, sys, time
import isthmus
import numpy as np
import torch
from isthmus.training import shared_cores
if "WITHOUT" in os.environ:
    shared_cores.yielding_cores = contextlib.nullcontext
steps, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
x = np.random.default_rng(0).random((20_000, 784), dtype=np.float32)
options = {"training.steps": 20, "data.test": 0, "data.validation": 0}
isthmus.fit("vae", x[:2000], options=options)
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, time.perf_counter()
before = used()
isthmus.fit("vae", x, options=options | {"training.steps": steps})
print(json.dumps([b - a for a, b in zip(before, used())]))
"""


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep ``number`` cores busy with other processes."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def fitted(setting: dict[str, str], steps: int, threads: int) -> tuple[float, float]:
    """Processor time and wall time of a fit, in seconds."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= {name: value for name, value in setting.items() if value}
    command = [sys.executable, "-c", FIT, str(steps), str(threads)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    processor, wall = json.loads(answer.stdout)
    return processor, wall


def main() -> None:
    """Measure every setting, quiet and busy, print a table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--try", action="store_true", dest="only_print", help="do not write the result")
    chosen = parser.parse_args()
    ratios: dict[str, dict[str, list[float]]] = {
        name: {"quiet_wall": [], "quiet_processor": [], "busy_wall": [], "busy_processor": []}
        for name in chosen.settings
    }
    for _ in range(chosen.turns):
        quiet = {name: fitted(SETTINGS[name], chosen.steps, chosen.threads) for name in chosen.settings}
        with busy(os.cpu_count() or 1):
            loaded = {name: fitted(SETTINGS[name], chosen.steps, chosen.threads) for name in chosen.settings}
        processor, wall = quiet[chosen.settings[0]]
        for name, row in ratios.items():
            row["quiet_wall"].append(quiet[name][1] / wall)
            row["quiet_processor"].append(quiet[name][0] / processor)
            row["busy_wall"].append(loaded[name][1] / wall)
            row["busy_processor"].append(loaded[name][0] / processor)
        medians = {n: {k: round(statistics.median(v), 2) for k, v in row.items()} for n, row in ratios.items()}
        print(json.dumps(medians, indent=1), flush=True)
    if not chosen.only_print:
        from isthmus.models.hardware import describe

        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(chosen), "ratios": ratios}
        RESULT.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
