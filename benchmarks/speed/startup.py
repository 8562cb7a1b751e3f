"""Start-up: wall time of commands and imports, in rotation, and what an import must not load."""

import os
import statistics
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

from rows import OURS, PEERS

COMMANDS: dict[str, list[str]] = {
    "isthmus --help": [str(OURS.with_name("isthmus")), "--help"],
    "import isthmus": [str(OURS), "-c", "import isthmus"],
    "import isthmus, every name": [str(OURS), "-c", "import isthmus; [getattr(isthmus, n) for n in isthmus.__all__]"],
    "import torch": [str(OURS), "-c", "import torch"],
    "import sklearn.decomposition": [str(PEERS), "-c", "import sklearn.decomposition"],
    "import pythae": [str(PEERS), "-c", "import pythae.models, pythae.trainers"],
    "import keras (jax)": [str(PEERS), "-c", "import keras"],
    "import pyod": [str(PEERS), "-c", "import pyod.models.auto_encoder"],
    "import lightning": [str(PEERS), "-c", "import lightning"],
}
HELP, OVER_TORCH = 0.5, 0.2
"""Seconds that ``isthmus --help`` may take in all, and ``import isthmus`` beside ``import torch``."""

HEAVY = ("matplotlib", "onnx", "onnxruntime", "sklearn", "starlette", "uvicorn", "lightning_fabric", "pandas")
"""What importing every public name must not load."""


def measure(rotations: int) -> dict[str, Any]:
    """Median seconds of each command, printed and as plain data."""
    from isthmus.models.hardware import describe

    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(max(5, rotations) + 1):
        for name, command in COMMANDS.items():
            seconds[name].append(_wall(command))
    # the first round warms the disk's cache
    seconds = {name: times[1:] for name, times in seconds.items()}
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    pulled = pulled_in()
    limits = {"isthmus --help": HELP, "import isthmus": medians["import torch"] + OVER_TORCH}
    print("\nstart-up: seconds, median [min, max]")
    for name, times in seconds.items():
        limit = limits.get(name)
        verdict = (
            "" if limit is None else f"limit {limit:.2f}  {'reached' if medians[name] <= limit else 'NOT reached'}"
        )
        print(f"  {name:28} {medians[name]:5.2f} [{min(times):.2f}, {max(times):.2f}]  {verdict}", flush=True)
    print(f"  importing every public name pulls in of {', '.join(HEAVY)}: {', '.join(pulled) or 'none'}", flush=True)
    return {
        "command": f"python benchmarks/speed --rows startup --rotations {rotations}",
        "date": date.today().isoformat(),
        "machine": describe(),
        "seconds": seconds,
        "limits": limits,
        "pulled_in": pulled,
    }


def pulled_in() -> list[str]:
    """Which of the heavy libraries are loaded once every public name is."""
    code = f"{COMMANDS['import isthmus, every name'][2]}; import sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    return subprocess.run([OURS, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def _wall(command: list[str]) -> float:
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    started = time.perf_counter()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, env=environment, cwd=Path("/")
    )
    return time.perf_counter() - started
