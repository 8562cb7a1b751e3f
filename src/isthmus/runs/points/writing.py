"""Feature points as files: tables, arrays, and pictures and animations of the frames with the points on them."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isthmus import plots
from isthmus.data.base import Array, texts
from isthmus.data.prepared import PreparedSplit
from isthmus.errors import BadOption, check_range
from isthmus.files.atomic import replacing
from isthmus.plots.animation import EXTENSIONS as ANIMATIONS
from isthmus.plots.animation import RATE, Animation
from isthmus.runs.data import Inputs, NewData, own_source
from isthmus.runs.outputs import RowNames, check_folder, write_array
from isthmus.runs.points.extraction import frames_for, has_points, pictures, points_of
from isthmus.runs.points.tracks import FeaturePoints
from isthmus.runs.run import Run

TABLES = (".csv", ".parquet", ".npz")
SHOWN, FRAMES = 12, 200
"""Frames of a picture, and of an animation unless another number is asked for, at most."""
SLOWEST, FASTEST = 1.0, 60.0
"""Bounds of the frames per second that are read from the times of a video."""

Written = tuple[Path, tuple[int, ...]]


def write_points(
    run: Run,
    data: NewData,
    out: Path,
    *,
    keep: int | None = None,
    smooth: bool = False,
    threshold: float | None = None,
    frames: int = FRAMES,
) -> Written:
    """Write the feature points of every frame; returns the path and (frames, points, 2).

    ``.csv`` and ``.parquet`` have a row for each frame with its name or time, and x, y and presence of each point;
    ``.npz`` the arrays ``xy``, ``presence``, ``names``, ``numbers`` and
    ``starts``; ``.gif`` and ``.mp4`` the frames with points
    and trails, and ``.png`` some of them.

    Args:
        run: a run with feature points.
        data: frames or videos.
        out: file to write.
        keep: number of points, the most predictable; all by default.
        smooth: write positions of the Kalman smoother, which bridge frames in which a point is absent.
        threshold: presence from which on a point is present (:meth:`~isthmus.runs.points.FeaturePoints.present`).
        frames: number of frames of an animation, at most.

    Raises:
        IsthmusError: an unknown extension, a run without points, or data that cannot be read.
    """
    kind = _checked(out)
    check_range("The number of frames", frames, 1, 100_000)
    inputs = frames_for(run, data)
    points = points_of(run, inputs)
    present = points.present(threshold)
    shown = points.smoothed(threshold) if smooth else points
    if keep is not None:
        chosen = points.best(keep).numbers
        shown, present = shown.take([n - 1 for n in chosen]), present[:, [n - 1 for n in chosen]]
    if kind in ANIMATIONS:
        animation(run, shown, inputs, present, frames).save(out)
    elif kind == ".png":
        plots.save(_picture(run, shown, inputs, present), out)
    else:
        _write_table(out, shown)
    return out, shown.xy.shape


def animation(
    run: Run, points: FeaturePoints, inputs: Inputs, present: Array | None = None, frames: int = FRAMES
) -> Animation:
    """The first frames with their points and trails, at the rate of the video."""
    seen = points.present() if present is None else present
    shown = run.to_plot(pictures(inputs.x[:frames]))
    starts = [start for start in points.starts if start < frames]
    return plots.trails(shown, points.xy[:frames], seen[:frames], starts=starts, rate=_rate(points))


def animate(run: Run, data: NewData | None, folder: Path) -> list[Path]:
    """Write ``points.gif`` into a folder, of ``data`` or of the run's own; nothing where there is no video to read."""
    source = run.metadata.source if data is None else data
    if not has_points(run) or not source:
        return []
    inputs = frames_for(run, own_source(run, named=False) if data is None else data)
    return [animation(run, points_of(run, inputs), inputs).save(folder / "points.gif")]


def frames_with_points(run: Run, split: PreparedSplit) -> Figure:
    """Examples of a split with their points, without trails, as they need not follow each other."""
    x = split.x[:SHOWN]
    first = x[:, 0] if x.ndim == 5 else x
    inputs = Inputs(first, starts=tuple(range(len(first))))
    return _picture(run, points_of(run, inputs), inputs)


def _picture(run: Run, points: FeaturePoints, inputs: Inputs, present: Array | None = None) -> Figure:
    """Some of the frames with their points and trails."""
    drawn = animation(run, points, inputs, present).frames
    chosen = drawn[:: max(1, len(drawn) // SHOWN)][:SHOWN]
    return plots.samples(chosen.transpose(0, 3, 1, 2) / 255, title=f"{points.count} feature points (rings: absent)")


def _checked(out: Path) -> str:
    """The extension of a file that points can be written to."""
    kind, allowed = out.suffix.lower(), (*TABLES, *ANIMATIONS, ".png")
    if kind not in allowed:
        raise BadOption(f"Points are not written as {out.name!r}. Use one of {', '.join(allowed)}.")
    check_folder(out)
    return kind


def _rate(points: FeaturePoints) -> float:
    """Frames per second, if the names of frames are times in seconds."""
    if points.row_title != "time" or points.names is None or points.names.dtype.kind != "f" or len(points) < 2:
        return RATE
    step = float(np.median(np.diff(points.names)))
    return float(np.clip(1 / step, SLOWEST, FASTEST)) if step > 0 else RATE


def _write_table(out: Path, points: FeaturePoints) -> None:
    """Write the points as a table, or as arrays."""
    names = np.arange(len(points)) if points.names is None else points.names
    if out.suffix.lower() != ".npz":
        columns = points.columns()
        rows = RowNames(names, points.row_title)
        write_array(out, np.stack(list(columns.values()), 1), name="points", rows=rows, columns=list(columns))
        return
    with replacing(out) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            xy=points.xy,
            presence=points.presence,
            names=np.array(texts(names)),
            numbers=np.array(points.numbers),
            starts=np.array(points.starts),
        )
