"""Files of results, and the versions of everything that competes."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

from rows import OURS, PEERS


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


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put an entry into a file of results, beside those of earlier calls."""
    record = json.loads(path.read_text()) if path.exists() else {}
    record[name] = found
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """The same content with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
