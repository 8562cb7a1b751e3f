"""Contraction and saturation by kind of autoencoder: pieces of before stay, and their models are trained once more."""

import shutil

import pytest

from isthmus import papers
from isthmus.papers import rifai2011
from isthmus.papers.reproduction import reproduce


def test_most_units_saturate_in_the_contractive_one_or_the_bar_is_missed():
    full = {kind: [10.0, 12.0] for kind in rifai2011.PUBLISHED}
    rows = rifai2011._saturated(full | {"CAE": [80.0, 90.0]})
    assert [row.met for row in rows] == [True, None, None, None, None, None]
    assert (rows[0].ours, rows[0].published, rows[0].unit) == (85.0, 86.36, "%")
    assert [row.met for row in rifai2011._saturated(full | {"AE": [50.0, 50.0]}) if row.target] == [False]


@pytest.fixture
def few(monkeypatch):
    """Two kinds of few units."""
    kinds = {name: rifai2011.KINDS[name] for name in ("CAE", "AE")}
    monkeypatch.setattr(rifai2011, "KINDS", kinds)
    for name in ("PUBLISHED", "SATURATED", "ERRORS"):
        column = {kind: getattr(rifai2011, name)[kind] for kind in (*kinds, rifai2011.RBM)}
        monkeypatch.setattr(rifai2011, name, column)
    full = rifai2011.recipe
    monkeypatch.setattr(rifai2011, "recipe", lambda *key: full(*key).with_options({"latent.size": 20}))


def test_finished_models_serve_all_columns_and_are_trained_once_more_where_they_are_gone(shrunken, few, monkeypatch):
    reproduction = shrunken(rifai2011)
    trained = []
    fit = papers.reproduction.fit
    monkeypatch.setattr(papers.reproduction, "fit", lambda *args, **more: trained.append(1) or fit(*args, **more))
    first = reproduce(rifai2011.PAPER, reproduction)
    assert len(trained) == 2
    columns = {row["what"].rpartition(", ")[0]: row["ours"] for row in first["rows"]}
    assert {"test error", "mean |J|_F", "saturated units", "cross-entropy"} <= set(columns)
    whole = {row["what"].partition(", ")[2] for row in first["rows"] if row["what"].startswith(("test", "mean", "sat"))}
    assert whole == {"CAE", "AE", "RBM"}
    shares = [row["ours"] for row in first["rows"] if row["unit"] == "%"]
    assert all(0 <= share <= 100 for share in shares)

    # a piece that is gone is made from the model that was kept
    (reproduction.place("pieces/ae-0-seed0-saturation.json")).unlink()
    assert reproduce(rifai2011.PAPER, reproduction)["rows"] == first["rows"]
    assert len(trained) == 2
    # or from the same model trained again
    (reproduction.place("pieces/ae-0-seed0-saturation.json")).unlink()
    (folder,) = reproduction.place("pieces").glob("ae-0-seed0-????????")
    shutil.rmtree(folder)
    assert reproduce(rifai2011.PAPER, reproduction)["rows"] == first["rows"]
    assert len(trained) == 3


def test_a_boltzmann_machine_has_a_row_in_every_column(shrunken, few, monkeypatch):
    columns = {"test": 1.25, "saturated": 33.0, "jacobian_norm": 7.0}
    monkeypatch.setattr(rifai2011, "_machine", lambda *_what: columns)
    rows = {row["what"]: row["ours"] for row in reproduce(rifai2011.PAPER, shrunken(rifai2011))["rows"]}
    names = ("test error, RBM", "saturated units, RBM", "mean |J|_F, RBM")
    assert [rows[name] for name in names] == [1.25, 33.0, 7.0]


def test_the_fewest_errors_are_asked_of_the_contractive_one_and_the_order_of_all():
    errors = {kind: [value - 0.1, value + 0.1] for kind, value in rifai2011.ERRORS.items()}
    rows = {row.what: row for row in rifai2011._wrong(errors)}
    assert rows["test error, CAE"].met is True
    assert rows["test error, AE"].met is True
    swapped = rifai2011._wrong(errors | {"CAE": [1.2, 1.2]})
    assert [row.met for row in swapped if row.target] == [False, False]
