"""What the commands of this folder share: the images of a row, and the files of results."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rows import ROOT, Row

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


def keep(file: str, name: str, found: dict[str, Any]) -> None:
    """Put a row into a file of results, which has the rows of every kind of machine."""
    path = RESULTS / file
    record = json.loads(path.read_text()) if path.exists() else {}
    record.setdefault(kind(found["machine"]), {})[name] = found
    path.write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """The same content with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
