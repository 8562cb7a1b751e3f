"""Seeds per purpose, and random numbers without effect on the global generators."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from isthmus.errors import BadOption

SEEDS = 2**31


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed per purpose, so that weights, order and noise use independent random numbers.

    >>> len({derive_seed(0, "order", 1), derive_seed(0, "order", 2), derive_seed(0, "noise"), derive_seed(1, "noise")})
    4
    """
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in purpose]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Use a separate seed inside the block, and restore torch's generators afterwards; no effect for ``None``."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def check_seed(seed: int) -> None:
    """Check that a seed is in the range of the generators.

    Raises:
        BadOption: the seed is negative or too large.
    """
    if not 0 <= seed < SEEDS:
        raise BadOption(f"The seed must be at least 0 and below {SEEDS}, but is {seed}.")
