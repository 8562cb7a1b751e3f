"""Pictures in characters of ASCII, which every console can show, and sequences in blocks of eight heights."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RAMP = " .:-=+*#%@"
"""Characters from the smallest to the largest value."""
GAP = " | "
"""Between two pictures."""
WIDTH, CLEAR, TALLEST = 100, 24, 24
"""Columns of all pictures together, columns that make a picture clear, and largest number of lines."""
FEWEST, MOST = 4, 8
HEIGHTS = "▁▂▃▄▅▆▇█"
"""Blocks from the smallest to the largest value of a channel."""
EXAMPLES, CHANNELS, LONGEST, ALONE = 3, 6, 60, 3
"""Sequences and channels that are shown, characters of each, and lines of a channel that is the only one."""

Images = npt.NDArray[np.generic]


def side_by_side(images: Images, width: int = WIDTH) -> list[str]:
    """Lines with 4 to 8 of the images (N, C, H, W) side by side, all between their smallest and largest value.

    A character is about twice as high as wide. Channels are averaged; each character shows the mean of the pixels that
    it covers. Values that are missing count as the smallest.
    """
    gray = np.asarray(images, dtype=np.float64)[:, :3].mean(axis=1)
    gray = np.where(np.isfinite(gray), gray, np.nan)
    if np.isnan(gray).all():
        return []
    low, high = float(np.nanmin(gray)), float(np.nanmax(gray))
    scaled = (np.nan_to_num(gray, nan=low) - low) / ((high - low) or 1.0)
    count, columns, lines = _layout(len(gray), gray.shape[1], gray.shape[2], width)
    tiles = [_characters(image, lines, columns) for image in scaled[:count]]
    return [GAP.join(parts).rstrip() for parts in zip(*tiles, strict=True)]


def lines_of(sequences: Images, channels: Sequence[str], width: int = WIDTH) -> list[str]:
    """Lines with the first sequences (N, C, T): one line per channel, or three where there is one channel.

    Each channel is drawn between its smallest and largest value in these sequences; each character shows the mean of
    the steps that it covers. Values that are missing are left blank.
    """
    shown = np.asarray(sequences[:EXAMPLES, :CHANNELS], dtype=np.float64)
    shown = np.where(np.isfinite(shown), shown, np.nan)
    heads = [f"channel {name}" if name.isdecimal() else name for name in channels[:CHANNELS]]
    margin = 3 + max(map(len, heads), default=0) + 2
    rows = ALONE if shown.shape[1] == 1 else 1
    lines = []
    for number, example in enumerate(shown):
        for channel, values in enumerate(example):
            whole = shown[:, channel]
            low, high = (float(f(whole)) if np.isfinite(whole).any() else 0.0 for f in (np.nanmin, np.nanmax))
            level = (values - low) / ((high - low) or 1.0)
            for line, text in enumerate(_heights(level, min(len(level), LONGEST, width - margin), rows)):
                index, head = ("", "") if line else ("" if channel else str(number), heads[channel])
                lines.append(f"{index:<3}{head:<{margin - 3}}{text}".rstrip())
    hidden = sequences.shape[1] - CHANNELS
    return [*lines, f"... and {hidden:,} more channels"] if hidden > 0 else lines


def _heights(level: npt.NDArray[np.float64], columns: int, rows: int) -> list[str]:
    """Values in [0, 1], or NaN, as ``rows`` lines of ``columns`` blocks."""
    parts = np.array_split(level, columns)
    means = [float(np.nanmean(part)) if np.isfinite(part).any() else math.nan for part in parts]
    steps = [0 if math.isnan(mean) else 1 + min(int(mean * rows * 8), rows * 8 - 1) for mean in means]
    blocks = " " + HEIGHTS
    return ["".join(blocks[min(8, max(0, step - 8 * row))] for step in steps) for row in reversed(range(rows))]


def for_console(line: str, encoding: str) -> str:
    """A line as a console with this encoding can show it: heights in ASCII where it has no blocks."""
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.translate(str.maketrans(HEIGHTS, RAMP[2:]))
    return line.encode(encoding, "replace").decode(encoding)


def _layout(n: int, height: int, width: int, total: int) -> tuple[int, int, int]:
    """Number of images, and columns and lines of each."""
    for count in range(min(n, MOST), 0, -1):
        columns = min(2 * width, (total + len(GAP)) // count - len(GAP))
        if columns >= min(2 * width, CLEAR) or count <= FEWEST:
            break
    lines = max(1, round(columns * height / width / 2))
    if lines > TALLEST:
        columns, lines = max(1, round(columns * TALLEST / lines)), TALLEST
    return count, columns, lines


def _characters(image: npt.NDArray[np.float64], lines: int, columns: int) -> list[str]:
    """One image in [0, 1] as lines of characters."""
    small = _means(_means(image, lines).T, columns).T
    steps = np.minimum((small * len(RAMP)).astype(np.int64), len(RAMP) - 1)
    return ["".join(RAMP[step] for step in row) for row in steps.tolist()]


def _means(rows: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """``count`` equal parts of the first axis, each the mean of the rows that it covers, also in part."""
    edges = np.linspace(0, len(rows), count + 1)
    # integral over the rows, linear between two of them
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    whole = np.minimum(edges.astype(np.int64), len(rows) - 1)
    at = total[whole] + (edges - whole)[:, None] * rows[whole]
    means: npt.NDArray[np.float64] = np.clip(np.diff(at, axis=0) / (len(rows) / count), 0, 1)
    return means
