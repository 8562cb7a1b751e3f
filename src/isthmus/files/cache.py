"""The user's folder for files that can be made or downloaded again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$ISTHMUS_CACHE``, or else the folder ``isthmus`` in the user's cache folder; it need not exist."""
    own = os.environ.get("ISTHMUS_CACHE")
    if own:
        return Path(own).expanduser()
    import pooch

    return Path(pooch.os_cache("isthmus"))
