"""The command that writes the feature points of videos: points."""

from typing import Annotated

import typer

from isthmus.cli.inference import both, loaded, say_written
from isthmus.cli.shared import AllowImport, DataOption, Device, Input, OutOption, Output, RunFolder


def points(
    folder: RunFolder,
    source: Input = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    keep: Annotated[
        int | None,
        typer.Option(metavar="K", help="The K most predictable points only.  [default: all]", show_default=False),
    ] = None,
    smooth: Annotated[
        bool,
        typer.Option("--smooth", help="Positions of a Kalman smoother, which bridge frames where a point is absent."),
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="A point is present if this fraction of its attention is near it.  [default: half of its median]",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[int, typer.Option(metavar="N", help="Frames of an animation, at most.")] = 200,
    device: Device = "auto",
    allow_import: AllowImport = False,
) -> None:
    """Write the feature points of videos (.csv, .parquet, .npz, .gif, .mp4 or .png).

    A table has a row per frame, with its time and x, y and presence of each point; an animation shows them with
    trails. For runs with net.kind=spatial, such as the recipe spatial_mlp.
    """
    from isthmus.runs.points import writing

    given, target = both("points", source, out, data, to)
    run = loaded(folder, device=device, allow_import=allow_import)
    say_written(writing.write_points(run, given, target, keep=keep, smooth=smooth, threshold=threshold, frames=frames))
