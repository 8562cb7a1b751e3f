r"""Learning a Boltzmann machine by contrastive divergence, or with persistent chains, without autograd.

The gradient of the log-likelihood is a difference of two means,

.. math:: \frac{\partial \log p(v)}{\partial W} = \mathrm E[h v^\top \mid v] - \mathrm E_{p(v, h)}[h v^\top]

and the second is estimated by k steps of Gibbs sampling: from the data (CD-k), or from chains that continue from batch
to batch (persistent).

Which states are sampled and which are means, as in the code of Hinton & Salakhutdinov (2006):

- the hidden statistics of both phases are means; the hidden states of the reconstruction are sampled;
- with CD-1 the visible statistics of the reconstruction are means;
- with k > 1, and in persistent chains, all states of the chain are sampled, the last visible ones too: with means in
  their place the chain would not sample from the machine, and more steps would not approach the gradient.
"""

import copy
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadData, BadOption, Diverged, ShapeError, check_choice, check_range
from isthmus.models.hardware import network_precision, tune_allocator
from isthmus.models.inputs import chunks, tensor_of
from isthmus.models.products import float32_products
from isthmus.models.seeding import derive_seed
from isthmus.training.batches import TensorBatches

NUMBERS: dict[type, type] = {int: Integral, float: Real}
"""Abstract type of the values of an option with this type."""
UNIT_VARIANCE = (0.25, 4.0)
"""Bounds of the mean variance of features that Gaussian visible units accept without a warning."""
EpochRecord = dict[str, float]
"""The metrics of one epoch."""
EpochCallback = Callable[[EpochRecord], None]
"""Called with the metrics of each epoch."""


@dataclass(frozen=True)
class ContrastiveDivergence:
    """Options of learning; the defaults are those of Hinton & Salakhutdinov (2006) for Bernoulli units.

    Gaussian units in either layer require a smaller learning rate, such as 0.001. So do persistent chains, which must
    follow the machine: such as 0.01, and more Gibbs steps.

    Args:
        epochs: passes over the training set.
        batch_size: examples per batch, and number of persistent chains.
        learning_rate: learning rate of weights and biases.
        momentum: fraction of the last update that is added to the next one.
        initial_momentum: momentum in the first epochs.
        initial_momentum_epochs: number of these epochs.
        weight_decay: L2 penalty on the weights, not the biases; multiplied by the learning rate.
        gibbs_steps: k, Gibbs steps per batch.
        persistent: continue the chains from batch to batch instead of starting them at the data.
        precision: precision of matrix products: ``32`` (that of the machine), ``bf16``, or ``auto``: bf16 if the
            hardware supports it natively and the machine is not in float64. Weights and updates keep the machine's
            precision.

    Raises:
        BadOption: a value of the wrong type or out of range.

    References:
        Training products of experts by minimizing contrastive divergence (Hinton, 2002)
        Training restricted Boltzmann machines using approximations to the likelihood gradient (Tieleman, 2008)
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006), released code
    """

    epochs: int = 50
    batch_size: int = 100
    learning_rate: float = 0.1
    momentum: float = 0.9
    initial_momentum: float = 0.5
    initial_momentum_epochs: int = 5
    weight_decay: float = 2e-4
    gibbs_steps: int = 1
    persistent: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_choice("The precision", str(self.precision), ("auto", "32", "bf16"))
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            # NumPy's numbers are accepted, booleans are not
            if not isinstance(value, NUMBERS.get(kind, kind)) or isinstance(value, bool) != (kind is bool):
                raise BadOption(f"{field.name} must be of type {kind.__name__}, but is {value!r}.")
        for name, low in (
            ("epochs", 0),
            ("batch_size", 1),
            ("initial_momentum_epochs", 0),
            ("gibbs_steps", 1),
            ("weight_decay", 0),
        ):
            check_range(name, getattr(self, name), low)
        check_range("learning_rate", self.learning_rate, 0, open_low=True)
        for name in ("momentum", "initial_momentum"):
            check_range(name, getattr(self, name), 0, math.nextafter(1, 0))


@torch.no_grad()
@float32_products()
def learn(
    machine: BoltzmannMachine,
    x: Tensor | npt.NDArray[Any],
    options: ContrastiveDivergence | None = None,
    *,
    valid: Tensor | npt.NDArray[Any] | None = None,
    seed: int = 0,
    callback: EpochCallback | None = None,
) -> list[EpochRecord]:
    r"""Fit a machine to examples in place, reproducibly from the initial weights, the data and the seed.

    Args:
        machine: machine whose parameters are changed.
        x: training examples (N, V); values in [0, 1] for Bernoulli units, of unit variance for Gaussian units.
        options: options of learning; the defaults of :class:`ContrastiveDivergence` if left out.
        valid: validation examples (M, V), to monitor the free energy.
        seed: seed of order and sampling.
        callback: called with the record of each epoch.

    Returns:
        One record per epoch: ``epoch`` from 1; ``squared_error`` of the reconstruction means, summed over features and
        averaged over the examples of the epoch, during its updates; ``seconds``; and with ``valid``
        ``free_energy_gap``, its mean free energy minus that of as many training examples, in nats: near 0 while the
        machine does not overfit.

    Raises:
        ShapeError: another number of features than visible units.
        BadData: no examples, or values that the visible units do not support.
        Diverged: a value is not finite; the machine has the weights from before that epoch.

    >>> from isthmus.models.seeding import seeded
    >>> with seeded(0):
    ...     machine = BoltzmannMachine(3, 2)
    >>> rows = learn(machine, torch.eye(3).repeat(20, 1), ContrastiveDivergence(epochs=2, batch_size=10))
    >>> [row["epoch"] for row in rows], sorted(rows[0])
    ([1, 2], ['epoch', 'seconds', 'squared_error'])
    """
    options = options or ContrastiveDivergence()
    check_range("The seed", seed, 0)
    x = checked(machine, x)
    monitored = None if valid is None else _monitored(x, checked(machine, valid), seed)
    tune_allocator()
    learner, batches = _Learner(machine, options), TensorBatches(x, options.batch_size, seed=seed)
    rows: list[EpochRecord] = []
    for epoch in range(1, options.epochs + 1):
        started, before = time.perf_counter(), [p.clone() for p in machine.parameters()]
        learner.start(derive_seed(seed, "chains", epoch), epoch <= options.initial_momentum_epochs)
        error = torch.stack([learner.step(batch) for batch in batches.epoch(epoch - 1)]).sum().item() / len(x)
        if not math.isfinite(error) or not all(bool(p.isfinite().all()) for p in machine.parameters()):
            _put(machine, before)
            raise Diverged(
                f"Values are not finite in epoch {epoch}, so the machine has the weights from before that epoch. Lower "
                f"learning_rate (now {options.learning_rate:g}; 0.001 suits Gaussian units) or scale the data to unit "
                "variance."
            )
        row: EpochRecord = {"epoch": epoch, "squared_error": error, "seconds": time.perf_counter() - started}
        if monitored is not None:
            held_out, train = (torch.cat([machine.free_energy(v) for v in chunks(split)]).mean() for split in monitored)
            row["free_energy_gap"] = (held_out - train).item()
        rows.append(row)
        if callback is not None:
            callback(row)
    return rows


class _Learner:
    """State of learning: the last updates of the parameters, the copy of the machine for products, and the chains.

    All matrix products use ``proxy``, a copy of the machine in their precision, or the machine itself.
    """

    def __init__(self, machine: BoltzmannMachine, options: ContrastiveDivergence) -> None:
        self.machine, self.options = machine, options
        self.updates = [torch.zeros_like(p) for p in machine.parameters()]
        exact = options.precision == "auto" and machine.weight.dtype != torch.float32
        half = None if exact else network_precision(options.precision, machine.weight.device)
        self.proxy = machine if half is None else copy.deepcopy(machine).to(half)
        self.generator = torch.Generator(machine.weight.device)
        self.momentum = 0.0
        self.chains: Tensor | None = None

    def start(self, seed: int, first: bool) -> None:
        """Start an epoch: set its random state and momentum."""
        self.generator.manual_seed(seed)
        self.momentum = self.options.initial_momentum if first else self.options.momentum

    def step(self, x: Tensor) -> Tensor:
        """Learn from a batch (B, V); returns the summed squared error of its reconstruction, on the device."""
        v = x.to(self.proxy.weight.dtype)
        h = self.proxy.hidden(v)
        h_sampled = self.proxy.kinds[1].draw(h, self.generator)
        mean = self.proxy.visible(h_sampled)
        v_model, h_model = self.persistent_phase(h_sampled) if self.options.persistent else self.contrastive_phase(mean)
        self.update(x, v, h, v_model, h_model)
        return (x - mean).square().sum()

    def contrastive_phase(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """The end of k Gibbs steps from the data: visible states, and means of the hidden units."""
        v = mean if self.options.gibbs_steps == 1 else self.proxy.kinds[0].draw(mean, self.generator)
        for _ in range(self.options.gibbs_steps - 1):
            v = self.proxy.draw_visible(self.proxy.draw_hidden(v, generator=self.generator), generator=self.generator)
        return v, self.proxy.hidden(v)

    def persistent_phase(self, h_sampled: Tensor) -> tuple[Tensor, Tensor]:
        """The end of k more Gibbs steps of the chains, which start at the first batch."""
        chains = h_sampled if self.chains is None else self.chains
        for _ in range(self.options.gibbs_steps):
            v = self.proxy.draw_visible(chains, generator=self.generator)
            h = self.proxy.hidden(v)
            chains = self.proxy.kinds[1].draw(h, self.generator)
        self.chains = chains
        return v, h

    def update(self, x: Tensor, v: Tensor, h: Tensor, v_model: Tensor, h_model: Tensor) -> None:
        """Update the parameters with the difference of the two means."""
        ratio = len(v) / len(v_model)
        weight, visible_bias, hidden_bias = self.updates
        # both statistics in one product, of the stacked [h; -h'] and [v; v']
        h_both, v_both = torch.cat([h, -ratio * h_model]), torch.cat([v, v_model])
        rate = self.options.learning_rate / len(v)
        if self.proxy is self.machine:
            weight.addmm_(h_both.T, v_both, beta=self.momentum, alpha=rate)
        else:
            weight.mul_(self.momentum).add_(h_both.T @ v_both, alpha=rate)
        weight.add_(self.machine.weight, alpha=-self.options.learning_rate * self.options.weight_decay)
        visible_sum = x.sum(0).sub_(v_model.sum(0, dtype=x.dtype), alpha=ratio)
        visible_bias.mul_(self.momentum).add_(visible_sum, alpha=rate)
        hidden_bias.mul_(self.momentum).add_(h_both.sum(0, dtype=x.dtype), alpha=rate)
        for parameter, update in zip(self.machine.parameters(), self.updates, strict=True):
            parameter.add_(update)
        if self.proxy is not self.machine:
            _put(self.proxy, list(self.machine.parameters()))


def checked(machine: BoltzmannMachine, x: Tensor | npt.NDArray[Any]) -> Tensor:
    """Examples on the machine's device and in its precision, checked against its visible units.

    Raises:
        ShapeError: another number of features than visible units.
        BadData: no examples, or values that are not finite or outside of the units' range.
    """
    width, unit, x = len(machine.visible_bias), machine.kinds[0], tensor_of(x)
    if x.ndim != 2 or x.shape[1] != width:
        raise ShapeError(
            f"The machine has {width} visible units, but the data has shape {tuple(x.shape)}. Pass rows of {width} "
            "values."
        )
    if not len(x):
        raise BadData("There are no examples to learn from. Pass at least one row.")
    x = x.to(machine.weight.device, machine.weight.dtype)
    low, high = (bound.item() for bound in x.aminmax())
    if not (math.isfinite(low) and math.isfinite(high) and unit.low <= low and high <= unit.high):
        raise BadData(
            f"The values of the data range from {low:g} to {high:g}, but {machine.visible_units} visible units require "
            f"finite values from {unit.low:g} to {unit.high:g}. Scale the data, or use gaussian visible units."
        )
    if not unit.binary:
        _warn_of_scale(x)
    return x


def _warn_of_scale(x: Tensor) -> None:
    """Warn if examples are far from the unit variance that Gaussian units assume."""
    variance = x.var(0, correction=0).mean().item()
    if len(x) > 1 and not UNIT_VARIANCE[0] <= variance <= UNIT_VARIANCE[1]:
        warnings.warn(
            f"Gaussian visible units assume features of unit variance, but the mean variance of the data is "
            f"{variance:.3g}. Standardize the data, for example with data.scale=standard.",
            # the caller of learn, behind its two decorators
            stacklevel=6,
        )


def _monitored(x: Tensor, valid: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Validation examples, and as many training examples, the same in every epoch."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "watched"))
    rows = torch.randperm(len(x), generator=generator)[: len(valid)]
    return valid, x[rows.to(x.device)]


def _put(machine: BoltzmannMachine, values: list[Tensor]) -> None:
    for parameter, value in zip(machine.parameters(), values, strict=True):
        parameter.copy_(value)
