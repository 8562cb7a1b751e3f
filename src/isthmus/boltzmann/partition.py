r"""The partition function of a Boltzmann machine: exact enumeration, and annealed importance sampling.

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
from isthmus.models.inputs import tensor_of
from isthmus.models.products import float32_products

MOST_UNITS = 20
"""Largest number of binary units whose states are enumerated: 2^20 states."""
CHUNK = 1 << 12
"""States per chunk."""


class Estimate(NamedTuple):
    """An estimate of log Z in nats, and its standard error."""

    log_z: float
    error: float


@torch.no_grad()
@float32_products()
def exact_log_partition(machine: BoltzmannMachine) -> float:
    r"""Log Z in nats, by enumerating the states of the smaller binary layer; the other one is summed in closed form.

    Raises:
        BadOption: that layer has more than :data:`MOST_UNITS` units.

    >>> machine = BoltzmannMachine(3, 2, spread=0.0)  # 32 states of energy 0
    >>> math.isclose(exact_log_partition(machine), math.log(32), rel_tol=1e-6)
    True
    """
    sides = [side for side in (machine, machine.flipped()) if side.kinds[0].binary]
    side = min(sides, key=lambda side: len(side.visible_bias))
    units = len(side.visible_bias)
    if units > MOST_UNITS:
        raise BadOption(
            f"The smaller binary layer has {units} units, and 2^{units} states are too many to enumerate. At most "
            f"{MOST_UNITS} units are supported; use annealed_log_partition."
        )
    bits = torch.arange(units, device=side.weight.device)
    log_sums = []
    for first in range(0, 1 << units, CHUNK):
        numbers = torch.arange(first, min(first + CHUNK, 1 << units), device=bits.device)
        states = (numbers[:, None] >> bits & 1).to(side.weight.dtype)
        log_sums.append(torch.logsumexp(-side.free_energy(states).double(), 0))
    return torch.logsumexp(torch.stack(log_sums), 0).item()


@torch.no_grad()
@float32_products()
def annealed_log_partition(
    machine: BoltzmannMachine,
    *,
    temperatures: int | Sequence[float] | npt.NDArray[Any] | Tensor = 1000,
    chains: int = 100,
    base: Tensor | npt.NDArray[Any] | None = None,
    seed: int = 0,
) -> Estimate:
    r"""Log Z by annealed importance sampling, with its standard error by the delta method.

    Chains run through a sequence of machines, from one with zero weights, whose Z is known, to this one: at the inverse
    temperature :math:`\beta` the weights are :math:`\beta W`, the hidden biases :math:`\beta c` and the visible biases
    :math:`(1 - \beta) a + \beta b`. The importance weight of a chain is

    .. math:: w = \prod_k e^{F_{k-1}(v_k) - F_k(v_k)}, \qquad \mathrm E[w] = Z / Z_0

    so the estimate of Z is unbiased for any number of temperatures. The estimate of log Z is too low on average, and so
    is its standard error while the importance weights vary strongly. Computed in the machine's precision.

    Args:
        machine: the machine.
        temperatures: number of equal steps, or the inverse temperatures, increasing from 0 to 1.
        chains: number of independent chains, at least 2.
        base: means of the visible units at :math:`\beta = 0`, (V,), which determine a; a = 0 by default. The means of
            the data are recommended: from a = 0 chains may miss the modes of the data, and the error does not show it.
        seed: seed of the sampling.

    Raises:
        BadOption: inverse temperatures that do not increase from 0 to 1, or too few temperatures or chains.
        ShapeError: another number of means than visible units.

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
    zeros = torch.zeros_like(machine.hidden_bias)
    base_log_z = visible.cumulant(base, torch.zeros_like(base)).sum() + hidden.cumulant(zeros, zeros).sum()
    relative_weights = torch.softmax(log_w, 0) * chains
    return Estimate(base_log_z.item() + log_mean_exp(log_w).item(), relative_weights.std().item() / math.sqrt(chains))


def log_likelihood(machine: BoltzmannMachine, v: Tensor, log_z: float) -> Tensor:
    r"""Log-likelihood :math:`-F(v) - \log Z` of visible states, in nats: (B, V) -> (B,)."""
    return -machine.free_energy(v) - log_z


def _path(temperatures: int | Sequence[float] | npt.NDArray[Any] | Tensor) -> list[float]:
    """Inverse temperatures from 0 to 1."""
    if isinstance(temperatures, np.ndarray | Tensor):
        temperatures = temperatures.tolist()
    if not isinstance(temperatures, Sequence):
        # integers, including NumPy's
        count = int(temperatures)
        check_range("The number of temperatures", count, 1)
        return torch.linspace(0, 1, count + 1, dtype=torch.float64).tolist()
    path = [float(beta) for beta in temperatures]
    if len(path) < 2 or path[0] != 0 or path[-1] != 1 or any(a >= b for a, b in pairwise(path)):
        raise BadOption(
            f"The inverse temperatures must increase from 0 to 1, but the {len(path)} given do not. Pass values such "
            "as 0, 0.5, 0.9, 1, or the number of equal steps."
        )
    return path


def _base(machine: BoltzmannMachine, means: Tensor | npt.NDArray[Any] | None) -> Tensor:
    """Visible biases a of the first machine, from the means of its units."""
    if means is None:
        return torch.zeros_like(machine.visible_bias)
    means = tensor_of(means)
    if means.shape != machine.visible_bias.shape:
        raise ShapeError(
            f"The base has shape {tuple(means.shape)}, but the machine has {len(machine.visible_bias)} visible units. "
            "Pass one mean per unit, such as x.mean(0)."
        )
    return machine.kinds[0].bias(means.to(machine.visible_bias))
