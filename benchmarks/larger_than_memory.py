"""Training on, and encoding, a file larger than memory: anonymous memory, and throughput beside the in-memory path.

    python benchmarks/larger_than_memory.py                  # 20 GB of random bytes
    python benchmarks/larger_than_memory.py --gigabytes 2
    python benchmarks/larger_than_memory.py --kind npy --recipe vae --steps 1500
    python benchmarks/larger_than_memory.py --kind parquet --recipe vae --steps 6000

The file is real random bytes (no holes), dropped from the page cache before it is read, and removed afterwards. Each
measurement is a process of its own: it trains one epoch, then encodes every example into a ``.npy`` file, while a
thread reads RssAnon from /proc/self/status every 20 ms. The in-memory path takes the first part of the same bytes,
from memory; it is measured before and after, for the machine is not always equally fast. The model is a light one, so
that reading weighs as much as it can, and sums run in one thread. With ``--steps`` a run ends after so many batches of
random blocks of the file, and nothing is encoded. A table (``--kind parquet``) has 64 columns of 32-bit numbers in row
groups of 16 MiB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (64, 64, 3)
COLUMNS, GROUP = 64, 65536
"""Columns of the table, and rows of a row group."""
BATCH, SEED = 128, 0
OPTIONS = {"latent.size": 16, "training.batch_size": BATCH}
SMALL = 0.4
"""Gigabytes of the data that is held in memory: 1.6 GB as 32-bit numbers, and copies of it on the way."""
RESULT = Path(__file__).parent / "results" / "larger_than_memory.json"
PIECE = 2**26


def write_random(path: Path, rows: int, seed: int) -> None:
    """Write a ``.npy`` file of random bytes, and take it out of the page cache."""
    rng = np.random.Generator(np.random.SFC64(seed))
    with path.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *SHAPE)}
        np.lib.format.write_array_header_1_0(stream, header)
        left = rows * int(np.prod(SHAPE))
        while left:
            count = min(left, PIECE)
            stream.write(rng.bytes(count))
            left -= count
        stream.flush()
        os.fsync(stream.fileno())
    forget(path)


def write_table(path: Path, rows: int, seed: int) -> None:
    """Write a ``.parquet`` file of random numbers in [0, 1], and take it out of the page cache."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.Generator(np.random.SFC64(seed))
    schema = pa.schema([(f"c{number}", pa.float32()) for number in range(COLUMNS)])
    with parquet.ParquetWriter(path, schema, compression="NONE", use_dictionary=False) as writer:
        for start in range(0, rows, GROUP):
            values = rng.random((COLUMNS, min(GROUP, rows - start)), dtype=np.float32)
            writer.write_table(pa.table(list(values), schema=schema), row_group_size=GROUP)
    forget(path)


def forget(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Watch:
    """The largest RssAnon of this process, in bytes, since the last time that it was asked for."""

    def __init__(self) -> None:
        self._peak, self._on = 0, True
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while self._on:
            self._peak = max(self._peak, anonymous())
            time.sleep(0.02)

    def peak(self) -> int:
        """The peak so far; the next one begins now."""
        peak, self._peak = max(self._peak, anonymous()), 0
        return peak


def anonymous() -> int:
    """RssAnon of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def measure(path: Path, memory: str, folder: Path, recipe: str, steps: int) -> dict[str, Any]:
    """Train one epoch and encode, or train ``steps`` only, in this process."""
    from isthmus import fit
    from isthmus.runs import writing

    watch, processor = Watch(), timed_training()
    started = time.perf_counter()
    length = {"training.steps": steps, "training.epochs": None} if steps else {"training.epochs": 1}
    run = fit(recipe, path, seed=SEED, options={**OPTIONS, "data.memory": memory, **length})
    fitted = time.perf_counter() - started
    training = watch.peak()
    if steps:
        return {
            "memory": memory,
            "training_examples_per_second": float(np.median([row["examples_per_second"] for row in run.history])),
            "fit_seconds": round(fitted, 1),
            "training_rss_anon": training,
            "loss": run.history[0]["train"]["loss"],
        }
    if memory == "stream":
        forget(path)
        # the policy of a run is to stream large data; here small data too
        from isthmus.data import memory as held

        held.LARGEST = 0
    bare = 0.0
    if memory == "whole":
        assert run.data is not None
        x = run.data.train.tensor
        started = time.perf_counter()
        run.model.encode(x)
        bare = round(len(x) / (time.perf_counter() - started), 1)
    run.data = None
    started = time.perf_counter()
    _, shape = writing.encode(run, str(path), folder / "codes.npy")
    seconds = time.perf_counter() - started
    epoch = run.history[-1]
    return {
        "memory": memory,
        "examples": shape[0],
        "training_examples_per_second": epoch["examples_per_second"],
        "training_processor_us_per_example": round(processor[0] / epoch_examples(run) * 1e6, 1),
        "fit_seconds": round(fitted, 1),
        "encoding_examples_per_second": round(shape[0] / seconds, 1),
        "bare_encoding_examples_per_second": bare,
        "training_rss_anon": training,
        "encoding_rss_anon": watch.peak(),
        "loss": epoch["train"]["loss"],
    }


def timed_training() -> list[float]:
    """Processor seconds of each epoch of training, of all threads, as they come."""
    from isthmus.training.engine import Engine

    seconds: list[float] = []
    train = Engine._train

    def timed(engine: Engine) -> None:
        before = time.process_time()
        train(engine)
        seconds.append(time.process_time() - before)

    Engine._train = timed  # type: ignore[method-assign]
    return seconds


def epoch_examples(run: Any) -> int:
    """Examples of an epoch."""
    count: int = run.metadata.counts["train"]
    return count


def apart(path: Path, memory: str, folder: Path, recipe: str, steps: int) -> dict[str, Any]:
    """The same in a separate process."""
    command = [sys.executable, __file__, "--measure", str(path), "--memory", memory, "--folder", str(folder)]
    command += ["--recipe", recipe, "--steps", str(steps)]
    # one thread of sums: what else the machine does disturbs two far more, and both paths get the same
    calm = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=calm)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{path.name} {memory}: {answer}", flush=True)
    return answer


def files(kind: str, gigabytes: float, folder: Path) -> tuple[Path, Path]:
    """The large file, and a small one of its first bytes or of numbers like these."""
    large, small = folder / f"large.{kind}", folder / f"small.{kind}"
    if kind == "parquet":
        write_table(large, int(gigabytes * 1e9) // (4 * COLUMNS), SEED)
        write_table(small, int(SMALL * 1e9) // (4 * COLUMNS), SEED)
        return large, small
    features = int(np.prod(SHAPE))
    write_random(large, int(gigabytes * 1e9) // features, SEED)
    np.save(small, np.load(large, mmap_mode="r")[: int(SMALL * 1e9) // features])
    return large, small


def rates_of_steps(large: Path, small: Path, folder: Path, rounds: int, *what: Any) -> dict[str, Any]:
    """Training rates of a number of steps: in memory and from the large file in turns."""
    turns = [(apart(small, "whole", folder, *what), apart(large, "stream", folder, *what)) for _ in range(rounds)]
    rates = [[turn["training_examples_per_second"] for turn in side] for side in zip(*turns, strict=True)]
    return {
        "bytes": large.stat().st_size,
        "bytes_on_disk": large.stat().st_blocks * 512,
        "training_ratio_large": round(float(np.median(rates[1]) / np.median(rates[0])), 3),
        "peak_rss_anon_gb": round(max(turn["training_rss_anon"] for _, turn in turns) / 1e9, 3),
        "small_whole": [whole for whole, _ in turns],
        "large": [streamed for _, streamed in turns],
    }


def compared(large: Path, small: Path, folder: Path, rounds: int, *what: Any) -> dict[str, Any]:
    """All measurements: small ones in turn, and the large file between them."""
    wholes, streams = [], []
    everything: dict[str, Any] = {}
    for turn in range(2 * rounds):
        if turn == rounds:
            forget(large)
            everything = apart(large, "stream", folder, *what)
        wholes.append(apart(small, "whole", folder, *what))
        streams.append(apart(small, "stream", folder, *what))

    def ratios(kind: str) -> dict[str, float]:
        key = f"{kind}_examples_per_second"
        whole = float(np.median([turn[key] for turn in wholes]))
        return {
            f"{kind}_ratio_large": round(everything[key] / whole, 3),
            f"{kind}_ratio_small": round(float(np.median([turn[key] for turn in streams])) / whole, 3),
        }

    cost = "training_processor_us_per_example"
    whole, small_stream = (float(np.median([turn[cost] for turn in turns])) for turns in (wholes, streams))
    peak = max(everything["training_rss_anon"], everything["encoding_rss_anon"])
    return {
        "bytes": large.stat().st_size,
        "bytes_on_disk": large.stat().st_blocks * 512,
        "peak_rss_anon_gb": round(peak / 1e9, 3),
        **ratios("training"),
        "training_processor_ratio_large": round(whole / everything[cost], 3),
        "training_processor_ratio_small": round(whole / small_stream, 3),
        **ratios("encoding"),
        "large": everything,
        "small_whole": wholes,
        "small_stream": streams,
    }


def main() -> None:
    """Measure, print, and keep the result."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gigabytes", type=float, default=20)
    options.add_argument(
        "--rounds", type=int, default=2, help="turns of the small file in and out of memory, before and after"
    )
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    options.add_argument("--kind", choices=("npy", "parquet"), default="npy", help="format of the file")
    options.add_argument("--recipe", default="linear")
    options.add_argument("--steps", type=int, default=0, help="steps of a run; 0 for an epoch, after which is encoded")
    options.add_argument("--out", type=Path, default=RESULT)
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--memory", default="stream", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure is not None:
        print(json.dumps(measure(given.measure, given.memory, given.folder, given.recipe, given.steps)))
        return
    from isthmus.models.hardware import describe

    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        pair = files(given.kind, given.gigabytes, Path(place))
        measured = rates_of_steps if given.steps else compared
        found = measured(*pair, Path(place), given.rounds, given.recipe, given.steps)
    shape = SHAPE if given.kind == "npy" else (COLUMNS,)
    result = {"date": str(date.today()), "shape": shape, "recipe": given.recipe, "options": OPTIONS}
    result |= {"steps": given.steps, "machine": describe()}
    given.out.write_text(json.dumps({**result, **found}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in found.items() if not isinstance(value, list | dict)}, indent=2))


if __name__ == "__main__":
    main()
