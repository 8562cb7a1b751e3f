"""Autoencoders from networks of the user: any encoder and decoder with the parts of the library."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from isthmus.errors import BadOption
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.recipe import (
    CorruptionPart,
    FidelityPart,
    LatentPart,
    LikelihoodPart,
    Part,
    PenaltyPart,
    PriorPart,
    part,
)
from isthmus.parts.nets import BUILDERS
from isthmus.parts.protocols import Capability, Latent, Shape
from isthmus.parts.schedules import Schedule

Choice = str | nn.Module
"""A part by the name of its kind, with default options, or as an object."""


def autoencoder(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    latent: Choice | int = "deterministic",
    size: int | None = None,
    likelihood: Choice = "bernoulli",
    corruption: Choice = "identity",
    prior: Choice = "standard_normal",
    penalties: Mapping[Choice, float | Schedule] | None = None,
    fidelity: Choice = "likelihood",
    shape: Shape | None = None,
) -> Objective:
    """An autoencoder with your own encoder and decoder, ready for :func:`isthmus.fit`.

    Args:
        encoder: any module that maps examples (B, *D) to features (B, ...).
        decoder: any module that maps codes (B, d) to outputs of the shape of an example; a likelihood with two
            parameters per value, such as ``pixel_gaussian``, needs twice as many channels.
        latent: kind of the latent (``deterministic``, ``gaussian``, ``top_k``, ...), a latent of
            :mod:`isthmus.latents`, or the size of a deterministic code.
        size: size d of the code. With it the features of the encoder are flattened and followed by a linear layer with
            as many outputs as the latent needs. Without it the encoder must return ``latent.width(d)`` features itself.
        likelihood: kind of the likelihood, or one of :mod:`isthmus.likelihoods`.
        corruption: kind of the corruption, or one of :mod:`isthmus.corruptions`.
        prior: kind of the prior, or one of :mod:`isthmus.priors`.
        penalties: penalties with their weights, each by its kind or as an object. By default the KL divergence with
            weight 1 for a stochastic latent, and none for others.
        fidelity: kind of the reconstruction term, or one of :mod:`isthmus.fidelities`.
        shape: shape of an example without the batch axis, such as (1, 28, 28), to check the parts now; otherwise they
            are checked by ``fit``.

    Raises:
        IsthmusError: an unknown kind, or parts that do not match each other or ``shape``.

    >>> import torch
    >>> encoder, decoder = nn.Sequential(nn.Linear(12, 8), nn.ReLU()), nn.Linear(2, 12)
    >>> objective = autoencoder(encoder, decoder, latent="gaussian", size=2, shape=(12,))
    >>> objective.model.encode(torch.rand(5, 12)).shape, sorted(objective.penalties)
    (torch.Size([5, 2]), ['kl'])
    """
    if isinstance(latent, int) and not isinstance(latent, bool):
        size, latent = (latent if size is None else size), "deterministic"
    supplied: dict[str, object] = {"size": size, "shape": shape, **BUILDERS}
    head: Latent = _made(LatentPart, latent, supplied)
    supplied["prior"] = _made(PriorPart, prior, supplied)
    if size is not None:
        encoder = nn.Sequential(encoder, nn.Flatten(), nn.LazyLinear(head.width(size)))
    model = Autoencoder(
        encoder,
        decoder,
        head,
        _made(LikelihoodPart, likelihood, supplied),
        _made(CorruptionPart, corruption, supplied),
        shape=shape,
    )
    chosen = penalties
    if chosen is None:
        chosen = {"kl": 1.0} if Capability.DENSITY in head.provides and fidelity == "likelihood" else {}
    weighted = {_made(PenaltyPart, kind, supplied): weight for kind, weight in chosen.items()}
    return Objective(model, weighted, _made(FidelityPart, fidelity, supplied))


def _made(family: type[Part], choice: Choice | int, supplied: Mapping[str, object]) -> Any:
    """A part by its kind, or as it is."""
    if isinstance(choice, nn.Module):
        return choice
    if not isinstance(choice, str):
        raise BadOption(
            f"A {family.family} must be the name of a kind or a module, but is {choice!r:.60}. Name a kind."
        )
    return part(family, choice).make(**supplied)
