"""Encoding with a fitted run, as a user calls it: what ``run.encode(x)`` does once its examples are read."""

import numpy as np
from by_isthmus import OPTIONS, options
from rows import Row
from turns import Turns


def compete(row: Row, images: np.ndarray, turns: Turns, variant: str) -> None:
    """One turn after another: the codes of all images."""
    from isthmus import fit

    run = fit(OPTIONS[row.net][0], images[:1000], epochs=1, options=options(row))
    x, precision = run.to_tensor(images), run.network_dtype(variant or row.precision)
    while True:
        turns.wait()
        z = run.model.encode(x, precision=precision)
        turns.done(len(z), 0.0)
