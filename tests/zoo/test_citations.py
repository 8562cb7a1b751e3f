"""A paper is written once, in ``papers.bib``: it is read strictly, and everything that cites it follows from it."""

import ast
import re
from pathlib import Path

import pytest

import isthmus
from isthmus.errors import BadData, UnknownName
from isthmus.models.recipe import PARTS as FAMILIES
from isthmus.models.recipe import Recipe
from isthmus.zoo import RECIPES, recipe
from isthmus.zoo import bibliography as bib
from isthmus.zoo.bibliography import papers, parse, reference, short
from isthmus.zoo.citations import PARTS, bibtex, keys

PACKAGE = Path(isthmus.__file__).parent
BIB = (PACKAGE / "zoo" / "papers.bib").read_text("utf-8")
ENTRY = """@article{doe2001,
  title = {On {Bayes}: A {G{\\"o}del} Machine's Past},
  author = {Doe, Jane and van der Roe, Ren{\\'e}e},
  journal = {Acta},
  year = {2001},
}
"""


def docstrings(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def references(doc):
    """The entries under References, each joined with the lines that continue it."""
    entries = []
    lines = doc.split("References:\n", 1)[1].splitlines() if "References:\n" in doc else []
    for line in lines:
        if not line.startswith("    "):
            break
        if line.startswith(" " * 8):
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    return entries


CITED = {
    path.relative_to(PACKAGE): [entry for doc in docstrings(path) for entry in references(doc)]
    for path in sorted(PACKAGE.rglob("*.py"))
}


def key_of(entry):
    """The key of the paper that an entry of a docstring names, followed by nothing or by a place in it."""
    found = [key for key in papers() if re.match(re.escape(reference(key)) + r"($|, \S)", entry)]
    return found[0] if len(found) == 1 else None


def test_the_parser_reads_all_entries_as_they_stand_in_the_file():
    assert list(papers()) == re.findall(r"^@\w+\{(\w+),$", BIB, re.MULTILINE)
    assert list(papers()) == sorted(papers())
    for key, paper in papers().items():
        assert paper.key == key
        assert paper.bibtex in BIB
        assert paper.bibtex.count("@") == 1
        assert paper.bibtex.startswith("@")
        assert paper.bibtex.endswith("\n}")


def test_no_two_papers_are_cited_alike():
    assert len({reference(key) for key in papers()}) == len(papers())


@pytest.mark.parametrize("key", papers())
def test_a_paper_is_plain_text_with_what_a_citation_needs(key):
    paper = papers()[key]
    for text in (paper.title, paper.venue, *paper.authors):
        assert text
        assert not re.search(r"[{}\\]|--|\s\s", text), text
    assert str(paper.year) in key
    # a number on arXiv is the only note
    assert re.search(r"note = (?!\{arXiv:\d{4}\.\d{4,5}\})", paper.bibtex) is None


def test_a_title_keeps_its_first_letter_and_what_stands_in_braces():
    paper = parse(ENTRY)["doe2001"]
    assert paper.title == "On Bayes: a Gödel machine's past"
    assert paper.authors == ("Doe", "van der Roe")
    assert (paper.venue, paper.year) == ("Acta", 2001)
    assert parse(ENTRY.replace("On {Bayes}", "{PCA}"))["doe2001"].title.startswith("PCA: a ")
    assert parse(ENTRY.replace("On", "k-Means"))["doe2001"].title.startswith("k-means Bayes")


def test_accents_become_letters():
    names = {
        r"{\c{c}}": "ç",
        r"{\'e}": "é",
        r"{\'{e}}": "é",
        r"{\"o}": "ö",
        r"{\`a}": "à",
        r"{\^o}": "ô",
        r"{\~n}": "ñ",
        r"{\v{S}}": "Š",
    }
    for written, letter in names.items():
        assert parse(ENTRY.replace("Doe", f"D{written}e"))["doe2001"].authors[0] == f"D{letter}e"


def test_a_journal_is_followed_by_what_is_known_of_volume_and_page():
    volume, pages = "  volume = {7},\n", "  pages = {5--9},\n"
    for more, venue in ((volume, "Acta 7"), (volume + pages, "Acta 7:5"), (pages, "Acta")):
        assert parse(ENTRY.replace("  year", more + "  year"))["doe2001"].venue == venue


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@article", "article"),
        ("@article", "@thesis"),
        ("doe2001,", "doe2001"),
        ("doe2001", "doe"),
        ("year = {2001}", "year = {2002}"),
        ("year = {2001}", 'year = "2001"'),
        ("  year = {2001},\n", ""),
        ("  year", "  isbn = {1},\n  year"),
        ("  year", "  title = {Again},\n  year"),
        ("  journal = {Acta},\n", ""),
        ("Acta},", "Acta}"),
        ("Acta},", "Acta,"),
        ("Acta}", "Acta}}"),
        ("Past}", "Past"),
        ("Jane", "Jane, A."),
        ("Doe, Jane", "Jane Doe"),
        (" and ", "; "),
        ('{\\"o}', "\\o"),
        ('{\\"o}', "{\\oe}"),
        (ENTRY, ENTRY + ENTRY),
        (ENTRY, ENTRY + "}"),
        (ENTRY, ENTRY + ENTRY[:-3]),
    ],
)
def test_the_parser_refuses_what_is_malformed(old, new):
    assert old in ENTRY
    with pytest.raises(BadData, match=r"^The (bibliography|authors) .+\.$"):
        parse(ENTRY.replace(old, new))


def test_a_refusal_names_the_line():
    with pytest.raises(BadData, match="at line 4"):
        parse("% a comment\n" + ENTRY.replace("author", "autor"))
    with pytest.raises(BadData, match="at line 8"):
        parse(ENTRY + "\nbook{doe2002,")


@pytest.mark.parametrize(
    ("key", "cited"),
    [
        ("kingma2014", "Kingma & Welling, ICLR (2014)"),
        ("rifai2011", "Rifai et al., ICML (2011)"),
        ("hinton2006", "Hinton & Salakhutdinov, Science 313:504 (2006)"),
        ("burgess2018", "Burgess et al., arXiv:1804.03599 (2018)"),
        ("srivastava2014", "Srivastava et al., JMLR 15:1929 (2014)"),
        ("oord2017", "van den Oord et al., NeurIPS (2017)"),
        ("ng2011", "Ng, CS294A lecture notes (2011)"),
        ("wiener1949", "Wiener, MIT Press (1949)"),
    ],
)
def test_in_short_a_paper_is_its_authors_its_venue_and_its_year(key, cited):
    assert short(key) == cited


@pytest.mark.parametrize(
    ("key", "cited"),
    [
        ("kingma2014", "Auto-encoding variational Bayes (Kingma & Welling, 2014)"),
        ("hutchinson1990", "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines"
         " (Hutchinson, 1990)"),
        ("vincent2010", "Stacked denoising autoencoders: learning useful representations in a deep network with a local"
         " denoising criterion (Vincent et al., 2010)"),
        ("oord2016", "Pixel recurrent neural networks (van den Oord et al., 2016)"),
        ("dowson1982", "The Fréchet distance between multivariate normal distributions (Dowson & Landau, 1982)"),
        ("bhatia2019", "On the Bures–Wasserstein distance between positive definite matrices (Bhatia et al., 2019)"),
        ("higgins2017", "beta-VAE: learning basic visual concepts with a constrained variational framework"
         " (Higgins et al., 2017)"),
        ("makhzani2014", "k-sparse autoencoders (Makhzani & Frey, 2014)"),
    ],
)  # fmt: skip
def test_a_reference_is_a_title_in_sentence_case_the_authors_and_the_year(key, cited):
    assert reference(key) == cited


def test_an_unknown_key_is_refused_with_the_nearest():
    for cite in (short, reference):
        with pytest.raises(UnknownName, match="did you mean 'goodfellow2016'"):
            cite("goodfelow2016")


@pytest.mark.parametrize("path", [path for path, entries in CITED.items() if entries], ids=str)
def test_every_reference_of_a_docstring_is_that_of_a_paper(path):
    for entry in CITED[path]:
        assert key_of(entry), f"{path}: {entry!r} does not start with reference(key) of any paper in papers.bib"


def test_a_docstring_never_has_references_of_another_form():
    for path in CITED:
        for doc in docstrings(PACKAGE / path):
            assert len(re.findall(r"(?i)^\s*references?\b:?\s*$", doc, re.MULTILINE)) == bool(references(doc)), path


def test_every_paper_is_cited_somewhere():
    cited = {key_of(entry) for entries in CITED.values() for entry in entries}
    cited |= {key for entry in RECIPES.values() for key in entry.cites}
    cited |= {key for part in PARTS.values() for key in part}
    assert set(papers()) == cited


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_paper_first(name):
    entry = RECIPES[name]
    assert keys(recipe(name))[0] == entry.cites[0]
    assert {*entry.cites, *keys(recipe(name))} <= set(papers())
    assert bibtex(keys(recipe(name))).startswith(papers()[entry.cites[0]].bibtex)
    assert entry.paper == (short(entry.cites[0]) if entry.own_paper else "no paper: a mixture of parts")


def test_only_mixtures_have_no_paper_of_their_own():
    mixtures = {name for name, entry in RECIPES.items() if not entry.own_paper}
    assert mixtures == {"sparse_denoising_vae", "robust_wae", "top_k_inpainting"}


def test_every_part_that_has_papers_is_in_its_table_and_every_paper_is_known():
    tables = {part.family: part.table for part in FAMILIES.values()}
    for (family, kind), cited in PARTS.items():
        assert kind in tables[family], (family, kind)
        assert set(cited) <= set(papers())


def test_each_paper_comes_once_and_parts_bring_theirs():
    chosen = Recipe().with_options({"latent.kind": "gaussian", "penalties.kl.kind": "kl"})
    assert keys(chosen) == ["kingma2014"]
    twice = chosen.with_options({"penalties.kl.kind": "kl", "corruption.kind": "masking"})
    assert keys(twice) == ["kingma2014", "vincent2008"]
    assert bibtex(keys(twice)).count("@") == 2


def test_the_doubly_reparameterized_gradient_brings_its_own_paper():
    chosen = Recipe().with_options({"latent.kind": "gaussian", "fidelity.kind": "importance"})
    assert "tucker2019" not in keys(chosen)
    assert "tucker2019" in keys(chosen.with_options({"fidelity.gradient": "doubly_reparameterized"}))


def test_the_bibliography_knows_nothing_of_the_zoo():
    assert not re.search(r"(from|import) isthmus\.zoo", Path(bib.__file__).read_text("utf-8"))
