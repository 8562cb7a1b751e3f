"""Commands that report: evaluate, plot, recipes."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.inference import loaded
from isthmus.cli.shared import (
    AllowImport,
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
    from isthmus.runs.points.writing import animate

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
    if only in (None, "points"):
        paths += map(str, animate(run, given, place / "figures"))
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
