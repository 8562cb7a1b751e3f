r"""Greedy pretraining: each level of a deep autoencoder learns the codes of the level below, then all are unrolled.

A level is a restricted Boltzmann machine (Hinton & Salakhutdinov, 2006), or a shallow autoencoder of any recipe with a
deterministic code (Bengio et al., 2007; Vincent et al., 2008): what that recipe does to its input (noise) or asks of
its code (sparsity, contraction) is done at every level. The next level is trained on clean codes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from isthmus.boltzmann.learning import Contrastive, learn
from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.files import replacing
from isthmus.likelihoods import Bernoulli, Gaussian
from isthmus.model import Autoencoder, seeded
from isthmus.objective import Objective
from isthmus.options import PretrainingOptions
from isthmus.recipe import Recipe
from isthmus.training.batches import stream
from isthmus.training.checkpoints import DAMAGE, Found, packed, unpacked
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch
from isthmus.training.levels import Level, levels
from isthmus.training.shallow import RBM, Place, bounded, check_closed, level_recipe, recipe_of

RATE, GAUSSIAN_RATE = 0.1, 0.001
"""Rates of a machine of Bernoulli units, and of one with a Gaussian layer (Hinton & Salakhutdinov, 2006)."""
Row = dict[str, Any]
"""What became of a level: its number from 1, sizes, epochs, the last loss or squared error, and seconds."""
Listener = Callable[[int, int, str, float], None]
"""Told the level from 1, how many there are, what it is in words, and the share of it that is done."""
Learnt = tuple[tuple[Tensor, Tensor, Tensor, Tensor], Row]
"""Weights as :meth:`isthmus.training.levels.Level.put` takes them, and the row."""
Told = Callable[[bytes], bytes]
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
    found = levels(objective.model)
    make = _machine if options.kind == RBM else partial(_shallow, recipe_of(options, found))
    if options.kind == RBM and options.changes:
        raise BadOption(
            f"pretraining.changes are options of a recipe ({next(iter(options.changes))}), but pretraining.kind is "
            "rbm. Name a recipe, or leave them out."
        )
    if recipe.training.optimiser == "exact":
        raise BadOption("training.optimiser=exact needs no pretraining. Leave it out.")
    for name, values in (("epochs", options.epochs), ("rate", options.rate or ())):
        if len(values) > len(found):
            raise BadOption(
                f"pretraining.{name} has {len(values)} values, but the net has {len(found)} levels. Give one value, or "
                "one for each level."
            )
    tasks: list[Task] = []
    for number, level in enumerate(found):
        below = None if number == 0 else tasks[-1].level.activation
        tasks.append(make(Place(level, below, number), objective, options, recipe))
    return tasks


def pretrain(
    tasks: list[Task],
    x: Tensor,
    *,
    seed: int = 0,
    keep: Path | None = None,
    listener: Listener | None = None,
    told: Told = bytes,
) -> list[Row]:
    """Train each level on the codes of the one below, and put its weights where it belongs in the deep model.

    Args:
        tasks: what :func:`planned` gave.
        x: training examples (N, *D).
        seed: of weights, batches and draws.
        keep: folder for finished levels, which are not trained again.
        listener: told what is done.
        told: what the first of several processes says, in all of them: only that one has ``keep``.
    """
    done: list[Row] = []
    h = x.flatten(1)
    if tasks:
        # where the deep model stands, its levels are trained
        h = h.to(tasks[0].level.down.weight.device)
    for number, task in enumerate(tasks):
        path = None if keep is None else _place(keep, number)
        tell = partial(listener or _silent, number + 1, len(tasks), task.words)
        found = _unpacked(told(b"" if path is None else _packed(path)), task.level)
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


def stack(recipe: Recipe, options: PretrainingOptions, x: Tensor, *, seed: int = 0) -> Autoencoder:
    """The autoencoder of a recipe with pretrained levels, not yet trained as a whole; fresh where ``kind`` is none.

    Args:
        recipe: of the deep model.
        options: how its levels are trained.
        x: training examples (N, *D).
        seed: of weights, batches and draws.
    """
    with seeded(seed):
        objective = recipe.build(tuple(x.shape[1:]))
    pretrain(planned(objective, options, recipe), x, seed=seed)
    return objective.model


def rows(tasks: list[Task], keep: Path | None) -> list[Row]:
    """What became of levels that were finished before, as far as ``keep`` holds them."""
    if keep is None:
        return []
    found = [_unpacked(_packed(_place(keep, number)), task.level) for number, task in enumerate(tasks)]
    return [level[1] for level in found if level is not None]


def _place(keep: Path, number: int) -> Path:
    """Where a level, counted from 0, is kept."""
    return keep / f"level-{number + 1}.sealed"


def _silent(*_what: object) -> None:
    """Nobody listens."""


def _machine(place: Place, objective: Objective, options: PretrainingOptions, deep: Recipe) -> Task:
    """A level as a restricted Boltzmann machine."""
    level, below = place.level, place.below
    epochs, precision = place.own(options.epochs), deep.training.precision
    rate = None if options.rate is None else place.own(options.rate)
    hidden = {"sigmoid": "bernoulli", "linear": "gaussian"}.get(level.activation)
    if hidden is None:
        raise IncompatibleParts(
            f"A Boltzmann machine has sigmoid or linear hidden units, but the net has {level.activation}. Set "
            "net.activation=sigmoid, or pretrain with a recipe such as denoising."
        )
    visible = _visible(objective) if below is None else "bernoulli" if bounded(below) else "gaussian"
    usual = RATE if (visible, hidden) == ("bernoulli", "bernoulli") else GAUSSIAN_RATE
    chosen = Contrastive(
        epochs=epochs,
        batch=options.batch,
        rate=rate or usual,
        weight_cost=options.weight_cost,
        precision=precision,
    )

    def work(h: Tensor, seed: int, tell: Callable[[float], None]) -> Learnt:
        with seeded(seed):
            machine = BoltzmannMachine(level.inputs, level.units, visible_units=visible, hidden_units=hidden)
        machine.to(h.device)
        rows = learn(machine, h, chosen, seed=seed, listener=lambda row: tell(row["epoch"] / epochs))
        # what the likelihood adds to the decoder's output is no part of the decoder
        offset = getattr(objective.model.likelihood, "offset", None) if below is None else None
        back_bias = machine.visible_bias if offset is None else machine.visible_bias - offset.flatten()
        weights = (machine.weight, machine.hidden_bias, machine.weight.T, back_bias)
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


def _shallow(of: Recipe, place: Place, _objective: Objective, options: PretrainingOptions, deep: Recipe) -> Task:
    """A level as a shallow autoencoder of a recipe."""
    level, epochs = place.level, place.own(options.epochs)
    shallow = level_recipe(of, place, options, deep)
    drafted = shallow.draft((level.inputs,))
    levels(drafted.model)
    if shallow.training.optimiser == "exact":
        check_closed(drafted, of.name)

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

    left = [name for name in of.penalties if name not in shallow.penalties]
    without = f" without {', '.join(left)}" if left else ""
    return Task(level, f"{of.name} autoencoder {level.inputs}-{level.units}{without}", work)


SEAL = hashlib.sha256().digest_size
NAMES = ("weight", "bias", "back", "back_bias")
"""Tensors of a level, as :meth:`isthmus.training.levels.Level.put` takes them."""


def _write(path: Path, learnt: Learnt) -> None:
    """Keep a finished level, sealed by the SHA-256 of all that it is."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in zip(NAMES, learnt[0], strict=True)}
    content = packed(Found(tensors, {}, learnt[1]))
    with replacing(path) as place:
        place.write_bytes(hashlib.sha256(content).digest() + content)


def _packed(path: Path) -> bytes:
    """A finished level as it was kept, without its seal; nothing where it is not there or spoiled."""
    try:
        kept = path.read_bytes()
    except OSError:
        return b""
    seal, content = kept[:SEAL], kept[SEAL:]
    return content if hashlib.sha256(content).digest() == seal else b""


def _unpacked(content: bytes, level: Level) -> Learnt | None:
    """A level from what :func:`_packed` gave; ``None`` where that is nothing, or another level."""
    sizes = [(level.units, level.inputs), (level.units,), (level.inputs, level.units), (level.inputs,)]
    try:
        found = unpacked(content)
        if found is None:
            return None
        first, second, third, fourth = (found.tensors[name] for name in NAMES)
    except DAMAGE:
        return None
    tensors = (first, second, third, fourth)
    return (tensors, found.record) if [tuple(t.shape) for t in tensors] == sizes else None
