"""The command that changes an attribute of examples: alter."""

from typing import Annotated

import typer

from isthmus.cli.inference import both, loaded, say_written
from isthmus.cli.shared import (
    AllowImport,
    Device,
    Input,
    OnBadData,
    OutOption,
    Output,
    RunFolder,
    complete_data,
)


def alter(
    folder: RunFolder,
    source: Input = None,
    out: Output = None,
    to: OutOption = None,
    toward: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Class that examples are moved to, by name or number.", show_default=False),
    ] = None,
    away: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CLASS", help="Class that they come from.  [default: all others]", show_default=False
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="1 is the whole way between the classes; below 0 leads away from CLASS.")
    ] = 1.0,
    labels: Annotated[
        str | None,
        typer.Option(help="Column or array with the classes.  [default: the labels of the data]", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Labeled examples: name of a data set, or a path.  [default: the training data of RUN]",
            show_default=False,
            autocompletion=complete_data,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="means|logistic",
            help="Difference of the mean codes of the classes, or normal of a logistic regression, which changes less "
            "of the rest.",
        ),
    ] = "means",
    before: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="In place of classes: examples before the change, in pairs.", show_default=False
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The same examples after it, in the same order.", show_default=False),
    ] = None,
    residual: Annotated[
        bool, typer.Option("--residual", help="Keep details of INPUT that its reconstruction lacks.")
    ] = False,
    on_bad_data: OnBadData = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
) -> None:
    """Change an attribute of examples (.npy, .npz, .csv or .png).

    Their codes are moved in the direction that leads from other classes to CLASS, and decoded.
    """
    from isthmus.runs import directions, writing

    given, target = both("alter", source, out, None, to)
    run = loaded(folder, on_bad_data, device, allow_import=allow_import)
    found = directions.direction_of(
        run, toward, away=away, data=data, labels=labels, before=before, after=after, method=method
    )
    typer.echo(f"direction {found}", err=True)
    say_written(writing.alter(run, given, target, found, strength=strength, residual=residual))
