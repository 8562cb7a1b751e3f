"""Warnings of decoders about what they overlook in a file, which nobody can act upon."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

for _library in ("PIL", "pydicom", "tifffile"):
    # without a handler, Python would write their warnings to the console
    logging.getLogger(_library).addHandler(logging.NullHandler())

_LOCK = Lock()
_QUIET: "list[warnings.catch_warnings[None]]" = []
_INSIDE = [0]


@contextmanager
def quiet() -> Iterator[None]:
    """Show no warning inside the block; several threads may be inside at a time, unlike with ``catch_warnings``."""
    with _LOCK:
        _INSIDE[0] += 1
        if _INSIDE[0] == 1:
            _QUIET.append(warnings.catch_warnings())
            _QUIET[0].__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE[0] -= 1
            if _INSIDE[0] == 0:
                _QUIET.pop().__exit__(None, None, None)
