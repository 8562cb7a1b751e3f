"""Encoding with a fitted run, as a person asks for it: ``run.encode(x)``; with ``bf16``, ``precision="bf16"``."""

import numpy as np
from by_isthmus import OPTIONS, options
from rows import Row
from turns import Turns


def compete(row: Row, images: np.ndarray, turns: Turns, variant: str) -> None:
    """One turn after another: the codes of all images."""
    from isthmus import fit

    run = fit(OPTIONS[row.net][0], images[:1000], epochs=1, options=options(row))
    x = run.prepared(images)
    while True:
        turns.wait()
        z = run.model.encode(x, precision=variant or "32")
        turns.done(len(z), 0.0)
