"""The example of control: its mathematics, and, where MuJoCo is installed, that an arm pushes a puck."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[1] / "examples" / "control"


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the example can be imported."""
    # not imported here: the example says first how pictures are drawn
    if not all(find_spec(name) for name in ("mujoco", "gymnasium")):
        pytest.skip("the example of control needs MuJoCo and Gymnasium: make control")
    monkeypatch.syspath_prepend(str(FOLDER))


def test_the_environment_repeats_an_episode_and_goes_back_to_a_moment():
    from gymnasium.utils.env_checker import check_env

    from environment import Push, Wanderer
    from episodes import collect

    env = Push(side=16)
    check_env(env, skip_render_check=True)
    episodes = collect(2, 3, env)
    observation, _ = env.reset(options={"start": episodes.starts[1]})
    np.testing.assert_array_equal(observation, episodes.arm[1, 0])
    for t, action in enumerate(episodes.actions[1]):
        observation = env.step(action)[0]
        if t == 20:
            moment = env.state
    np.testing.assert_array_equal(observation, episodes.arm[1, -1])
    env.state = moment
    for action in episodes.actions[1][21:]:
        observation = env.step(action)[0]
    np.testing.assert_allclose(observation, episodes.arm[1, -1], atol=1e-9)
    assert Wanderer(np.random.default_rng(0)).act(observation).shape == (2,)
    env.close()


def test_the_planners_arm_is_that_of_the_simulation():
    from environment import Push, angles_at
    from planner import tip_of

    env = Push(side=16)
    env.reset(seed=1)
    np.testing.assert_allclose(tip_of(torch.from_numpy(env.data.qpos[:2])), env.tip, atol=1e-9)
    for bend in (-1, 1):
        reached = tip_of(torch.from_numpy(angles_at(0.2, 0.1, bend)))
        np.testing.assert_allclose(reached, [0.2, 0.1], atol=1e-9)
    env.close()


def test_contact_calibrates_what_follows_the_puck():
    from states import Contact

    rng = np.random.default_rng(0)
    tip = np.cumsum(0.02 * rng.normal(size=(400, 50, 2)), 1)
    puck = rng.normal(size=(400, 1, 2)) * 0.1 + np.zeros((400, 50, 2))
    radius, matrix, offset = 0.05, np.array([[3.0, 0.5], [-0.2, -2.0]]), np.array([0.1, -0.3])
    for t in range(1, 50):
        # the puck keeps its distance from the tip
        away = puck[:, t - 1] - tip[:, t]
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        puck[:, t] = np.where(distance < radius, tip[:, t] + radius * away / distance, puck[:, t - 1])
    values = puck @ matrix.T + offset
    arm = np.concatenate([np.zeros((400, 50, 4)), tip], -1)
    found = Contact.of(values, arm)(values)
    assert np.abs(found - puck).mean() < 0.03
    assert np.corrcoef(found[..., 0].ravel(), puck[..., 0].ravel())[0, 1] > 0.97


@pytest.mark.slow
def test_an_arm_that_knows_where_the_puck_is_pushes_it_nearer():
    from attempts import TruePlace, attempt
    from environment import Push
    from episodes import collect, goals
    from planner import fitted

    env = Push(side=16)
    train = collect(150, 0, env)
    outcome = attempt(env, goals(8, 1, env), TruePlace(), fitted(train, train.puck, 0, 1500, weighted=False), 0)
    assert outcome.last.mean() < 0.5 * outcome.first.mean()
    env.close()
    assert "environment" in sys.modules
