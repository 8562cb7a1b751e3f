"""A pushing task with the interface of Gymnasium: an arm in the plane, a puck, and a camera above."""

import os
from pathlib import Path
from typing import Any, ClassVar

# before MuJoCo is imported: pictures without a display
os.environ.setdefault("MUJOCO_GL", "osmesa")

import gymnasium as gym
import mujoco
import numpy as np

LINK = 0.15
"""Length of each link of the arm, in meters."""
FASTEST = 1.8
"""Speed of a joint at an action of 1, in radians per second."""
STEPS, SUBSTEPS = 50, 5
"""Actions of an episode, and steps of the simulation (10 ms) for each."""
LIGHT = 0.08
"""Largest relative change of the light from episode to episode."""
CLEAR = 0.07
"""Smallest distance from tip to puck at the start, in meters."""
BOUNDS = np.array([2.0, 3.0, 50.0, 50.0, 0.4, 0.4])
"""Bounds of what the arm feels."""
SCENE = 1509
"""Seed of the table's texture."""

Array = np.ndarray[Any, np.dtype[Any]]


class Push(gym.Env[Array, Array]):
    """Push a puck with the tip of an arm.

    An observation is what the arm feels: two angles in radians, two angular velocities, and the position (x, y) of its
    tip in meters. Pictures are those of :meth:`render`. Where the puck is stands in ``info["puck"]`` only, in meters.
    An action is two velocities of joints, from -1 to 1. There is no reward: goals are pictures.

    Args:
        side: height and width of a picture, in pixels.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, side: int = 64) -> None:
        self.render_mode = "rgb_array"
        self.model = mujoco.MjModel.from_xml_path(str(Path(__file__).with_name("push.xml")))
        self.data = mujoco.MjData(self.model)
        self.model.tex_data[: 3 * 128 * 128] = _table().ravel()
        self.side, self._renderer = side, None
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.observation_space = gym.spaces.Box(-BOUNDS, BOUNDS, dtype=np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode: arm and puck at random, or at ``options["start"]``, an earlier ``info["start"]``."""
        super().reset(seed=seed)
        given = (options or {}).get("start")
        while True:
            start = self._random_start() if given is None else np.asarray(given, float)
            mujoco.mj_resetData(self.model, self.data)
            self.data.qpos[:] = start[:4]
            mujoco.mj_forward(self.model, self.data)
            if given is not None or np.linalg.norm(self.tip - self.puck) > CLEAR:
                break
        self.shine(start[4])
        self.start, self.time = start, 0
        return self._observation(), self._info()

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Move the joints for 50 ms."""
        self.data.ctrl[:] = FASTEST * np.clip(action, -1, 1)
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        mujoco.mj_forward(self.model, self.data)
        self.time += 1
        return self._observation(), 0.0, False, self.time >= STEPS, self._info()

    def render(self) -> Array:
        """The picture of the camera, (side, side, 3), bytes."""
        if self._renderer is None:
            self._renderer = mujoco.Renderer(self.model, self.side, self.side)
        self._renderer.update_scene(self.data, camera="above")
        return self._renderer.render().copy()

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    @property
    def state(self) -> Array:
        """All that a simulation goes on from; setting it goes back to that moment."""
        found = np.empty(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self.model, self.data, found, mujoco.mjtState.mjSTATE_INTEGRATION)
        return found

    @state.setter
    def state(self, state: Array) -> None:
        mujoco.mj_setState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)

    def shine(self, light: float) -> None:
        """Set the brightness of the light."""
        self.model.vis.headlight.ambient[:] = 0.5 * light
        self.model.vis.headlight.diffuse[:] = 0.4 * light

    @property
    def tip(self) -> Array:
        """Position of the tip, in meters."""
        return self.data.site_xpos[0, :2].copy()

    @property
    def puck(self) -> Array:
        """Position of the puck, in meters."""
        return self.data.qpos[2:4].copy()

    def _random_start(self) -> Array:
        """Angles of the arm, position of the puck, and brightness of the light."""
        rng = self.np_random
        radius, angle = rng.uniform(0.15, 0.25), rng.uniform(-0.9, 0.9)
        arm = rng.uniform(-1.5, 1.5), rng.uniform(-2.3, 2.3)
        light = rng.uniform(1 - LIGHT, 1 + LIGHT)
        return np.array([*arm, radius * np.cos(angle), radius * np.sin(angle), light])

    def _observation(self) -> Array:
        return np.concatenate([self.data.qpos[:2], self.data.qvel[:2], self.tip])

    def _info(self) -> dict[str, Any]:
        return {"puck": self.puck, "start": self.start.copy()}


class Wanderer:
    """A blind controller: the tip goes from one random place of the table to the next, with noise.

    Args:
        rng: source of the places and the noise.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.bend, self.noise = rng, rng.choice([-1, 1]), np.zeros(2)
        self.left, self.target = 0, np.zeros(2)

    def act(self, observation: Array) -> Array:
        """The next action."""
        if self.left <= 0 or np.abs(self.target - observation[:2]).max() < 0.15:
            radius, angle = self.rng.uniform(0.12, 0.28), self.rng.uniform(-1.1, 1.1)
            self.target = angles_at(radius * np.cos(angle), radius * np.sin(angle), self.bend)
            self.left = self.rng.integers(8, 25)
        self.left -= 1
        self.noise = 0.8 * self.noise + 0.2 * self.rng.normal(size=2)
        return np.clip(3 * (self.target - observation[:2]) + self.noise, -1, 1)


def angles_at(x: float, y: float, bend: int) -> Array:
    """Angles of the arm whose tip is at (x, y), with the elbow to one side (``bend`` 1 or -1)."""
    cosine = np.clip((x * x + y * y - 2 * LINK**2) / (2 * LINK**2), -1, 1)
    elbow = bend * np.arccos(cosine)
    shoulder = np.arctan2(y, x) - np.arctan2(LINK * np.sin(elbow), LINK * (1 + np.cos(elbow)))
    return np.clip([shoulder, elbow], [-1.8, -2.6], [1.8, 2.6])


def _table() -> Array:
    """The table's texture, 128x128 pixels in color: blocks of several sizes and spots."""
    rng = np.random.default_rng(SCENE)
    texture = np.zeros((128, 128, 3))
    for cells, weight in ((4, 0.2), (8, 0.25), (16, 0.3), (32, 0.25)):
        texture += weight * rng.random((cells, cells, 3)).repeat(128 // cells, 0).repeat(128 // cells, 1)
    texture = 0.4 + 0.6 * (texture - texture.mean())
    for _ in range(14):
        (x, y), (width, height) = rng.integers(5, 115, 2), rng.integers(5, 13, 2)
        texture[y : y + height, x : x + width] = rng.uniform(0.1, 0.95, 3)
    return (255 * texture.clip(0, 1)).astype(np.uint8)
