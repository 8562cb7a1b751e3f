"""The pages of the API reference: which modules each one documents."""

import importlib
import inspect
import pkgutil
from functools import cache

import isthmus
from site_pages.text import code, inline, sections, table

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "runs": (
        "Fit, load and use",
        (
            "runs.fit",
            "runs.loading",
            "runs.run",
            "runs.densities",
            "runs.kept_densities",
            "runs.inference",
            "runs.folder",
            "metrics.evaluation",
            "training.callbacks",
            "training.history",
        ),
    ),
    "models": (
        "Models and objectives",
        (
            "models.assembly",
            "models.autoencoder",
            "models.objective",
            "models.imported",
            "models.inputs",
            "models.exact",
        ),
    ),
    "recipes": ("Recipes and options", ("models.recipe", "options", "zoo")),
    "schedules": ("Schedules", ("parts.schedules",)),
    "nets": ("Networks", ("parts.nets",)),
    "latents": ("Latents", ("parts.latents",)),
    "likelihoods": ("Likelihoods", ("parts.likelihoods",)),
    "corruptions": ("Corruptions", ("parts.corruptions",)),
    "priors": ("Priors", ("parts.priors",)),
    "fidelities": ("Fidelities", ("parts.fidelities",)),
    "penalties": ("Penalties", ("parts.penalties",)),
    "protocols": ("Protocols of own parts", ("parts.protocols", "parts.hooks")),
    "functional": ("Functional", ("functional",)),
    "distributions": ("Distributions", ("distributions",)),
    "supervised": ("Probing and fine-tuning", ("training.supervised",)),
    "densities": ("Densities of codes", ("densities", "densities.fitting")),
    "boltzmann": ("Boltzmann machines", ("boltzmann", "estimators")),
    "data": (
        "Data",
        (
            "data.base",
            "data.dataset",
            "data.opening",
            "data.objects",
            "data.readers.format",
            "data.readers.datasets",
            "data.readers.paths",
            "data.storage.base",
            "data.catalogue.table",
            "data.sources",
            "data.tables.schema",
            "data.preparing",
            "data.prepared",
            "data.samplers",
            "data.description",
            "data.transforms.contract",
            "data.transforms.fitting",
            "data.transforms.guesses",
            "data.transforms.layout",
            "data.transforms.missing",
            "data.transforms.scaling",
            "data.transforms.splits",
            "data.transforms.bad_examples",
        ),
    ),
    "metrics": ("Metrics", ("metrics",)),
    "plots": ("Figures", ("plots", "reports", "comparison")),
    "errors": ("Errors", ("errors",)),
}
"""Title and modules of each page; a package stands for all its modules."""

MEMBERS = "   :members:\n   :ignore-module-all:\n   :show-inheritance:"
"""What is documented of a module: what it defines itself."""


def pages() -> dict[str, str]:
    """The pages by file name."""
    return {f"reference/api/{name}.md": page(name) for name in PAGES} | {"reference/api/index.md": index()}


def documented(page_name: str) -> list[str]:
    """The modules that a page documents, with full names; a module that an earlier page has is left out."""
    earlier = [name for name in PAGES if list(PAGES).index(name) < list(PAGES).index(page_name)]
    seen = {module for name in earlier for root in PAGES[name][1] for module in _modules(root)}
    return [module for root in PAGES[page_name][1] for module in _modules(root) if module not in seen]


def _modules(root: str) -> list[str]:
    """A module and, if it is a package, all modules in it."""
    name = f"isthmus.{root}"
    module = importlib.import_module(name)
    inner = pkgutil.walk_packages(module.__path__, f"{name}.") if hasattr(module, "__path__") else ()
    return [name, *sorted(found.name for found in inner)]


@cache
def homes() -> dict[str, str]:
    """The module that each public name of ``isthmus`` comes from."""
    found = {}
    for name in isthmus.__all__:
        value = getattr(isthmus, name)
        found[name] = value.__name__ if inspect.ismodule(value) else value.__module__
    return found


def public(target: str) -> str:
    """The full name of an object that is given by a public name of the package.

    >>> public("isthmus.exact.pca"), public("isthmus.load"), public("isthmus.errors")
    ('isthmus.models.exact.pca', 'isthmus.runs.loading.load', 'isthmus.errors')
    """
    package, _, rest = target.partition(".")
    name, dot, inner = rest.partition(".")
    if package != "isthmus" or name not in homes():
        return target
    is_module = inspect.ismodule(getattr(isthmus, name))
    return f"{homes()[name]}{'' if is_module else '.' + name}{dot}{inner}"


def index() -> str:
    """The public names and the pages that describe them."""
    rows = []
    for name, module in homes().items():
        value = getattr(isthmus, name)
        what = "module" if inspect.ismodule(value) else "class" if inspect.isclass(value) else "function"
        target = module if what == "module" else f"{module}.{name}"
        first = sections(value)[""].partition("\n\n")[0].rstrip("\n")
        rows.append((f"{{py:obj}}`it.{name} <{target}>`", what, inline(first)))
    return "\n\n".join(
        [
            "# API reference",
            "The public names of `import isthmus as it`. They are imported when first used, so that importing the "
            'package costs next to nothing. Shapes are in the annotations (`Float[Tensor, "B *D"]`: a batch B of '
            "examples of any shape) or in the text, losses are in nats per example.",
            table(("name", "what", "description"), rows),
            "Objects are listed under the module that defines them; `it.latents.Gaussian` is "
            "`isthmus.parts.latents.dense.Gaussian`.",
            "```{toctree}\n:hidden:\n\n" + "\n".join(PAGES) + "\n```",
            "",
        ]
    )


def page(name: str) -> str:
    """A page of the reference: one ``automodule`` per module that has something to document."""
    title, _ = PAGES[name]
    parts = [f"# {title}"]
    for module in documented(name):
        if module in homes().values() or has_content(module):
            parts += [
                f"## `{module.removeprefix('isthmus.')}`",
                code(f".. automodule:: {module}\n{MEMBERS}", "{eval-rst}"),
            ]
    return "\n\n".join(parts) + "\n"


def has_content(module: str) -> bool:
    """Whether a module defines public functions or classes, or describes itself in more than a line."""
    found = importlib.import_module(module)
    own = [
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]
    return bool(own) or len((found.__doc__ or "").splitlines()) > 1
