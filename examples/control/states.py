"""What a controller knows of the puck: two numbers from each picture, found with or without supervision."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from sklearn.linear_model import LinearRegression, Ridge

from environment import LINK, Array
from episodes import Episodes
from isthmus import Run
from isthmus.runs.points import FeaturePoints

TOGETHER = 0.9
"""Correlation of both coordinates from which on two points follow the same thing."""
LIVELY = 0.3
"""Standard deviation of a point, relative to that of the point that moves most, from which on it may be chosen."""
MOVING = 0.02
"""Fraction of the moments in which what follows the puck changes most, which are taken as contacts."""
RIDGE = 1e-4


class State(Protocol):
    """Where the puck is in each picture, in any units."""

    name: str

    def of(self, frames: Array, arm: Array) -> Array:
        """Positions (N, T, 2) of the puck in episodes of pictures (N, T, ...), of what the arm felt (N, T, 6)."""
        ...


def encoded(run: Run, frames: Array) -> Array:
    """The codes of pictures (N, T, H, W, 3), (N, T, d)."""
    flat = frames.reshape(-1, *frames.shape[2:])
    codes = run.encode(frames if run.recipe.data.window is not None else flat)
    return codes.reshape(*frames.shape[:2], -1).astype(np.float64)


def points_in(run: Run, frames: Array) -> FeaturePoints:
    """The feature points of episodes of pictures (N, T, H, W, 3)."""
    flat = frames.reshape(-1, *frames.shape[2:])
    found = run.points(frames if run.recipe.data.window is not None else flat)
    return replace(found, starts=tuple(range(0, len(found), frames.shape[1])))


def arm_features(arm: Array) -> Array:
    """What a picture shows of the arm alone: positions of its parts, and their products."""
    angle, tip = arm[..., 0], arm[..., 4:6]
    middle = LINK * np.stack([np.cos(angle), np.sin(angle)], -1)
    parts = np.concatenate([tip, middle], -1) / LINK
    products = np.einsum("...i,...j->...ij", parts, parts).reshape(*parts.shape[:-1], 16)
    return np.concatenate([parts, products], -1)


def explained(x: Array, y: Array) -> tuple[Array, Ridge]:
    """The part of the variance of each column of y that a linear function of x explains, and that function."""
    model = Ridge(alpha=RIDGE * len(x)).fit(x, y)
    left = ((y - model.predict(x)) ** 2).mean(0)
    # what does not move is not explained by anything
    return np.where(y.var(0) > 1e-5, 1 - left / y.var(0).clip(1e-9), 0.0), model


@dataclass
class ReadOut:
    """A linear function of the code that was fitted to true positions: **supervised**."""

    run: Run
    name: str

    def fit(self, train: Episodes, codes: Array) -> "ReadOut":
        """Fit the function to episodes."""
        flat = codes.reshape(-1, codes.shape[-1])
        self.scale = flat.std(0).clip(1e-6)
        self.model = Ridge(alpha=RIDGE * len(flat)).fit(flat / self.scale, train.puck.reshape(-1, 2))
        return self

    def of(self, frames: Array, arm: Array) -> Array:
        """Positions in meters."""
        codes = encoded(self.run, frames)
        return self.model.predict(codes.reshape(-1, codes.shape[-1]) / self.scale).reshape(*frames.shape[:2], 2)


@dataclass(frozen=True)
class Contact:
    """A linear map from two numbers that follow the puck to meters, found without supervision.

    Where they change, the puck moves, and there the tip of the arm is beside it, against the direction of the movement:
    a linear function of the numbers and of that direction is fitted to the positions of the tip in these moments.
    """

    matrix: Array
    offset: Array

    @classmethod
    def of(cls, values: Array, arm: Array) -> "Contact":
        """The map of values (N, T, 2), of what the arm felt (N, T, 6) in the same moments."""
        change = np.diff(values, axis=1)
        length = np.linalg.norm(change, axis=-1)
        moving = length > np.quantile(length, 1 - MOVING)
        direction = change[moving] / length[moving][:, None]
        known = np.concatenate([values[:, :-1][moving], direction], 1)
        model = LinearRegression().fit(known, arm[:, :-1, 4:6][moving])
        return cls(model.coef_[:, :2], model.intercept_)

    def __call__(self, values: Array) -> Array:
        """Positions in meters."""
        return values @ self.matrix.T + self.offset


@dataclass
class PuckPoints:
    """The points that follow the puck, found without supervision: they move steadily, but not with the arm.

    Args:
        run: a run with feature points.
        name: name of the state.
        filtered: predict positions by a Kalman filter where the points are absent.
    """

    run: Run
    name: str
    filtered: bool = False

    def fit(self, train: Episodes, codes: Array) -> "PuckPoints":
        """Choose points, and calibrate them by contact."""
        found, arm = points_in(self.run, train.frames), train.arm.reshape(-1, 6)
        flat = found.xy.reshape(len(found), -1)
        by_arm = explained(arm_features(arm), flat)[0].reshape(-1, 2).max(1)
        spread = found.xy.std(0).mean(1)
        score = found.predictability.clip(0) * (1 - by_arm).clip(0) * (spread > LIVELY * spread.max())
        best = int(np.argmax(score))
        self.chosen = [k for k in range(found.count) if self._together(found, best, k)]
        self.contact = Contact.of(found.xy[:, self.chosen].mean(1).reshape(*train.arm.shape[:2], 2), train.arm)
        return self

    def of(self, frames: Array, arm: Array) -> Array:
        """Positions in meters."""
        return self.contact(self.in_pictures(frames))

    def in_pictures(self, frames: Array) -> Array:
        """Mean positions (N, T, 2) of the chosen points in pictures (N, T, H, W, 3), from -1 to 1."""
        found = points_in(self.run, frames).take(self.chosen)
        if self.filtered and frames.shape[1] > 2:
            found = found.smoothed(causal=True)
        return found.xy.mean(1).astype(np.float64).reshape(*frames.shape[:2], 2)

    def _together(self, found: FeaturePoints, one: int, other: int) -> bool:
        """Whether two points follow the same thing."""
        pairs = [(found.xy[:, one, c], found.xy[:, other, c]) for c in (0, 1)]
        return all(b.std() > 1e-4 and np.corrcoef(a, b)[0, 1] > TOGETHER for a, b in pairs)


@dataclass
class Components:
    """The first two principal components of what the arm does not explain of a code: unsupervised, for any code."""

    run: Run
    name: str

    def fit(self, train: Episodes, codes: Array) -> "Components":
        """Fit the arm's part and the components, and calibrate them by contact."""
        flat = codes.reshape(-1, codes.shape[-1])
        self.scale = flat.std(0).clip(1e-6)
        self.arm = explained(arm_features(train.arm.reshape(-1, 6)), flat / self.scale)[1]
        rest = self._rest(codes, train.arm)
        every = rest.reshape(len(flat), -1)
        self.axes = np.linalg.svd(every[::7] - every.mean(0), full_matrices=False)[2][:2]
        self.contact = Contact.of(rest @ self.axes.T, train.arm)
        return self

    def of(self, frames: Array, arm: Array) -> Array:
        """Positions in about the unit of meters."""
        return self.contact(self._rest(encoded(self.run, frames), arm) @ self.axes.T)

    def _rest(self, codes: Array, arm: Array) -> Array:
        by_arm = self.arm.predict(arm_features(arm.reshape(-1, arm.shape[-1])))
        return codes / self.scale - by_arm.reshape(codes.shape)
