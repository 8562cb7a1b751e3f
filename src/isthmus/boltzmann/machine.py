r"""Restricted Boltzmann machines: energy, conditionals, free energy, and draws by Gibbs sampling.

.. math:: E(v, h) = \sum_i e(v_i) + \sum_j e(h_j) - h^\top W v, \qquad p(v, h) = e^{-E(v, h)} / Z

with each unit's own energy e from :mod:`isthmus.boltzmann.units`, so

=======================  ======================================================
visible - hidden         energy
=======================  ======================================================
bernoulli - bernoulli    :math:`-b^\top v - c^\top h - h^\top W v`
gaussian - bernoulli     :math:`\frac12 \|v - b\|^2 - c^\top h - h^\top W v`
bernoulli - gaussian     :math:`-b^\top v + \frac12 \|h - c\|^2 - h^\top W v`
=======================  ======================================================

The layers play equal parts: what holds of one holds of the other in the flipped machine. Learning is in
:mod:`isthmus.boltzmann.learning`, the partition function Z in :mod:`isthmus.boltzmann.partition`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.boltzmann.units import UNITS, Unit
from isthmus.errors import BadData, IncompatibleParts, ShapeError, check_choice, check_range


class BoltzmannMachine(nn.Module):
    r"""A restricted Boltzmann machine; its parameters have no gradients, for learning needs none.

    Args:
        visible: number of visible units V.
        hidden: number of hidden units H.
        visible_units: ``bernoulli``, or ``gaussian`` of unit variance.
        hidden_units: the same; two Gaussian layers are refused.
        spread: standard deviation of the first weights, drawn from the current generator; biases start at 0.

    Attributes:
        weight: W, (H, V), laid out as in ``nn.Linear(V, H)``.
        visible_bias: b, (V,).
        hidden_bias: c, (H,).

    Raises:
        BadOption: no such kind of units, or a number out of range.
        IncompatibleParts: both layers Gaussian.

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
        check_range("The number of visible units", visible, 1)
        check_range("The number of hidden units", hidden, 1)
        check_range("The spread of the first weights", spread, 0)
        _check_kinds(visible_units, hidden_units)
        self.visible_units, self.hidden_units = visible_units, hidden_units
        self._hold(spread * torch.randn(hidden, visible), torch.zeros(visible), torch.zeros(hidden))

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
        """The machine with these weights (H, V) and biases (V,) and (H,), which it shares and does not copy.

        Raises:
            ShapeError: the three do not belong together.
            BadOption, IncompatibleParts: as for the class.
        """
        if weight.ndim != 2 or visible_bias.shape != weight.shape[1:] or hidden_bias.shape != weight.shape[:1]:
            raise ShapeError(
                f"A machine has weights (H, V) with biases (V,) and (H,), but was given {tuple(weight.shape)} with "
                f"{tuple(visible_bias.shape)} and {tuple(hidden_bias.shape)}. Give one bias for each unit."
            )
        _check_kinds(visible_units, hidden_units)
        machine = cls.__new__(cls)
        nn.Module.__init__(machine)
        machine.visible_units, machine.hidden_units = visible_units, hidden_units
        machine._hold(weight, visible_bias, hidden_bias)
        return machine

    def _hold(self, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> None:
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.visible_bias = nn.Parameter(visible_bias, requires_grad=False)
        self.hidden_bias = nn.Parameter(hidden_bias, requires_grad=False)

    @property
    def kinds(self) -> tuple[Unit, Unit]:
        """What the visible and the hidden units are."""
        return UNITS[self.visible_units], UNITS[self.hidden_units]

    def extra_repr(self) -> str:
        """Sizes and kinds of the layers."""
        hidden, visible = self.weight.shape
        return f"{visible} {self.visible_units}, {hidden} {self.hidden_units}"

    def flipped(self) -> "BoltzmannMachine":
        """The same machine with its layers exchanged; it shares the parameters."""
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
        own = visible.own(v, self.visible_bias).sum(-1) + hidden.own(h, self.hidden_bias).sum(-1)
        return own - (h * self.field(v)).sum(-1)

    def field(self, v: Tensor) -> Tensor:
        """What the visible states (B, V) give each hidden unit beside its bias: Wv, (B, H).

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
        """Hidden states drawn given visible ones: (B, V) -> (B, H)."""
        return self.kinds[1].draw(self.hidden(v), generator)

    def draw_visible(self, h: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Visible states drawn given hidden ones: (B, H) -> (B, V)."""
        return self.kinds[0].draw(self.visible(h), generator)

    def reconstruct(self, v: Tensor) -> Tensor:
        """Means of the visible units given the means of the hidden ones: (B, V) -> (B, V)."""
        return self.visible(self.hidden(v))

    def free_energy(self, v: Tensor) -> Tensor:
        r"""Free energy with :math:`p(v) = e^{-F(v)} / Z`, in nats: (B, V) -> (B,).

        .. math:: F(v) = \sum_i e(v_i) - \sum_j \kappa_j((Wv)_j)
        """
        return self.free_energy_of(v, self.field(v))

    def free_energy_of(self, v: Tensor, field: Tensor, beta: float = 1.0, base: Tensor | None = None) -> Tensor:
        r"""Free energy (B,) where the field Wv (B, H) is known, at the inverse temperature :math:`\beta`.

        There the machine has weights :math:`\beta W`, hidden biases :math:`\beta c` and visible biases
        :math:`(1 - \beta) a + \beta b`; with :math:`\beta = 1` it is this one.

        Args:
            v: visible states (B, V).
            field: Wv, from :meth:`field`.
            beta: :math:`\beta`.
            base: visible biases a at :math:`\beta = 0`, (V,); only asked for where :math:`\beta` is not 1.
        """
        visible, hidden = self.kinds
        bias = self.visible_bias if base is None else torch.lerp(base, self.visible_bias, beta)
        return visible.own(v, bias).sum(-1) - hidden.cumulant(beta * self.hidden_bias, beta * field).sum(-1)

    @torch.no_grad()
    def sample(
        self, n: int, *, steps: int = 1000, means: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        """Visible states (n, V) at the end of ``n`` Gibbs chains that started from the visible biases alone.

        Args:
            n: number of chains.
            steps: draws of both layers in turn.
            means: give the means of the last draw, which look smoother, in place of the draw.
            generator: of the draws; the current one by default.

        >>> BoltzmannMachine(4, 2).sample(3, steps=10).shape
        torch.Size([3, 4])
        """
        check_range("The number of samples", n, 0)
        check_range("The number of Gibbs steps", steps, 1)
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

        where :math:`v^{(i)}` is v with unit i turned over. By default one unit for each example is drawn and its term
        counted V times: an unbiased estimate, V times as fast.

        Raises:
            IncompatibleParts: the visible units are not binary.
            BadData: states that are neither 0 nor 1.
        """
        if not self.kinds[0].binary:
            raise IncompatibleParts(
                f"A pseudo-likelihood turns binary units over, but the visible units are {self.visible_units}. Use "
                "free_energy, or log_likelihood with an annealed partition function."
            )
        field = self.field(v)
        if not bool(((v == 0) | (v == 1)).all()):
            raise BadData("A pseudo-likelihood is of binary states, but some are neither 0 nor 1. Draw or round them.")
        free, width = self.free_energy_of(v, field), v.shape[-1]

        def terms(unit: Tensor) -> Tensor:
            turned = v.scatter(1, unit, 1 - v.gather(1, unit))
            step = 1 - 2 * v.gather(1, unit)
            return F.logsigmoid(self.free_energy_of(turned, field + step * self.weight.T[unit[:, 0]]) - free)

        if exact:
            units = torch.arange(width, device=v.device).expand(len(v), -1)
            return sum((terms(units[:, i : i + 1]) for i in range(width)), torch.zeros_like(free))
        return width * terms(torch.randint(width, (len(v), 1), generator=generator, device=v.device))


def _check_kinds(visible_units: str, hidden_units: str) -> None:
    for layer, kind in (("visible", visible_units), ("hidden", hidden_units)):
        check_choice(f"The kind of the {layer} units", kind, UNITS)
    if not any(UNITS[kind].binary for kind in (visible_units, hidden_units)):
        raise IncompatibleParts(
            f"A machine with {visible_units} visible and {hidden_units} hidden units has an energy without a lowest "
            "point in general, so no distribution. Make one of the layers bernoulli."
        )


def _check_width(layer: str, states: Tensor, units: int) -> None:
    if not isinstance(states, Tensor):
        raise BadData(f"States are a tensor, but a {type(states).__name__} was given. Turn it: torch.as_tensor(v).")
    if states.ndim != 2 or states.shape[1] != units:
        raise ShapeError(
            f"The machine has {units} {layer} units, but was given states of shape {tuple(states.shape)}. Give rows "
            f"of {units} values."
        )
