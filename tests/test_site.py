"""The documentation site: every recipe, part, verb, option and metric has its place on it, from the code."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from check_links import check
from house import ROOT
from pages import python_blocks
from site_pages import api, command, documents, generate, parts, recipes
from site_pages.options import FAMILY_PAGES, families, of_kind, of_recipe, shown
from site_pages.references import escape_stars, home, list_references, short_annotations
from site_pages.text import entries, inline, myst, sections, table

from isthmus import zoo
from isthmus.cli.app import app
from isthmus.metrics.evaluation import MEANINGS
from isthmus.models.overrides import parse_pairs
from isthmus.options import DataOptions, PretrainingOptions, TrainingOptions
from isthmus.zoo import RECIPES
from isthmus.zoo.bibliography import papers
from isthmus.zoo.citations import keys

DOCS = ROOT / "docs"
PAGES = generate.pages()
WRITTEN = [path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in generate.FOLDERS]
"""Pages that are written by hand."""
GUIDE = [path for path in WRITTEN if path.name not in ("log.md", "reproductions.md", "scale.md")]
PYTHON = [(path.name, code) for path in GUIDE for code in python_blocks(path.read_text())]
COMMANDS = sorted(
    {
        line
        for text in [*(path.read_text() for path in GUIDE), *PAGES.values()]
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("isthmus ") and "[OPTIONS]" not in line
    }
)


def test_there_is_one_page_for_each_recipe() -> None:
    made = {name for name in PAGES if name.startswith("recipes/")} - {"recipes/index.md", "recipes/options.md"}
    assert made == {f"recipes/{name}.md" for name in RECIPES}


def test_the_index_lists_every_recipe_once() -> None:
    listed = [name for names in recipes.families().values() for name in names]
    assert sorted(listed) == sorted(RECIPES)
    assert all(f"[`{name}`]({name}.md)" in PAGES["recipes/index.md"] for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_of_a_recipe_shows_how_to_train_it(name: str) -> None:
    page = PAGES[f"recipes/{name}.md"]
    assert f"isthmus fit {name} digits" in page
    assert f"it.zoo.{name}(" in page
    assert RECIPES[name].formula in page


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_of_a_recipe_has_its_formula_as_mathematics(name: str) -> None:
    assert "{math}" in PAGES[f"recipes/{name}.md"].partition("## Options")[0]


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_of_a_recipe_says_when_to_use_it(name: str) -> None:
    text = PAGES[f"recipes/{name}.md"].partition("## When to use it")[2].partition("##")[0].strip()
    assert text.startswith("Use ")
    assert text.count(".") >= 2, "it also says when another recipe is better, or what to watch"
    for other in re.findall(r":func:`(\w+)`", recipes.use(RECIPES[name])):
        assert other in RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_of_a_recipe_documents_every_option_of_its_parts(name: str) -> None:
    options = list(of_recipe(zoo.recipe(name)))
    plain = zoo.recipe(name).to_dict()
    for family in ("net", "latent", "likelihood", "corruption", "fidelity", "prior"):
        assert {f"{family}.{key}" for key in plain[family]} <= {option.path for option in options}
    for option in options:
        assert f"| `{option.path}` | {option.default} |" in PAGES[f"recipes/{name}.md"]
        assert option.meaning.rstrip(".")


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_of_a_recipe_cites_its_papers(name: str) -> None:
    for key in keys(zoo.recipe(name)):
        assert papers()[key].bibtex in PAGES[f"recipes/{name}.md"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_of_a_recipe_has_a_small_picture(name: str) -> None:
    assert f"pictures/recipes/{name}.png" in PAGES[f"recipes/{name}.md"]
    assert (recipes.PICTURES / f"{name}.png").stat().st_size < 20_000


def test_a_picture_is_shown_if_it_was_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "PICTURES", tmp_path)
    assert "figure" not in recipes.page("vae", RECIPES["vae"])
    (tmp_path / "vae.png").touch()
    assert "pictures/recipes/vae.png" in recipes.page("vae", RECIPES["vae"])


def test_the_formula_of_a_first_sentence_is_displayed() -> None:
    first = r"Beta-VAE: :math:`\mathbb E_q[-\log p(x|z)] + \beta\,\mathrm{KL}`."
    assert recipes.objective(first, "") == ("Beta-VAE.", r"\mathbb E_q[-\log p(x|z)] + \beta\,\mathrm{KL}")
    inside = r"A sum of :math:`\mathbb E_q[-\log p(x|z)] + \mathrm{KL}` and the distance."
    assert recipes.objective(inside, "") == (inside, "")
    assert recipes.objective(first, ".. math:: x")[1] == ""


def test_options_of_every_recipe_are_documented() -> None:
    groups = {"training": TrainingOptions, "data": DataOptions, "pretraining": PretrainingOptions}
    for group, model in groups.items():
        for name in model.model_fields:
            assert f"| `{group}.{name}` |" in PAGES["recipes/options.md"]


@pytest.mark.parametrize("family", families(), ids=lambda family: family.family)
def test_every_kind_of_part_has_a_section_with_its_options(family: type) -> None:
    page = PAGES[f"parts/{FAMILY_PAGES[family.family]}.md"]
    for kind, factory in family.table.items():
        section = page.partition(f"## `{kind}`\n")[2].partition("\n## ")[0]
        assert section, f"{kind} has no section"
        assert all(f"| `{name}` |" in section for name in of_kind(factory))
        assert f"#{parts.anchor(kind)})" in PAGES["parts/index.md"]


def test_every_verb_has_a_section_with_its_options() -> None:
    page = PAGES["reference/command.md"]
    for name, verb in command.verbs().items():
        section = page.partition(f"\n## isthmus {name}\n")[2].partition("\n## ")[0]
        assert command.summary(verb) in section.replace("\\", "")
        for parameter in verb.params:
            for flag in parameter.opts if parameter.param_type_name == "option" else ():
                assert re.search(rf"`[^`]*{re.escape(flag)}\b", section), f"{name} does not document {flag}"


def test_every_metric_is_explained() -> None:
    assert all(f"| `{name}` | " in PAGES["reference/metrics.md"] for name in MEANINGS)


def test_every_public_name_is_in_the_reference() -> None:
    documented = {module for page in api.PAGES for module in api.documented(page)}
    for name, module in api.homes().items():
        assert module in documented, f"it.{name} comes from {module}, which no page documents"
        assert f"it.{name} <" in PAGES["reference/api/index.md"]


@pytest.mark.parametrize("path", documents.PROJECT)
def test_links_of_documents_lead_to_pages(path: str) -> None:
    name = f"project/{documents.PROJECT[path]}.md"
    for target in re.findall(r"\]\(([^)#\s]+)", PAGES[name]):
        if not re.match(r"[a-z]+:", target):
            place = (DOCS / "project" / target).resolve()
            assert place.relative_to(DOCS).as_posix() in PAGES or place.is_file(), f"{name} links to {target}"


def test_pages_are_written_and_those_no_longer_made_are_removed(tmp_path: Path) -> None:
    old = tmp_path / "recipes" / "former.md"
    old.parent.mkdir()
    old.touch()
    written = generate.write(tmp_path)
    assert not old.exists()
    assert {path.relative_to(tmp_path).as_posix() for path in written} == set(PAGES)
    time = written[0].stat().st_mtime_ns
    generate.write(tmp_path)
    assert written[0].stat().st_mtime_ns == time, "an unchanged page is not written again"


def test_folders_of_generated_pages_are_ignored_by_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/docs/{folder}/" for folder in generate.FOLDERS} <= set(ignored)
    assert {name.partition("/")[0] for name in PAGES} == set(generate.FOLDERS)


@pytest.mark.parametrize("code", [code for _, code in PYTHON], ids=[name for name, _ in PYTHON])
def test_python_of_the_pages_compiles(code: str) -> None:
    compile(code, "page", "exec")


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_pages_are_known(line: str) -> None:
    group = typer.main.get_command(app)
    _, name, *arguments = shlex.split(line)
    context = group.commands[name].make_context(name, arguments)  # raises where an argument is unknown
    if name == "fit" and context.params["recipe"] is None:
        assert context.params["start"] is not None
    elif name == "fit" and not re.search(r"\.json$|:", context.params["recipe"]):
        changes, kind = parse_pairs(context.params["changes"] or []), context.params["pretrain"]
        zoo.recipe(context.params["recipe"]).with_options(changes | ({"pretraining.kind": kind} if kind else {}))


def test_the_pages_show_many_commands_and_blocks_of_python() -> None:
    assert len(COMMANDS) > len(RECIPES) + 20
    assert len(PYTHON) > 20


def test_docstrings_become_markdown() -> None:
    assert myst(r"A code :math:`z \mid x` of ``shape`` (N, *D).") == r"A code {math}`z \mid x` of `shape` (N, \*D)."
    assert myst(".. math:: a\n    + b") == "```{math}\na\n+ b\n```"
    assert inline(":func:`vae` and :class:`Gaussian`", {"vae": "vae.md"}) == "[`vae`](vae.md) and `Gaussian`"
    assert inline("with --out and ``--set``") == "with `--out` and `--set`"
    assert table(["a"], [["p(x | z)"]]).splitlines()[-1] == r"| p(x \| z) |"


def test_docstrings_are_split_into_sections() -> None:
    def example() -> None:
        """First.

        Args:
            a: one
                line.
            b: two.

        Raises:
            Wrong: never.

        >>> 1
        1
        """

    found = sections(example)
    assert list(found) == ["", "Args", "Raises", "Examples"]
    assert entries(found["Args"]) == {"a": "one line.", "b": "two."}


def test_defaults_are_shown_as_they_are_set() -> None:
    assert [shown(v) for v in (True, None, (8, 5), "relu", 0.1)] == ["`true`", "`none`", "`8,5`", "`relu`", "`0.1`"]
    rise = {"value": 1.0, "shape": "linear", "start": 0.0, "fraction": 0.5, "steps": None}
    assert shown(rise) == "`1.0`, linear from `0` over 50 % of the run"


def test_cross_references_are_resolved_by_public_names() -> None:
    known = ["isthmus.zoo.classic", "isthmus.zoo.classic.deep", "isthmus.zoo.variational.vae"]
    assert home("isthmus.zoo.vae", "", known) == "isthmus.zoo.variational.vae"
    assert home("deep", "isthmus.zoo.variational", known) == "isthmus.zoo.classic.deep"
    assert home("torch.Tensor", "isthmus.zoo.classic", known) is None
    assert escape_stars(["shape (*N)", ".. math:: a *b", "", "    c *d"]) == [
        r"shape (\*N)",
        ".. math:: a *b",
        "",
        "    c *d",
    ]
    assert list_references(["Args:", "        a", "References:", "    One", "    Two"])[2:] == [
        "References:",
        "    - One",
        "    - Two",
    ]
    assert short_annotations("(x: ndarray[tuple[Any, ...], dtype[Any]]) ") == "(x: ndarray) "


GOOD = (
    '<a href="b.html#there">b</a><img src="p.png"><a href="https://example.org/x">out</a><a href="#top" id="top">t</a>'
)


def site(folder: Path, first: str, style: str = "") -> Path:
    """A site of two pages, a picture and a style sheet."""
    (folder / "a.html").write_text(first)
    (folder / "b.html").write_text('<h1 id="there">b</h1>')
    (folder / "p.png").touch()
    (folder / "s.css").write_text(style)
    return folder


def test_a_good_site_has_nothing_to_complain_about(tmp_path: Path) -> None:
    assert check(site(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("first", "style", "what"),
    [
        ('<a href="c.html">c</a>', "", "links to c.html, which does not exist"),
        ('<a href="b.html#here">b</a>', "", "but b.html has no anchor here"),
        ('<a href="#here">b</a>', "", "but a.html has no anchor here"),
        ('<img src="q.png">', "", "loads q.png, which does not exist"),
        ('<script src="https://cdn.example.org/x.js"></script>', "", "from the network"),
        ('<script src="//cdn.example.org/x.js"></script>', "", "from the network"),
        ('<link rel="stylesheet" href="http://example.org/x.css">', "", "from the network"),
        ("", "@font-face { src: url('https://example.org/f.woff'); }", "s.css loads an address from the network"),
    ],
)
def test_a_broken_site_is_reported(tmp_path: Path, first: str, style: str, what: str) -> None:
    (found,) = check(site(tmp_path, first, style))
    assert what in found


def test_an_empty_site_is_reported(tmp_path: Path) -> None:
    assert "no page" in check(tmp_path)[0]
