r"""The partition function of a Boltzmann machine: by counting all states, and by annealed importance sampling.

.. math:: \log p(v) = -F(v) - \log Z, \qquad Z = \sum_v e^{-F(v)}
"""

import torch

from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadOption

MOST_UNITS = 20
"""Binary units whose 2^20 states are counted."""
CHUNK = 1 << 12
"""States counted at a time."""


@torch.no_grad()
def exact_log_partition(machine: BoltzmannMachine) -> float:
    r"""Log Z in nats, by counting the states of the smaller binary layer; the other is summed in closed form.

    Raises:
        BadOption: more than :data:`MOST_UNITS` units in it.

    >>> import math
    >>> machine = BoltzmannMachine(3, 2, spread=0.0)  # 32 states of energy 0
    >>> math.isclose(exact_log_partition(machine), math.log(32), rel_tol=1e-6)
    True
    """
    sides = [side for side in (machine, machine.flipped()) if side.kinds[0].binary]
    side = min(sides, key=lambda side: len(side.visible_bias))
    units = len(side.visible_bias)
    if units > MOST_UNITS:
        raise BadOption(
            f"The smaller binary layer has {units} units, and 2^{units} states are too many to count. At most "
            f"{MOST_UNITS} units are counted; use annealed_log_partition."
        )
    bits = torch.arange(units, device=side.weight.device)
    parts = []
    for first in range(0, 1 << units, CHUNK):
        numbers = torch.arange(first, min(first + CHUNK, 1 << units), device=bits.device)
        states = (numbers[:, None] >> bits & 1).to(side.weight.dtype)
        parts.append(torch.logsumexp(-side.free_energy(states).double(), 0))
    return torch.logsumexp(torch.stack(parts), 0).item()
