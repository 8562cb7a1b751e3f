r"""Optimisers, the length of a run, and the learning rate over it."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from isthmus.objective import AUTOENCODER, CRITIC, Objective
from isthmus.options import TrainingOptions
from isthmus.training.searches import METHODS, LineSearches

TARGET_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 3000, 20, 1000
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
            made.append(Adam([group], options.rate * share, betas=CRITIC_BETAS, fused=True))
    return made


class Adam(torch.optim.Adam):
    """torch's fused Adam (or AdamW, with ``decoupled_weight_decay``), with a step that only calls its kernel.

    The numbers and the state are torch's. On a CPU its own step spends 0.18 ms on hooks, grouping and checks, 7 % of a
    step of the MLP VAE at batch 100 (docs/log.md); elsewhere, and in the first step, it is called as it is.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients at hand."""
        work = [[p for p in group["params"] if p.grad is not None] for group in self.param_groups]
        if closure is not None or not all(p.device.type == "cpu" and self.state.get(p) for ps in work for p in ps):
            super().step(closure)
            return
        for group, members in zip(self.param_groups, work, strict=True):
            if not members:
                continue
            states = [self.state[p] for p in members]
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
            kernel(
                members,
                [p.grad for p in members],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )


# torch would wrap the step in a range of its profiler, which costs 0.05 ms also where nobody profiles
Adam.step.hooked = True  # type: ignore[attr-defined]


def _players(module: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by player; a module that is no objective plays alone."""
    if isinstance(module, Objective):
        return module.players()
    return {AUTOENCODER: [p for p in module.parameters() if p.requires_grad]}


def _chosen(options: TrainingOptions, module: nn.Module) -> list[Optimizer]:
    """The optimisers of the autoencoder; two with ``muon``, which takes hidden matrices only."""
    parameters = groups(module)
    decay, rate = options.weight_decay, options.rate
    if options.optimiser == "exact":
        return []
    if options.optimiser == "adam":
        return [Adam(parameters, rate, weight_decay=decay, fused=True)]
    if options.optimiser == "adamw":
        return [Adam(parameters, rate, weight_decay=decay, fused=True, decoupled_weight_decay=True)]
    if options.optimiser in ("sgd", "nesterov"):
        nesterov = options.optimiser == "nesterov"
        return [torch.optim.SGD(parameters, rate, options.momentum, 0, decay, nesterov=nesterov, fused=True)]
    if options.optimiser in METHODS:
        return [LineSearches(_players(module)[AUTOENCODER], options.optimiser, options.searches)]
    hidden = _hidden(module)
    others = groups(module, leaving=hidden)
    both: list[Optimizer] = []
    if hidden:
        both.append(torch.optim.Muon(hidden, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    if others:
        both.append(Adam(others, rate, weight_decay=decay, fused=True, decoupled_weight_decay=True))
    return both


def _hidden(module: nn.Module) -> list[nn.Parameter]:
    """The matrices of hidden layers; the layers that read and write the data are none, and neither are their biases.

    The matrices that face the data are the largest: they would cost two thirds of Muon's work. A deep autoencoder ends
    2 % higher without them after equal steps, which take less than half the time (docs/log.md).
    """
    facing: set[int] = set()
    if isinstance(module, Objective):
        for network, place in ((module.model.encoder, 0), (module.model.decoder, -1)):
            facing |= {id(p) for p in [p for p in network.parameters() if p.ndim > 1][place:][:1]}
    inside = _of_networks(module) - facing
    return [p for p in _players(module)[AUTOENCODER] if p.ndim == 2 and id(p) in inside]


def _of_networks(module: nn.Module) -> set[int]:
    """The parameters of encoder and decoder: a matrix elsewhere (a codebook, a prior's means) maps nothing."""
    networks = (module.model.encoder, module.model.decoder) if isinstance(module, Objective) else (module,)
    return {id(p) for network in networks for p in network.parameters()}


def groups(module: nn.Module, leaving: Sequence[nn.Parameter] = ()) -> list[dict[str, Any]]:
    """Trainable parameters in groups with a share of the rate: 1, or ``WIDE`` / inputs for wider layers.

    Those in ``leaving`` are left to another optimiser.

    Adam moves every weight by about the rate, so a layer's output moves by the rate times the sum of its inputs:
    at the rates that suit 28x28 images a layer over 120x128 pixels leaps, and a Gaussian latent's log sigma with it.

    References:
        Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer (Yang et al., 2021)
    """
    by_share: dict[float, list[nn.Parameter]] = {}
    inside, left = _of_networks(module), {id(p) for p in leaving}
    for parameter in _players(module)[AUTOENCODER]:
        if id(parameter) in left:
            continue
        inputs = parameter.shape[1] if parameter.ndim == 2 and id(parameter) in inside else 1
        by_share.setdefault(min(1.0, WIDE / inputs), []).append(parameter)
    return [{"params": members, "share": share} for share, members in by_share.items()]


def run_length(options: TrainingOptions, batches: int) -> tuple[int, int]:
    """Steps and epochs of a run with so many batches in an epoch.

    >>> run_length(TrainingOptions(), 550), run_length(TrainingOptions(steps=10), 4)
    ((11000, 20), (10, 3))
    """
    if options.optimiser == "exact":
        return 1, 1
    if options.steps is not None:
        return options.steps, -(-options.steps // batches)
    epochs = options.epochs or min(MOST_EPOCHS, max(FEWEST_EPOCHS, TARGET_STEPS // batches))
    return epochs * batches, epochs


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


def set_pace(all_optimisers: Iterable[Optimizer], rate: float, momentum: float) -> None:
    """Give every group of every optimiser its share of the rate, and those of sgd and nesterov their momentum."""
    for optimiser in all_optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
            if isinstance(optimiser, torch.optim.SGD):
                group["momentum"] = momentum
