r"""Greedy pretraining: each level of a deep autoencoder learns the codes of the level below, then all are unrolled.

A level is a restricted Boltzmann machine (Hinton & Salakhutdinov, 2006), or a shallow autoencoder of any recipe with a
deterministic code (Bengio et al., 2007; Vincent et al., 2008): what that recipe does to its input (noise) or asks of
its code (sparsity, contraction) is done at every level. The next level is trained on clean codes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from isthmus import zoo
from isthmus.boltzmann.learning import Contrastive, learn
from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadOption, IncompatibleParts, unknown
from isthmus.exact import closed_form
from isthmus.files import replacing
from isthmus.likelihoods import Bernoulli, Gaussian
from isthmus.model import seeded
from isthmus.nets import critic
from isthmus.objective import Objective
from isthmus.options import PretrainingOptions
from isthmus.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, options_of
from isthmus.trace import Shape
from isthmus.training.batches import stream
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch
from isthmus.training.levels import Level, levels

RBM = "rbm"
SHORT = {"sparse": "sparse_kl"}
"""Kinds by a shorter name."""
RATE, GAUSSIAN_RATE = 0.1, 0.001
"""Rates of a machine of Bernoulli units, and of one with a Gaussian layer (Hinton & Salakhutdinov, 2006)."""
UNIT_INTERVAL = frozenset({"sigmoid"})
"""Activations whose values are probabilities."""

Row = dict[str, Any]
"""What became of a level: its number from 1, sizes, epochs, the last loss or squared error, and seconds."""
Listener = Callable[[int, int, str, float], None]
"""Told the level from 1, how many there are, what it is in words, and the share of it that is done."""
Learnt = tuple[tuple[Tensor, Tensor, Tensor, Tensor], Row]
"""Weights as :meth:`isthmus.training.levels.Level.put` takes them, and the row."""
Work = Callable[[Tensor, int, Callable[[float], None]], Learnt]
"""What trains a level: on its inputs (N, inputs), with a seed, telling the share that is done."""


@dataclass(frozen=True)
class Task:
    """A level, what it is in words, and what trains it."""

    level: Level
    words: str
    work: Work


def planned(objective: Objective, options: PretrainingOptions, recipe: Recipe) -> list[Task]:
    """What pretraining has to do, from the data inwards; nothing where it is not asked for.

    Raises:
        IsthmusError: the model is no stack of what is asked for, or there is no such kind.
    """
    if options.kind == "none":
        return []
    kind = SHORT.get(options.kind, options.kind)
    if kind != RBM and kind not in zoo.RECIPES:
        levels_only = [name for name in zoo.RECIPES if _is_level(zoo.recipe(name))]
        raise unknown("way to pretrain", options.kind, ["none", RBM, *SHORT, *levels_only])
    if kind == RBM and options.changes:
        raise BadOption(
            f"pretraining.changes are options of a recipe ({next(iter(options.changes))}), but pretraining.kind is "
            "rbm. Name a recipe, or leave them out."
        )
    if recipe.training.optimiser == "exact":
        raise BadOption("training.optimiser=exact needs no pretraining. Leave it out.")
    tasks: list[Task] = []
    for number, level in enumerate(levels(objective.model)):
        below = None if number == 0 else tasks[-1].level.activation
        each = options.epochs[min(number, len(options.epochs) - 1)]
        make = _machine if kind == RBM else partial(_shallow, kind, recipe)
        tasks.append(make(level, below, objective, options, each))
    return tasks


def pretrain(
    tasks: list[Task],
    x: Tensor,
    *,
    seed: int = 0,
    keep: Path | None = None,
    listener: Listener | None = None,
) -> list[Row]:
    """Train each level on the codes of the one below, and put its weights where it belongs in the deep model.

    Args:
        tasks: what :func:`planned` gave.
        x: training examples (N, *D).
        seed: of weights, batches and draws.
        keep: folder for finished levels, which are not trained again.
        listener: told what is done.
    """
    done: list[Row] = []
    h = x.flatten(1)
    for number, task in enumerate(tasks):
        path = None if keep is None else _place(keep, number)
        tell = partial(listener or _silent, number + 1, len(tasks), task.words)
        found = None if path is None else _read(path, task.level)
        if found is None:
            tell(0.0)
            found = task.work(h, stream(seed, "pretraining", number) % 2**31, tell)
            found[1].update(level=number + 1, inputs=task.level.inputs, units=task.level.units)
            if path is not None:
                _write(path, found)
        tell(1.0)
        task.level.put(*found[0])
        done.append(found[1])
        h = h if number + 1 == len(tasks) else task.level.codes(h)
    return done


def rows(tasks: list[Task], keep: Path | None) -> list[Row]:
    """What became of levels that were finished before, as far as ``keep`` holds them."""
    if keep is None:
        return []
    found = [_read(_place(keep, number), task.level) for number, task in enumerate(tasks)]
    return [level[1] for level in found if level is not None]


def _place(keep: Path, number: int) -> Path:
    """Where a level, counted from 0, is kept."""
    return keep / f"level-{number + 1}.safetensors"


def _silent(*_what: object) -> None:
    """Nobody listens."""


def _machine(level: Level, below: str | None, objective: Objective, options: PretrainingOptions, epochs: int) -> Task:
    """A level as a restricted Boltzmann machine."""
    hidden = {"sigmoid": "bernoulli", "linear": "gaussian"}.get(level.activation)
    if hidden is None:
        raise IncompatibleParts(
            f"A Boltzmann machine has sigmoid or linear hidden units, but the net has {level.activation}. Set "
            "net.activation=sigmoid, or pretrain with a recipe such as denoising."
        )
    visible = _visible(objective) if below is None else "bernoulli" if below in UNIT_INTERVAL else "gaussian"
    usual = RATE if (visible, hidden) == ("bernoulli", "bernoulli") else GAUSSIAN_RATE
    chosen = Contrastive(
        epochs=epochs, batch=options.batch, rate=options.rate or usual, weight_cost=options.weight_cost
    )

    def work(h: Tensor, seed: int, tell: Callable[[float], None]) -> Learnt:
        with seeded(seed):
            machine = BoltzmannMachine(level.inputs, level.units, visible_units=visible, hidden_units=hidden)
        rows = learn(machine, h, chosen, seed=seed, listener=lambda row: tell(row["epoch"] / epochs))
        weights = (machine.weight, machine.hidden_bias, machine.weight.T, machine.visible_bias)
        seconds = sum(row["seconds"] for row in rows)
        return weights, {"epochs": epochs, "squared_error": rows[-1]["squared_error"], "seconds": seconds}

    return Task(level, f"{visible}-{hidden} Boltzmann machine {level.inputs}-{level.units}", work)


def _visible(objective: Objective) -> str:
    """The visible units that are like the data, as the likelihood says."""
    if isinstance(objective.model.likelihood, Bernoulli):
        return "bernoulli"
    if isinstance(objective.model.likelihood, Gaussian):
        return "gaussian"
    raise IncompatibleParts(
        "A Boltzmann machine has Bernoulli or Gaussian visible units, but the likelihood is "
        f"{type(objective.model.likelihood).__name__}. Set likelihood.kind to bernoulli or gaussian, or pretrain with "
        "a recipe."
    )


def _shallow(
    kind: str,
    deep: Recipe,
    level: Level,
    below: str | None,
    _objective: Objective,
    options: PretrainingOptions,
    epochs: int,
) -> Task:
    """A level as a shallow autoencoder of a recipe."""
    shallow = _level_recipe(kind, deep, level, below, options, epochs)
    drafted = shallow.draft((level.inputs,))
    if shallow.training.optimiser == "exact":
        closed_form(drafted)

    def work(h: Tensor, seed: int, tell: Callable[[float], None]) -> Learnt:
        with seeded(seed):
            objective = shallow.build((level.inputs,))
            objective.meet(h)
        engine = Engine(objective, shallow.training, h, seed=seed)
        engine.listener = lambda _kind, what: tell(what.epoch / epochs) if isinstance(what, Epoch) else None
        outcome = engine.run()
        inner = levels(objective.model)[0]
        back = inner.up.weight if isinstance(inner.up, nn.Linear) else inner.down.weight.T
        weights = (inner.down.weight.detach(), inner.down.bias.detach(), back.detach(), inner.up.bias.detach())
        last = outcome.history[-1]
        return weights, {"epochs": epochs, "loss": last.train["loss"], "seconds": outcome.seconds}

    return Task(level, f"{kind} autoencoder {level.inputs}-{level.units}", work)


def _level_recipe(
    kind: str, deep: Recipe, level: Level, below: str | None, options: PretrainingOptions, epochs: int
) -> Recipe:
    """The recipe of a level: that of its kind, with one layer and the activation of the deep net.

    Raises:
        IncompatibleParts: recipes of that kind are no levels.
    """
    recipe = zoo.recipe(kind).with_options(dict(options.changes))
    if not _is_level(recipe):
        raise IncompatibleParts(
            f"A level is one dense layer with an activation, but recipe {kind!r} has net {recipe.net.kind} and latent "
            f"{recipe.latent.kind}. Pretrain with denoising, contractive, sparse, or another of a deterministic code."
        )
    known = options_of(NetPart.table["linear"]).model_fields
    net = {name: value for name, value in (recipe.net.model_extra or {}).items() if name in known}
    code = {"kind": "deterministic", "size": level.units, "activation": level.activation}
    latent = LatentPart.model_validate(code)
    like_data = LikelihoodPart(kind="bernoulli" if below in UNIT_INTERVAL else "gaussian")
    rate = {"rate": options.rate} if options.rate else {}
    length = {"epochs": epochs, "steps": None, "batch": options.batch, "keep": "last"}
    return recipe.model_copy(
        update={
            "net": NetPart.model_validate({"kind": "linear", **net}),
            "latent": latent,
            "likelihood": deep.likelihood if below is None else like_data,
            "training": recipe.training.model_copy(update=length | rate),
            "penalties": _fitting(recipe, latent, (level.inputs,)),
        }
    )


def _is_level(recipe: Recipe) -> bool:
    """Whether a recipe can be one dense layer with an activation."""
    return recipe.latent.kind == "deterministic" and recipe.net.kind in ("linear", "mlp")


def _fitting(recipe: Recipe, latent: LatentPart, shape: Shape) -> dict[str, PenaltyPart]:
    """The penalties that a level's code can have: a target activation needs one in [0, 1], which no linear code is."""
    handed = {"size": latent.size, "shape": shape, "critic": critic}
    prior = recipe.prior.make(**handed)
    offers = latent.make(**handed).offers
    return {n: part for n, part in recipe.penalties.items() if part.make(prior=prior, **handed).needs <= offers}


def _write(path: Path, learnt: Learnt) -> None:
    """Keep a finished level."""
    names = ("weight", "bias", "back", "back_bias")
    tensors = {name: value.detach().cpu().contiguous() for name, value in zip(names, learnt[0], strict=True)}
    with replacing(path) as place:
        save_file(tensors, place, metadata={"row": json.dumps(learnt[1])})


def _read(path: Path, level: Level) -> Learnt | None:
    """A level that was finished before; ``None`` where it is not there, or is another one."""
    sizes = [(level.units, level.inputs), (level.units,), (level.inputs, level.units), (level.inputs,)]
    try:
        with safe_open(path, framework="pt") as file:
            row = json.loads(file.metadata()["row"])
            tensors = tuple(file.get_tensor(name) for name in ("weight", "bias", "back", "back_bias"))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if [tuple(t.shape) for t in tensors] != sizes or not all(bool(torch.isfinite(t).all()) for t in tensors):
        return None
    return tensors, row
