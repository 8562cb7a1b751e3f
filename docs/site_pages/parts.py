"""One page per family of parts: the kinds with formula, arguments and defaults."""

import importlib
from collections.abc import Callable
from typing import Any

from isthmus.models.recipe import Part
from site_pages.options import COMMON, FAMILY_PAGES, families, of_kind
from site_pages.text import code, inline, myst, references, sections, table

WHAT = {
    "corruption": "what the encoder sees instead of the clean input",
    "net": "the networks of encoder and decoder",
    "latent": "from features of the encoder to the posterior q(z | x)",
    "likelihood": "from features of the decoder to the output distribution p(x | z)",
    "fidelity": "the reconstruction term of the objective",
    "prior": "the distribution that codes are compared with and sampled from",
    "penalty": "the weighted terms Omega of the objective",
}
"""What each family is for, in a few words."""


def pages() -> dict[str, str]:
    """The pages by file name."""
    made = {f"parts/{FAMILY_PAGES[family.family]}.md": page(family) for family in families()}
    return made | {"parts/index.md": index()}


def index() -> str:
    """The families with their kinds."""
    rows = [
        (
            f"[{FAMILY_PAGES[part.family].capitalize()}]({FAMILY_PAGES[part.family]}.md)",
            WHAT[part.family],
            ", ".join(f"[`{kind}`]({FAMILY_PAGES[part.family]}.md#{anchor(kind)})" for kind in part.table),
        )
        for part in families()
    ]
    return "\n\n".join(
        [
            "# Parts",
            "Every autoencoder here minimizes one objective, assembled from interchangeable parts:",
            code(
                r"\mathbb E\bigl[-\log p(x \mid z)\bigr] + \sum_i \lambda_i\,\Omega_i, \qquad z \sim q(z \mid "
                r"\mathrm{corrupt}(x))",
                "{math}",
            ),
            "Each kind of part is an option of a recipe, so a model that no recipe has is one line. Parts that cannot "
            "be combined are refused before training, with the option to change:",
            code("isthmus fit vae --set corruption.kind=masking --set penalties.l1.weight=0.1", "console"),
            table(("family", "what it is", "kinds"), rows),
            "```{toctree}\n:hidden:\n\n" + "\n".join(FAMILY_PAGES[part.family] for part in families()) + "\n```",
            "",
        ]
    )


def anchor(kind: str) -> str:
    """The anchor of the section of a kind."""
    return kind.replace("_", "-")


def page(family: type[Part]) -> str:
    """The page of a family."""
    name = FAMILY_PAGES[family.family]
    module = importlib.import_module(f"isthmus.parts.{name}")
    path = "penalties.NAME" if family.family == "penalty" else family.family
    parts = [f"# {name.capitalize()}", myst(sections(module)[""])]
    parts.append(f"In a recipe: `{path}.kind=KIND`, with the options of the kind under `{path}`.")
    common = [(f"`{path}.{o}`", COMMON[f"{family.family}.{o}"]) for o in sorted(family.common - {"kind"}, reverse=True)]
    if common:
        parts += ["Options of all kinds:", table(("option", "meaning"), common)]
    for kind, factory in family.table.items():
        parts += kind_section(kind, factory, name)
    return "\n\n".join(parts) + "\n"


def kind_section(kind: str, factory: Callable[..., Any], module: str) -> list[str]:
    """The section of a kind: its formula, its options, an example, its papers."""
    found = sections(factory)
    parts = [f"## `{kind}`", myst(found[""])]
    rows = [(f"`{o.path}`", o.default, o.meaning) for o in of_kind(factory).values()]
    if rows:
        parts.append(table(("option", "default", "meaning"), rows))
    parts.append(f"In Python: `it.{module}.{factory.__name__}`.")
    if "References" in found:
        parts.append("References: " + "; ".join(inline(text) for text in references(found["References"])) + ".")
    return parts
