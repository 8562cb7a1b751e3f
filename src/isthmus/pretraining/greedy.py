r"""Greedy layer-wise pretraining: each layer of a deep autoencoder is trained on the codes of the layer below.

A layer is trained as a restricted Boltzmann machine (Hinton & Salakhutdinov, 2006), or as a shallow autoencoder of any
recipe with a deterministic code (Bengio et al., 2007; Vincent et al., 2008). The corruption and the penalties of that
recipe act at every layer. The next layer is trained on the codes of uncorrupted inputs. Afterwards the layers are
unrolled into the deep autoencoder.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from isthmus.boltzmann.learning import ContrastiveDivergence, learn
from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.files.atomic import replacing
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import derive_seed, seeded
from isthmus.options import PretrainingOptions
from isthmus.parts.likelihoods import Bernoulli, Gaussian
from isthmus.pretraining.layer_recipes import RBM, LayerContext, bounded, check_closed, layer_recipe, recipe_of
from isthmus.pretraining.layers import LayerPair, layer_pairs
from isthmus.training.checkpointing.files import DAMAGE, Checkpoint, checkpoint_from_bytes, checkpoint_to_bytes
from isthmus.training.checks import check_kind_of_data
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch

RATE, GAUSSIAN_RATE = 0.1, 0.001
"""Learning rates of Boltzmann machines: Bernoulli units, or a Gaussian layer (Hinton & Salakhutdinov, 2006)."""
LayerRecord = dict[str, Any]
"""Record of a trained layer: its number from 1, sizes, epochs, the last loss or squared error, and seconds."""
LayerCallback = Callable[[int, int, str, float], None]
"""Called with the number of the layer from 1, the number of layers, a description, and the finished fraction."""
TrainedLayer = tuple[tuple[Tensor, Tensor, Tensor, Tensor], LayerRecord]
"""Weights as in :meth:`isthmus.pretraining.layers.LayerPair.set_weights`, and the record of the layer."""
Broadcast = Callable[[bytes], bytes]
Work = Callable[[Tensor, int, Callable[[float], None]], TrainedLayer]
"""Function that trains a layer: inputs (N, inputs), a seed, and a callback for the finished fraction."""


@dataclass(frozen=True)
class LayerTask:
    """A layer, its description, and the function that trains it."""

    layer: LayerPair
    description: str
    work: Work


def plan_pretraining(objective: Objective, options: PretrainingOptions, recipe: Recipe) -> list[LayerTask]:
    """The pretraining tasks, one per layer from the data inward; none if pretraining is not requested.

    Raises:
        IsthmusError: the model cannot be pretrained layer by layer, or the kind is unknown.
    """
    if options.kind == "none":
        return []
    found = layer_pairs(objective.model)
    make = _machine if options.kind == RBM else partial(_shallow, recipe_of(options, found))
    if options.kind == RBM and options.changes:
        raise BadOption(
            f"pretraining.changes sets options of a recipe ({next(iter(options.changes))}), but pretraining.kind is "
            "rbm. Set pretraining.kind to a recipe, or leave them out."
        )
    check_kind_of_data(recipe.training, options, missing=objective.model.fill is not None)
    if recipe.training.optimizer == "exact":
        raise BadOption("training.optimizer=exact does not use pretraining. Leave pretraining.kind out.")
    for name, values in (("epochs", options.epochs), ("learning_rate", options.learning_rate or ())):
        if len(values) > len(found):
            raise BadOption(
                f"pretraining.{name} has {len(values)} values, but the net has {len(found)} layers. Set one value, or "
                "one per layer."
            )
    tasks: list[LayerTask] = []
    for number, layer in enumerate(found):
        below = None if number == 0 else tasks[-1].layer.activation
        tasks.append(make(LayerContext(layer, below, number), objective, options, recipe))
    return tasks


def pretrain(
    tasks: list[LayerTask],
    x: Tensor,
    *,
    seed: int = 0,
    keep: Path | None = None,
    callback: LayerCallback | None = None,
    broadcast: Broadcast = bytes,
) -> list[LayerRecord]:
    """Train each layer on the codes of the layer below, and copy its weights into the deep model.

    Args:
        tasks: result of :func:`plan_pretraining`.
        x: training examples (N, *D).
        seed: seed of weights, batches and sampling.
        keep: folder for finished layers, which are not trained again.
        callback: called with the progress of each layer.
        broadcast: returns the message of the first process in all processes; only the first one has ``keep``.

    Returns:
        One record per layer.
    """
    done: list[LayerRecord] = []
    h = x.flatten(1)
    if tasks:
        # layers are trained on the device of the deep model
        h = h.to(tasks[0].layer.down.weight.device)
    for number, task in enumerate(tasks):
        path = None if keep is None else _file_of(keep, number)
        report = partial(callback or _silent, number + 1, len(tasks), task.description)
        found = _parsed(broadcast(b"" if path is None else _read(path)), task.layer)
        if found is None:
            report(0.0)
            found = task.work(h, derive_seed(seed, "pretraining", number) % 2**31, report)
            found[1].update(layer=number + 1, inputs=task.layer.inputs, units=task.layer.units)
            if path is not None:
                _write(path, found)
        report(1.0)
        task.layer.set_weights(*found[0])
        done.append(found[1])
        h = h if number + 1 == len(tasks) else task.layer.codes(h)
    return done


def stack(recipe: Recipe, options: PretrainingOptions, x: Tensor, *, seed: int = 0) -> Autoencoder:
    """The autoencoder of a recipe with pretrained layers, before joint training; initialized only if ``kind`` is none.

    Args:
        recipe: recipe of the deep model.
        options: pretraining options.
        x: training examples (N, *D).
        seed: seed of weights, batches and sampling.
    """
    with seeded(seed):
        objective = recipe.build(tuple(x.shape[1:]))
    pretrain(plan_pretraining(objective, options, recipe), x, seed=seed)
    return objective.model


def finished_layers(tasks: list[LayerTask], keep: Path | None) -> list[LayerRecord]:
    """The records of the finished layers in ``keep``."""
    if keep is None:
        return []
    found = [_parsed(_read(_file_of(keep, number)), task.layer) for number, task in enumerate(tasks)]
    return [layer[1] for layer in found if layer is not None]


def _file_of(keep: Path, number: int) -> Path:
    """File of a finished layer, numbered from 0."""
    return keep / f"layer-{number + 1}.sealed"


def _silent(*_what: object) -> None:
    """A callback that does nothing."""


def _machine(context: LayerContext, objective: Objective, options: PretrainingOptions, deep: Recipe) -> LayerTask:
    """A layer trained as a restricted Boltzmann machine."""
    layer, below = context.layer, context.below
    epochs, precision = context.for_layer(options.epochs), deep.training.precision
    rate = None if options.learning_rate is None else context.for_layer(options.learning_rate)
    hidden = {"sigmoid": "bernoulli", "linear": "gaussian"}.get(layer.activation)
    if hidden is None:
        raise IncompatibleParts(
            f"A Boltzmann machine has sigmoid or linear hidden units, but the net has {layer.activation}. Set "
            "net.activation=sigmoid, or a recipe such as pretraining.kind=denoising."
        )
    visible = _visible(objective) if below is None else "bernoulli" if bounded(below) else "gaussian"
    default = RATE if (visible, hidden) == ("bernoulli", "bernoulli") else GAUSSIAN_RATE
    chosen = ContrastiveDivergence(
        epochs=epochs,
        batch_size=options.batch_size,
        learning_rate=rate or default,
        weight_decay=options.weight_decay,
        precision=precision,
    )

    def work(h: Tensor, seed: int, report: Callable[[float], None]) -> TrainedLayer:
        with seeded(seed):
            machine = BoltzmannMachine(layer.inputs, layer.units, visible_units=visible, hidden_units=hidden)
        machine.to(h.device)
        rows = learn(machine, h, chosen, seed=seed, callback=lambda row: report(row["epoch"] / epochs))
        # the offset that the likelihood adds to the decoder's output does not belong to the decoder
        offset = getattr(objective.model.likelihood, "offset", None) if below is None else None
        back_bias = machine.visible_bias if offset is None else machine.visible_bias - offset.flatten()
        weights = (machine.weight, machine.hidden_bias, machine.weight.T, back_bias)
        seconds = sum(row["seconds"] for row in rows)
        return weights, {"epochs": epochs, "squared_error": rows[-1]["squared_error"], "seconds": seconds}

    return LayerTask(layer, f"{visible}-{hidden} Boltzmann machine {layer.inputs}-{layer.units}", work)


def _visible(objective: Objective) -> str:
    """The kind of visible units that corresponds to the likelihood."""
    if isinstance(objective.model.likelihood, Bernoulli):
        return "bernoulli"
    if isinstance(objective.model.likelihood, Gaussian):
        return "gaussian"
    raise IncompatibleParts(
        "A Boltzmann machine has Bernoulli or Gaussian visible units, but the likelihood is "
        f"{type(objective.model.likelihood).__name__}. Set likelihood.kind to bernoulli or gaussian, or a recipe "
        "such as pretraining.kind=denoising."
    )


def _shallow(
    recipe: Recipe, context: LayerContext, _objective: Objective, options: PretrainingOptions, deep: Recipe
) -> LayerTask:
    """A layer trained as a shallow autoencoder of a recipe."""
    layer, epochs = context.layer, context.for_layer(options.epochs)
    shallow = layer_recipe(recipe, context, options, deep)
    drafted = shallow.draft((layer.inputs,))
    layer_pairs(drafted.model)
    if shallow.training.optimizer == "exact":
        check_closed(drafted, recipe.name)

    def work(h: Tensor, seed: int, report: Callable[[float], None]) -> TrainedLayer:
        with seeded(seed):
            objective = shallow.build((layer.inputs,))
            objective.init_from_data(h)
        engine = Engine(objective, shallow.training, h, seed=seed)
        engine.callback = lambda _kind, what: report(what.epoch / epochs) if isinstance(what, Epoch) else None
        outcome = engine.run()
        inner = layer_pairs(objective.model)[0]
        back = inner.up.weight if isinstance(inner.up, nn.Linear) else inner.down.weight.T
        weights = (inner.down.weight.detach(), inner.down.bias.detach(), back.detach(), inner.up.bias.detach())
        last = outcome.history[-1]
        return weights, {"epochs": epochs, "loss": last.train["loss"], "seconds": outcome.seconds}

    left_out = [name for name in recipe.penalties if name not in shallow.penalties]
    without = f" without {', '.join(left_out)}" if left_out else ""
    return LayerTask(layer, f"{recipe.name} autoencoder {layer.inputs}-{layer.units}{without}", work)


DIGEST_SIZE = hashlib.sha256().digest_size
NAMES = ("weight", "bias", "back", "back_bias")
"""Names of the tensors of a layer, in the order of :meth:`isthmus.pretraining.layers.LayerPair.set_weights`."""


def _write(path: Path, trained: TrainedLayer) -> None:
    """Save a finished layer, preceded by the SHA-256 of its content."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in zip(NAMES, trained[0], strict=True)}
    content = checkpoint_to_bytes(Checkpoint(tensors, {}, trained[1]))
    with replacing(path) as unfinished:
        unfinished.write_bytes(hashlib.sha256(content).digest() + content)


def _read(path: Path) -> bytes:
    """The content of a saved layer without its checksum; empty if the file is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    digest, content = data[:DIGEST_SIZE], data[DIGEST_SIZE:]
    return content if hashlib.sha256(content).digest() == digest else b""


def _parsed(content: bytes, layer: LayerPair) -> TrainedLayer | None:
    """The layer in the result of :func:`_read`; ``None`` if that is empty or belongs to another layer."""
    sizes = [(layer.units, layer.inputs), (layer.units,), (layer.inputs, layer.units), (layer.inputs,)]
    try:
        found = checkpoint_from_bytes(content)
        if found is None:
            return None
        first, second, third, fourth = (found.tensors[name] for name in NAMES)
    except DAMAGE:
        return None
    tensors = (first, second, third, fourth)
    return (tensors, found.record) if [tuple(t.shape) for t in tensors] == sizes else None
