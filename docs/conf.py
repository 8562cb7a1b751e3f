"""Configuration of the documentation site: ``make docs``."""

import sys
from pathlib import Path
from typing import Any, TypeVar

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

project = "Isthmus"
author = "The founders of Isthmus"
copyright = "The founders of Isthmus"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["README.md", "log.md", "reproductions.md", "scale.md", "site_pages", "**/.ipynb_checkpoints"]

# nothing is fetched, neither while building nor while reading
nb_ipywidgets_js: dict[str, Any] = {}
nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS.parent / "build" / "docs-notebooks")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
# lines that a cell prints one after another are one block
nb_merge_streams = True

# a fence without a language is plain text: a tree, a formula
highlight_language = "none"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# documents of the repository begin where their files begin, not with a heading of level 1
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# attributes of dataclasses are members already
napoleon_use_ivar = True
nitpick_ignore_regex = [
    # types of other libraries, whose inventories are not at hand without a network
    (r"py:.*", r"(?!isthmus\.).*"),
    # private names and type variables in annotations
    (r"py:.*", r"isthmus\..*\.(Annotated|[A-Z]|_\w+)"),
    (r"py:attr", r"isthmus\.parts\.protocols\.Capability\..*"),
    # the state that a callback sees holds the engine, which is not public
    (r"py:class", r"isthmus\.training\.engine\.Engine"),
]

# dashes only: quotes and primes of formulas stay as they are
smartquotes_action = "D"

html_theme = "furo"
html_title = "Isthmus"
html_static_path = ["_static"]
html_css_files = ["isthmus.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7fb2ea", "color-brand-content": "#7fb2ea"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _generate(_app: Any) -> None:
    """Write the generated pages before Sphinx looks for its sources."""
    from site_pages.generate import write

    write()


_variables: dict[str, list[str]] = {}
"""Docstrings of variables, which napoleon would read as ``type: description``."""


def _docstring(_app: Any, what: str, name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Escape stars of shapes in docstrings, and make references a list."""
    from site_pages.references import escape_stars, list_references

    lines[:] = list_references(escape_stars(lines))
    if what in ("data", "attribute"):
        _variables[name] = list(lines)


def _variable(_app: Any, what: str, name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Restore the docstring of a variable after napoleon."""
    if what in ("data", "attribute"):
        lines[:] = _variables[name]


def _skipped(_app: Any, what: str, _name: str, value: Any, skip: bool, _options: Any) -> bool | None:
    """Leave out numbers, strings and type variables of modules, and what matplotlib adds to classes of figures."""
    if what == "class" and str(getattr(value, "__module__", "")).partition(".")[0] == "matplotlib":
        return True
    return True if what == "module" and isinstance(value, int | float | str | TypeVar) and not skip else None


def _signature(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None] | None:
    """Annotations as short as a reader needs them."""
    from site_pages.references import short_annotations

    if signature is None:
        return None
    return short_annotations(signature), None if returned is None else short_annotations(returned)


def _without_long_value(_app: Any, domain: str, kind: str, content: Any) -> None:
    """Remove the value of a table from its signature; other pages show such tables."""
    if domain != "py" or kind not in ("data", "attribute"):
        return
    for signature in content.parent.findall(lambda node: node.tagname == "desc_signature"):
        for part in list(signature.children):
            if part.tagname == "desc_annotation" and "=" in part.astext()[:4] and len(part.astext()) > 60:
                signature.remove(part)


def _missing(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Resolve a reference to an object by the name under which a package re-exports it."""
    from site_pages.api import public
    from site_pages.references import home

    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    target = public(node["reftarget"])
    found = target if target in domain.objects else home(target, node.get("py:module") or "", domain.objects)
    if found is None:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found, node, text)


def setup(app: Any) -> None:
    """Connect the generators and the repairs."""
    app.connect("builder-inited", _generate)
    # before napoleon, which rewrites sections
    app.connect("autodoc-process-docstring", _docstring, priority=100)
    app.connect("autodoc-process-docstring", _variable, priority=900)
    app.connect("autodoc-skip-member", _skipped)
    app.connect("autodoc-process-signature", _signature)
    app.connect("object-description-transform", _without_long_value)
    app.connect("missing-reference", _missing)
