"""Contraction and saturation by kind of autoencoder: pieces of before stay, and their models are trained once more."""

import pytest

from isthmus.papers import rifai2011
from isthmus.papers.sitting import reproduce


def test_most_units_saturate_in_the_contractive_one_or_the_bar_is_missed():
    full = {kind: [10.0, 12.0] for kind in rifai2011.PUBLISHED}
    rows = rifai2011._saturated(full | {"CAE": [80.0, 90.0]})
    assert [row.met for row in rows] == [True, None, None, None, None]
    assert (rows[0].ours, rows[0].published, rows[0].unit) == (85.0, 86.36, "%")
    assert [row.met for row in rifai2011._saturated(full | {"AE": [50.0, 50.0]}) if row.bar] == [False]


@pytest.fixture
def few(monkeypatch):
    """Two kinds of few units."""
    kinds = {name: rifai2011.KINDS[name] for name in ("CAE", "AE")}
    monkeypatch.setattr(rifai2011, "KINDS", kinds)
    for name in ("PUBLISHED", "SATURATED"):
        monkeypatch.setattr(rifai2011, name, {kind: getattr(rifai2011, name)[kind] for kind in kinds})
    full = rifai2011.recipe
    monkeypatch.setattr(rifai2011, "recipe", lambda *key: full(*key).with_options({"latent.size": 20}))


def test_saturation_needs_no_second_training_but_where_the_model_is_gone(shrunken, few, monkeypatch):
    sitting = shrunken(rifai2011)
    trained = []
    fit = rifai2011.fit
    monkeypatch.setattr(rifai2011, "fit", lambda *args, **more: trained.append(1) or fit(*args, **more))
    first = reproduce(rifai2011.PAPER, sitting)
    assert len(trained) == 2
    shares = {row["what"]: row["ours"] for row in first["rows"] if row["what"].startswith("saturated")}
    assert set(shares) == {"saturated units, CAE", "saturated units, AE"}
    assert all(0 <= share <= 100 for share in shares.values())

    # as it is where a piece was finished before its model was kept
    (sitting.place("pieces/ae-0-seed0-saturation.json")).unlink()
    folder = sitting.place("pieces/ae-0-seed0")
    folder.rename(folder.with_name("elsewhere"))
    assert reproduce(rifai2011.PAPER, sitting)["rows"] == first["rows"]
    assert len(trained) == 3

    # and where that second training was stopped
    (sitting.place("pieces/ae-0-seed0-saturation.json")).unlink()
    record = folder / "run.json"
    record.write_text(record.read_text().replace('"finished": true', '"finished": false'))
    assert reproduce(rifai2011.PAPER, sitting)["rows"] == first["rows"]
    assert len(trained) == 4
