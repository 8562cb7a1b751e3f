"""Commands that report: evaluate, plot, recipes, data."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.inference import loaded
from isthmus.cli.shared import (
    AllowImport,
    Changes,
    DataOption,
    Device,
    ImportanceSamples,
    Json,
    OnBadData,
    OwnInput,
    RunFolder,
    number,
    own_input,
    print_json,
    print_table,
)


def evaluate(
    folder: RunFolder,
    source: OwnInput = None,
    data: DataOption = None,
    importance_samples: ImportanceSamples = 0,
    on_bad_data: OnBadData = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
    as_json: Json = False,
) -> None:
    """Evaluate a run on its test set, or on other data."""
    from isthmus.cli.progress import shown
    from isthmus.metrics.variational import kl_by_latent
    from isthmus.runs.data import data_for, evaluation_split
    from isthmus.runs.inference import evaluate_split

    given = own_input("evaluate RUN", source, data)
    run = loaded(folder, on_bad_data, device, allow_import=allow_import)
    prepared = data_for(run, given)
    with shown("importance samples") if importance_samples else nullcontext() as callback:
        metrics, split = evaluate_split(run, prepared, None, importance_samples, callback)
    if not as_json:
        print_metrics(metrics, split)
        return
    nats = kl_by_latent(run.model, evaluation_split(prepared).x)
    print_json({"run": str(folder), "split": split, **metrics, **({} if nats is None else {"kl_by_latent": nats})})


def print_metrics(metrics: Mapping[str, float], split: str) -> None:
    """Print a table of metrics with their meanings."""
    from isthmus.metrics.evaluation import MEANINGS

    rows = [(name, number(value), MEANINGS.get(name, "")) for name, value in metrics.items()]
    columns = {"metric": "left", "value": "right", "meaning (mean over examples)": "left"}
    print_table(columns, rows, f"Evaluated on {split}")


def plot(
    folder: RunFolder,
    source: OwnInput = None,
    data: DataOption = None,
    only: Annotated[str | None, typer.Option(help="Draw this figure only.", show_default=False)] = None,
    allow_import: AllowImport = False,
    as_json: Json = False,
) -> None:
    """Draw the figures of a run and write its report again."""
    from isthmus.reports import report
    from isthmus.reports.figures import draw
    from isthmus.runs.data import data_for

    given = own_input("plot RUN", source, data)
    run = loaded(folder, allow_import=allow_import)
    prepared = data_for(run, given)
    # figures of other data do not replace those of the run
    place = folder if given is None else folder / f"on-{Path(prepared.name).stem.replace(':', '-')}"
    if only is None:
        written = report.make(run, place, prepared)
        paths = [str(path) for _, path in written.figures] + [str(written.path)]
    else:
        paths = [str(path) for _, path in draw(run, prepared, place / "figures", only=only)]
    if as_json:
        print_json({"run": str(folder), "written": paths})
    else:
        typer.echo("\n".join(paths))


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="Print all options of this recipe, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the recipes, or print one as JSON."""
    from isthmus.zoo import ALIASES, RECIPES, recipe

    if name is not None:
        typer.echo(recipe(name).to_json(), nl=False)
        return
    if as_json:
        print_json(
            [
                {
                    "name": key,
                    "summary": e.summary,
                    "formula": e.formula,
                    "paper": e.paper,
                    "recipe": e.make().to_dict(),
                }
                for key, e in RECIPES.items()
            ]
        )
        return
    rows = [(key, e.summary, e.formula, e.paper) for key, e in RECIPES.items()]
    print_table(dict.fromkeys(("recipe", "description", "objective (minimized)", "paper"), "left"), rows)
    typer.echo("Short names: " + ", ".join(f"{alias} for {name}" for alias, name in ALIASES.items()))
    typer.echo("Train: isthmus fit vae digits      Options: isthmus recipes vae")


def data(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Load this data set and describe it.")] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """List the named data sets, or load one and describe it."""
    from isthmus.data.catalogue.table import rows

    if name is not None:
        _describe(name, changes or [], as_json)
        return
    if as_json:
        print_json([dict(vars(row)) for row in rows()])
        return
    table = [(row.name, row.shape, row.sizes, "yes" if row.present else "no") for row in rows()]
    print_table(dict.fromkeys(("name", "shape", "examples", "available"), "left"), table)
    typer.echo(
        "Files are searched in $ISTHMUS_DATA/NAME, then in the cache, then downloaded if the license permits.\n"
        "Paths are accepted too: .npy, .npz, IDX, .csv, .parquet, or a folder of images, .npy or .parquet files;\n"
        "data larger than memory is streamed from disk.\n"
        "License and credit: isthmus data NAME"
    )


def _describe(name: str, changes: list[str], as_json: bool) -> None:
    """Load a data set and print a description."""
    from isthmus.data.catalogue.table import load_dataset
    from isthmus.data.describe import described, described_source
    from isthmus.data.loading import as_path
    from isthmus.data.streaming.choice import source_if_streamed
    from isthmus.models.overrides import parse_pairs
    from isthmus.models.recipe import Recipe

    options = Recipe().with_options(parse_pairs(changes)).data
    source = source_if_streamed(as_path(name), options)
    found = described(load_dataset(name, options)) if source is None else described_source(source)
    if as_json:
        print_json(found)
    else:
        rows = [(key, str(value)) for key, value in found.items() if value]
        print_table({"property": "left", "value": "left"}, rows, name)
