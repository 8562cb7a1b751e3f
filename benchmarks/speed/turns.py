"""Turns in rotation: every competitor runs in a separate process and is suspended while others run.

A turn is one pass over the images. It begins when a competitor is told to go, and ends when it has done a whole pass
with all its own bookkeeping; the first turn is warm-up (compilation included) and dropped.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from rows import COMPETITORS, Row, environment

Turn = dict[str, float]
"""``rate`` in images/s, ``loss`` in nats per example (mean of the turn's batches; NaN where a competitor minimizes
something else), ``peak`` resident memory in MiB."""


class Turns:
    """A competitor's side: ``wait`` before each pass, ``done`` after it."""

    def __init__(self) -> None:
        # libraries print; only this class may write to the pipe that the rotation reads
        self.pipe = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self.started = 0.0

    def wait(self) -> None:
        """Wait for the next turn; end the process where none is left."""
        if not sys.stdin.readline():
            os._exit(0)
        self.started = time.perf_counter()

    def done(self, images: int, loss: float) -> None:
        """Report a pass over so many images."""
        seconds = time.perf_counter() - self.started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.pipe.write(json.dumps({"rate": images / seconds, "loss": loss, "peak": peak}) + "\n")


def rotate(name: str, row: Row, images: Path, turns: int, folder: Path) -> dict[str, list[Turn]]:
    """One rotation: the turns of each competitor, without the warm-up; what it says goes to a file in ``folder``.

    Raises:
        RuntimeError: a competitor ended before its turns were over.
    """
    workers = {who: start(name, who, images, folder / f"{who}.log") for who in row.competitors}
    told: dict[str, list[Turn]] = {who: [] for who in workers}
    try:
        for _ in range(turns + 1):
            for who, worker in workers.items():
                told[who].append(take(worker, folder / f"{who}.log"))
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return {who: rows[1:] for who, rows in told.items()}


def start(name: str, who: str, images: Path, log: Path, seed: int = 0) -> "subprocess.Popen[str]":
    """A process in which a competitor waits for its turn."""
    competitor = COMPETITORS[who]
    with log.open("w") as said:
        return subprocess.Popen(
            [str(competitor.python), str(Path(__file__).with_name("worker.py")), who, name, str(images), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=environment(competitor, log.with_name("compiled")),
        )


def take(worker: "subprocess.Popen[str]", log: Path) -> Turn:
    """One turn of a competitor, which is suspended afterwards.

    Raises:
        RuntimeError: the competitor ended before its turn was over.
    """
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.send_signal(signal.SIGCONT)
        worker.stdin.write("go\n")
        worker.stdin.flush()
        told: Turn = json.loads(worker.stdout.readline())
    except (BrokenPipeError, ValueError) as error:
        raise RuntimeError(f"{log.stem} ended early, saying: {log.read_text()[-2000:]}") from error
    # a progress bar's thread or a waiting pool would take time from the others
    worker.send_signal(signal.SIGSTOP)
    return told
