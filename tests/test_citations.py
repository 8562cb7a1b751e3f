"""Every paper that a recipe or a part names has an entry, and every entry is whole."""

import re

import pytest

from isthmus.citations import PAPERS, PARTS, bibtex, keys
from isthmus.recipe import PARTS as FAMILIES
from isthmus.recipe import Recipe
from isthmus.zoo import RECIPES, recipe


@pytest.mark.parametrize("key", PAPERS)
def test_an_entry_is_one_balanced_record_with_what_a_citation_needs(key):
    text = PAPERS[key]
    assert re.match(rf"@(article|inproceedings|book|misc)\{{{key},\n", text)
    depth = 0
    for place, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth > 0 or place < text.index("{") or place == len(text) - 1
    assert depth == 0
    for field in ("title", "author", "year"):
        assert re.search(rf"\b{field} = \{{", text), field
    year = re.search(r"year = \{(\d{4})\}", text)
    assert year is not None
    assert key.rstrip("ab").endswith(year.group(1))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_paper_first(name):
    cites = RECIPES[name].cites
    assert cites
    assert keys(recipe(name))[0] == cites[0]
    assert set(keys(recipe(name))) <= set(PAPERS)
    assert bibtex(keys(recipe(name))).startswith("@")


def test_every_part_that_has_papers_is_in_its_table_and_every_paper_is_known():
    tables = {part.family: part.table for part in FAMILIES.values()}
    for (family, kind), cited in PARTS.items():
        assert kind in tables[family], (family, kind)
        assert set(cited) <= set(PAPERS)


def test_each_paper_comes_once_and_parts_bring_theirs():
    chosen = Recipe().with_options({"latent.kind": "gaussian", "penalties.kl.kind": "kl"})
    assert keys(chosen) == ["kingma2014"]
    twice = chosen.with_options({"penalties.kl.kind": "kl", "corruption.kind": "masking"})
    assert keys(twice) == ["kingma2014", "vincent2008"]
    assert bibtex(keys(twice)).count("@") == 2


def test_the_doubly_reparameterised_gradient_brings_its_own_paper():
    chosen = Recipe().with_options({"latent.kind": "gaussian", "fidelity.kind": "importance"})
    assert "tucker2019" not in keys(chosen)
    assert "tucker2019" in keys(chosen.with_options({"fidelity.gradient": "doubly"}))
