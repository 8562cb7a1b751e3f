"""Tables, digits and small runs that the cases share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.datasets import load_digits

import isthmus as it

Array = npt.NDArray[Any]
TABLE = {"data.scale": "standard", "likelihood.kind": "gaussian"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Payments: a time, five measurements of three factors, and an amount."""
    r = np.random.default_rng(0)
    x = r.normal(size=(100, 3)) @ r.normal(size=(3, 5)) + 0.1 * r.normal(size=(100, 5))
    frame = pd.DataFrame(x, columns=[f"V{i}" for i in range(1, 6)])
    frame.insert(0, "Time", np.sort(r.permutation(172_792)[:100]))
    return frame.assign(Amount=np.round(r.lognormal(3, 1.5, 100), 2))


@pytest.fixture(scope="module")
def run(table: pd.DataFrame) -> it.Run:
    """A run on the payments."""
    return it.fit("simple", table, epochs=1, options=TABLE)


@pytest.fixture(scope="session")
def digits() -> Array:
    """Digits as bytes, of which the first 20 are dark: 0 or 1."""
    images: Array = (load_digits().images[:200] / 16 * 255).round().astype(np.uint8)
    images[:20] = np.random.default_rng(0).integers(0, 2, size=(20, 8, 8))
    return images


@pytest.fixture(scope="session")
def codes() -> Callable[[it.Run, Any], Array]:
    """Codes of data in any form, as an array."""
    return lambda run, data: np.asarray(run.encode(data))
