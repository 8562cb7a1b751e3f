"""A reproduction in pieces: finished pieces are kept, and a table is written whole."""

import json
import os
from dataclasses import replace

import pytest

from isthmus.data.catalogue.table import is_named
from isthmus.data.prepared import PreparedSplit
from isthmus.data.preparing import prepare
from isthmus.errors import BadData, BadRun, UnknownName
from isthmus.options import DataOptions
from isthmus.papers import PAPERS, paper
from isthmus.papers.reproduction import Paper, Reproduction, Row, fingerprint, mean_and_spread, reproduce


class Worker:
    """Counts how often a piece is really made."""

    def __init__(self, value: float = 1.0) -> None:
        self.calls, self.value = 0, value

    def __call__(self) -> dict[str, float]:
        self.calls += 1
        return {"value": self.value}


def quiet(_text: str) -> None:
    """Tell nobody."""


def story(work: Worker) -> Paper:
    def run(reproduction: Reproduction) -> list[Row]:
        found = reproduction.piece("only", work, epochs=3)
        return [Row("a figure", found["value"], 2.0, target="at most 2", met=found["value"] <= 2)]

    return Paper("toy", "A toy", "nothing", "the same", run, budget="none", bare="less")


def test_a_finished_piece_is_read_and_not_made_again(tmp_path):
    work = Worker(0.5)
    for _ in range(2):
        assert Reproduction(tmp_path, say=quiet).piece("a", work, epochs=3) == {"value": 0.5}
    assert work.calls == 1


@pytest.mark.parametrize("other", [{"seed": 1}, {"quick": True}])
def test_a_piece_of_another_seed_or_form_is_made_again(tmp_path, other):
    work = Worker()
    Reproduction(tmp_path, say=quiet).piece("a", work)
    Reproduction(tmp_path, say=quiet, **other).piece("a", work)
    assert work.calls == 2


def test_a_piece_of_other_settings_is_made_again(tmp_path):
    work, reproduction = Worker(), Reproduction(tmp_path, say=quiet)
    reproduction.piece("a", work, epochs=3)
    reproduction.piece("a", work, epochs=4)
    assert work.calls == 2


def test_a_piece_that_fails_leaves_nothing_and_the_others_stay(tmp_path):
    def fails() -> dict[str, float]:
        raise KeyboardInterrupt

    work, reproduction = Worker(), Reproduction(tmp_path, say=quiet)
    reproduction.piece("a", work)
    with pytest.raises(KeyboardInterrupt):
        reproduction.piece("b", fails)
    assert [path.name for path in (tmp_path / "pieces").iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"figures": 3, "seconds": 1}', '{"figures": {}, "seconds": "x"}'])
def test_a_spoiled_piece_is_made_again(tmp_path, text):
    work, reproduction = Worker(), Reproduction(tmp_path, say=quiet)
    reproduction.piece("a", work)
    (tmp_path / "pieces" / "a.json").write_text(text)
    assert reproduction.piece("a", work) == {"value": 1.0}
    assert work.calls == 2


def test_results_hold_rows_budget_seed_and_command(tmp_path):
    results = reproduce(story(Worker(1.5)), Reproduction(tmp_path, 3, quick=True, say=quiet))
    assert results == json.loads((tmp_path / "results.json").read_text())
    assert results["command"] == "isthmus reproduce toy --seed 3 --quick"
    assert (results["paper"], results["budget"], results["seed"]) == ("toy", "the same", 3)
    assert set(results["seconds"]) == {"only"}


@pytest.mark.parametrize(("pretrain", "budget"), [(True, "none"), (False, "less")])
def test_the_budget_told_is_that_of_the_form(tmp_path, pretrain, budget):
    assert reproduce(story(Worker()), Reproduction(tmp_path, pretrain=pretrain, say=quiet))["budget"] == budget


@pytest.mark.parametrize(("quick", "met"), [(False, True), (True, None)])
def test_no_bar_is_asked_of_a_quick_form(tmp_path, quick, met):
    results = reproduce(story(Worker(1.5)), Reproduction(tmp_path, quick=quick, say=quiet))
    assert results["rows"][0]["met"] is met


@pytest.mark.parametrize("other", [{"quick": True}, {"seed": 1}, {"pretrain": False}])
def test_the_results_of_another_form_are_not_overwritten(tmp_path, other):
    reproduce(story(Worker()), Reproduction(tmp_path, say=quiet))
    before = (tmp_path / "results.json").read_text()
    with pytest.raises(BadRun, match=r"of another command, isthmus reproduce toy\. Use another --out\.$"):
        reproduce(story(Worker()), Reproduction(tmp_path, say=quiet, **other))
    assert (tmp_path / "results.json").read_text() == before


def test_a_folder_of_something_else_is_refused_before_any_work(tmp_path):
    work, file, strange, spoiled = Worker(), tmp_path / "file", tmp_path / "strange", tmp_path / "spoiled"
    file.write_text("mine")
    strange.mkdir()
    (strange / "letter.txt").write_text("mine")
    spoiled.mkdir()
    (spoiled / "results.json").write_text("[]")
    for folder, match in (
        (file, "is not a folder"),
        (strange, "exists and is not the folder of a reproduction"),
        (spoiled, "a results.json that cannot be read"),
    ):
        with pytest.raises(BadRun, match=match):
            reproduce(story(work), Reproduction(folder, say=quiet))
    assert work.calls == 0
    assert [path.name for path in strange.iterdir()] == ["letter.txt"]


def test_a_reproduction_that_was_stopped_goes_on_in_its_folder(tmp_path):
    Reproduction(tmp_path, say=quiet).piece("only", Worker(1.5), epochs=3)
    work = Worker()
    assert reproduce(story(work), Reproduction(tmp_path, say=quiet))["rows"][0]["ours"] == 1.5
    assert work.calls == 0


def test_only_pictures_of_this_reproduction_are_listed(tmp_path):
    def run(reproduction: Reproduction) -> list[Row]:
        reproduction.place("drawn.png").write_bytes(b"now")
        return []

    (tmp_path / "pieces").mkdir()
    (tmp_path / "older.png").write_bytes(b"before")
    os.utime(tmp_path / "older.png", (1e9, 1e9))
    results = reproduce(replace(story(Worker()), run=run), Reproduction(tmp_path, say=quiet))
    assert list(results["pictures"]) == ["drawn.png"]


def test_data_that_is_not_here_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = Worker()
    with pytest.raises(BadData, match="The data set 'cmu_faces' is not on this machine"):
        reproduce(replace(story(work), data_sets=("curves", "cmu_faces")), Reproduction(tmp_path / "out", say=quiet))
    assert work.calls == 0
    assert not (tmp_path / "out").exists()


def test_drawn_data_of_the_same_size_has_another_fingerprint():
    data = prepare("curves", DataOptions(), 0)
    moved = replace(data, train=PreparedSplit(data.train.tensor.roll(1, 0)))
    assert fingerprint(data) == fingerprint(data) != fingerprint(moved)


def test_the_spread_is_that_of_several_seeds_alone():
    assert mean_and_spread([4.0]) == (4.0, None)
    assert mean_and_spread([1.0, 3.0]) == pytest.approx((2.0, 2**0.5))


@pytest.mark.parametrize("name", PAPERS)
def test_every_paper_is_found_and_says_what_it_claims(name):
    found = paper(name)
    assert found.name == name
    assert found.title
    assert found.claim
    assert found.quick
    assert found.budget
    assert found.source
    for data in found.data_sets:
        assert is_named(data)


def test_an_unknown_paper_is_refused():
    with pytest.raises(UnknownName, match=r"^There is no reproduced paper 'burda'; did you mean 'burda2016'\?"):
        paper("burda")
