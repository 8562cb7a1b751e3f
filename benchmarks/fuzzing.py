"""Every reader of untrusted files, on thousands of malformed inputs: only clean errors.

Each reader runs in a process of its own. First hypothesis draws inputs (those of the tests, and more), then atheris,
guided by the edges of isthmus, Pillow, numpy's formats, zipfile and gzip that an input reaches, changes those that
found something new: by its own mutations, by damage that knows the format, and by inputs made afresh. What is clean is
decided by ``tests/fuzz/judge.py``. Without atheris (extra ``fuzz``) the inputs of its part are drawn at random.

    python benchmarks/fuzzing.py [--drawn 200] [--guided 800] [--only NAME]
"""

import argparse
import contextlib
import importlib.util
import json
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fuzzing.json"
INSTRUMENTED = ["isthmus", "numpy.lib", "zipfile", "gzip", "PIL"]
LONGEST = 65536
SEEDS = 40
STATE = re.compile(r"cov: (\d+) ft: (\d+)")
PACKAGES = ("isthmus", "torch", "numpy", "pandas", "pyarrow", "pillow", "safetensors", "pydantic", "hypothesis")


class Tally:
    """Results of one reader, and every failure with the input that caused it."""

    def __init__(self, name: str) -> None:
        from fuzz.drawing import answer
        from fuzz.judge import Unclean
        from fuzz.targets import TARGETS

        self.target, self._answer, self._unclean = TARGETS[name], answer, Unclean
        self.counts: Counter[str] = Counter()
        self.unclean: list[dict[str, str]] = []

    def take(self, content: bytes) -> None:
        """Read one input."""
        try:
            self.counts["accepted" if self._answer(self.target, content) is None else "refused"] += 1
        except self._unclean as fault:
            self.counts["unclean"] += 1
            if len(self.unclean) < 20:
                self.unclean.append({"what": str(fault)[:300], "input": content[:LONGEST].hex()})

    def make(self, rng: random.Random) -> bytes:
        """A new input."""
        return self.target.make(rng.randrange)


def guided(tally: Tally, inputs: int, report: Any) -> None:
    """Inputs guided by coverage; the process ends here, so what was found is reported as it goes."""
    import atheris
    from fuzz.makers import damaged

    def one(content: bytes) -> None:
        tally.take(content)
        report()

    def changed(content: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311  nothing secret
        how = rng.randrange(4)
        if how == 0:
            return tally.make(rng)[:longest]
        if how == 1:
            return damaged(content, rng.randrange)[:longest]
        return bytes(atheris.Mutate(content, longest))

    corpus = tempfile.mkdtemp()
    for number in range(SEEDS):
        content = tally.make(random.Random(number))  # noqa: S311
        Path(corpus, str(number)).write_bytes(content[:LONGEST])
    options = [
        f"-runs={inputs}",
        "-seed=1",
        f"-max_len={LONGEST}",
        "-rss_limit_mb=0",
        "-timeout=60",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, corpus], one, custom_mutator=changed)
    atheris.Fuzz()


def work(name: str, examples: int, inputs: int, out: Path) -> None:
    """Fuzz one reader in this process, and write what was found."""
    warnings.simplefilter("error")
    sys.path.insert(0, str(ROOT / "tests"))
    has_guide = importlib.util.find_spec("atheris") is not None
    if has_guide:
        import atheris

        seen: Any = atheris.instrument_imports(include=INSTRUMENTED)
    else:
        seen = contextlib.nullcontext()
    with seen:
        import PIL.Image  # noqa: F401
        import torch
        from fuzz.drawing import draw

        tally = Tally(name)
    torch.set_num_threads(1)
    started = time.perf_counter()

    def report() -> None:
        found = {**tally.counts, "seconds": round(time.perf_counter() - started, 1), "faults": tally.unclean}
        found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        out.write_text(json.dumps(found))

    draw(tally.target, examples, tally.take)
    report()
    if has_guide:
        guided(tally, inputs, report)
    for number in range(inputs):
        tally.take(tally.make(random.Random(number)))  # noqa: S311
    report()


def fuzzed(name: str, examples: int, inputs: int) -> dict[str, Any]:
    """The results of one reader, in a separate process."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "found.json"
        command = [sys.executable, __file__, "--work", name, "--out", str(out)]
        command += ["--drawn", str(examples), "--guided", str(inputs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not out.exists():
            raise SystemExit(f"{name}: the process died.\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(out.read_text())
    states = STATE.findall(done.stderr)
    counts = {key: found.get(key, 0) for key in ("accepted", "refused", "unclean")}
    coverage = {"edges": int(states[-1][0]), "features": int(states[-1][1])} if states else None
    if done.returncode != 0:
        # a crash of the interpreter or a hang in C ends the process before the judge can speak
        counts["unclean"] += 1
        found["faults"].append({"what": f"exit {done.returncode}: {done.stderr[-600:]}", "input": ""})
    result = {"inputs": sum(counts.values()), **counts, "coverage": coverage}
    return result | {key: found[key] for key in ("seconds", "peak_mib", "faults")}


def main() -> None:
    """Fuzz all readers and write the record."""
    parser = argparse.ArgumentParser(description="Fuzz every reader of untrusted files.")
    parser.add_argument("--drawn", type=int, default=200, help="inputs of each reader drawn by hypothesis")
    parser.add_argument("--guided", type=int, default=800, help="inputs of each reader guided by coverage")
    parser.add_argument("--only", help="one reader; no record is written")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.drawn, asked.guided, asked.out)
        return
    guide = importlib.util.find_spec("atheris") is not None
    if not guide:
        print("atheris is not installed (pip install 'isthmus[fuzz]'): the inputs are drawn without its guidance.")
    sys.path.insert(0, str(ROOT / "tests"))
    from fuzz.targets import TARGETS

    from isthmus.models.hardware import describe

    results = {}
    for name in [asked.only] if asked.only else TARGETS:
        results[name] = found = fuzzed(name, asked.drawn, asked.guided)
        edges = found["coverage"]["edges"] if found["coverage"] else "no"
        print(
            f"{name:20} {found['inputs']:6} inputs, {found['accepted']:5} accepted, {found['unclean']} unclean, "
            f"{edges} edges, {found['seconds']:.0f} s, {found['peak_mib']} MiB",
            flush=True,
        )
        for fault in found["faults"][:5]:
            print("    ", fault["what"])
    inputs, unclean = (sum(found[key] for found in results.values()) for key in ("inputs", "unclean"))
    print(f"{inputs} inputs in all, {unclean} not clean.")
    if not asked.only:
        versions = {name: version(name) for name in (*PACKAGES, *(["atheris"] if guide else []))}
        record = {"date": date.today().isoformat(), "inputs": inputs, "unclean": unclean, "readers": results}
        record |= {"machine": describe(), "versions": {"python": platform.python_version(), **versions}}
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
    raise SystemExit(1 if unclean else 0)


if __name__ == "__main__":
    main()
