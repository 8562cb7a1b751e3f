"""Blind episodes, and goals: pictures at the end of blind pushes."""

from dataclasses import dataclass

import numpy as np

from environment import STEPS, Array, Push, Wanderer

MOVED = 0.05, 0.15
"""How far the puck was pushed in the episode that ends in a goal, in meters."""


@dataclass(frozen=True)
class Episodes:
    """N episodes of 51 moments.

    Attributes:
        frames: pictures, (N, 51, side, side, 3), bytes.
        arm: what the arm feels, (N, 51, 6).
        actions: (N, 50, 2).
        puck: where the puck is, (N, 51, 2), in meters; for judging, and for states that are called supervised.
        starts: what repeats the start of each episode, (N, 5).
    """

    frames: Array
    arm: Array
    actions: Array
    puck: Array
    starts: Array

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.arm)

    def take(self, rows: slice | Array) -> "Episodes":
        """Some of the episodes."""
        return Episodes(self.frames[rows], self.arm[rows], self.actions[rows], self.puck[rows], self.starts[rows])


def collect(count: int, seed: int, env: Push) -> Episodes:
    """Episodes of a controller that does not see the puck."""
    rng = np.random.default_rng(seed)
    frames = np.empty((count, STEPS + 1, env.side, env.side, 3), np.uint8)
    arm, actions = np.empty((count, STEPS + 1, 6)), np.empty((count, STEPS, 2))
    puck, starts = np.empty((count, STEPS + 1, 2)), np.empty((count, 5))
    for n in range(count):
        observation, info = env.reset(seed=int(rng.integers(1 << 31)))
        wanderer, starts[n] = Wanderer(rng), info["start"]
        for t in range(STEPS + 1):
            frames[n, t], arm[n, t], puck[n, t] = env.render(), observation, info["puck"]
            if t < STEPS:
                actions[n, t] = wanderer.act(observation)
                observation, _, _, _, info = env.step(actions[n, t])
    return Episodes(frames, arm, actions, puck, starts)


def goals(count: int, seed: int, env: Push) -> Episodes:
    """Episodes whose last pictures are goals: the puck was pushed by 5 to 15 cm."""
    found: list[Episodes] = []
    while sum(map(len, found)) < count:
        some = collect(count, seed + 1000 * len(found), env)
        moved = np.linalg.norm(some.puck[:, -1] - some.puck[:, 0], axis=1)
        found.append(some.take((moved > MOVED[0]) & (moved < MOVED[1])))
    every = Episodes(*(np.concatenate([getattr(e, name) for e in found]) for name in Episodes.__dataclass_fields__))
    return every.take(slice(count))
