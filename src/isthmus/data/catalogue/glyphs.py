r"""The GLYPHS set: digits and capital letters of the fonts that come with matplotlib, drawn with random variation.

Each glyph of each face is drawn once, as its signed distance to the outline (Green, 2007), at three times the size of
an image. An image samples that distance through a random linear map (rotation, slant, width) and thresholds it at a
random distance from the outline, which makes the strokes thicker; the map is scaled so that the glyph fills the frame
to a random size, and the glyph is centered. The letter O is left out, because in several faces it is the digit 0 up to
its width.

The faces differ between the training set and the test set: a model is tested on glyphs that it has never seen.

References:
    Improved alpha-tested magnification for vector textures and special effects (Green, 2007)
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 28
CHARACTERS = "0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ"
"""The classes, in the order of their labels."""
FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta"),
    *("cmb10", "cmr10", "cmti10", "cmtt10"),
)
"""The faces of the training set: files of matplotlib's folder of fonts."""
TEST_FACES = ("DejaVuSansMono-Bold", "DejaVuSerif-Italic", "STIXGeneralItalic", "cmss10")
"""The faces of the test set, of other styles of the same families; Computer Modern Sans has no other style."""
TURN, SLANT = 8.0, 0.1
"""Largest rotation, in degrees, and largest horizontal shear, in either direction."""
WIDTH = (0.9, 1.1)
"""Bounds of the factor of the width."""
SIZE = (22.0, 25.0)
"""Bounds of the larger side of the ink, in pixels."""
THICKNESS = (0.0, 0.6)
"""Bounds of the distance by which the strokes grow on each side, in pixels."""
MASTER, EM, REACH = 112, 72, 8.0
"""Side of a drawn glyph and size of its font, in pixels, and the distance from the outline beyond which it is cut."""
DIRECTIONS = 32
"""Directions in which the extreme points of a glyph are known."""
OVERSAMPLING = 2
"""Samples per pixel along each axis, whose mean is the pixel."""
AT_ONCE = 1000
"""Images that are rendered at a time, which bounds the memory."""

Array = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class Masters(NamedTuple):
    """Drawn glyphs: signed distances (G, side, side), positive inside, and extreme points (G, directions, 2).

    Both are in pixels of the drawing; points are (x, y) from its center.
    """

    distance: Tensor
    extremes: Array


class Variation(NamedTuple):
    """Random variation of N images: linear maps (N, 2, 2), sizes (N,) and growth of the strokes (N,), in pixels."""

    maps: Array
    sizes: Array
    growth: Array


def glyphs(count: int, faces: tuple[str, ...], rng: np.random.Generator) -> tuple[Images, Labels, Labels]:
    """Images (N, 28, 28), 8-bit, their labels and their faces (N,), in random order.

    The classes have equal counts up to one, and so have the faces.
    """
    labels = rng.permutation(np.arange(count) % len(CHARACTERS))
    drawn_with = rng.permutation(np.arange(count) % len(faces))
    images = render(masters(faces), drawn_with * len(CHARACTERS) + labels, variation(count, rng))
    return images, labels, drawn_with


def variation(count: int, rng: np.random.Generator) -> Variation:
    """Independent uniform rotations, slants, widths, sizes and growth of the strokes."""
    turn = np.deg2rad(rng.uniform(-TURN, TURN, count))
    slant, width = rng.uniform(-SLANT, SLANT, count), rng.uniform(*WIDTH, count)
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    shear = np.zeros((count, 2, 2))
    shear[:, 0, 0], shear[:, 0, 1], shear[:, 1, 1] = width, slant, 1
    return Variation(rotation @ shear, rng.uniform(*SIZE, count), rng.uniform(*THICKNESS, count))


def render(drawn: Masters, chosen: Labels, varied: Variation) -> Images:
    """The images (N, 28, 28) of the ``chosen`` glyphs, each centered and scaled to its size."""
    points = drawn.extremes[chosen] @ varied.maps.transpose(0, 2, 1)
    low, high = points.min(axis=1), points.max(axis=1)
    scale = (varied.sizes - 2 * varied.growth) / (high - low).max(axis=1)
    # from the image, where the frame is [-1, 1], back to the drawing, where it is [-1, 1] too
    back = np.linalg.inv(varied.maps)
    center = (back @ ((low + high) / 2)[..., None]) / (MASTER / 2)
    theta = np.concatenate([back * (SIDE / MASTER / scale)[:, None, None], center], axis=2).astype(np.float32)
    unit = scale * np.sqrt(np.abs(np.linalg.det(varied.maps)))
    images = np.empty((len(chosen), SIDE, SIDE), dtype=np.uint8)
    for first in range(0, len(chosen), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        numbers = [torch.from_numpy(v[rows].astype(np.float32)) for v in (theta, unit, varied.growth)]
        images[rows] = _ink(drawn.distance[torch.from_numpy(chosen[rows])], *numbers).numpy()
    return images


def _ink(distance: Tensor, theta: Tensor, unit: Tensor, growth: Tensor) -> Tensor:
    """Images (N, 28, 28), 8-bit: the part of each pixel within ``growth`` of the outline, as the mean of its samples.

    ``unit`` is the length of a pixel of the drawing in pixels of the image.
    """
    side = SIDE * OVERSAMPLING
    at = F.affine_grid(theta, [len(theta), 1, side, side], align_corners=False)
    sampled = F.grid_sample(distance[:, None], at, padding_mode="border", align_corners=False)
    signed = sampled * unit[:, None, None, None] + growth[:, None, None, None]
    covered = (signed * OVERSAMPLING + 0.5).clamp(0, 1)
    return (F.avg_pool2d(covered, OVERSAMPLING)[:, 0] * 255).round().to(torch.uint8)


def masters(faces: tuple[str, ...]) -> Masters:
    """All characters of all ``faces``, face by face."""
    drawn = [_drawing(face, character) for face in faces for character in CHARACTERS]
    distances = np.stack([_signed_distance(ink) for ink in drawn])
    return Masters(torch.from_numpy(distances), np.stack([_extremes(ink) for ink in drawn]))


def font_file(face: str) -> Path:
    """The file of a face among the fonts of matplotlib."""
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def _drawing(face: str, character: str) -> npt.NDArray[np.uint8]:
    """A character in the middle of an 8-bit drawing (side, side)."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(font_file(face)), EM, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = font.getbbox(character)
    image = Image.new("L", (MASTER, MASTER))
    position = ((MASTER - left - right) // 2, (MASTER - top - bottom) // 2)
    ImageDraw.Draw(image).text(position, character, fill=255, font=font)
    return np.asarray(image)


def _signed_distance(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Distance from the outline in pixels, positive inside; smoothed by the width of one pixel."""
    from scipy.ndimage import distance_transform_edt

    inside = ink > 127
    distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
    # the gray value of a pixel on the outline is the part inside, so it tells the distance within the pixel
    exact = np.where((ink > 0) & (ink < 255), ink / 255 - 0.5, distance - np.sign(distance) / 2)
    return np.clip(exact, -REACH, REACH).astype(np.float32)


def _extremes(ink: npt.NDArray[np.uint8]) -> Array:
    """The points of a drawing that are farthest in evenly spaced directions, (directions, 2), from its center."""
    rows, columns = np.nonzero(ink > 127)
    points = np.stack([columns, rows], axis=1) - (MASTER - 1) / 2
    angle = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    ahead = np.stack([np.cos(angle), np.sin(angle)])
    # the ink reaches half a pixel beyond the center of its outermost pixel
    extremes: Array = points[np.argmax(points @ ahead, axis=0)] + ahead.T / 2
    return extremes
