"""Arguments and options shared by several commands, and printing."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from isthmus.errors import BadOption
from isthmus.files.plain import finite


def complete_recipe(typed: str) -> list[str]:
    """Names of recipes for the completion of a shell."""
    from isthmus.zoo import RECIPES

    return [name for name in RECIPES if name.startswith(typed)]


def complete_data(typed: str) -> list[str]:
    """Names of data sets for the completion of a shell."""
    from isthmus.data.catalogue.table import CATALOGUE

    return [name for name in CATALOGUE if name.startswith(typed)]


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
Input = Annotated[
    str | None,
    typer.Argument(
        metavar="INPUT", help="Name of a data set, or a path.", show_default=False, autocompletion=complete_data
    ),
]
OwnInput = Annotated[
    str | None,
    typer.Argument(
        metavar="INPUT",
        help="Name of a data set, or a path; by default the test set of the run.",
        show_default=False,
        autocompletion=complete_data,
    ),
]
Output = Annotated[str | None, typer.Argument(metavar="OUTPUT", help="File to write.", show_default=False)]
DataOption = Annotated[str | None, typer.Option("--data", help="Another way to give INPUT.", show_default=False)]
OutOption = Annotated[Path | None, typer.Option("--out", help="Another way to give OUTPUT.", show_default=False)]
AllowImport = Annotated[
    bool,
    typer.Option(
        "--allow-import", help="Import the module that made the model of the run, which runs its code; for own models."
    ),
]
Device = Annotated[
    str, typer.Option(help="Device: auto (a GPU if there is one), cpu, cuda, cuda:N or mps.", show_default=True)
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


MEANINGS = {"INPUT": "the data", "OUTPUT": "the file to write"}


def places(
    usage: str, first: str | None, second: str | None, data: str | None, out: Path | None
) -> tuple[str | None, Path | None]:
    """INPUT and OUTPUT of a command, given by position or by ``--data`` and ``--out``.

    A single positional argument is the one that is required, or the first if both or none are.

    Args:
        usage: form of the command, such as ``interpolate RUN [INPUT] OUTPUT``; what is in brackets may be left out.
        first: first positional argument after RUN.
        second: second one.
        data: value of ``--data``.
        out: value of ``--out``.

    Raises:
        BadOption: an argument is missing or given twice.
    """
    words = usage.split()[2:]
    required = [word for word in words if not word.startswith("[")]
    found = {"INPUT": data, "OUTPUT": None if out is None else str(out)}
    names = [name for name in (word.strip("[]") for word in words) if found[name] is None]
    given = [word for word in (first, second) if word is not None]
    if len(given) > len(names):
        twice = [name for name in MEANINGS if name in usage and name not in names]
        raise BadOption(f"{' and '.join(twice)} is given twice. Use isthmus {usage}.")
    if len(given) == 1 and len(names) == 2 and len(required) == 1:
        names = required
    found |= dict(zip(names, given, strict=False))
    for name in required:
        if found[name] is None:
            raise BadOption(f"{name} is missing, {MEANINGS[name]}. Use isthmus {usage}.")
    return found["INPUT"], None if found["OUTPUT"] is None else Path(found["OUTPUT"])


def own_input(usage: str, source: str | None, data: str | None, name: str = "INPUT") -> str | None:
    """INPUT of a command, given by position or by ``--data``; ``None`` for the run's own data.

    Raises:
        BadOption: it is given twice.
    """
    if source is not None and data is not None:
        raise BadOption(f"{name} is given twice, as {source!r} and as {data!r}. Use isthmus {usage} [{name}].")
    return data or source


def search_current_folder() -> None:
    """Let Python find modules of the user in the current folder, which an installed command does not search."""
    sys.path.insert(0, str(Path.cwd()))


def print_json(content: Mapping[str, object] | list[dict[str, object]]) -> None:
    """Print one JSON value on standard output."""
    typer.echo(json.dumps(finite(content), indent=2, allow_nan=False))


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
