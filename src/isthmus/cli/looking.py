"""The verbs that look: evaluate, plot, recipes, data."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.options import Changes, Data, Json, OnBad, RunFolder, print_json, print_table
from isthmus.cli.using import Draws, loaded


def evaluate(
    folder: RunFolder, data: Data = None, importance_samples: Draws = 0, on_bad: OnBad = None, as_json: Json = False
) -> None:
    """Measure a run on the test part of its data, or on its own held-out part."""
    from isthmus import meeting
    from isthmus.metrics.progress import shown
    from isthmus.metrics.variational import kl_by_latent

    run = loaded(folder, on_bad)
    ready = meeting.data_of(run, data)
    with shown("importance samples") if importance_samples else nullcontext() as listener:
        figures, part = meeting.measured(run, ready, importance_samples=importance_samples, listener=listener)
    if not as_json:
        print_figures(figures, part)
        return
    nats = kl_by_latent(run.model, meeting.measured_part(ready).x)
    print_json({"run": str(folder), "part": part, **figures, **({} if nats is None else {"kl_by_latent": nats})})


def print_figures(figures: Mapping[str, float], part: str) -> None:
    """A table of figures with their meanings."""
    from isthmus.metrics.evaluation import MEANINGS

    rows = [
        (name, f"{value:,}" if isinstance(value, int) else f"{value:.5g}", MEANINGS.get(name, ""))
        for name, value in figures.items()
    ]
    print_table({"figure": "left", "value": "right", "each, mean over examples": "left"}, rows, f"Measured on {part}")


def plot(
    folder: RunFolder,
    data: Data = None,
    only: Annotated[str | None, typer.Option(help="Draw this picture alone.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Draw the pictures of a run again, and its report."""
    from isthmus import gallery, meeting, reporting
    from isthmus.errors import unknown
    from isthmus.run import load

    run = load(folder)
    ready = meeting.data_of(run, data)
    if only is not None:
        names = [picture.name for picture in gallery.pictures(run, ready)]
        if only not in names:
            raise unknown("picture of this run called", only, names)
    # pictures of other data stand beside the run's own, not in their place
    place = folder if data is None else folder / f"on-{Path(ready.name).stem.replace(':', '-')}"
    drawn = gallery.draw(run, ready, place / "figures", only=only)
    paths = [str(path) for _, path in drawn]
    if only is None:
        figures, part = meeting.measured(run, ready)
        paths.append(str(reporting.write(run, figures, drawn, part=part, folder=place)))
    if as_json:
        print_json({"run": str(folder), "written": paths})
    else:
        typer.echo("\n".join(paths))


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Print this one whole, as JSON.")] = None,
    as_json: Json = False,
) -> None:
    """List the known recipes with formula and paper."""
    from isthmus.zoo import RECIPES, recipe

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
    print_table(dict.fromkeys(("recipe", "what it is", "minimises", "paper"), "left"), rows)
    typer.echo("Try one: isthmus fit vae --data digits      Its options: isthmus recipes vae")


def data(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Read this one and describe it.")] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """List the known data sets, or read one and describe it."""
    from isthmus.data.catalogue import rows

    if name is not None:
        _describe(name, changes or [], as_json)
        return
    if as_json:
        print_json([dict(vars(row)) for row in rows()])
        return
    table = [(row.name, row.shape, row.sizes, "yes" if row.present else "no") for row in rows()]
    print_table(dict.fromkeys(("name", "shape", "examples", "here"), "left"), table)
    typer.echo(
        "Files are looked for under $ISTHMUS_DATA/NAME, then in the cache, then downloaded where terms allow.\n"
        "Any path will do as well: .npy, .npz, IDX, .csv, .parquet, or a folder of images or of .npy\n"
        "or .parquet files; what is larger than memory stays on the disk.\n"
        "Terms and credit of one: isthmus data NAME"
    )


def _describe(name: str, changes: list[str], as_json: bool) -> None:
    """Read a data set and print what is in it."""
    from isthmus.data.catalogue import load
    from isthmus.data.describe import described, described_source
    from isthmus.data.opening import streamed
    from isthmus.fitting import place_of
    from isthmus.overrides import parse_pairs
    from isthmus.recipe import Recipe

    options = Recipe().with_options(parse_pairs(changes)).data
    source = streamed(place_of(name), options)
    facts = described(load(name, options)) if source is None else described_source(source)
    if as_json:
        print_json(facts)
    else:
        print_table({name: "left", "": "left"}, [(key, str(value)) for key, value in facts.items() if value])
