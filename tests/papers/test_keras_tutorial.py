"""The tutorial's models: their layers, half of their epochs, and a run on small pictures that tells its story."""

import pytest
from torch import nn

from isthmus.papers import keras_tutorial
from isthmus.papers.keras_tutorial import MODELS, _mean_codes, _row
from isthmus.papers.reproduction import Reproduction

pytestmark = pytest.mark.slow


def widths(name):
    """Inputs and outputs of the dense layers, encoder then decoder, and the maps of the convolutions."""
    model = MODELS[name].recipe.build((1, 28, 28)).model
    layers = [*model.encoder.modules(), *model.decoder.modules()]
    return [
        (m.in_features, m.out_features) if isinstance(m, nn.Linear) else m.out_channels
        for m in layers
        if isinstance(m, nn.Linear | nn.Conv2d)
    ], model.code_shape


@pytest.mark.parametrize(
    ("name", "layers", "code"),
    [
        ("simple", [(784, 32), (32, 784)], (32,)),
        ("sparse", [(784, 32), (32, 784)], (32,)),
        ("deep", [(784, 128), (128, 64), (64, 32), (32, 64), (64, 128), (128, 784)], (32,)),
        ("conv", [16, 8, 8, 8, 8, 16, 1], (8, 4, 4)),
        ("denoising", [32, 32, 32, 32, 1], (32, 7, 7)),
        ("vae", [(784, 64), (64, 4), (2, 64), (64, 784)], (2,)),
    ],
)
def test_the_layers_are_the_tutorials(name, layers, code):
    assert widths(name) == (layers, code)


def test_all_but_the_denoiser_take_half_of_the_epochs():
    assert {name: model.theirs / model.epochs for name, model in MODELS.items() if name != "denoising"} == {
        name: 2 for name in MODELS if name != "denoising"
    }


@pytest.mark.parametrize(("value", "met"), [(0.0899, True), (0.09, False)])
def test_the_bar_is_to_be_below_what_is_stated(tmp_path, value, met):
    row = _row(Reproduction(tmp_path), "simple", value)
    assert (row.met, row.published) == (met, "about 0.09")


def test_nothing_is_asked_where_nothing_is_stated(tmp_path):
    row = _row(Reproduction(tmp_path), "vae", 0.2)
    assert (row.met, row.target, row.published) == (None, "", "-")


@pytest.fixture(scope="module")
def story(told):
    return told(keras_tutorial, PIXELS=64)


def test_every_model_has_its_cross_entropy_above_the_floor(story):
    rows = {row["what"]: row for row in story[1]["rows"]}
    assert sum(what.startswith("cross-entropy per pixel") for what in rows) == len(MODELS)
    floor = rows["entropy per pixel, lower bound of the cross-entropy"]["ours"]
    assert all(0.1 < floor < row["ours"] < 1 for what, row in rows.items() if what.startswith("cross-entropy"))
    assert rows["cross-entropy per pixel, conv, 1 of 50 epochs"]["published"] == "about 0.094"


def test_the_sparse_code_is_compared_with_the_simple_one():
    sparse, simple = _mean_codes(3.0, 8.0)
    assert (sparse.met, simple.met) == (True, None)
    assert (sparse.published, simple.published) == (3.33, 7.30)
    assert _mean_codes(8.0, 8.0)[0].met is False


def test_all_pictures_are_drawn_and_finished_models_are_not_trained_again(story):
    _, results, said = story
    assert set(results["pictures"]) == {"reconstructions.png", "denoised.png", "codes.png", "manifold.png"}
    assert sum(text.endswith("already finished") for text in said) == len(MODELS) == len(said)
