"""The images of a row, the files of results, and the versions of everything that competes."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from rows import OURS, PEERS, ROOT, Row

RESULTS = ROOT / "benchmarks" / "results"


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


def kind(machine: dict[str, str | int]) -> str:
    """The kind of machine that results are kept under."""
    return f"{machine.get('processor', 'processor not recorded')}, {machine['cpus']} cores"


def kept(file: str) -> dict[str, dict[str, Any]]:
    """The rows of a file of results by kind of machine and name; none where there is no such file."""
    path = RESULTS / file
    return json.loads(path.read_text()) if path.exists() else {}


def keep(file: str, name: str, found: dict[str, Any]) -> None:
    """Put a row into a file of results, which has the rows of every kind of machine."""
    record = kept(file)
    record.setdefault(kind(found["machine"]), {})[name] = found
    (RESULTS / file).write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """The same content with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def versions() -> dict[str, str]:
    """Versions of everything that competes."""
    code = (
        "import importlib.metadata as m, json;"
        "names = ['torch', 'pythae', 'lightning', 'keras', 'jax', 'pyod', 'scikit-learn', 'onnxruntime', 'isthmus'];"
        "print(json.dumps({d.name: d.version for d in m.distributions() if d.name in names}))"
    )
    answers = [subprocess.run([p, "-c", code], capture_output=True, text=True, check=True) for p in (OURS, PEERS)]
    found: dict[str, str] = {}
    for answer in reversed(answers):
        found |= json.loads(answer.stdout)
    return found
