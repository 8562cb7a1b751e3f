"""A training run that is killed repeatedly ends bit-identical to an uninterrupted one.

For each of a few recipes one run is left alone; another is killed (SIGKILL, no warning) at random moments and taken
up with ``--resume`` until it is done. A checkpoint is written after every step or every few milliseconds, so many
kills fall into its writing. Weights and every figure of every epoch but its time must be equal to the bit.

    python benchmarks/killing.py [--kills 50] [--seed 0]
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import load_file

from isthmus.models.hardware import describe

RESULTS = Path(__file__).parent / "results"
RUNS = {
    "vae": ["vae", "--epochs", "60"],
    "conv": ["conv", "--epochs", "12"],
    "deep, Muon": ["deep", "--epochs", "40"],
    "vq_vae": ["vq_vae", "--epochs", "12"],
    "factor_vae": ["factor_vae", "--epochs", "30"],
    "vae, compiled": ["vae", "--epochs", "200", "--set", "training.compile=on"],
}
LATEST = {"vae, compiled": 8.0}
"""Seconds of training after which a run is killed at the latest, 0.6 by default; a resumed run compiles its step again,
from the cache."""
MOST_WAIT = 60.0


def command(arguments: list[str], out: Path, every: float, *, resume: bool) -> list[str]:
    """A command line that trains on the digits."""
    settings = ["--data", "digits", "--out", str(out), "--set", f"training.checkpoint_interval={every}", "--json"]
    return [sys.executable, "-m", "isthmus", "fit", *arguments, *settings, *["--resume"] * resume]


def left_alone(arguments: list[str], out: Path) -> None:
    """Train without interruption."""
    subprocess.run(command(arguments, out, 1000.0, resume=False), check=True, capture_output=True)


def killed(arguments: list[str], out: Path, every: float, after: float) -> dict[str, object] | None:
    """Resume the run and kill it ``after`` seconds of training; its state, or ``None`` where it ended before."""
    work = out.with_name(f"{out.name}.part")
    log = work / "metrics.jsonl"
    before = log.stat().st_mtime_ns if log.exists() else 0
    # into a file: a pipe that nobody reads would stop the run
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command(arguments, out, every, resume=True), stdout=said, stderr=said)
        started = time.monotonic()
        while process.poll() is None and time.monotonic() - started < MOST_WAIT:
            # the log is written anew when training begins
            if log.exists() and log.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(after)
        ended = process.poll()
        process.send_signal(signal.SIGKILL)
        process.wait()
        if ended is None:
            # a temporary name is left where the kill fell between the first byte of a file and its rename
            torn = [p.name for p in (work / "checkpoints").glob(".*")] if work.exists() else []
            return {"in_writing": bool(torn), "records": len(list((work / "checkpoints").glob("step-*.json")))}
        if ended != 0:
            said.seek(0)
            raise SystemExit(f"a run ended with code {ended}: {said.read().decode()[-500:]}")
        return None


def same(one: Path, other: Path) -> bool:
    """Whether two runs agree to the bit, apart from time."""
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    weights = first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    rows = [
        [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in path.read_text().splitlines()]
        for path in (one / "metrics.jsonl", other / "metrics.jsonl")
    ]
    return weights and rows[0] == rows[1]


def main() -> None:
    """Kill until the requested number is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)  # noqa: S311  moments, no secrets
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for number, (name, arguments) in enumerate(RUNS.items()):
            share = (options.kills * (number + 1)) // len(RUNS) - (options.kills * number) // len(RUNS)
            alone, struck = Path(place, f"alone-{number}"), Path(place, f"killed-{number}")
            left_alone(arguments, alone)
            strikes: list[dict[str, object]] = []
            lives = 0
            while len(strikes) < share or not lives:
                found = killed(arguments, struck, draw.choice([0.0, 0.0, 0.02]), draw.uniform(0, LATEST.get(name, 0.6)))
                if found is None:
                    if not same(alone, struck):
                        raise SystemExit(f"{name}: the run that was killed {len(strikes)} times ended in other bits")
                    lives += 1
                    shutil.rmtree(struck)
                else:
                    strikes.append(found)
                    if len(strikes) >= share and not lives:
                        # enough: let it finish
                        subprocess.run(command(arguments, struck, 1000.0, resume=True), check=True, capture_output=True)
                        if not same(alone, struck):
                            raise SystemExit(f"{name}: killed {len(strikes)} times, it ended in other bits")
                        lives += 1
            in_writing = sum(bool(strike["in_writing"]) for strike in strikes)
            rows.append(
                {"run": name, "kills": len(strikes), "in_writing": in_writing, "ends": lives, "same_bits": True}
            )
            print(
                f"{name:12} {len(strikes):3} kills, {in_writing} in the writing of a checkpoint: the same bits",
                flush=True,
            )
    result = {
        "command": f"python benchmarks/killing.py --kills {options.kills} --seed {options.seed}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "kills": sum(int(str(row["kills"])) for row in rows),
        "rows": rows,
    }
    if options.kills >= 50:
        (RESULTS / "killing.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
