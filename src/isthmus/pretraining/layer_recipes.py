"""Layers of a deep autoencoder as shallow autoencoders: the recipe, and its options that apply to one dense layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from isthmus import zoo
from isthmus.errors import BadOption, IncompatibleParts, unknown
from isthmus.models.exact import closed_form
from isthmus.models.objective import Objective
from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, options_of
from isthmus.models.seeding import seeded
from isthmus.options import PretrainingOptions
from isthmus.parts.latents import Deterministic
from isthmus.parts.nets import critic
from isthmus.parts.protocols import Capability
from isthmus.pretraining.layers import LayerPair

Each = TypeVar("Each")

RBM = "rbm"
SHORT = {"sparse": ("sparse_kl", "sparse_l1")}
"""Recipes of a short name; the first one is used whose penalties are supported by the code of some layer."""
DECIDED = (
    *("name", "net.kind", "net.widths", "net.activation", "latent", "likelihood", "pretraining", "data"),
    *(
        "training.epochs",
        "training.steps",
        "training.batch_size",
        "training.keep",
        "training.learning_rate",
        "training.precision",
    ),
)
"""Options of a layer's recipe that are determined by the deep model or by pretraining."""


@dataclass(frozen=True)
class LayerContext:
    """A layer, the activation of the layer below (``None``: the data), and its number from 0."""

    layer: LayerPair
    below: str | None
    number: int

    def for_layer(self, values: Sequence[Each]) -> Each:
        """The value of this layer; the last value holds for all further layers."""
        return values[min(self.number, len(values) - 1)]


def recipe_of(options: PretrainingOptions, found: Sequence[LayerPair]) -> Recipe:
    """The recipe of the layers, with its changes; for a short name the first one that the layers support.

    Raises:
        UnknownName: the recipe does not exist.
        IncompatibleParts: it does not fit a single layer, or no layer supports all of its penalties.
        BadOption: changes to options that the deep model determines.
    """
    kinds = SHORT.get(options.kind, (options.kind,))
    if kinds[0] not in zoo.RECIPES:
        recipes = {name: zoo.recipe(name) for name in zoo.RECIPES}
        usable = [name for name, recipe in recipes.items() if _is_layer(recipe) and not _unsupported_option(recipe)]
        raise unknown("pretraining.kind", options.kind, ["none", RBM, *SHORT, *usable])
    for kind in kinds:
        recipe = _changed(kind, options)
        if any(len(_fitting(recipe, layer)) == len(recipe.penalties) for layer in found):
            return recipe
    raise IncompatibleParts(
        f"No layer supports the penalties of recipe {kind!r} ({', '.join(recipe.penalties)}), because its codes are "
        f"{', '.join(dict.fromkeys(layer.activation for layer in found))}. Set net.activation=sigmoid, or pretrain "
        "with another recipe."
    )


def layer_recipe(recipe: Recipe, context: LayerContext, options: PretrainingOptions, deep: Recipe) -> Recipe:
    """The recipe of a single layer, with the activation of the deep model."""
    known = options_of(NetPart.table["linear"]).model_fields
    net = {name: value for name, value in (recipe.net.model_extra or {}).items() if name in known}
    bounds = context.below is not None and bounded(context.below)
    code_likelihood = LikelihoodPart(kind="bernoulli" if bounds else "gaussian")
    rate = {} if options.learning_rate is None else {"learning_rate": context.for_layer(options.learning_rate)}
    length = {
        "epochs": context.for_layer(options.epochs),
        "steps": None,
        "batch_size": options.batch_size,
        "keep": "last",
    }
    length["precision"] = recipe.training.precision if deep.training.precision == "auto" else deep.training.precision
    return recipe.model_copy(
        update={
            "net": NetPart.model_validate({"kind": "linear", **net}),
            "latent": _code(context.layer),
            "likelihood": deep.likelihood if context.below is None else code_likelihood,
            "training": recipe.training.model_copy(update=length | rate),
            "penalties": _fitting(recipe, context.layer),
        }
    )


def check_closed(drafted: Objective, kind: str) -> None:
    """Check that a layer has a closed form.

    Raises:
        IncompatibleParts: it has none.
    """
    try:
        closed_form(drafted)
    except IncompatibleParts as error:
        raise IncompatibleParts(
            f"pretraining.kind={kind} is a closed form for linear units and a Gaussian likelihood, but not every layer "
            "has those. Set net.activation=linear and likelihood.kind=gaussian, or pretraining.kind=denoising."
        ) from error


def _changed(kind: str, options: PretrainingOptions) -> Recipe:
    """The recipe of a kind with the requested changes.

    Raises:
        IncompatibleParts: the recipe does not fit a single layer.
        BadOption: changes to options that the deep model determines.
    """
    for path in options.changes:
        if path.startswith(DECIDED):
            raise BadOption(
                f"pretraining.changes.{path} cannot be set, because the deep model or pretraining determines it. Set "
                "it there; corruption, penalties and fidelity of the layers can be changed."
            )
    recipe = zoo.recipe(kind).with_options(dict(options.changes))
    if not _is_layer(recipe):
        raise IncompatibleParts(
            f"A pretrained layer is one dense layer with an activation, but recipe {kind!r} has net {recipe.net.kind} "
            f"and latent {recipe.latent.kind}. Set pretraining.kind to denoising, contractive, sparse, or another "
            "recipe with a deterministic code."
        )
    if option := _unsupported_option(recipe):
        raise IncompatibleParts(
            f"A pretrained layer is one dense layer, which has no net.{option}, but recipe {kind!r} sets it. Set "
            "pretraining.kind=denoising, which drops inputs, or another recipe."
        )
    return recipe


def _is_layer(recipe: Recipe) -> bool:
    """Whether a recipe fits one dense layer with an activation."""
    return recipe.latent.kind == "deterministic" and recipe.net.kind in ("linear", "mlp")


def _unsupported_option(recipe: Recipe) -> str:
    """An option of the net that is set but that one dense layer does not have; empty if there is none."""
    fields, known = (options_of(NetPart.table[kind]).model_fields for kind in (recipe.net.kind, "linear"))
    set_options = {name: value for name, value in (recipe.net.model_extra or {}).items() if name not in known}
    free = (name for name in set_options if not f"net.{name}".startswith(DECIDED))
    return next((name for name in free if set_options[name] != fields[name].default), "")


def _code(layer: LayerPair) -> LatentPart:
    """The latent of a layer."""
    return LatentPart.model_validate({"kind": "deterministic", "size": layer.units, "activation": layer.activation})


def _fitting(recipe: Recipe, layer: LayerPair) -> dict[str, PenaltyPart]:
    """The penalties that the code of a layer supports: a target activation requires values in [0, 1], for example."""
    latent = _code(layer)
    arguments = {"size": latent.size, "shape": (layer.inputs,), "critic": critic}
    with torch.device("meta"), seeded(0):
        prior = recipe.prior.make(**arguments)
        provides = latent.make(**arguments).provides
        return {
            n: part for n, part in recipe.penalties.items() if part.make(prior=prior, **arguments).requires <= provides
        }


def bounded(activation: str) -> bool:
    """Whether the values of an activation are in [0, 1]."""
    return Capability.UNIT_INTERVAL in Deterministic(activation).provides
