"""Arguments and options shared by several commands, and printing."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
Input = Annotated[str, typer.Argument(metavar="DATA", help="Name of a data set, or a path.", show_default=False)]
Output = Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)]
Data = Annotated[
    str | None, typer.Option(help="Data set or path; by default the test set of the run.", show_default=False)
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set an option, such as latent.size=2; may be repeated."),
]
OnBadData = Annotated[
    str | None,
    typer.Option(
        "--on-bad-data",
        metavar="stop|skip",
        help="What to do with an invalid example (damaged, not finite, out of range): stop, or skip and list it.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Sample = Annotated[bool, typer.Option("--sample", help="Sample from the distribution instead of taking its mean.")]
ImportanceSamples = Annotated[
    int,
    typer.Option(
        "--importance-samples",
        metavar="K",
        help="Estimate -log p(x) from K codes per example; 5000 is usual, 0 for none.",
    ),
]


def print_json(content: Mapping[str, object] | list[dict[str, object]]) -> None:
    """Print one JSON value on standard output."""
    typer.echo(json.dumps(_finite(content), indent=2, allow_nan=False))


def _finite(content: object) -> object:
    """The same content with null for NaN and infinity, which JSON does not have."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def number(value: float) -> str:
    """A number for display: an integer with thousands separators, a float with five significant digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def print_table(
    columns: Mapping[str, str], rows: Sequence[tuple[str, ...]], title: str = "", *, wrap: bool = False
) -> None:
    """Print a table on standard output; ``columns`` maps each heading to its alignment, left or right.

    On a narrow terminal columns are wrapped: all but the first, or with ``wrap`` all but the right-aligned ones.
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
    for position, (heading, side) in enumerate(columns.items()):
        table.add_column(
            heading, justify="right" if side == "right" else "left", no_wrap=side == "right" if wrap else position == 0
        )
    for row in rows:
        table.add_row(*(text.replace("[", "\\[") for text in row))
    Console().print(table)
