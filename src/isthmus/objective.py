r"""What is minimised, in nats per example.

.. math:: \mathbb E\left[-\log p(x \mid z)\right] + \sum_i \lambda_i\,\Omega_i, \quad z \sim q(z \mid \tilde x)
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, IncompatibleParts
from isthmus.model import Autoencoder
from isthmus.schedules import Schedule
from isthmus.trace import Offer, Penalty, alone

RECONSTRUCTION = "reconstruction"
TAKEN = frozenset({RECONSTRUCTION, "loss"})


class Loss(NamedTuple):
    """A loss and its named parts, each the mean over the batch, in nats per example; parts are not weighted."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    r"""The negative log-likelihood of the reconstruction, and weighted penalties.

    Args:
        model: the autoencoder.
        penalties: each penalty with its weight :math:`\lambda \ge 0`, a number or a :class:`Schedule`.

    Raises:
        IncompatibleParts: a penalty needs what the latent does not offer.
        BadOption: a weight below zero.

    >>> from isthmus import latents, likelihoods, nets, penalties, priors
    >>> latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    >>> encoder, decoder, _ = nets.mlp((12,), 2, latent, likelihood, widths=(8,))
    >>> model = Autoencoder(encoder, decoder, latent, likelihood, shape=(12,))
    >>> objective = Objective(model, {penalties.KL(priors.StandardNormal()): 1.0})
    >>> sorted(objective(torch.rand(4, 12)).parts)
    ['kl', 'reconstruction']
    """

    def __init__(self, model: Autoencoder, penalties: Mapping[nn.Module, float | Schedule] | None = None) -> None:
        super().__init__()
        self.model = model
        self.penalties = nn.ModuleDict()
        self.schedules: dict[str, Schedule] = {}
        for penalty, weight in (penalties or {}).items():
            _check(model, penalty)
            schedule = weight if isinstance(weight, Schedule) else Schedule(float(weight))
            least = min(schedule.value, schedule.start if schedule.shape != "constant" else schedule.value)
            if least < 0:
                raise BadOption(
                    f"The weight of penalty {penalty.name} must be at least 0, but is {least:g}; "
                    "a negative weight would reward what it should forbid."
                )
            name = _free_name(str(penalty.name), self.penalties)
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in TAKEN or hasattr(self.penalties, name):
                raise BadOption(
                    f"A penalty cannot be called {name!r}: the name stands for its part of the loss. Use letters, "
                    "digits and _, and no word that is taken (loss, reconstruction)."
                )
            self.penalties[name] = penalty
            self.schedules[name] = schedule
            if model.prior is None:
                # what the code is compared with is what new codes are drawn from
                model.prior = getattr(penalty, "prior", None)

    def weights(self, step: int, total: int) -> dict[str, float]:
        """The weight of each penalty at ``step`` of ``total``; final weights where ``total`` is 0."""
        return {name: s(step, total) if total else s.value for name, s in self.schedules.items()}

    def total(self, parts: Mapping[str, float]) -> float:
        """The loss that named parts add up to with final weights, in nats per example."""
        return parts[RECONSTRUCTION] + sum(s.value * parts[name] for name, s in self.schedules.items())

    def forward(
        self,
        x: Float[Tensor, "B *D"],
        *,
        step: int = 0,
        total: int = 0,
        population: int = 0,
        gather: Callable[[Tensor], Tensor] = alone,
    ) -> Loss:
        """The loss of a batch at ``step`` of a run of ``total`` steps (final weights where ``total`` is 0)."""
        progress = step / total if total else 1.0
        trace = self.model(x, progress=progress, population=population, gather=gather)
        parts = {RECONSTRUCTION: -trace.p.log_prob(trace.x).mean()}
        loss = parts[RECONSTRUCTION]
        for name, weight in self.weights(step, total).items():
            parts[name] = self.penalties[name](self.model, trace).mean()
            loss = loss + weight * parts[name]
        return Loss(loss, parts)


def log_importance_weights(model: Autoencoder, x: Float[Tensor, "B *D"], samples: int) -> Float[Tensor, "K B"]:
    r"""Logarithms of :math:`w_k = p(x \mid z_k)\, p(z_k) / q(z_k \mid x)` for K draws from the posterior, in nats.

    Their mean is the evidence lower bound; :func:`isthmus.functional.log_mean_exp` of them tightens it with K.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equation 8

    Raises:
        IncompatibleParts: the latent has no density, or the model no prior.
    """
    prior = model.prior_distribution()
    q = model.posterior(x)
    draws = []
    for _ in range(samples):
        z = q.rsample()
        draws.append(model.output(z).log_prob(x) + prior.log_prob(z) - q.log_prob(z))
    return torch.stack(draws)


def _check(model: Autoencoder, penalty: nn.Module) -> None:
    """Refuse a penalty that asks of the latent what it does not offer."""
    if not isinstance(penalty, Penalty):
        raise IncompatibleParts(
            f"A penalty must have a name, its needs, and be callable on (model, trace), but {type(penalty).__name__} "
            "does not. Use one of isthmus.penalties."
        )
    offers: frozenset[Offer] = model.latent.offers  # type: ignore[assignment]
    missing = penalty.needs - offers
    if missing:
        raise IncompatibleParts(
            f"Penalty {penalty.name} needs {' and '.join(sorted(missing))}, but the latent "
            f"{type(model.latent).__name__} offers {', '.join(sorted(offers)) or 'nothing'}. "
            "Choose another latent (latent.kind), or leave the penalty out."
        )


def _free_name(name: str, taken: nn.ModuleDict) -> str:
    """``name``, or ``name_2`` and so on where it is taken."""
    numbers = ["", *(f"_{i}" for i in range(2, len(taken) + 2))]
    return next(name + n for n in numbers if name + n not in taken)
