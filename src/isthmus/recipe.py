r"""A recipe: the choice of parts that makes an autoencoder, and how to train it, as plain data.

It holds no weights and no shape; :meth:`Recipe.build` makes the model for the data it meets. The options of a part
are the arguments of its constructor, read from its signature, so a new part needs no second description.
"""

import inspect
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar

import torch
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    create_model,
    model_validator,
)
from torch import nn

from isthmus.corruptions import CORRUPTIONS
from isthmus.errors import BadOption, IsthmusError, unknown
from isthmus.fidelities import FIDELITIES
from isthmus.latents import LATENTS
from isthmus.likelihoods import LIKELIHOODS
from isthmus.model import Autoencoder
from isthmus.nets import NETS, critic
from isthmus.objective import Objective
from isthmus.options import DataOptions, Options, PretrainingOptions, TrainingOptions, refuse_truth
from isthmus.overrides import override
from isthmus.penalties import PENALTIES
from isthmus.priors import PRIORS
from isthmus.schedules import Schedule, Scheduled
from isthmus.sizes import check_pass, check_weights
from isthmus.strangers import parse_json
from isthmus.trace import Shape

HANDED = frozenset({"self", "shape", "size", "latent", "likelihood", "prior", "critic"})
"""Arguments that a part is handed where the parts meet; the rest are its options."""

LONGEST_TEXT = 2**20
"""Characters of the longest recipe that is read."""
MOST_ITEMS = 64
"""Entries of a list of options (layers of a net), and penalties of a recipe, at most."""

Factory = Callable[..., Any]


def _schedule(value: Any) -> Any:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _plain(schedule: Schedule | float) -> float | dict[str, Any]:
    if not isinstance(schedule, Schedule):
        return schedule
    return schedule.value if schedule.shape == "constant" else dict(vars(schedule))


Weight = Annotated[Schedule, BeforeValidator(_schedule), PlainSerializer(_plain)]
"""A weight, or another number that may change over the run: a number, or a schedule as a mapping."""


@cache
def options_of(factory: Factory) -> type[BaseModel]:
    """The options of a part: its constructor's arguments with their types and defaults, as a pydantic model."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    hints = typing.get_type_hints(target)
    parameters = inspect.signature(target).parameters
    fields: dict[str, Any] = {
        name: (_field(hints[name]), ... if p.default is p.empty else p.default)
        for name, p in parameters.items()
        if name not in HANDED and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    return create_model(factory.__name__, __base__=Options, **fields)


def _field(hint: Any) -> Any:
    """The type of an option: a schedule is plain data, and a list has a bounded length."""
    if hint == Scheduled:
        return Weight
    return Annotated[hint, Field(max_length=MOST_ITEMS)] if typing.get_origin(hint) is Sequence else hint


class Part(BaseModel):
    """A part by its ``kind``, with the options that its kind takes."""

    model_config = ConfigDict(extra="allow", frozen=True)
    family: ClassVar[str]
    table: ClassVar[Mapping[str, Factory]]
    own: ClassVar[frozenset[str]] = frozenset({"kind"})

    kind: str

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Check the options against the kind, and fill in its defaults."""
        data = {"kind": data} if isinstance(data, str) else data
        if not isinstance(data, dict):
            raise BadOption(f"A {cls.family} is a kind with options, not {_short(data)}. Give its kind.")
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in cls.table:
            raise unknown(f"{cls.family} of kind", str(kind), cls.table)
        mine = {k: v for k, v in data.items() if k in cls.own}
        for name, value in mine.items():
            refuse_truth(name, value)
        options = {k: v for k, v in data.items() if k not in cls.own}
        model = options_of(cls.table[kind])
        for name in options:
            if name not in model.model_fields:
                known = [*model.model_fields, *(cls.own - {"kind"})]
                raise unknown(f"option of {cls.family} {kind!r} called", name, known)
        return mine | model.model_validate(options).model_dump(mode="json")

    def make(self, **handed: Any) -> Any:
        """The part itself, given what it needs from others; what it does not take is left out."""
        factory = self.table[self.kind]
        taken = inspect.signature(factory).parameters
        # once more through its model, for what is stored is plain data, and a schedule is not
        checked = options_of(factory).model_validate(self.model_extra or {})
        chosen = {name: getattr(checked, name) for name in type(checked).model_fields}
        return factory(**chosen, **{k: v for k, v in handed.items() if k in taken})


class NetPart(Part):
    """The networks of encoder and decoder."""

    family = "net"
    table = NETS


class LatentPart(Part):
    """The latent head and the size of the code: ``size`` values, or ``ratio`` times the values of one example.

    ``size`` wins where both are given; with neither the code is the map that a convolutional net ends in.
    """

    family = "latent"
    table = LATENTS
    own = frozenset({"kind", "size", "ratio"})

    size: int | None = Field(default=None, ge=1, le=1 << 20)
    ratio: float | None = Field(default=None, gt=0, le=1000)

    def width(self, shape: Shape) -> int | None:
        """The size of the code for examples of ``shape``."""
        if self.size is not None or self.ratio is None:
            return self.size
        return max(1, round(self.ratio * math.prod(shape)))


class LikelihoodPart(Part):
    """The likelihood head."""

    family = "likelihood"
    table = LIKELIHOODS


class CorruptionPart(Part):
    """The corruption of the encoder's input."""

    family = "corruption"
    table = CORRUPTIONS


class PriorPart(Part):
    """The prior over the code."""

    family = "prior"
    table = PRIORS


class FidelityPart(Part):
    """The term that asks the output to be like the input."""

    family = "fidelity"
    table = FIDELITIES


class PenaltyPart(Part):
    """A penalty and its weight."""

    family = "penalty"
    table = PENALTIES
    own = frozenset({"kind", "weight"})

    weight: Weight = Schedule(1.0)


class Recipe(Options):
    """The whole choice: parts, training and data options.

    >>> recipe = Recipe(latent=LatentPart(kind="deterministic", size=2))
    >>> recipe.with_options({"latent.size": "3"}).latent.size
    3
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    name: str = Field(default="custom", pattern=r"^[A-Za-z0-9_.-]{1,80}$")
    net: NetPart = NetPart(kind="mlp")
    latent: LatentPart = LatentPart(kind="deterministic", size=16)
    likelihood: LikelihoodPart = LikelihoodPart(kind="bernoulli")
    corruption: CorruptionPart = CorruptionPart(kind="identity")
    fidelity: FidelityPart = FidelityPart(kind="likelihood")
    prior: PriorPart = PriorPart(kind="standard_normal")
    penalties: dict[str, PenaltyPart] = Field(default_factory=dict, max_length=MOST_ITEMS)
    pretraining: PretrainingOptions = PretrainingOptions()
    training: TrainingOptions = TrainingOptions()
    data: DataOptions = DataOptions()

    def build(self, shape: Shape) -> Objective:
        """The objective and its model for examples of ``shape``, with fresh weights.

        Raises:
            IsthmusError: the parts do not fit each other or the shape.
        """
        self.draft(shape)
        objective = self._assembled(shape)
        objective.model.join(shape)
        objective.rehearse()
        return objective

    def draft(self, shape: Shape) -> Objective:
        """The objective as :meth:`build` makes it, on no device at all: names and shapes of weights, and no memory.

        Raises:
            IsthmusError: the parts do not fit each other, or what they ask for is absurd.
        """
        with torch.device("meta"):
            objective = self._assembled(shape)
            check_weights(objective)
            check_pass(objective, shape)
        return objective

    def _assembled(self, shape: Shape) -> Objective:
        """All parts, joined and not yet tried."""
        size = self.latent.width(shape)
        latent: nn.Module = self.latent.make(size=size, shape=shape)
        likelihood: nn.Module = self.likelihood.make(shape=shape)
        prior: nn.Module = self.prior.make(shape=shape, size=size)
        check_weights(nn.ModuleList([latent, likelihood, prior]))
        pair = self.net.make(shape=shape, size=size, latent=latent, likelihood=likelihood)
        corruption: nn.Module = self.corruption.make(shape=shape)
        model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, corruption)
        penalties: dict[nn.Module, Schedule] = {}
        for name, part in self.penalties.items():
            penalty: nn.Module = part.make(prior=prior, size=size, shape=shape, critic=critic)
            # the recipe's word for it, in losses and messages
            penalty.name = name  # type: ignore[assignment]
            penalties[penalty] = part.weight
        return Objective(model, penalties, self.fidelity.make(prior=prior))

    def with_options(self, changes: Mapping[str, object]) -> "Recipe":
        """This recipe with some options changed by path, as ``{"latent.size": 2}``; text is read as ``--set`` does.

        Raises:
            UnknownName: no such option.
            BadOption: a value of the wrong type or out of range.
        """
        tree = self.to_dict()
        kinds_first = sorted(changes.items(), key=lambda item: not (item[0] in PARTS or item[0].endswith(".kind")))
        for path, value in kinds_first:
            override(tree, path, value, _fresh, frozenset(PARTS), FREE)
        return Recipe.from_dict(tree)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """A recipe from plain data.

        Raises:
            IsthmusError: what is wrong, in one sentence.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise readable(error) from error

    def to_json(self) -> str:
        """The recipe as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """A recipe from JSON text.

        Raises:
            IsthmusError: the text is not JSON, or not a recipe.
        """
        if len(text) > LONGEST_TEXT:
            raise BadOption(f"The text has {len(text):,} characters, but a recipe has at most {LONGEST_TEXT:,}.")
        try:
            data = parse_json(text, LONGEST_TEXT // 8)
        except ValueError as error:
            raise BadOption(f"The recipe is not JSON: {error}. Write it with Recipe.to_json().") from error
        if not isinstance(data, dict):
            raise BadOption(f"A recipe is a JSON object, but this is a {type(data).__name__}.")
        return cls.from_dict(data)


PARTS: dict[str, type[Part]] = {
    "net": NetPart,
    "latent": LatentPart,
    "likelihood": LikelihoodPart,
    "corruption": CorruptionPart,
    "fidelity": FidelityPart,
    "prior": PriorPart,
    "penalties": PenaltyPart,
}
"""The fields of a recipe that hold parts."""
FREE = ("pretraining.changes",)
"""Options that hold changes to another recipe, which are checked where that is met."""


def _fresh(family: str, kind: str) -> dict[str, Any]:
    """A part of that kind with its default options, as plain data."""
    try:
        return PARTS[family].model_validate({"kind": kind}).model_dump(mode="json")
    except ValidationError as error:
        raise readable(error) from error


def readable(error: ValidationError) -> IsthmusError:
    """A pydantic error as one sentence of ours."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, IsthmusError):
        return cause
    # a list is given as a whole, so the place in it is no path that anybody wrote
    path = ".".join(str(p) for p in first["loc"] if not isinstance(p, int))
    if first["type"] == "unexpected_keyword_argument":
        return unknown("option", path, [f"weight.{field}" for field in Schedule.__dataclass_fields__])
    if first["type"] == "extra_forbidden":
        group = Recipe.model_fields.get(str(first["loc"][0]))
        inner = getattr(group, "annotation", None)
        is_group = len(first["loc"]) > 1 and isinstance(inner, type) and issubclass(inner, BaseModel)
        return unknown("option", path, inner.model_fields if is_group else Recipe.model_fields)  # type: ignore[union-attr]
    return BadOption(f"{path or 'The recipe'} cannot be {_short(first['input'])}: {_sentence(first['msg'])}.")


def _short(value: object) -> str:
    """A value as a person can read it in a sentence."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text[:200].split())
    cut = f"{text[:60]}..." if len(text) > 60 else text
    return repr(cut) if isinstance(value, str) else cut


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".").replace("Input should be", "it should be")
