"""The command that lists the named data sets, or shows what is understood of one or of a file: data."""

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.shared import Changes, Json, OnBadData, complete_data, print_json, print_table
from isthmus.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from matplotlib.figure import Figure

    from isthmus.data.base import Array
    from isthmus.data.description.overview import Description


def data(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Name of a data set, or a path: show it.", autocompletion=complete_data),
    ] = None,
    changes: Changes = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also draw the first rows into this .png file.", metavar="FILE", show_default=False),
    ] = None,
    on_bad_data: OnBadData = None,
    as_json: Json = False,
) -> None:
    """Show what is understood of data: columns, splits, guesses; or list the named data sets and the kinds of files.

    Of a large file only a part is read. The exit code is 2 if a training would refuse the data.
    """
    from isthmus.data.description.overview import describe
    from isthmus.models.overrides import parse_pairs
    from isthmus.models.recipe import Recipe

    if name is None:
        _list(as_json=as_json)
        return
    options = parse_pairs(changes or []) | ({"data.on_bad_data": on_bad_data} if on_bad_data else {})
    found = describe(name, Recipe().with_options(options).data)
    written = None if picture is None else str(_draw(found, picture))
    if as_json:
        print_json(found.content | ({"picture": written} if written else {}))
    else:
        from isthmus.cli.characters import for_console
        from isthmus.cli.overview import lines

        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        for line in lines(found):
            typer.echo(for_console(line, encoding))
        if written:
            typer.echo(f"\n{written}")
    if found.refused:
        raise BadData(found.refused)


def _list(*, as_json: bool) -> None:
    """Print the named data sets and the kinds of files."""
    from isthmus.data.catalogue.table import rows

    if as_json:
        print_json([dict(vars(row)) for row in rows()])
        return
    table = [(row.name, row.shape, row.sizes, "yes" if row.present else "no") for row in rows()]
    print_table(dict.fromkeys(("name", "shape", "examples", "available"), "left"), table)
    typer.echo(
        "Files are searched in $ISTHMUS_DATA/NAME, then in the cache, then downloaded if the license permits.\n"
        f"{kinds_of_files()}\n"
        "Data larger than memory is streamed from disk where its format permits.\n"
        "Show one, with its license and credit: isthmus data NAME or PATH"
    )


def kinds_of_files() -> str:
    """The formats of files that are read, each with its usual extension, in lines of 100 characters."""
    from isthmus.data.readers.known import FORMATS

    names = ", ".join(f"{known.name} ({known.endings[0]})" for known in FORMATS)
    text = f"Files are accepted too: {names}; compressed or in an archive; and folders of them or of images."
    return textwrap.fill(text, 100, break_on_hyphens=False)


def _draw(found: "Description", path: Path) -> Path:
    """Draw the first rows as a picture: examples, pairs of them, or a table as a heat map of standardized columns."""
    import numpy as np

    from isthmus.plots.canvas import save
    from isthmus.plots.pictures import denoised, samples, strip

    if path.suffix.lower() != ".png":
        raise BadData(f"--picture writes a .png file, not {path.name!r}. Use a name that ends in .png.")
    if not path.absolute().parent.is_dir():
        raise BadData(f"The folder {str(path.parent)!r} does not exist. Create it, or use another one.")
    what = "rows" if found.examples is None else "examples"
    title = f"First {what} of {Path(found.content['name']).name}"
    if found.examples is None:
        return save(samples(_standardized(found.table), title=f"{title}, standardized columns"), path)
    first = {"input": found.inputs, "target": found.examples} if found.inputs is not None else {"": found.examples}
    shown = {name: examples.astype(np.float64) for name, examples in first.items() if examples is not None}
    if found.content["layout"]["kind"] == "sequences":
        return save(_sequences(shown, title, found.content["columns"]), path)
    low, high = np.nanmin(found.examples), np.nanmax(found.examples)
    scaled = {name: np.nan_to_num((examples - low) / ((high - low) or 1.0)) for name, examples in shown.items()}
    return save(strip(scaled, title=title) if found.examples.ndim == 4 else denoised(scaled, title=title), path)


def _sequences(rows: "Mapping[str, Array]", title: str, columns: "Sequence[Mapping[str, Any]]") -> "Figure":
    """Sequences as lines, with gaps at missing values; inputs and targets on top of each other."""
    from isthmus.plots.sequences import MOST_EXAMPLES, overlaid, several

    names = [column["name"] for column in columns if "min" in column]
    channels = [] if all(name.isdecimal() for name in names) else names
    if len(rows) > 1:
        return overlaid(rows, title, channels=channels)
    (examples,) = rows.values()
    return several(examples if len(names) == 1 else examples[:MOST_EXAMPLES], title, channels=channels)


def _standardized(table: "Array", count: int = 64) -> "Array":
    """The first rows with mean 0 and variance 1 per column, at most three deviations from 0; missing cells are 0."""
    import numpy as np

    values = np.ma.masked_invalid(np.asarray(table, dtype=np.float64))
    spread = np.ma.filled(values.std(axis=0), 0.0)
    center = np.ma.filled(values.mean(axis=0), 0.0)
    rows = (values[:count] - center) / np.where(spread > 0, spread, 1.0)
    return np.clip(np.ma.filled(rows, 0.0), -3, 3)
