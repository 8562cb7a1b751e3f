"""One page per recipe, made from its function, and an index by family."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from isthmus.zoo import RECIPES
from isthmus.zoo.bibliography import papers
from isthmus.zoo.citations import keys
from isthmus.zoo.entries import RecipeEntry
from site_pages.options import GROUPS, Option, changed, of_group, of_recipe
from site_pages.text import code, inline, myst, sections, sentence, table

FAMILIES = {
    "closed": "Closed-form baselines",
    "classic": "Classic autoencoders",
    "sparse": "Sparse autoencoders",
    "denoising": "Denoising autoencoders",
    "contractive": "Contractive autoencoders",
    "variational": "Variational autoencoders",
    "likelihood": "Autoencoders with a learned noise scale",
    "disentangled": "Variational autoencoders for disentanglement",
    "wasserstein": "Wasserstein autoencoders",
    "discrete": "Discrete codes",
    "mixed": "Combinations of parts",
}
"""Headings of the index by module of ``isthmus.zoo``; modules that are not listed follow under their own name."""
PICTURES = Path(__file__).parents[1] / "pictures" / "recipes"
USE = re.compile(r"^Use (?:it|this)\b.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"(?P<before>^.*?)[:,]?\s*:math:`(?P<formula>[^`]{20,})`(?P<after>[.:,].*)?$", re.DOTALL)


def pages() -> dict[str, str]:
    """The pages by file name."""
    made = {f"recipes/{name}.md": page(name, entry) for name, entry in RECIPES.items()}
    return made | {"recipes/index.md": index(), "recipes/options.md": common_options()}


def families() -> dict[str, list[str]]:
    """The names of all recipes by heading, in the order of the headings."""
    found: dict[str, list[str]] = {title: [] for title in FAMILIES.values()}
    for name, entry in RECIPES.items():
        module = entry.make.__module__.rpartition(".")[2]
        found.setdefault(FAMILIES.get(module, module.replace("_", " ").capitalize()), []).append(name)
    return {title: names for title, names in found.items() if names}


def use(entry: RecipeEntry) -> str:
    """When to use a recipe: the paragraph of its docstring that begins with ``Use it`` or ``Use this``."""
    found = USE.search(sections(entry.make)[""])
    return found[0] if found else ""


def page(name: str, entry: RecipeEntry) -> str:
    """The page of a recipe."""
    links = {other: f"{other}.md" for other in RECIPES if other != name}
    first, _, rest = sections(entry.make)[""].replace(use(entry), "").strip().partition("\n\n")
    lead, formula = objective(first, rest)
    return "\n\n".join(
        [
            f"# `{name}`",
            inline(lead, links),
            *([code(formula, "{math}")] if formula else []),
            *([myst(rest, links)] if rest else []),
            "The objective, which is minimized, as plain text:",
            code(entry.formula, "text"),
            "## When to use it",
            myst(use(entry), links),
            *picture(name, entry),
            "## Train it",
            _train(name, entry),
            "## Options",
            _options(name, entry),
            "## Papers",
            *_papers(entry),
            "",
        ]
    )


def objective(first: str, rest: str) -> tuple[str, str]:
    """The first sentence without its formula, and the formula, if it stands at the end of a clause.

    A docstring whose further text displays a formula keeps its first sentence as it is.
    """
    text = " ".join(first.split())
    found = FORMULA.match(text)
    if found is None or ".. math::" in rest:
        return text, ""
    after = (found["after"] or "").lstrip()
    before = found["before"].rstrip(":, ")
    return (f"{before}{after}" if after else f"{before}."), found["formula"].strip()


def picture(name: str, entry: RecipeEntry) -> Iterator[str]:
    """The picture of a recipe with its caption, if it was drawn (``docs/draw_recipes.py``)."""
    if (PICTURES / f"{name}.png").is_file():
        yield f"```{{figure}} ../pictures/recipes/{name}.png\n:alt: {name}: {entry.summary}\n:class: recipe\n\n"
        yield f"`{name}` after a short run: {entry.summary}.\n```"


def _train(name: str, entry: RecipeEntry) -> str:
    """The command and the Python line that train a recipe."""
    defaults = {p.name: p.default for p in inspect.signature(entry.make).parameters.values()}
    # a size that is None depends on the data, and says nothing to a reader
    arguments = [f"{key}={value!r}" for key, value in defaults.items() if value is not None]
    call = f"it.zoo.{name}({', '.join(arguments)})"
    command = f"isthmus fit {name} digits --out runs/{name}"
    python = f"import isthmus as it\n\nrun = it.fit({call}, x)  # x: an array, one row or image per example"
    return (
        "::::{tab-set}\n:::{tab-item} Command\n"
        + code(command, "console")
        + "\n:::\n:::{tab-item} Python\n"
        + code(python, "python")
        + "\n:::\n::::"
    )


def _options(name: str, entry: RecipeEntry) -> str:
    """The table of the options of all parts, and of the training options that the recipe sets."""
    recipe = entry.make()
    rows = option_rows(of_recipe(recipe))
    path, value = ("latent.size", 10) if recipe.training.optimizer == "exact" else ("training.batch_size", 64)
    text = (
        f"Set an option by its path: `isthmus fit {name} --set {path}={value}` or "
        f'`it.fit("{name}", x, options={{"{path}": {value}}})`.\n\n' + table(("option", "default", "meaning"), rows)
    )
    set_here = option_rows(changed(recipe))
    if set_here:
        text += "\n\nTraining options that this recipe sets:\n\n" + table(("option", "value", "meaning"), set_here)
    return text + "\n\n[All options of training, data and pretraining](options.md) can be set as well."


def option_rows(options: Iterator[Option] | list[Option]) -> list[tuple[str, str, str]]:
    """Rows of a table of options."""
    return [(f"`{option.path}`", option.default, option.meaning) for option in options]


def _papers(entry: RecipeEntry) -> Iterator[str]:
    """The papers behind a recipe and its parts, and their BibTeX entries."""
    found = keys(entry.make())
    if not entry.own_paper:
        yield "This combination of parts has no paper of its own; these are the papers of its parts."
    known = papers()
    yield "\n".join(
        f"- {inline(sentence(known[key].title))} {known[key].names}, {inline(known[key].venue)} ({known[key].year}). "
        f"`{key}`"
        for key in found
    )
    yield ":::{dropdown} BibTeX\n" + code("\n\n".join(known[key].bibtex for key in found), "bibtex") + "\n:::"


def index() -> str:
    """The recipes by family."""
    parts = [
        "# Recipes",
        f"A recipe is a choice of [parts](../parts/index.md) and training options, in one short function. There are "
        f"{len(RECIPES)}; `isthmus recipes` prints the same table, and [Which autoencoder do I need?](../choose.md) "
        "helps to choose. Each page has the formula, when to use the recipe, its options, the command and the paper.",
    ]
    for title, names in families().items():
        rows = [
            (f"[`{name}`]({name}.md)", inline(RECIPES[name].summary), f"`{RECIPES[name].formula}`", RECIPES[name].paper)
            for name in names
        ]
        parts += [f"## {title}", table(("recipe", "description", "objective (minimized)", "paper"), rows)]
        parts.append("```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```")
    parts.append("## Options of every recipe\n\n[Training, data and pretraining](options.md) have the same options.")
    parts.append("```{toctree}\n:hidden:\n\noptions\n```")
    return "\n\n".join(parts) + "\n"


def common_options() -> str:
    """The options of training, data and pretraining, which every recipe has."""
    titles = {"training": "Training", "data": "Data", "pretraining": "Layer-wise pretraining"}
    parts = [
        "# Options of every recipe",
        "Set an option by its path: `--set training.batch_size=100` in the command, "
        '`options={"training.batch_size": 100}` in Python. The defaults are those of the library; a recipe may set '
        "others, which its page lists.",
    ]
    for group in GROUPS:
        rows = [(f"`{o.path}`", o.default, o.values, o.meaning) for o in of_group(group)]
        parts += [f"## {titles[group]}", table(("option", "default", "values", "meaning"), rows)]
    parts += [
        "## Schedules",
        "Weights of penalties, and numbers such as the fraction of a corruption, may change over the run: "
        "`--set corruption.fraction.shape=linear --set corruption.fraction.fraction=0.5` raises the fraction linearly "
        "over the first half of the run.",
        table(
            ("field", "meaning"),
            [
                ("`value`", "Value at the end."),
                ("`shape`", "`constant`, `linear` or `cosine`."),
                ("`start`", "Value at the start, 0 by default."),
                ("`fraction`", "Length as a fraction of the run."),
                ("`steps`", "Length in steps, instead of `fraction`; only for weights of penalties."),
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"
