r"""Optimisers and the learning rate over a run."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from isthmus.objective import AUTOENCODER, CRITIC, Objective
from isthmus.options import TrainingOptions

WIDE = 1024
"""Inputs of a layer up to which it learns at the full rate."""


CRITIC_BETAS = (0.5, 0.9)
"""Decay rates of Adam for a critic: its target moves, so it forgets faster (Kim & Mnih, 2018)."""


def optimisers(options: TrainingOptions, objective: nn.Module) -> list[Optimizer]:
    """The optimisers of all players: what ``options`` ask for, and Adam for each critic at its share of the rate.

    References:
        Adam: a method for stochastic optimization (Kingma & Ba, 2015)
        Decoupled weight decay regularization (Loshchilov & Hutter, 2019)
        Muon: an optimizer for hidden layers in neural networks (Jordan et al., 2024)
    """
    made = _chosen(options, objective)
    for name, members in _players(objective).items():
        if isinstance(objective, Objective) and name != AUTOENCODER and members:
            penalty = objective.critics[name.removesuffix(CRITIC)]
            share = float(getattr(penalty, "critic_share", 1.0))
            group = {"params": members, "share": share}
            made.append(torch.optim.Adam([group], options.rate * share, betas=CRITIC_BETAS, fused=True))
    return made


def _players(module: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by player; a module that is no objective plays alone."""
    if isinstance(module, Objective):
        return module.players()
    return {AUTOENCODER: [p for p in module.parameters() if p.requires_grad]}


def _chosen(options: TrainingOptions, module: nn.Module) -> list[Optimizer]:
    """The optimisers of the autoencoder; two with ``muon``, which takes matrices only."""
    parameters = groups(module)
    decay, rate = options.weight_decay, options.rate
    if options.optimiser == "adam":
        return [torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)]
    if options.optimiser == "adamw":
        return [torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)]
    if options.optimiser == "sgd":
        return [torch.optim.SGD(parameters, rate, momentum=options.momentum, weight_decay=decay, fused=True)]
    trained, inside = _players(module)[AUTOENCODER], _of_networks(module)
    matrices = [p for p in trained if p.ndim == 2 and id(p) in inside]
    others = [p for p in trained if p.ndim != 2 or id(p) not in inside]
    both: list[Optimizer] = []
    if matrices:
        both.append(torch.optim.Muon(matrices, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    if others:
        both.append(torch.optim.AdamW(others, rate, weight_decay=decay, fused=True))
    return both


def _of_networks(module: nn.Module) -> set[int]:
    """The parameters of encoder and decoder: a matrix elsewhere (a codebook, a prior's means) maps nothing."""
    networks = (module.model.encoder, module.model.decoder) if isinstance(module, Objective) else (module,)
    return {id(p) for network in networks for p in network.parameters()}


def groups(module: nn.Module) -> list[dict[str, Any]]:
    """Trainable parameters in groups with a share of the rate: 1, or ``WIDE`` / inputs for wider layers.

    Adam moves every weight by about the rate, so a layer's output moves by the rate times the sum of its inputs:
    at the rates that suit 28x28 images a layer over 120x128 pixels leaps, and a Gaussian latent's log sigma with it.

    References:
        Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer (Yang et al., 2021)
    """
    by_share: dict[float, list[nn.Parameter]] = {}
    inside = _of_networks(module)
    for parameter in _players(module)[AUTOENCODER]:
        inputs = parameter.shape[1] if parameter.ndim == 2 and id(parameter) in inside else 1
        by_share.setdefault(min(1.0, WIDE / inputs), []).append(parameter)
    return [{"params": members, "share": share} for share, members in by_share.items()]


def rate_at(step: int, total: int, options: TrainingOptions) -> float:
    r"""The learning rate at ``step`` (0-based) of ``total``: a linear rise, then constant or a half cosine to 0.

    >>> options = TrainingOptions(rate=1.0, schedule="cosine")
    >>> [round(rate_at(s, 100, options), 2) for s in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    rise = options.warmup * total
    if step < rise:
        return options.rate * (step + 1) / (rise + 1)
    if options.schedule == "constant":
        return options.rate
    t = (step - rise) / max(1.0, total - rise)
    return options.rate * (1 + math.cos(math.pi * min(1.0, t))) / 2


def set_rate(all_optimisers: Iterable[Optimizer], rate: float) -> None:
    """Give every group of every optimiser its share of the rate."""
    for optimiser in all_optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
