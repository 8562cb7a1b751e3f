"""A level of a deep autoencoder as a shallow one: which recipe is meant, and what of it one dense layer can have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from isthmus import zoo
from isthmus.errors import BadOption, IncompatibleParts, unknown
from isthmus.exact import closed_form
from isthmus.latents import Deterministic
from isthmus.model import seeded
from isthmus.nets import critic
from isthmus.objective import Objective
from isthmus.options import PretrainingOptions
from isthmus.recipe import LatentPart, LikelihoodPart, NetPart, PenaltyPart, Recipe, options_of
from isthmus.trace import Offer
from isthmus.training.levels import Level

Each = TypeVar("Each")

RBM = "rbm"
SHORT = {"sparse": ("sparse_kl", "sparse_l1")}
"""Kinds by a shorter name: the first whose penalties the code of some level can have."""
DECIDED = (
    *("name", "net.kind", "net.widths", "net.activation", "latent", "likelihood", "pretraining", "data"),
    *("training.epochs", "training.steps", "training.batch", "training.keep", "training.rate", "training.precision"),
)
"""Options of a level's recipe that are not its own."""


@dataclass(frozen=True)
class Place:
    """A level, the activation of the one below (``None``: the data), and its number from 0."""

    level: Level
    below: str | None
    number: int

    def own(self, values: Sequence[Each]) -> Each:
        """This level's of numbers for each level, the last of which holds for all further ones."""
        return values[min(self.number, len(values) - 1)]


def recipe_of(options: PretrainingOptions, found: Sequence[Level]) -> Recipe:
    """The recipe that is meant, with its changes; of several with one shorter name, the first that the levels can have.

    Raises:
        UnknownName: there is none.
        IncompatibleParts: it cannot be a level, or no level can have all of its penalties.
        BadOption: changes to what the deep net decides.
    """
    asked = SHORT.get(options.kind, (options.kind,))
    if asked[0] not in zoo.RECIPES:
        levels_only = [name for name in zoo.RECIPES if _is_level(zoo.recipe(name)) and not _lost(zoo.recipe(name))]
        raise unknown("way to pretrain", options.kind, ["none", RBM, *SHORT, *levels_only])
    for kind in asked:
        recipe = _changed(kind, options)
        if any(len(_fitting(recipe, level)) == len(recipe.penalties) for level in found):
            return recipe
    raise IncompatibleParts(
        f"No level can have the penalties of recipe {kind!r} ({', '.join(recipe.penalties)}): codes of the net are "
        f"{', '.join(dict.fromkeys(level.activation for level in found))}. Set net.activation=sigmoid, or pretrain "
        "with another recipe."
    )


def level_recipe(recipe: Recipe, place: Place, options: PretrainingOptions, deep: Recipe) -> Recipe:
    """The recipe as it is of one level: with one layer and the activation of the deep net."""
    known = options_of(NetPart.table["linear"]).model_fields
    net = {name: value for name, value in (recipe.net.model_extra or {}).items() if name in known}
    like_codes = LikelihoodPart(kind="bernoulli" if place.below is not None and bounded(place.below) else "gaussian")
    rate = {} if options.rate is None else {"rate": place.own(options.rate)}
    length = {"epochs": place.own(options.epochs), "steps": None, "batch": options.batch, "keep": "last"}
    length["precision"] = recipe.training.precision if deep.training.precision == "auto" else deep.training.precision
    return recipe.model_copy(
        update={
            "net": NetPart.model_validate({"kind": "linear", **net}),
            "latent": _code(place.level),
            "likelihood": deep.likelihood if place.below is None else like_codes,
            "training": recipe.training.model_copy(update=length | rate),
            "penalties": _fitting(recipe, place.level),
        }
    )


def check_closed(drafted: Objective, kind: str) -> None:
    """Check that a level has a closed form.

    Raises:
        IncompatibleParts: it has none.
    """
    try:
        closed_form(drafted)
    except IncompatibleParts as error:
        raise IncompatibleParts(
            f"pretraining.kind={kind} is a closed form, for linear units and a Gaussian likelihood, which this net has "
            "not at every level. Set net.activation=linear and likelihood.kind=gaussian, or pretrain with denoising."
        ) from error


def _changed(kind: str, options: PretrainingOptions) -> Recipe:
    """The recipe of a kind, with the changes that are asked of it.

    Raises:
        IncompatibleParts: recipes of that kind are no levels.
        BadOption: changes to what the deep net decides.
    """
    for path in options.changes:
        if path.startswith(DECIDED):
            raise BadOption(
                f"pretraining.changes.{path} is decided by the deep net or by pretraining itself. Change it there; "
                "corruption, penalties and fidelity of the levels are free."
            )
    recipe = zoo.recipe(kind).with_options(dict(options.changes))
    if not _is_level(recipe):
        raise IncompatibleParts(
            f"A level is one dense layer with an activation, but recipe {kind!r} has net {recipe.net.kind} and latent "
            f"{recipe.latent.kind}. Pretrain with denoising, contractive, sparse, or another of a deterministic code."
        )
    if lost := _lost(recipe):
        raise IncompatibleParts(
            f"A level is one dense layer, which has no net.{lost}, but recipe {kind!r} asks for it. Pretrain with "
            "denoising, which drops inputs, or another recipe."
        )
    return recipe


def _is_level(recipe: Recipe) -> bool:
    """Whether a recipe can be one dense layer with an activation."""
    return recipe.latent.kind == "deterministic" and recipe.net.kind in ("linear", "mlp")


def _lost(recipe: Recipe) -> str:
    """An option of the net that is set, and that one dense layer has not; empty where there is none."""
    fields, known = (options_of(NetPart.table[kind]).model_fields for kind in (recipe.net.kind, "linear"))
    own = {name: value for name, value in (recipe.net.model_extra or {}).items() if name not in known}
    free = (name for name in own if not f"net.{name}".startswith(DECIDED))
    return next((name for name in free if own[name] != fields[name].default), "")


def _code(level: Level) -> LatentPart:
    """The code of a level."""
    return LatentPart.model_validate({"kind": "deterministic", "size": level.units, "activation": level.activation})


def _fitting(recipe: Recipe, level: Level) -> dict[str, PenaltyPart]:
    """The penalties that a level's code can have: a target activation needs one in [0, 1], which no linear code is."""
    latent = _code(level)
    handed = {"size": latent.size, "shape": (level.inputs,), "critic": critic}
    with torch.device("meta"), seeded(0):
        prior = recipe.prior.make(**handed)
        offers = latent.make(**handed).offers
        return {n: part for n, part in recipe.penalties.items() if part.make(prior=prior, **handed).needs <= offers}


def bounded(activation: str) -> bool:
    """Whether values behind an activation are probabilities, as a code of it promises."""
    return Offer.UNIT_INTERVAL in Deterministic(activation).offers
