"""The Boltzmann machine as scikit-learn sees it."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus.boltzmann import BoltzmannMachine, ContrastiveDivergence, learn
from isthmus.errors import BadData, BadOption, IncompatibleParts
from isthmus.estimators import BoltzmannTransformer
from isthmus.models.seeding import seeded

KINDS = [
    BoltzmannTransformer(8, n_iter=2),
    BoltzmannTransformer(8, n_iter=2, hidden="gaussian", learning_rate=0.001),
    BoltzmannTransformer(8, n_iter=2, visible="gaussian", learning_rate=0.001, n_steps=2, persistent=True),
]


@parametrize_with_checks(KINDS)
def test_scikit_learn_s_own_checks_pass(estimator, check):
    check(estimator)


def digits(rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return x[:rows] / 16, y[:rows]


def test_its_features_serve_a_classifier():
    x, y = digits(1000)
    model = make_pipeline(
        BoltzmannTransformer(64, n_iter=15, batch_size=20, random_state=0), LogisticRegression(C=10, max_iter=2000)
    )
    assert model.fit(x[:700], y[:700]).score(x[700:], y[700:]) > 0.85


def test_its_options_can_be_searched():
    x, y = digits(200)
    model = make_pipeline(BoltzmannTransformer(8, n_iter=1, random_state=0), LogisticRegression(max_iter=2000))
    grid = {
        "boltzmanntransformer__learning_rate": np.array([0.01, 0.1]),
        "boltzmanntransformer__n_components": np.r_[4:6],
    }
    assert GridSearchCV(model, grid, cv=2, error_score="raise").fit(x, y).best_score_ > 0.1


def test_it_is_its_machine():
    x, _ = digits()
    fitted = BoltzmannTransformer(20, n_iter=3, random_state=1).fit(x)
    v, machine = torch.tensor(x), fitted.machine_.double()
    np.testing.assert_allclose(fitted.transform(x), machine.hidden(v), rtol=1e-12)
    np.testing.assert_allclose(fitted.score_samples(x), -machine.free_energy(v), rtol=1e-12)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(x)), machine.reconstruct(v), rtol=1e-12)
    assert fitted.components_.shape == (20, 64)
    assert fitted.intercept_hidden_.shape == (20,)
    assert fitted.intercept_visible_.shape == (64,)
    assert len(fitted.history_) == 3
    assert fitted.get_feature_names_out()[0] == "boltzmanntransformer0"


def test_it_learns_as_its_options_say():
    x, _ = digits(90)
    options = {"learning_rate": 0.03, "batch_size": 20, "n_iter": 3, "n_steps": 2, "weight_decay": 0.01}
    fitted = BoltzmannTransformer(5, **options, persistent=True, precision="32", random_state=4).fit(x)
    seed = int(np.random.RandomState(4).randint(np.iinfo(np.int32).max))
    with seeded(seed):
        machine = BoltzmannMachine(64, 5)
    by_hand = ContrastiveDivergence(3, 20, 0.03, weight_decay=0.01, gibbs_steps=2, persistent=True, precision="32")
    learn(machine, torch.tensor(x).float(), by_hand, seed=seed)
    assert np.array_equal(fitted.components_, machine.weight)
    v = torch.tensor(x)
    with seeded(seed):
        drawn = machine.sample(7, steps=3)
    assert np.array_equal(fitted.sample(7, n_steps=3), drawn)
    with seeded(seed):
        once = machine.double().draw_visible(machine.draw_hidden(v))
    assert np.array_equal(fitted.gibbs(x), once)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_features_of_any_scale_come_back_in_their_own_units(visible):
    x, _ = digits()
    raw = 16 * x - 3
    made = BoltzmannTransformer(30, visible=visible, learning_rate=0.01, n_iter=40, batch_size=20, random_state=0)
    fitted = made.fit(raw)
    again = fitted.inverse_transform(fitted.transform(raw))
    assert np.square(again - raw).sum() < 0.6 * np.square(raw.mean(0) - raw).sum()
    assert fitted.sample(50, n_steps=100).mean() == pytest.approx(raw.mean(), abs=1.5)
    assert np.abs(raw.mean(0) - fitted.gibbs(raw).mean(0)).max() < 3
    assert fitted.scaling_.kind == {"bernoulli": "minmax", "gaussian": "standard"}[visible]


def test_values_in_the_unit_interval_are_taken_as_they_are():
    x, _ = digits()
    assert BoltzmannTransformer(4, n_iter=1).fit(0.5 * x).scaling_.kind == "none"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_answers_have_the_precision_of_the_question(dtype):
    x = digits()[0].astype(dtype)
    fitted = BoltzmannTransformer(4, n_iter=1).fit(x)
    assert get_tags(fitted).transformer_tags.preserves_dtype == ["float64", "float32"]
    assert fitted.components_.dtype == np.float32
    for answer in (fitted.transform(x), fitted.score_samples(x), fitted.gibbs(x)):
        assert answer.dtype == dtype


def test_the_same_random_state_gives_the_same_machine_and_draws():
    x, _ = digits(200)
    made = BoltzmannTransformer(6, n_iter=2, random_state=4)
    one, two = made.fit(x), clone(made).fit(x)
    three = clone(made).set_params(random_state=5).fit(x)
    assert np.array_equal(one.components_, two.components_)
    assert not np.array_equal(one.components_, three.components_)
    assert np.array_equal(one.sample(4, n_steps=5), two.sample(4, n_steps=5))
    assert np.array_equal(one.gibbs(x), pickle.loads(pickle.dumps(two)).gibbs(x))


def test_it_says_how_far_it_is(capsys):
    BoltzmannTransformer(4, n_iter=2, verbose=1).fit(digits(100)[0])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Epoch 1", "Epoch 2"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"scale": "robust"}, BadOption, "scale cannot be 'robust'"),
        ({"scale": "none"}, BadData, "range from 0 to 32, but bernoulli visible units require"),
        ({"visible": "gaussian", "hidden": "gaussian"}, IncompatibleParts, "Use bernoulli units in one of the layers"),
        ({"n_steps": 0}, BadOption, "steps must be at least 1"),
        ({"n_components": 0}, BadOption, "number of hidden units must be at least 1"),
    ],
)
def test_what_makes_no_machine_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        BoltzmannTransformer(**{"n_components": 4, **options}).fit(32 * digits(50)[0])
