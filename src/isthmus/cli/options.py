"""Arguments and options that several verbs share, and the ways they answer."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
Input = Annotated[str, typer.Argument(metavar="IN", help="Name of a data set, or a path.", show_default=False)]
Output = Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)]
Data = Annotated[str | None, typer.Option(help="Data set or path; the run's own by default.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PART.OPTION=VALUE", help="Change an option; may be given again."),
]
OnBad = Annotated[
    str | None,
    typer.Option(
        "--on-bad-data",
        metavar="stop|skip",
        help="At an example that is damaged, not finite, or out of range: stop, or leave it out and list it.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of every draw.")]
Sample = Annotated[bool, typer.Option("--sample", help="Draw from the distribution instead of taking its mean.")]


def print_json(content: Mapping[str, object] | list[dict[str, object]]) -> None:
    """One JSON value on standard output."""
    typer.echo(json.dumps(_finite(content), indent=2, allow_nan=False))


def _finite(content: object) -> object:
    """The same content with null for numbers that JSON does not have."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def print_table(
    columns: Mapping[str, str], rows: Sequence[tuple[str, ...]], title: str = "", *, wrap: bool = False
) -> None:
    """A table on standard output; ``columns`` gives each heading its side (left or right).

    Where there is little room texts are wrapped, the first column only if ``wrap`` says so; then figures never are.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=title or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for number, (heading, side) in enumerate(columns.items()):
        table.add_column(
            heading, justify="right" if side == "right" else "left", no_wrap=side == "right" if wrap else number == 0
        )
    for row in rows:
        table.add_row(*(text.replace("[", "\\[") for text in row))
    Console().print(table)
