"""Reading of untrusted files: checks of their location, and JSON whose size is bounded before it is parsed.

Nothing here executes or imports what it reads.
"""

import json
import stat
from pathlib import Path
from typing import Any

MOST_VALUES = 2_000_000
"""Largest number of values in one JSON text: some hundred MiB of memory."""


def misplaced(path: Path, folder: Path) -> str | None:
    """Why ``path`` is not a valid file of ``folder``, or ``None``: it must be a regular file inside the folder.

    Links are resolved first, so a link that leads out of the folder is refused, as are pipes and devices, which may
    never end.

    >>> misplaced(Path("/no such folder/x"), Path("/no such folder"))
    'cannot be found'
    """
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            return "is a link that leads out of its folder"
        return None if stat.S_ISREG(real.stat().st_mode) else "is not a regular file"
    except (OSError, RuntimeError, ValueError):
        return "cannot be found"


def parse_json(text: str, most: int = MOST_VALUES) -> Any:
    """JSON as plain data.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or may hold more than ``most`` values.

    >>> parse_json("[1, 2]")
    [1, 2]
    """
    # each value but the first follows one of these characters; those inside strings make the bound a little stricter
    values = text.count("[") + text.count("{") + text.count(",")
    if values > most:
        raise ValueError(f"it may hold {values:,} values, but at most {most:,} are read")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
