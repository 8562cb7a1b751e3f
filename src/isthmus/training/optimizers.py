r"""Optimizers, the length of a run, and its learning rate and momentum schedules."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from isthmus.models.objective import AUTOENCODER, CRITIC, Objective
from isthmus.options import TrainingOptions
from isthmus.training.fused_adam import Adam
from isthmus.training.line_searches import METHODS, LineSearches

TARGET_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 3000, 20, 1000
MUON_SHARE = 2
"""A step of Muon takes about twice as long as one of Adam: half as many of them have a lower error in the same time."""


def optimizers(options: TrainingOptions, objective: nn.Module) -> list[Optimizer]:
    """The optimizers of autoencoder and critics: the one in ``options``, and Adam with ``critic_lr_ratio`` per critic.

    References:
        Adam: a method for stochastic optimization (Kingma & Ba, 2015)
        Decoupled weight decay regularization (Loshchilov & Hutter, 2019)
        Muon: an optimizer for hidden layers in neural networks (Jordan et al., 2024)
    """
    made = _chosen(options, objective)
    for name, members in _players(objective).items():
        if isinstance(objective, Objective) and name != AUTOENCODER and members:
            adversary = objective.adversaries[name.removesuffix(CRITIC)]
            ratio = adversary.critic_lr_ratio
            group = {"params": members, "share": ratio}
            made.append(Adam([group], options.learning_rate * ratio, betas=adversary.critic_betas, fused=True))
    return made


def _players(module: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters of autoencoder and critics; a module that is not an objective has no critics."""
    if isinstance(module, Objective):
        return module.players()
    return {AUTOENCODER: [p for p in module.parameters() if p.requires_grad]}


def _chosen(options: TrainingOptions, module: nn.Module) -> list[Optimizer]:
    """The optimizers of the autoencoder; two for ``muon``, which is applied to hidden weight matrices only."""
    parameters = groups(module, options.width_scaling)
    decay, rate = options.weight_decay, options.learning_rate
    if options.optimizer == "exact":
        return []
    if options.optimizer == "adam":
        return [Adam(parameters, rate, weight_decay=decay, fused=True)]
    if options.optimizer == "adamw":
        return [Adam(parameters, rate, weight_decay=decay, fused=True, decoupled_weight_decay=True)]
    if options.optimizer in ("sgd", "nesterov"):
        nesterov = options.optimizer == "nesterov"
        return [torch.optim.SGD(parameters, rate, options.momentum, 0, decay, nesterov=nesterov, fused=True)]
    if options.optimizer in METHODS:
        return [LineSearches(_players(module)[AUTOENCODER], options.optimizer, options.line_searches)]
    hidden = _hidden(module)
    others = groups(module, options.width_scaling, leaving=hidden)
    made: list[Optimizer] = []
    if hidden:
        made.append(torch.optim.Muon(hidden, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    if others:
        made.append(Adam(others, rate, weight_decay=decay, fused=True, decoupled_weight_decay=True))
    return made


def _hidden(module: nn.Module) -> list[nn.Parameter]:
    """Weight matrices of hidden layers, without the first layer of the encoder and the last one of the decoder.

    The matrices of those two are the largest and would take two thirds of Muon's time. Without them the final loss of a
    deep autoencoder is 2 % higher after equal steps, which take less than half the time (docs/log.md).
    """
    outer: set[int] = set()
    if isinstance(module, Objective):
        for network, place in ((module.model.encoder, 0), (module.model.decoder, -1)):
            outer |= {id(p) for p in [p for p in network.parameters() if p.ndim > 1][place:][:1]}
    inside = _of_networks(module) - outer
    return [p for p in _players(module)[AUTOENCODER] if p.ndim == 2 and id(p) in inside]


def _of_networks(module: nn.Module) -> set[int]:
    """Ids of the parameters of encoder and decoder; matrices elsewhere (codebook, prior means) are not linear maps."""
    networks = (module.model.encoder, module.model.decoder) if isinstance(module, Objective) else (module,)
    return {id(p) for network in networks for p in network.parameters()}


def groups(module: nn.Module, width_scaling: int | None, leaving: Sequence[nn.Parameter] = ()) -> list[dict[str, Any]]:
    """Groups of trainable parameters with a factor (``share``) of the learning rate: 1, or width_scaling / inputs.

    Parameters in ``leaving`` belong to another optimizer.

    Adam changes every weight by about the learning rate, so the output of a layer changes by the learning rate times
    the sum of its inputs. At learning rates for 28x28 images, layers over 120x128 pixels change too much per step, and
    with them the log sigma of a Gaussian latent.

    References:
        Tuning large neural networks via zero-shot hyperparameter transfer (Yang et al., 2021)
    """
    by_share: dict[float, list[nn.Parameter]] = {}
    inside, excluded = _of_networks(module), {id(p) for p in leaving}
    for parameter in _players(module)[AUTOENCODER]:
        if id(parameter) in excluded:
            continue
        inputs = parameter.shape[1] if parameter.ndim == 2 and id(parameter) in inside else 1
        share = 1.0 if width_scaling is None else min(1.0, width_scaling / inputs)
        by_share.setdefault(share, []).append(parameter)
    return [{"params": members, "share": share} for share, members in by_share.items()]


def run_length(options: TrainingOptions, batches: int) -> tuple[int, int]:
    """Steps and epochs of a run with ``batches`` per epoch.

    >>> run_length(TrainingOptions(), 550), run_length(TrainingOptions(steps=10), 4)
    ((11000, 20), (10, 3))
    >>> run_length(TrainingOptions(optimizer="muon"), 550)
    (5500, 10)
    """
    if options.optimizer == "exact":
        return 1, 1
    if options.steps is not None:
        return options.steps, -(-options.steps // batches)
    share = MUON_SHARE if options.optimizer == "muon" else 1
    fewest, target, most = FEWEST_EPOCHS // share, TARGET_STEPS // share, MOST_EPOCHS // share
    epochs = options.epochs or min(most, max(fewest, target // batches))
    return epochs * batches, epochs


def rate_at(step: int, total: int, options: TrainingOptions) -> float:
    r"""The learning rate at ``step`` (0-based) of ``total``: a linear warm-up, then constant or cosine decay to 0.

    >>> options = TrainingOptions(learning_rate=1.0, schedule="cosine")
    >>> [round(rate_at(s, 100, options), 2) for s in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    warmup = options.warmup * total
    if step < warmup:
        return options.learning_rate * (step + 1) / (warmup + 1)
    if options.schedule == "constant":
        return options.learning_rate
    t = (step - warmup) / max(1.0, total - warmup)
    return options.learning_rate * (1 + math.cos(math.pi * min(1.0, t))) / 2


def momentum_at(step: int, options: TrainingOptions) -> float:
    r"""The momentum at ``step`` t (0-based): :math:`\min(1 - 1 / (2 \lfloor t / s \rfloor + 2), \mu)` in stages of s.

    References:
        On the importance of initialization and momentum in deep learning (Sutskever et al., 2013), equation 5

    >>> options = TrainingOptions(momentum=0.9, momentum_stage=250)
    >>> [round(momentum_at(s, options), 3) for s in (0, 249, 250, 500, 1000)]
    [0.5, 0.5, 0.75, 0.833, 0.9]
    """
    if not options.momentum_stage:
        return options.momentum
    return min(1 - 0.5 / (step // options.momentum_stage + 1), options.momentum)


def set_pace(all_optimizers: Iterable[Optimizer], rate: float, momentum: float) -> None:
    """Set the learning rate of each group, scaled by its factor (``share``), and the momentum of sgd and nesterov."""
    for optimizer in all_optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
            if isinstance(optimizer, torch.optim.SGD):
                group["momentum"] = momentum
