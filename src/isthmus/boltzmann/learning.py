r"""Learning a Boltzmann machine by contrastive divergence, or with persistent chains, without automatic gradients.

The gradient of the log-likelihood is a difference of two means,

.. math:: \frac{\partial \log p(v)}{\partial W} = \mathrm E[h v^\top \mid v] - \mathrm E_{p(v, h)}[h v^\top]

and the second is estimated by k steps of Gibbs sampling: from the data (CD-k), or from chains that go on through the
whole of learning (persistent).

What is drawn and what is a mean, as in the code of Hinton & Salakhutdinov (2006):

- the hidden statistics of both phases are means; the states that drive the reconstruction are drawn;
- with CD-1 the reconstruction is the means of the visible units, and so are their statistics;
- with k > 1, and in persistent chains, all states of the chain are drawn, the last visible ones too: means in their
  place would not be draws of the machine, and no number of steps would lead to the gradient.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadData, BadOption, Diverged, ShapeError, check_choice, check_range
from isthmus.model import chunks, tensor_of
from isthmus.training.batches import Batches, stream
from isthmus.training.hardware import network_precision, tune_allocator

NUMBERS: dict[type, type] = {int: Integral, float: Real}
"""What counts as a number of each type."""
Row = dict[str, float]
"""The figures of one epoch."""
Listener = Callable[[Row], None]
"""Told the figures of each epoch."""


@dataclass(frozen=True)
class Contrastive:
    """How a machine learns; the defaults are those of Hinton & Salakhutdinov (2006) for Bernoulli units.

    Gaussian units of either layer need a smaller rate: 0.001 there. So do persistent chains, which must keep pace with
    the machine: 0.01, and more steps.

    Args:
        epochs: passes over the examples.
        batch: examples in a batch, and number of persistent chains.
        rate: learning rate of weights and biases.
        momentum: share of the last change that is kept.
        first_momentum: the same in the first epochs.
        first_epochs: how many those are.
        weight_cost: L2 penalty on the weights, not the biases; multiplied by the rate.
        steps: k, Gibbs steps for each batch.
        persistent: let the chains go on from batch to batch and not start at the data.
        precision: of the products: ``32`` (that of the machine), ``bf16``, or ``auto``: bf16 where the hardware is
            made for it and the machine is not in float64. Weights and their changes stay in the machine's precision.

    Raises:
        BadOption: a value of the wrong type or out of range.

    References:
        Training products of experts by minimizing contrastive divergence (Hinton, 2002)
        Training restricted Boltzmann machines using approximations to the likelihood gradient (Tieleman, 2008)
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006), released code
    """

    epochs: int = 50
    batch: int = 100
    rate: float = 0.1
    momentum: float = 0.9
    first_momentum: float = 0.5
    first_epochs: int = 5
    weight_cost: float = 2e-4
    steps: int = 1
    persistent: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what is of the wrong type or out of range."""
        check_choice("The precision", str(self.precision), ("auto", "32", "bf16"))
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            # numbers of numpy are numbers too, but True is none
            if not isinstance(value, NUMBERS.get(kind, kind)) or isinstance(value, bool) != (kind is bool):
                raise BadOption(f"{field.name} must be of type {kind.__name__}, but is {value!r}.")
        for name, low in (("epochs", 0), ("batch", 1), ("first_epochs", 0), ("steps", 1), ("weight_cost", 0)):
            check_range(name, getattr(self, name), low)
        check_range("rate", self.rate, 0, open_low=True)
        for name in ("momentum", "first_momentum"):
            check_range(name, getattr(self, name), 0, math.nextafter(1, 0))


@torch.no_grad()
def learn(
    machine: BoltzmannMachine,
    x: Tensor | npt.NDArray[Any],
    options: Contrastive | None = None,
    *,
    valid: Tensor | npt.NDArray[Any] | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> list[Row]:
    r"""Fit a machine to examples in place; everything follows from the first weights, the data and the seed.

    Args:
        machine: whose parameters change.
        x: training examples (N, V); probabilities in [0, 1] for Bernoulli units, unit variance for Gaussian ones.
        options: how; :class:`Contrastive` as it is by default.
        valid: examples (M, V) that are not learnt from, to watch the free energy on.
        seed: of order and draws.
        listener: told each row as it comes.

    Returns:
        A row for each epoch: ``epoch`` from 1; ``squared_error`` of the reconstruction means, summed over features
        and averaged over examples, while the weights were changing; ``seconds``; and with ``valid``
        ``free_energy_gap``, its mean free energy less that of as many training examples, in nats: near 0 while the
        machine does not overfit.

    Raises:
        ShapeError: examples of another width than the machine.
        BadData: no examples, or values that the visible units cannot take.
        Diverged: a number that is not finite was met; the machine has the weights from before that epoch.

    >>> from isthmus.model import seeded
    >>> with seeded(0):
    ...     machine = BoltzmannMachine(3, 2)
    >>> rows = learn(machine, torch.eye(3).repeat(20, 1), Contrastive(epochs=2, batch=10))
    >>> [row["epoch"] for row in rows], sorted(rows[0])
    ([1, 2], ['epoch', 'seconds', 'squared_error'])
    """
    options = options or Contrastive()
    check_range("The seed", seed, 0)
    x = checked(machine, x)
    watched = None if valid is None else _watched(x, checked(machine, valid), seed)
    tune_allocator()
    learner, batches = _Learner(machine, options), Batches(x, options.batch, seed=seed)
    rows: list[Row] = []
    for epoch in range(1, options.epochs + 1):
        started, before = time.perf_counter(), [p.clone() for p in machine.parameters()]
        learner.start(stream(seed, "chains", epoch), epoch <= options.first_epochs)
        error = torch.stack([learner.step(batch) for batch in batches.epoch(epoch - 1)]).sum().item() / len(x)
        if not math.isfinite(error) or not all(bool(p.isfinite().all()) for p in machine.parameters()):
            _put(machine, before)
            raise Diverged(
                f"Learning met numbers that are not finite in epoch {epoch}; the machine has the weights from before "
                f"it. Lower the rate (now {options.rate:g}; 0.001 suits Gaussian units) or scale the data to unit "
                "variance."
            )
        row: Row = {"epoch": epoch, "squared_error": error, "seconds": time.perf_counter() - started}
        if watched is not None:
            held, seen = (torch.cat([machine.free_energy(v) for v in chunks(part)]).mean() for part in watched)
            row["free_energy_gap"] = (held - seen).item()
        rows.append(row)
        if listener is not None:
            listener(row)
    return rows


class _Learner:
    """One machine while it learns: the changes of its parameters, its copy for products, and its chains.

    All products are those of ``near``, a copy of the machine in the products' precision, or the machine itself.
    """

    def __init__(self, machine: BoltzmannMachine, options: Contrastive) -> None:
        self.machine, self.options = machine, options
        self.changes = [torch.zeros_like(p) for p in machine.parameters()]
        exact = options.precision == "auto" and machine.weight.dtype != torch.float32
        half = None if exact else network_precision(options.precision, machine.weight.device)
        self.near = machine if half is None else copy.deepcopy(machine).to(half)
        self.generator = torch.Generator(machine.weight.device)
        self.momentum = 0.0
        self.chains: Tensor | None = None

    def start(self, seed: int, first: bool) -> None:
        """Begin an epoch: its draws, and its momentum."""
        self.generator.manual_seed(seed)
        self.momentum = self.options.first_momentum if first else self.options.momentum

    def step(self, x: Tensor) -> Tensor:
        """Learn from a batch (B, V); the summed squared error of its reconstruction, on the device."""
        v = x.to(self.near.weight.dtype)
        h = self.near.hidden(v)
        driving = self.near.kinds[1].draw(h, self.generator)
        mean = self.near.visible(driving)
        v_model, h_model = self.persisted(driving) if self.options.persistent else self.contrasted(mean)
        self.change(x, v, h, v_model, h_model)
        return (x - mean).square().sum()

    def contrasted(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """States that k steps from the data reach: visible ones, and the means of the hidden ones."""
        v = mean if self.options.steps == 1 else self.near.kinds[0].draw(mean, self.generator)
        for _ in range(self.options.steps - 1):
            v = self.near.draw_visible(self.near.draw_hidden(v, generator=self.generator), generator=self.generator)
        return v, self.near.hidden(v)

    def persisted(self, driving: Tensor) -> tuple[Tensor, Tensor]:
        """States that the chains reach in k more steps; they begin at the first batch."""
        chains = driving if self.chains is None else self.chains
        for _ in range(self.options.steps):
            v = self.near.draw_visible(chains, generator=self.generator)
            h = self.near.hidden(v)
            chains = self.near.kinds[1].draw(h, self.generator)
        self.chains = chains
        return v, h

    def change(self, x: Tensor, v: Tensor, h: Tensor, v_model: Tensor, h_model: Tensor) -> None:
        """Move the parameters along the difference of the two means."""
        share = len(v) / len(v_model)
        weight, visible_bias, hidden_bias = self.changes
        # both statistics in one product: [h; -h'] and [v; v'] lie below each other
        h_both, v_both = torch.cat([h, -share * h_model]), torch.cat([v, v_model])
        pace = self.options.rate / len(v)
        if self.near is self.machine:
            weight.addmm_(h_both.T, v_both, beta=self.momentum, alpha=pace)
        else:
            weight.mul_(self.momentum).add_(h_both.T @ v_both, alpha=pace)
        weight.add_(self.machine.weight, alpha=-self.options.rate * self.options.weight_cost)
        visible_sum = x.sum(0).sub_(v_model.sum(0, dtype=x.dtype), alpha=share)
        visible_bias.mul_(self.momentum).add_(visible_sum, alpha=pace)
        hidden_bias.mul_(self.momentum).add_(h_both.sum(0, dtype=x.dtype), alpha=pace)
        for parameter, change in zip(self.machine.parameters(), self.changes, strict=True):
            parameter.add_(change)
        if self.near is not self.machine:
            _put(self.near, list(self.machine.parameters()))


def checked(machine: BoltzmannMachine, x: Tensor | npt.NDArray[Any]) -> Tensor:
    """Examples on the machine's device and in its precision, refused where its visible units cannot be them.

    Raises:
        ShapeError: no rows of as many values as there are visible units.
        BadData: no examples, or values out of the units' range or not finite.
    """
    width, unit, x = len(machine.visible_bias), machine.kinds[0], tensor_of(x)
    if x.ndim != 2 or x.shape[1] != width:
        raise ShapeError(
            f"The machine has {width} visible units, but the data has shape {tuple(x.shape)}. Give rows of {width} "
            "values."
        )
    if not len(x):
        raise BadData("There are no examples to learn from. Give at least one row.")
    x = x.to(machine.weight.device, machine.weight.dtype)
    low, high = (bound.item() for bound in x.aminmax())
    if not (math.isfinite(low) and math.isfinite(high) and unit.low <= low and high <= unit.high):
        raise BadData(
            f"The values of the data reach from {low:g} to {high:g}, but {machine.visible_units} visible units take "
            f"finite values from {unit.low:g} to {unit.high:g}. Scale the data, or use gaussian visible units."
        )
    return x


def _watched(x: Tensor, valid: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Validation examples, and as many of the training ones, the same in every epoch."""
    generator = torch.Generator().manual_seed(stream(seed, "watched"))
    rows = torch.randperm(len(x), generator=generator)[: len(valid)]
    return valid, x[rows.to(x.device)]


def _put(machine: BoltzmannMachine, values: list[Tensor]) -> None:
    for parameter, value in zip(machine.parameters(), values, strict=True):
        parameter.copy_(value)
