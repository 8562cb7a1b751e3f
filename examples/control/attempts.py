"""Attempts to reach goal pictures: many episodes side by side, planned anew every few steps."""

from dataclasses import dataclass

import numpy as np
import torch

from environment import STEPS, Array, Push
from episodes import Episodes
from planner import HORIZON, Dynamics, Planner, action_of
from states import State

REPLAN = 5
"""Actions between two plans."""
NEAR = 0.03
"""Distance from the goal below which an attempt succeeds, in meters."""


@dataclass(frozen=True)
class Outcome:
    """What came of attempts: distances at the start and the end in meters (G,), and the pictures (G, 51, ...)."""

    first: Array
    last: Array
    frames: Array

    @property
    def success(self) -> Array:
        """Whether each attempt ended near the goal."""
        return self.last < NEAR

    def __str__(self) -> str:
        """Mean distance, and the fraction of successes with its standard error."""
        rate = self.success.mean()
        error = np.sqrt(rate * (1 - rate) / len(self.last))
        return f"{1000 * self.last.mean():.0f} mm, success {rate:.2f} +- {error:.2f}"


def attempt(env: Push, goals: Episodes, state: State | None, model: Dynamics, seed: int) -> Outcome:
    """Attempts from the starts of episodes to their last pictures; without a state, to the tip's last place."""
    count = len(goals)
    planner = Planner(model, count, seed, arm_only=state is None)
    sims, arm, puck, frames = _begin(env, goals)
    last = slice(-1, None)
    wanted = goals.arm[:, -1, 4:6] if state is None else _seen(state, goals.frames[:, last], goals.arm[:, last], goals)
    goal = torch.from_numpy(wanted).float()
    for t in range(STEPS):
        now, since = torch.from_numpy(arm[:, t, :4]).float(), t % REPLAN
        if since == 0:
            if t:
                planner.forward_in_time(REPLAN)
            seen = np.zeros((count, 2))
            if state is not None:
                seen = _seen(state, frames[:, : t + 1], arm[:, : t + 1], goals, puck[:, t])
            plans = planner.plan(now, torch.from_numpy(seen).float(), goal)
        act = action_of(plans, now, since / HORIZON).numpy()
        for n in range(count):
            env.state = sims[n]
            env.shine(goals.starts[n, 4])
            arm[n, t + 1], _, _, _, info = env.step(act[n])
            sims[n], puck[n, t + 1], frames[n, t + 1] = env.state, info["puck"], env.render()
    aim = goals.puck[:, -1]
    distances = (np.linalg.norm(puck[:, t] - aim, axis=1) for t in (0, -1))
    return Outcome(*distances, frames)


def _begin(env: Push, goals: Episodes) -> tuple[list[Array], Array, Array, Array]:
    """The starts of the episodes: states of the simulation, and room for what is felt, true and seen."""
    count, sims = len(goals), []
    arm, puck = np.zeros((count, STEPS + 1, 6)), np.zeros((count, STEPS + 1, 2))
    frames = np.zeros((count, STEPS + 1, env.side, env.side, 3), np.uint8)
    for n in range(count):
        arm[n, 0], info = env.reset(options={"start": goals.starts[n]})
        puck[n, 0], frames[n, 0] = info["puck"], env.render()
        sims.append(env.state)
    return sims, arm, puck, frames


class TruePlace:
    """The true position of the puck, which no picture is needed for."""

    name = "true place"

    def of(self, frames: Array, arm: Array) -> Array:
        """Not known from pictures."""
        raise NotImplementedError


def _seen(state: State, frames: Array, arm: Array, goals: Episodes, true: Array | None = None) -> Array:
    """Where the state says that the puck is in the last picture, (G, 2)."""
    if isinstance(state, TruePlace):
        return goals.puck[:, -1] if true is None else true
    if not getattr(state, "filtered", False):
        frames, arm = frames[:, -1:], arm[:, -1:]
    return state.of(frames, arm)[:, -1]
