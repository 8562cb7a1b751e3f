r"""Restricted Boltzmann machines: energy, conditionals, free energy, and Gibbs sampling.

.. math:: E(v, h) = \sum_i e(v_i) + \sum_j e(h_j) - h^\top W v, \qquad p(v, h) = e^{-E(v, h)} / Z

with the energy e of each unit from :mod:`isthmus.boltzmann.units`, so

=======================  ======================================================
visible - hidden         energy
=======================  ======================================================
bernoulli - bernoulli    :math:`-b^\top v - c^\top h - h^\top W v`
gaussian - bernoulli     :math:`\frac12 \|v - b\|^2 - c^\top h - h^\top W v`
bernoulli - gaussian     :math:`-b^\top v + \frac12 \|h - c\|^2 - h^\top W v`
=======================  ======================================================

The model is symmetric in its layers; :meth:`BoltzmannMachine.flipped` exchanges them. Learning is in
:mod:`isthmus.boltzmann.learning`, the partition function Z in :mod:`isthmus.boltzmann.partition`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.boltzmann.units import UNITS, Unit
from isthmus.errors import BadData, IncompatibleParts, ShapeError, check_choice, check_count, check_range
from isthmus.models.products import float32_products


class BoltzmannMachine(nn.Module):
    r"""A restricted Boltzmann machine; its parameters have no gradients, because learning does not use them.

    Args:
        visible: number of visible units V, an integer.
        hidden: number of hidden units H, an integer.
        visible_units: ``bernoulli``, or ``gaussian`` of unit variance.
        hidden_units: ``bernoulli`` or ``gaussian``; two Gaussian layers are not supported.
        spread: standard deviation of the initial weights, sampled with the current generator; initial biases are 0.

    Attributes:
        weight: W, (H, V), laid out as in ``nn.Linear(V, H)``.
        visible_bias: b, (V,).
        hidden_bias: c, (H,).

    Raises:
        BadOption: an unknown kind of units, or a value of the wrong type or out of range.
        IncompatibleParts: both layers are Gaussian.

    References:
        Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)

    >>> machine = BoltzmannMachine(6, 3, hidden_units="gaussian")
    >>> machine.hidden(torch.rand(5, 6)).shape, machine.free_energy(torch.rand(5, 6)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    weight: nn.Parameter
    visible_bias: nn.Parameter
    hidden_bias: nn.Parameter

    def __init__(
        self,
        visible: int,
        hidden: int,
        *,
        visible_units: str = "bernoulli",
        hidden_units: str = "bernoulli",
        spread: float = 0.1,
    ) -> None:
        super().__init__()
        check_count("The number of visible units", visible)
        check_count("The number of hidden units", hidden)
        check_range("spread, the standard deviation of the initial weights,", spread, 0)
        _check_kinds(visible_units, hidden_units)
        self.visible_units, self.hidden_units = visible_units, hidden_units
        self._set_parameters(spread * torch.randn(hidden, visible), torch.zeros(visible), torch.zeros(hidden))

    @classmethod
    def of(
        cls,
        weight: Tensor,
        visible_bias: Tensor,
        hidden_bias: Tensor,
        *,
        visible_units: str = "bernoulli",
        hidden_units: str = "bernoulli",
    ) -> "BoltzmannMachine":
        """A machine with given weights (H, V) and biases (V,) and (H,), which are shared, not copied.

        Raises:
            ShapeError: the three shapes do not match.
            BadOption, IncompatibleParts: as for the class.
        """
        if weight.ndim != 2 or visible_bias.shape != weight.shape[1:] or hidden_bias.shape != weight.shape[:1]:
            raise ShapeError(
                f"A Boltzmann machine has weights (H, V) with biases (V,) and (H,), but received {tuple(weight.shape)} "
                f"with {tuple(visible_bias.shape)} and {tuple(hidden_bias.shape)}. Pass one bias per unit."
            )
        _check_kinds(visible_units, hidden_units)
        machine = cls.__new__(cls)
        nn.Module.__init__(machine)
        machine.visible_units, machine.hidden_units = visible_units, hidden_units
        machine._set_parameters(weight, visible_bias, hidden_bias)
        return machine

    def _set_parameters(self, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> None:
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.visible_bias = nn.Parameter(visible_bias, requires_grad=False)
        self.hidden_bias = nn.Parameter(hidden_bias, requires_grad=False)

    @property
    def kinds(self) -> tuple[Unit, Unit]:
        """Visible and hidden units, as objects."""
        return UNITS[self.visible_units], UNITS[self.hidden_units]

    def extra_repr(self) -> str:
        """Sizes and kinds of the layers."""
        hidden, visible = self.weight.shape
        return f"{visible} {self.visible_units}, {hidden} {self.hidden_units}"

    def flipped(self) -> "BoltzmannMachine":
        """The machine with exchanged layers and shared parameters."""
        return BoltzmannMachine.of(
            self.weight.data.T,
            self.hidden_bias.data,
            self.visible_bias.data,
            visible_units=self.hidden_units,
            hidden_units=self.visible_units,
        )

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """Energy E(v, h) of states (B, V) and (B, H), in nats, (B,)."""
        _check_width("hidden", h, len(self.hidden_bias))
        visible, hidden = self.kinds
        unit_energies = visible.energy(v, self.visible_bias).sum(-1) + hidden.energy(h, self.hidden_bias).sum(-1)
        return unit_energies - (h * self.field(v)).sum(-1)

    def field(self, v: Tensor) -> Tensor:
        """Input of the hidden units without their bias, Wv: (B, V) -> (B, H).

        Raises:
            ShapeError: another number of features than visible units.
        """
        _check_width("visible", v, len(self.visible_bias))
        return F.linear(v, self.weight)

    def hidden(self, v: Tensor) -> Tensor:
        """Means of the hidden units given visible states: (B, V) -> (B, H)."""
        _check_width("visible", v, len(self.visible_bias))
        return self.kinds[1].mean(F.linear(v, self.weight, self.hidden_bias))

    def visible(self, h: Tensor) -> Tensor:
        """Means of the visible units given hidden states: (B, H) -> (B, V)."""
        _check_width("hidden", h, len(self.hidden_bias))
        return self.kinds[0].mean(torch.addmm(self.visible_bias, h, self.weight))

    def draw_hidden(self, v: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Hidden states sampled given visible states: (B, V) -> (B, H)."""
        return self.kinds[1].draw(self.hidden(v), generator)

    def draw_visible(self, h: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Visible states sampled given hidden states: (B, H) -> (B, V)."""
        return self.kinds[0].draw(self.visible(h), generator)

    def reconstruct(self, v: Tensor) -> Tensor:
        """Means of the visible units given the means of the hidden units: (B, V) -> (B, V)."""
        return self.visible(self.hidden(v))

    def free_energy(self, v: Tensor) -> Tensor:
        r"""Free energy with :math:`p(v) = e^{-F(v)} / Z`, in nats: (B, V) -> (B,).

        .. math:: F(v) = \sum_i e(v_i) - \sum_j \kappa_j((Wv)_j)
        """
        return self.free_energy_of(v, self.field(v))

    def free_energy_of(self, v: Tensor, field: Tensor, beta: float = 1.0, base: Tensor | None = None) -> Tensor:
        r"""Free energy (B,) given the field Wv (B, H), at the inverse temperature :math:`\beta`.

        At :math:`\beta` the machine has weights :math:`\beta W`, hidden biases :math:`\beta c` and visible biases
        :math:`(1 - \beta) a + \beta b`; :math:`\beta = 1` is this machine.

        Args:
            v: visible states (B, V).
            field: Wv, from :meth:`field`.
            beta: :math:`\beta`.
            base: visible biases a at :math:`\beta = 0`, (V,); required where :math:`\beta` is not 1.
        """
        visible, hidden = self.kinds
        bias = self.visible_bias if base is None else torch.lerp(base, self.visible_bias, beta)
        return visible.energy(v, bias).sum(-1) - hidden.cumulant(beta * self.hidden_bias, beta * field).sum(-1)

    @torch.no_grad()
    @float32_products()
    def sample(
        self, n: int, *, steps: int = 1000, means: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        """Visible states (n, V) at the end of ``n`` Gibbs chains, which start from the visible biases alone.

        Args:
            n: number of chains.
            steps: Gibbs steps; each one samples both layers.
            means: return the means of the last visible states, which are smoother, instead of samples.
            generator: random generator; the current one by default.

        >>> BoltzmannMachine(4, 2).sample(3, steps=10).shape
        torch.Size([3, 4])
        """
        check_count("The number of samples", n, 0)
        check_count("The number of Gibbs steps", steps)
        unit = self.kinds[0]
        mean = unit.mean(self.visible_bias).expand(n, -1)
        for _ in range(steps):
            h = self.draw_hidden(unit.draw(mean, generator), generator=generator)
            mean = self.visible(h)
        return mean if means else unit.draw(mean, generator)

    @torch.no_grad()
    def pseudo_likelihood(self, v: Tensor, *, exact: bool = False, generator: torch.Generator | None = None) -> Tensor:
        r"""Log pseudo-likelihood of binary states, in nats: (B, V) -> (B,).

        .. math:: \sum_i \log p(v_i \mid v_{-i}) = \sum_i \log \sigma\bigl(F(v^{(i)}) - F(v)\bigr)

        where :math:`v^{(i)}` is v with unit i flipped. By default one unit per example is sampled and its term
        multiplied by V: an unbiased estimate, V times as fast.

        Raises:
            IncompatibleParts: the visible units are not binary.
            BadData: states other than 0 and 1.
        """
        if not self.kinds[0].binary:
            raise IncompatibleParts(
                f"The pseudo-likelihood requires binary visible units, but they are {self.visible_units}. Use "
                "free_energy, or log_likelihood with annealed_log_partition."
            )
        field = self.field(v)
        if not bool(((v == 0) | (v == 1)).all()):
            raise BadData(
                "The pseudo-likelihood requires binary states, but some are neither 0 nor 1. Sample or round them."
            )
        free, width = self.free_energy_of(v, field), v.shape[-1]

        def terms(unit: Tensor) -> Tensor:
            flipped_v = v.scatter(1, unit, 1 - v.gather(1, unit))
            step = 1 - 2 * v.gather(1, unit)
            return F.logsigmoid(self.free_energy_of(flipped_v, field + step * self.weight.T[unit[:, 0]]) - free)

        if exact:
            units = torch.arange(width, device=v.device).expand(len(v), -1)
            return sum((terms(units[:, i : i + 1]) for i in range(width)), torch.zeros_like(free))
        return width * terms(torch.randint(width, (len(v), 1), generator=generator, device=v.device))


def _check_kinds(visible_units: str, hidden_units: str) -> None:
    for layer, kind in (("visible", visible_units), ("hidden", hidden_units)):
        check_choice(f"The kind of the {layer} units", kind, UNITS)
    if not any(UNITS[kind].binary for kind in (visible_units, hidden_units)):
        raise IncompatibleParts(
            f"The energy of a machine with {visible_units} visible and {hidden_units} hidden units has no lower bound "
            "in general, so there is no distribution. Use bernoulli units in one of the layers."
        )


def _check_width(layer: str, states: Tensor, units: int) -> None:
    if not isinstance(states, Tensor):
        raise BadData(f"States must be a tensor, but are a {type(states).__name__}. Use torch.as_tensor(v).")
    if states.ndim != 2 or states.shape[1] != units:
        raise ShapeError(
            f"The machine has {units} {layer} units, but the states have shape {tuple(states.shape)}. Pass rows of "
            f"{units} values."
        )
