"""Points drawn over the frames of a video, with trails: an animation that is saved as GIF or MP4."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from isthmus.errors import BadOption, MissingExtra, ShapeError
from isthmus.files.atomic import replacing
from isthmus.plots.canvas import displayed, finite
from isthmus.plots.lines import COLORS

SIDE, SMOOTH = 256, 2
"""Smallest side of a drawn frame in pixels, and how many times as large it is while it is drawn, for smooth edges."""
TRAIL = 8
"""Frames whose positions are joined by the trail of a point."""
RADIUS, WIDTH = 5.0, 2.0
"""Radius of a point, and width of its trail, in pixels of the drawn frame."""
EXTENSIONS = (".gif", ".mp4")
RATE = 10.0
"""Frames per second."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Animation:
    """Frames (F, H, W, 3) of 8 bits that are shown one after another, ``rate`` of them per second."""

    frames: Pixels
    rate: float = RATE

    def save(self, path: str | Path) -> Path:
        """Write the frames as ``.gif`` or ``.mp4``, atomically.

        Raises:
            BadOption: another extension.
            MissingExtra: PyAV is not installed, for an MP4.
        """
        place = Path(path)
        check_animation(place)
        content = self.gif() if place.suffix.lower() == ".gif" else self._mp4()
        with replacing(place) as temporary:
            temporary.write_bytes(content)
        return place

    def gif(self) -> bytes:
        """The animation as a GIF that repeats without end, in one palette, so that colors do not flicker."""
        sheet = Image.fromarray(self.frames[:: max(1, len(self.frames) // 16)].reshape(-1, *self.frames.shape[2:]))
        palette = sheet.quantize(255, method=Image.Quantize.MEDIANCUT)
        images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        buffer = io.BytesIO()
        # a GIF counts in hundredths of a second, and viewers show less than two of them as ten
        duration = 10 * max(2, round(100 / self.rate))
        images[0].save(
            buffer, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False
        )
        return buffer.getvalue()

    def _mp4(self) -> bytes:
        try:
            import av
        except ImportError as fault:
            raise MissingExtra(
                "Writing an .mp4 file requires PyAV, which is not installed. Install it with "
                "pip install 'isthmus[video]', or write a .gif file."
            ) from fault
        buffer = io.BytesIO()
        # sides are even, as the codec takes no others
        height, width = (side // 2 * 2 for side in self.frames.shape[1:3])
        with av.open(buffer, "w", format="mp4") as container:
            stream: Any = container.add_stream("h264", rate=Fraction(self.rate).limit_denominator(1000))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in self.frames[:, :height, :width]:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
            container.mux(stream.encode())
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """The animation in a notebook."""
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.gif()).decode()}">'


def check_animation(path: Path) -> None:
    """Refuse a path without the extension of an animation.

    Raises:
        BadOption: another extension.
    """
    if path.suffix.lower() not in EXTENSIONS:
        raise BadOption(f"An animation is written as .gif or .mp4, not as {path.name!r}. Use one of these extensions.")


def trails(
    frames: npt.ArrayLike,
    xy: npt.ArrayLike,
    present: npt.ArrayLike | None = None,
    *,
    starts: Sequence[int] = (0,),
    rate: float = RATE,
) -> Animation:
    """Points over the frames of videos, each with a trail of where it was in the eight frames before.

    A point that is absent is drawn as a ring.

    Args:
        frames: pictures (N, C, H, W) in [0, 1].
        xy: positions (x, y) of the points, (N, K, 2), from -1 (left, top) to 1 (right, bottom).
        present: whether each point is present, (N, K); all are by default.
        starts: first frame of each video, where trails begin.
        rate: frames per second.

    Raises:
        ShapeError: arrays of other shapes.
    """
    pictures, points = finite(frames, "The frames"), finite(xy, "The points")
    seen = np.ones(points.shape[:2], bool) if present is None else np.asarray(present, bool)
    if pictures.ndim != 4 or points.shape != (len(pictures), seen.shape[1], 2) or len(seen) != len(pictures):
        raise ShapeError(
            f"Frames (N, C, H, W) have shape {pictures.shape}, points (N, K, 2) {points.shape} and their presence "
            f"(N, K) {seen.shape}. Pass points of every frame."
        )
    tiles, _ = displayed(pictures)
    colored = np.repeat(tiles[..., None], 3, -1) if tiles.ndim == 3 else tiles
    return Animation(np.stack(list(_drawn(np.rint(255 * colored).astype(np.uint8), points, seen, starts))), rate)


def _drawn(
    frames: Pixels, xy: npt.NDArray[Any], present: npt.NDArray[np.bool_], starts: Sequence[int]
) -> Iterator[Pixels]:
    """Each frame, enlarged, with its points."""
    height, width = frames.shape[1:3]
    factor = SMOOTH * max(1, -(-SIDE // min(height, width)))
    size = width * factor, height * factor
    places = (xy + 1) / 2 * np.array(size)
    of = np.searchsorted(np.asarray(starts), np.arange(len(frames)), side="right") - 1
    for t, frame in enumerate(frames):
        image = Image.fromarray(frame).resize(size, Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(image)
        first = max(t - TRAIL, int(starts[of[t]]))
        for k in range(xy.shape[1]):
            color = COLORS[k % len(COLORS)]
            _trail(draw, places[first : t + 1, k], color)
            _point(draw, places[t, k], color, filled=bool(present[t, k]))
        yield np.asarray(image.resize((size[0] // SMOOTH, size[1] // SMOOTH), Image.Resampling.BOX))


def _trail(draw: ImageDraw.ImageDraw, path: npt.NDArray[Any], color: str) -> None:
    """A line with a white edge that grows wider toward the present."""
    for edge, shade in ((SMOOTH * 1.5, "white"), (0, color)):
        for step in range(1, len(path)):
            width = max(1, round(SMOOTH * WIDTH * step / (len(path) - 1) + edge))
            draw.line([tuple(path[step - 1]), tuple(path[step])], fill=shade, width=width)


def _point(draw: ImageDraw.ImageDraw, place: npt.NDArray[Any], color: str, *, filled: bool) -> None:
    for radius, edge in ((RADIUS + 1, "white"), (RADIUS, color)):
        r = SMOOTH * radius
        box = (place[0] - r, place[1] - r, place[0] + r, place[1] + r)
        draw.ellipse(box, fill=color if filled else None, outline=edge, width=round(SMOOTH * (1.5 if filled else 2)))
