"""What a stranger wrote: files that stay in their folder, and JSON whose size is known before it is taken in.

Nothing here runs, follows or imports what it reads.
"""

import json
import stat
from pathlib import Path
from typing import Any

MOST_VALUES = 2_000_000
"""Values in one JSON text, at most: some hundred MiB of memory."""


def misplaced(path: Path, folder: Path) -> str | None:
    """What is wrong with ``path`` as a file of ``folder``, or ``None``: it must be a plain file that lies inside.

    Links are followed first, so one that leads to another place is found; so is what never ends, such as a pipe.

    >>> misplaced(Path("/no such folder/x"), Path("/no such folder"))
    'cannot be found'
    """
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            return "is a link that leads out of its folder"
        return None if stat.S_ISREG(real.stat().st_mode) else "is no plain file"
    except (OSError, RuntimeError, ValueError):
        return "cannot be found"


def parse_json(text: str, most: int = MOST_VALUES) -> Any:
    """JSON as plain data.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or may hold more than ``most`` values.

    >>> parse_json("[1, 2]")
    [1, 2]
    """
    # each value but the first stands behind one of these; those inside words make the bound a little stricter
    values = text.count("[") + text.count("{") + text.count(",")
    if values > most:
        raise ValueError(f"it may hold {values:,} values, but at most {most:,} are read")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
