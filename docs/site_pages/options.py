"""Options of recipes and parts with their defaults and meanings, read from signatures and docstrings."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from isthmus.models.recipe import PARTS, Part, PenaltyPart, Recipe, options_of
from isthmus.options import DataOptions, PretrainingOptions, TrainingOptions
from isthmus.parts.schedules import Schedule
from site_pages.text import entries, inline, sections, sentence

GROUPS = {"training": TrainingOptions, "data": DataOptions, "pretraining": PretrainingOptions}
"""Options that every recipe has, and whose docstrings give their meanings."""
COMMON = {
    "latent.size": "Number of values of the code; takes precedence over the next two. With none of them, the code is "
    "the feature map of a convolutional net.",
    "latent.ratio": "Number of values of the code as a multiple of the number of values of an example.",
    "latent.default_size": "Number of values of the code if neither is set, but at most half the number of values of "
    "an example, so that the recipe fits narrow tables.",
    "penalty.weight": "Weight {math}`\\lambda` of the penalty: a number, or a schedule over the run.",
}
"""Meanings of the options that all kinds of a family have."""
FAMILY_PAGES = {
    "net": "nets",
    "latent": "latents",
    "likelihood": "likelihoods",
    "corruption": "corruptions",
    "prior": "priors",
    "fidelity": "fidelities",
    "penalty": "penalties",
}
"""Pages of the families of parts, which are also the names of their modules."""
TYPED = re.compile(r"^(.+?), default (.+?)\. (.+)$", re.DOTALL)


class Option(NamedTuple):
    """A row of a table of options."""

    path: str
    default: str
    meaning: str
    values: str = ""


def of_recipe(recipe: Recipe) -> Iterator[Option]:
    """The options of all parts of a recipe."""
    for field in PARTS:
        value = getattr(recipe, field)
        parts = value.items() if field == "penalties" else [("", value)]
        for name, part in parts:
            yield from _of_part(f"{field}.{name}".rstrip("."), part)


def _of_part(path: str, part: Part) -> Iterator[Option]:
    """The options of a part: its kind, those of its family, those of its kind."""
    page = FAMILY_PAGES[part.family]
    yield Option(f"{path}.kind", shown(part.kind), f"Kind of {part.family}; see [all kinds](../parts/{page}.md).")
    for name in sorted(part.common - {"kind"}, reverse=True):
        yield Option(f"{path}.{name}", shown(getattr(part, name)), COMMON[f"{part.family}.{name}"])
    meanings = of_kind(part.table[part.kind])
    for name, value in (part.model_extra or {}).items():
        yield Option(f"{path}.{name}", shown(value), meanings[name].meaning)


def of_kind(factory: Callable[..., Any]) -> dict[str, Option]:
    """The options of a kind of part: the arguments of its constructor.

    Raises:
        KeyError: an argument has no meaning in the docstring.
    """
    described = entries(sections(factory).get("Args", ""))
    signature = inspect.signature(factory).parameters
    return {
        name: Option(name, shown(signature[name].default), inline(sentence(described[name])))
        for name in options_of(factory).model_fields
    }


def of_group(group: str) -> list[Option]:
    """The options of training, data or pretraining, which every recipe has."""
    model = GROUPS[group]
    described = entries(sections(model).get("Args", ""))
    return [
        _typed(f"{group}.{name}", shown(field.get_default(call_default_factory=True)), described[name])
        for name, field in model.model_fields.items()
    ]


def _typed(path: str, default: str, text: str) -> Option:
    """An option whose description starts with its type and default, as in scikit-learn."""
    found = TYPED.match(text)
    assert found, f"{path} does not say its type and default: {text}"
    return Option(path, default, inline(sentence(found[3])), inline(found[1]))


def changed(recipe: Recipe) -> list[Option]:
    """The options of training, data and pretraining that a recipe sets to other values than the defaults."""
    found = []
    for group, model in GROUPS.items():
        chosen, usual = getattr(recipe, group), model()
        meanings = {option.path: option for option in of_group(group)}
        for name in model.model_fields:
            if getattr(chosen, name) != getattr(usual, name):
                path = f"{group}.{name}"
                found.append(meanings[path]._replace(default=shown(getattr(chosen, name))))
    return found


def shown(value: object) -> str:
    """A default value in a table."""
    if value is inspect.Parameter.empty:
        return "required"
    schedule = vars(value) if isinstance(value, Schedule) else value
    if isinstance(schedule, Mapping) and "shape" in schedule:
        return _schedule(schedule)
    if isinstance(value, tuple | list):
        return f"`{','.join(map(str, value))}`" if value else "empty"
    if isinstance(value, Mapping) and not value:
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) or value is None else value}`"


def _schedule(schedule: Mapping[str, Any]) -> str:
    """A schedule in words."""
    if schedule["shape"] == "constant":
        return f"`{schedule['value']}`"
    length = (
        f"{schedule['steps']} steps"
        if schedule.get("fraction") is None
        else f"{100 * schedule['fraction']:g} % of the run"
    )
    return f"`{schedule['value']}`, {schedule['shape']} from `{schedule.get('start') or 0:g}` over {length}"


def families() -> list[type[Part]]:
    """The families of parts, in the order of the formula."""
    return [PARTS[name] for name in ("corruption", "net", "latent", "likelihood", "fidelity", "prior")] + [PenaltyPart]
