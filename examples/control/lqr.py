"""The controller of the paper, for fixed conditions: time-varying linear-Gaussian models and LQR.

For one start and one goal, episodes with noise are repeated, a linear model of each step is fitted to them, and the
feedback law that is optimal for these models and a quadratic cost is tried next, not far from the one before. It learns
each condition from its own episodes, where the planner of ``attempts.py`` learns all from blind ones.

    python examples/control/lqr.py [--conditions 6] [--out runs/control]     # after python examples/control
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import isthmus
from attempts import NEAR, TruePlace
from environment import STEPS, Array, Push
from episodes import Episodes
from states import PuckPoints, State, encoded

ROUNDS, EPISODES = 8, 8
"""Rounds of episodes, and episodes in each."""
NOISE, PROXIMAL = 0.3, 0.5
"""Standard deviation of the noise of an action at first, and weight of the distance from the last round's actions."""
REACH, PUSH, LAST, EFFORT = 1.0, 10.0, 100.0, 1e-3
"""Weights of squared distances in decimeters: tip to puck, puck to goal, the same at the end; and of the action."""
RIDGE = 1e-2
SCALE = np.array([1, 1, 0.2, 0.2, 10, 10, 10, 10.0])
"""Units of the state: angles, angular velocities, positions of tip and puck in decimeters."""


@dataclass
class Law:
    """Actions u = K x + k of each step."""

    gain: Array
    offset: Array

    def __call__(self, t: int, x: Array) -> Array:
        """The action in a state."""
        return self.gain[t] @ x + self.offset[t]


def episode(env: Push, start: Array, law: Law, state: State, noise: Array) -> tuple[Array, Array, Array]:
    """States (51, 8), actions (50, 2) and the true last position of the puck."""
    observation, info = env.reset(options={"start": start})
    states, actions = np.zeros((STEPS + 1, 8)), np.zeros((STEPS, 2))
    for t in range(STEPS + 1):
        seen = info["puck"] if isinstance(state, TruePlace) else state.of(env.render()[None, None], None)[0, 0]
        states[t] = SCALE * np.concatenate([observation, seen])
        if t < STEPS:
            actions[t] = np.clip(law(t, states[t]) + noise[t], -1, 1)
            observation, _, _, _, info = env.step(actions[t])
    return states, actions, info["puck"]


def linear_models(states: Array, actions: Array) -> list[Array]:
    """For each step a matrix (8, 11) from (state, action, 1) to the next state, fitted to it and its neighbors."""
    inputs = np.concatenate([states[:, :-1], actions, np.ones((*actions.shape[:2], 1))], -1)
    models = []
    flat_in, flat_out = inputs.reshape(-1, 11), states[:, 1:].reshape(-1, 8)
    common = np.linalg.solve(flat_in.T @ flat_in + RIDGE * np.eye(11), flat_in.T @ flat_out)
    for t in range(STEPS):
        near = slice(max(0, t - 1), t + 2)
        x, y = inputs[:, near].reshape(-1, 11), states[:, 1:][:, near].reshape(-1, 8)
        # what the few episodes do not tell is as in all steps
        change = np.linalg.solve(x.T @ x + 0.1 * np.eye(11), x.T @ (y - x @ common))
        models.append((common + change).T)
    return models


def best_law(models: list[Array], goal: Array, old: Array) -> Law:
    """The law that is optimal for linear models, by dynamic programming; ``old`` are the mean actions before it."""
    gains, offsets = np.zeros((STEPS, 2, 8)), np.zeros((STEPS, 2))
    to_goal, reach = np.zeros((2, 8)), np.zeros((2, 8))
    to_goal[:, 6:] = np.eye(2)
    reach[:, 4:6], reach[:, 6:] = np.eye(2), -np.eye(2)

    def cost(weight: float) -> tuple[Array, Array]:
        quadratic = weight * to_goal.T @ to_goal + REACH * reach.T @ reach
        return quadratic, -weight * to_goal.T @ (10 * goal)

    value, linear = cost(LAST)
    for t in range(STEPS - 1, -1, -1):
        a, b, c = models[t][:, :8], models[t][:, 8:10], models[t][:, 10]
        hessian = b.T @ value @ b + (EFFORT + PROXIMAL) * np.eye(2)
        gains[t] = -np.linalg.solve(hessian, b.T @ value @ a)
        offsets[t] = -np.linalg.solve(hessian, b.T @ (value @ c + linear) - PROXIMAL * old[t])
        closed, rest = a + b @ gains[t], c + b @ offsets[t]
        own, own_linear = cost(PUSH)
        effort = EFFORT * gains[t].T @ gains[t] + PROXIMAL * gains[t].T @ gains[t]
        effort_linear = gains[t].T @ ((EFFORT + PROXIMAL) * offsets[t] - PROXIMAL * old[t])
        linear = own_linear + effort_linear + closed.T @ (value @ rest + linear)
        value = own + effort + closed.T @ value @ closed
    return Law(gains, offsets)


def learned(env: Push, start: Array, goal: Array, state: State, rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """The last states and true positions of the episode without noise after each round."""
    law, ends = Law(np.zeros((STEPS, 2, 8)), np.zeros((STEPS, 2))), []
    for turn in range(ROUNDS):
        spread = NOISE * (1 - turn / ROUNDS)
        noise = spread * rng.normal(size=(EPISODES, STEPS, 2))
        for t in range(1, STEPS):
            noise[:, t] = 0.8 * noise[:, t - 1] + 0.6 * noise[:, t]
        made = [episode(env, start, law, state, own) for own in noise]
        states, actions = (np.stack([one[k] for one in made]) for k in (0, 1))
        law = best_law(linear_models(states, actions), goal, actions.mean(0))
        last, _, puck = episode(env, start, law, state, np.zeros((STEPS, 2)))
        ends.append((last[-1], puck))
    return ends


def main() -> None:
    """Learn some conditions with the true place and with points, and report them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--conditions", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("runs/control"))
    given = parser.parse_args()
    env = Push()
    with np.load(given.out / "train.npz") as arrays:
        train = Episodes(**arrays)
    with np.load(next(given.out.glob("report-*.npz"))) as arrays:
        aims = Episodes(**arrays).take(slice(given.conditions))
    run = isthmus.load(given.out / "points-0")
    points = PuckPoints(run, "points, unsupervised").fit(train, encoded(run, train.frames[:1]))
    for state in (TruePlace(), points):
        last = []
        for n in range(len(aims)):
            true = isinstance(state, TruePlace)
            goal = aims.puck[n, -1] if true else state.of(aims.frames[n, -1:][None], None)[0, 0]
            ends = learned(env, aims.starts[n], goal, state, np.random.default_rng(n))
            last.append([np.linalg.norm(puck - aims.puck[n, -1]) for _, puck in ends])
        by_round = np.array(last)
        final, ever = by_round[:, -1], (by_round.min(1) < NEAR).mean()
        after = f"after {ROUNDS} rounds of {EPISODES} episodes (in any round: {ever:.2f})"
        print(f"{state.name:24} {1000 * final.mean():.0f} mm, success {(final < NEAR).mean():.2f} {after}", flush=True)
    env.close()


if __name__ == "__main__":
    main()
