r"""Recipes: the parts of an autoencoder and its training options, as plain data.

A recipe contains no weights and no shape; :meth:`Recipe.build` creates the model for a given shape of examples. The
options of a part are the arguments of its constructor, read from its signature.
"""

import inspect
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

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

from isthmus.errors import BadOption, IsthmusError, unknown
from isthmus.files.untrusted import parse_json
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.former_names import FORMER_KINDS, new_option
from isthmus.models.limits import check_pass, check_weights
from isthmus.models.objective import Objective
from isthmus.models.overrides import override
from isthmus.options import DataOptions, Options, PretrainingOptions, TrainingOptions, refuse_truth
from isthmus.parts.corruptions import CORRUPTIONS
from isthmus.parts.fidelities import FIDELITIES
from isthmus.parts.latents import LATENTS
from isthmus.parts.likelihoods import LIKELIHOODS
from isthmus.parts.nets import BUILDERS, NETS
from isthmus.parts.penalties import PENALTIES
from isthmus.parts.priors import PRIORS
from isthmus.parts.protocols import SUPPLIED, Shape
from isthmus.parts.schedules import Schedule, Scheduled

LONGEST_TEXT = 2**20
"""Largest number of characters of a recipe as text."""
MOST_ITEMS = 64
"""Largest number of entries in a list option (layers of a net), and of penalties."""

Factory = Callable[..., Any]


def _schedule(value: Any) -> Any:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _plain(schedule: Schedule | float) -> float | dict[str, Any]:
    if not isinstance(schedule, Schedule):
        return schedule
    return schedule.value if schedule.shape == "constant" else dict(vars(schedule))


Weight = Annotated[Schedule, BeforeValidator(_schedule), PlainSerializer(_plain)]
"""A weight or another scheduled option: a number, or a schedule as a mapping."""


@cache
def options_of(factory: Factory) -> type[BaseModel]:
    """The options of a part, as a pydantic model: the arguments of its constructor with types and defaults."""
    fields: dict[str, Any] = {
        name: (_field(hint), ... if default is inspect.Parameter.empty else default)
        for name, (hint, default) in _arguments(factory).items()
        if not _is_supplied(hint)
    }
    return create_model(factory.__name__, __base__=Options, **fields)


@cache
def supplied_to(factory: Factory) -> frozenset[str]:
    """The arguments of a part that are supplied when parts are joined: those annotated as ``Supplied``."""
    return frozenset(name for name, (hint, _) in _arguments(factory).items() if _is_supplied(hint))


def _arguments(factory: Factory) -> dict[str, tuple[Any, Any]]:
    """The arguments of a constructor or function, with type and default."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    hints = typing.get_type_hints(target, include_extras=True)
    parameters = inspect.signature(target).parameters.values()
    taken = [p for p in parameters if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return {p.name: (hints[p.name], p.default) for p in taken}


def _is_supplied(hint: Any) -> bool:
    return SUPPLIED in getattr(hint, "__metadata__", ())


def _field(hint: Any) -> Any:
    """The type of an option for pydantic: schedules as plain data, lists of bounded length."""
    if hint == Scheduled:
        return Weight
    return Annotated[hint, Field(max_length=MOST_ITEMS)] if typing.get_origin(hint) is Sequence else hint


class Part(BaseModel):
    """A part by its ``kind``, with the options of this kind."""

    model_config = ConfigDict(extra="allow", frozen=True)
    family: ClassVar[str]
    table: ClassVar[Mapping[str, Factory]]
    common: ClassVar[frozenset[str]] = frozenset({"kind"})
    """Options of all kinds of the family."""

    kind: str

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Check the options of the kind, and fill in its defaults."""
        data = {"kind": data} if isinstance(data, str) else data
        if not isinstance(data, dict):
            raise BadOption(f"A {cls.family} must be a kind with options, but is {_short(data)}. Set its kind.")
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in cls.table:
            raise unknown(f"{cls.family} of kind", str(kind), cls.table, FORMER_KINDS.get(f"{cls.family}.{kind}"))
        mine = {k: v for k, v in data.items() if k in cls.common}
        for name, value in mine.items():
            refuse_truth(name, value)
        options = {k: v for k, v in data.items() if k not in cls.common}
        model = options_of(cls.table[kind])
        for name in options:
            if name not in model.model_fields:
                known = [*model.model_fields, *(cls.common - {"kind"})]
                instead = (new_option(f"{cls.family}.{name}") or "").rpartition(".")[2] or None
                raise unknown(f"option of {cls.family} {kind!r} called", name, known, instead)
        return mine | model.model_validate(options).model_dump(mode="json")

    def make(self, **supplied: Any) -> Any:
        """The part itself, from its options and the supplied arguments that its kind has."""
        factory = self.table[self.kind]
        # validated again, since options are stored as plain data and schedules have to be created
        checked = options_of(factory).model_validate(self.model_extra or {})
        chosen = {name: getattr(checked, name) for name in type(checked).model_fields}
        return factory(**chosen, **{name: supplied[name] for name in supplied_to(factory) & supplied.keys()})


P = TypeVar("P", bound=Part)


class NetPart(Part):
    """The networks of encoder and decoder."""

    family = "net"
    table = NETS


class LatentPart(Part):
    """The latent head and the size of the code.

    ``size`` values; else ``ratio`` times the number D of values of an example; else ``default_size``, but at most half
    of D, so that a recipe fits narrow tables. With none of them the code is the feature map of a convolutional net.
    """

    family = "latent"
    table = LATENTS
    common = frozenset({"kind", "size", "ratio", "default_size"})

    size: int | None = Field(default=None, ge=1, le=1 << 20)
    ratio: float | None = Field(default=None, gt=0, le=1000)
    default_size: int | None = Field(default=None, ge=1, le=1 << 20)

    def width(self, shape: Shape) -> int | None:
        """The size of the code for examples of ``shape``."""
        if self.size is not None:
            return self.size
        if self.ratio is not None:
            return max(1, round(self.ratio * math.prod(shape)))
        return None if self.default_size is None else min(self.default_size, max(1, math.prod(shape) // 2))


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
    """The reconstruction term."""

    family = "fidelity"
    table = FIDELITIES


class PenaltyPart(Part):
    """A penalty and its weight."""

    family = "penalty"
    table = PENALTIES
    common = frozenset({"kind", "weight"})

    weight: Weight = Schedule(1.0)


class Recipe(Options):
    """A complete recipe: parts, training options and data options.

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
        """The objective and its model for examples of ``shape``, with newly initialized weights.

        Raises:
            IsthmusError: the parts do not match each other or the shape.
        """
        self.draft(shape)
        objective = self._assembled(shape)
        objective.dry_run(shape)
        return objective

    def draft(self, shape: Shape) -> Objective:
        """The objective as from :meth:`build`, on torch's meta device: names and shapes of weights without memory.

        Raises:
            IsthmusError: the parts do not match each other, or the model is too large.
        """
        with torch.device("meta"):
            objective = self._assembled(shape)
            check_weights(objective)
            check_pass(objective, shape)
        return objective

    def _assembled(self, shape: Shape) -> Objective:
        """The objective from all parts, without a dry run."""
        size = self.latent.width(shape)
        latent = self.latent.make(size=size, shape=shape)
        likelihood = self.likelihood.make(shape=shape)
        prior = self.prior.make(shape=shape, size=size)
        check_weights(nn.ModuleList([latent, likelihood, prior]))
        pair = self.net.make(shape=shape, size=size, latent=latent, likelihood=likelihood)
        model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, self.corruption.make(shape=shape))
        penalties: dict[nn.Module, Schedule] = {}
        for name, part in self.penalties.items():
            penalty = part.make(prior=prior, size=size, shape=shape, **BUILDERS)
            # its name in the recipe, for losses and messages
            penalty.name = name
            penalties[penalty] = part.weight
        return Objective(model, penalties, self.fidelity.make(prior=prior))

    def with_options(self, changes: Mapping[str, object]) -> "Recipe":
        """A copy with options changed by path, such as ``{"latent.size": 2}``; text is parsed as by ``--set``.

        Raises:
            UnknownName: an unknown option.
            BadOption: a value of the wrong type or out of range.
        """
        tree = self.to_dict()
        kinds_first = sorted(changes.items(), key=lambda item: not (item[0] in PARTS or item[0].endswith(".kind")))
        for path, value in kinds_first:
            override(tree, path, value, _fresh, frozenset(PARTS), FREE)
        return Recipe.from_dict(tree)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain data, ready for JSON."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """A recipe from plain data.

        Raises:
            IsthmusError: the data is not a valid recipe.
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
            raise BadOption(f"A recipe has at most {LONGEST_TEXT:,} characters, but the text has {len(text):,}.")
        try:
            data = parse_json(text, LONGEST_TEXT // 8)
        except ValueError as error:
            raise BadOption(f"The recipe is not JSON: {error}. Write it with Recipe.to_json().") from error
        if not isinstance(data, dict):
            raise BadOption(f"A recipe must be a JSON object, but is a {type(data).__name__}. Use Recipe.to_json().")
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
"""Options that contain changes to another recipe, which are checked with that recipe."""


def _fresh(family: str, kind: str) -> dict[str, Any]:
    """A part of this kind with default options, as plain data."""
    return part(PARTS[family], kind).model_dump(mode="json")


def part(family: type[P], kind: str, **options: object) -> P:
    """A part of a kind with options, which are checked.

    Raises:
        IsthmusError: an unknown kind or option, or a value of the wrong type or out of range.
    """
    try:
        return family.model_validate({"kind": kind, **options})
    except ValidationError as error:
        raise readable(error) from error


def readable(error: ValidationError) -> IsthmusError:
    """A pydantic error as an ``IsthmusError`` with one sentence."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, IsthmusError):
        return cause
    # lists are given as a whole, so an index is not part of the path
    path = ".".join(str(p) for p in first["loc"] if not isinstance(p, int))
    if first["type"] == "unexpected_keyword_argument":
        return unknown("option", path, [f"weight.{field}" for field in Schedule.__dataclass_fields__])
    if first["type"] == "extra_forbidden":
        group = Recipe.model_fields.get(str(first["loc"][0]))
        inner = None if group is None or len(first["loc"]) < 2 else group.annotation
        holder = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else Recipe
        return unknown("option", path, holder.model_fields, new_option(path))
    return BadOption(f"{path or 'The recipe'} cannot be {_short(first['input'])}: {_sentence(first['msg'])}.")


def _short(value: object) -> str:
    """A value as text for messages, on one line and shortened."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text[:200].split())
    cut = f"{text[:60]}..." if len(text) > 60 else text
    return repr(cut) if isinstance(value, str) else cut


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".").replace("Input should be", "it should be")
