r"""Feature points of the frames of videos, filtered in time, ranked and pruned.

A point is present in a frame if enough of its attention is near it. Where it is absent, its position is predicted by a
Kalman filter. A point that follows a thing moves smoothly, so its next position is predictable; one that jumps between
things, or trembles at a place, is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from isthmus.errors import BadData, check_range
from isthmus.functional import Track, fitted_motion, kalman_filter, kalman_smoother

Array = npt.NDArray[Any]
PRESENT = 0.5
"""Presence from which on a point counts as present, relative to the median of its presence."""
LONGEST, MOST = 200, 64
"""Frames of a recording, and recordings, from which the motion of points is estimated."""
CONSTANT = 1e-12
"""Variance of a coordinate, in squared half sides of the image, below which a point does not move."""


@dataclass(frozen=True)
class FeaturePoints:
    """The feature points of consecutive frames.

    Attributes:
        xy: positions (x, y) of K points in N frames, (N, K, 2), from -1 (left, top) to 1 (right, bottom).
        presence: fraction of the attention near each point, (N, K), from 0 to 1.
        starts: first frame of each recording, ascending from 0; points are not followed from one to the next.
        names: name or time of each frame, (N,), where known.
        row_title: what the names are, such as ``time``.
        numbers: number of each point in the network, (K,), counted from 1; by default 1 to K.
    """

    xy: Array
    presence: Array
    starts: Sequence[int] = (0,)
    names: Array | None = None
    row_title: str = "frame"
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the shapes, and number the points.

        Raises:
            BadData: arrays that do not belong together.
        """
        count = self.presence.shape
        if self.xy.shape != (*count, 2) or len(count) != 2 or not count[0]:
            raise BadData(
                f"Positions have shape {self.xy.shape}, but presence has {count}. Pass (N, K, 2) and (N, K) of at "
                "least one frame."
            )
        if not self.numbers:
            object.__setattr__(self, "numbers", tuple(range(1, count[1] + 1)))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.xy)

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.numbers)

    def recordings(self) -> list[slice]:
        """The frames of each recording."""
        stops = [*self.starts[1:], len(self)]
        return [slice(int(a), int(b)) for a, b in zip(self.starts, stops, strict=True)]

    def present(self, threshold: float | None = None) -> Array:
        """Whether each point is present in each frame, (N, K).

        Args:
            threshold: smallest presence; by default half of the median presence of each point, since how narrow the
                attention is differs between points.
        """
        if threshold is None:
            return np.asarray(self.presence >= PRESENT * np.median(self.presence, axis=0))
        check_range("The threshold of presence", threshold, 0, 1)
        return np.asarray(self.presence >= threshold)

    def tracks(self, threshold: float | None = None, *, causal: bool = True) -> tuple[Array, Array]:
        r"""Filtered positions and velocities, both (N, K, 2), of points that move with nearly constant velocity.

        The variances of motion and noise are those under which the positions of each point are most likely. Where a
        point is absent its position is predicted.

        Args:
            threshold: as for :meth:`present`.
            causal: use frames up to the present one (filter); otherwise all of the recording (smoother).

        References:
            A new approach to linear filtering and prediction problems (Kalman, 1960)
        """
        found = self._filtered(self.present(threshold), causal=causal)
        states = self._joined(found.mean)
        return states[..., 0], states[..., 1]

    def smoothed(self, threshold: float | None = None, *, causal: bool = False) -> "FeaturePoints":
        """These points at the positions of :meth:`tracks`, by default of the smoother."""
        return replace(self, xy=self.tracks(threshold, causal=causal)[0].astype(self.xy.dtype))

    @cached_property
    def predictability(self) -> Array:
        r"""How well each point's next position is predicted from its frames before, (K,): at most 1, higher is better.

        .. math:: 1 - \frac{\sum_t \lVert f_{t+1} - \hat f_{t+1} \rVert^2}{\sum_t \lVert f_{t+1} - \bar f \rVert^2}

        over the frames after the second in which the point is present; :math:`\hat f_{t+1}` is the prediction of the
        filter, and :math:`\bar f` the mean position. 0 for a point that does not move.
        """
        present = self.present()
        found = self._filtered(present, causal=True)
        states = self._joined(found.mean)
        score = np.zeros(self.count)
        error, spread = np.zeros((2, self.count))
        for span in self.recordings():
            xy, state = self.xy[span], states[span]
            if len(xy) > 2:
                counted = present[span][2:, :, None]
                error += (counted * (xy[2:] - state[1:-1].sum(-1)) ** 2).sum((0, 2))
                spread += (counted * (xy[2:] - self.xy.mean(0)) ** 2).sum((0, 2))
        moves = spread > CONSTANT * len(self)
        score[moves] = 1 - error[moves] / spread[moves]
        return score

    def best(self, count: int) -> "FeaturePoints":
        """The ``count`` most predictable points, the best first.

        Raises:
            BadOption: fewer than one, or more than there are.
        """
        check_range("The number of points to keep", count, 1, self.count)
        return self.take(np.argsort(-self.predictability, kind="stable")[:count].tolist())

    def take(self, places: Sequence[int]) -> "FeaturePoints":
        """The points at some places, counted from 0."""
        chosen = list(places)
        numbers = tuple(self.numbers[k] for k in chosen)
        return replace(self, xy=self.xy[:, chosen], presence=self.presence[:, chosen], numbers=numbers)

    def columns(self) -> dict[str, Array]:
        """The columns of a table: ``x1``, ``y1``, ``presence1`` of each point by its number."""
        found: dict[str, Array] = {}
        for k, number in enumerate(self.numbers):
            found[f"x{number}"], found[f"y{number}"] = self.xy[:, k, 0], self.xy[:, k, 1]
            found[f"presence{number}"] = self.presence[:, k]
        return found

    def _filtered(self, present: Array, *, causal: bool) -> Track:
        """The states of all coordinates of all points in all recordings, (2K R, T, 2), recordings padded to T."""
        y, seen = self._padded(self.xy, present)
        coordinates = 2 * self.count
        by_point = y.view(coordinates, -1, y.shape[-1]), seen.view(coordinates, -1, y.shape[-1])
        q, r = fitted_motion(*(values[:, :MOST, :LONGEST] for values in by_point))
        every = len(self.starts)
        smooth = kalman_filter if causal else kalman_smoother
        return smooth(y, seen, q.repeat_interleave(every), r.repeat_interleave(every))

    def _padded(self, xy: Array, present: Array) -> tuple[Tensor, Tensor]:
        """Coordinates of points and whether they are seen as tracks of equal length, (2K R, T)."""
        spans = self.recordings()
        longest = max(span.stop - span.start for span in spans)
        y = torch.zeros(len(spans), longest, self.count, 2, dtype=torch.float64)
        seen = torch.zeros(y.shape, dtype=torch.bool)
        for n, span in enumerate(spans):
            length = span.stop - span.start
            y[n, :length] = torch.from_numpy(np.asarray(xy[span], np.float64))
            seen[n, :length] = torch.from_numpy(present[span])[..., None]
        return y.permute(2, 3, 0, 1).flatten(0, 2), seen.permute(2, 3, 0, 1).flatten(0, 2)

    def _joined(self, states: Tensor) -> Array:
        """States (2K R, T, 2) of tracks as those of frames, (N, K, 2, 2): coordinate, then position and velocity."""
        spans = self.recordings()
        by_frame = states.view(self.count, 2, len(spans), -1, 2).permute(2, 3, 0, 1, 4).numpy()
        return np.concatenate([by_frame[n, : span.stop - span.start] for n, span in enumerate(spans)])
