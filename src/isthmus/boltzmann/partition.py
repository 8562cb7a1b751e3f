r"""The partition function of a Boltzmann machine: by counting all states, and by annealed importance sampling.

.. math:: \log p(v) = -F(v) - \log Z, \qquad Z = \sum_v e^{-F(v)}
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadOption, ShapeError, check_range
from isthmus.functional import log_mean_exp
from isthmus.model import tensor_of

MOST_UNITS = 20
"""Binary units whose 2^20 states are counted."""
CHUNK = 1 << 12
"""States counted at a time."""


class Estimate(NamedTuple):
    """Log Z in nats, and the standard error of it."""

    log_z: float
    error: float


@torch.no_grad()
def exact_log_partition(machine: BoltzmannMachine) -> float:
    r"""Log Z in nats, by counting the states of the smaller binary layer; the other is summed in closed form.

    Raises:
        BadOption: more than :data:`MOST_UNITS` units in it.

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


@torch.no_grad()
def annealed_log_partition(
    machine: BoltzmannMachine,
    *,
    temperatures: int | Sequence[float] | npt.NDArray[Any] | Tensor = 1000,
    chains: int = 100,
    base: Tensor | npt.NDArray[Any] | None = None,
    seed: int = 0,
) -> Estimate:
    r"""Log Z by annealed importance sampling: its estimate, and the standard error by the delta method.

    Chains run through machines of the same kind, from one without weights, whose Z is known, to this one: at the
    inverse temperature :math:`\beta` the weights are :math:`\beta W`, the hidden biases :math:`\beta c` and the visible
    ones :math:`(1 - \beta) a + \beta b`. A chain weighs

    .. math:: w = \prod_k e^{F_{k-1}(v_k) - F_k(v_k)}, \qquad \mathrm E[w] = Z / Z_0

    so the estimate of Z is unbiased for any number of temperatures; that of log Z is too low on average, and so is
    the error while the weights are far apart. Computed in the machine's precision.

    Args:
        machine: whose Z is asked for.
        temperatures: number of steps of equal size, or the inverse temperatures themselves, rising from 0 to 1.
        chains: number of independent chains, at least 2.
        base: means of the visible units at :math:`\beta = 0`, (V,), from which a follows; a = 0 without. Give those
            of the data: from a = 0 chains may miss where they lie, and the stated error with them.
        seed: of the draws.

    Raises:
        BadOption: inverse temperatures that do not rise from 0 to 1, or too few of anything.
        ShapeError: not one mean for each visible unit.

    References:
        On the quantitative analysis of deep belief networks (Salakhutdinov & Murray, 2008)

    >>> machine = BoltzmannMachine(3, 2)
    >>> abs(annealed_log_partition(machine, temperatures=50).log_z - exact_log_partition(machine)) < 0.1
    True
    """
    check_range("The number of chains", chains, 2)
    path, base = _path(temperatures), _base(machine, base)
    visible, hidden = machine.kinds
    generator = torch.Generator(base.device).manual_seed(seed)
    v = visible.draw(visible.mean(base).expand(chains, -1), generator)
    log_w = torch.zeros(chains, dtype=torch.float64)
    for before, beta in pairwise(path):
        field = machine.field(v)
        change = machine.free_energy_of(v, field, before, base) - machine.free_energy_of(v, field, beta, base)
        log_w += change.double().cpu()
        h = hidden.draw(hidden.mean(beta * (machine.hidden_bias + field)), generator)
        bias = torch.lerp(base, machine.visible_bias, beta)
        v = visible.draw(visible.mean(torch.addmm(bias, h, machine.weight, alpha=beta)), generator)
    nothing = torch.zeros_like(machine.hidden_bias)
    known = visible.cumulant(base, torch.zeros_like(base)).sum() + hidden.cumulant(nothing, nothing).sum()
    share = torch.softmax(log_w, 0) * chains
    return Estimate(known.item() + log_mean_exp(log_w).item(), share.std().item() / math.sqrt(chains))


def log_likelihood(machine: BoltzmannMachine, v: Tensor, log_z: float) -> Tensor:
    r"""Log-likelihood :math:`-F(v) - \log Z` of visible states, in nats: (B, V) -> (B,)."""
    return -machine.free_energy(v) - log_z


def _path(temperatures: int | Sequence[float] | npt.NDArray[Any] | Tensor) -> list[float]:
    """Inverse temperatures from 0 to 1."""
    if isinstance(temperatures, np.ndarray | Tensor):
        temperatures = temperatures.tolist()
    if not isinstance(temperatures, Sequence):
        # numpy's whole numbers too
        count = int(temperatures)
        check_range("The number of temperatures", count, 1)
        return torch.linspace(0, 1, count + 1, dtype=torch.float64).tolist()
    path = [float(beta) for beta in temperatures]
    if len(path) < 2 or path[0] != 0 or path[-1] != 1 or any(a >= b for a, b in pairwise(path)):
        raise BadOption(
            f"The inverse temperatures must rise from 0 to 1, but {len(path)} were given that do not. Give numbers "
            "such as 0, 0.5, 0.9, 1, or how many steps of equal size there shall be."
        )
    return path


def _base(machine: BoltzmannMachine, means: Tensor | npt.NDArray[Any] | None) -> Tensor:
    """Visible biases a at the start, from the means of the units there."""
    if means is None:
        return torch.zeros_like(machine.visible_bias)
    means = tensor_of(means)
    if means.shape != machine.visible_bias.shape:
        raise ShapeError(
            f"The base has shape {tuple(means.shape)}, but the machine has {len(machine.visible_bias)} visible units. "
            "Give the mean of each, such as x.mean(0)."
        )
    return machine.kinds[0].bias(means.to(machine.visible_bias))
