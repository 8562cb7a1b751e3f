"""The command that compares models: compare."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.inference import loaded, say_doing
from isthmus.cli.shared import (
    AllowImport,
    Changes,
    Device,
    Json,
    complete_data,
    complete_recipe,
    print_json,
    print_table,
)
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.runs.run import Run


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|RECIPE...",
            help="Folders of runs, or names of recipes, which are trained first.",
            show_default=False,
            autocompletion=complete_recipe,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Name of a data set, or a path; by default that of the first run, or digits.",
            show_default=False,
            autocompletion=complete_data,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page, its sheets and the trained recipes.")] = Path(
        "comparison"
    ),
    density: Annotated[
        list[str] | None,
        typer.Option(
            metavar="prior|auto|gaussian|gmm|kde|flow",
            help="What codes are sampled from; may be repeated.  [default: the prior and auto]",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option(metavar="test|valid", help="Examples to compare with.")] = "test",
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the recipes to train.", show_default="each recipe's")
    ] = None,
    changes: Changes = None,
    seed: Annotated[int, typer.Option(help="Random seed of training and samples.")] = 0,
    device: Device = "auto",
    allow_import: AllowImport = False,
    as_json: Json = False,
) -> None:
    """Compare models: reconstructions, samples, and sheets of both on one page.

    Distances to the data are measured in the features of a judge, a small network that is trained once for a data set.
    """
    from isthmus.comparison import page
    from isthmus.comparison.compare import compare as measure

    given = {n: loaded(Path(n), device=device, allow_import=allow_import) for n in models if _is_run(n)}
    first = next(iter(given.values()), None)
    chosen = data or ("digits" if first is None else first.metadata.source)
    runs: dict[str, Run] = {}
    for name in models:
        made = given.get(name) or _trained(name, chosen, out, epochs, changes or [], seed, device, quiet=as_json)
        runs[_name(name, runs)] = made
    found = measure(
        runs,
        data,
        kinds=density or (),
        split=split,
        seed=seed,
        progress=say_doing,
    )
    written = page.write(found, runs, out)
    if as_json:
        print_json(found.to_dict() | {"page": str(written)})
        return
    for title, (columns, rows) in {
        "Reconstructions": page.reconstruction_rows(found),
        "Samples": page.sample_rows(found),
    }.items():
        heads = {name: "left" if name in ("model", "codes") else "right" for name in columns}
        print_table(heads, [tuple(map(str, row)) for row in rows], title, wrap=True)
    typer.echo(f"Compared with {found.data}; judge: {found.judge}.")
    typer.echo(f"Open this page in a browser:\n  {written}")


def _is_run(name: str) -> bool:
    """Whether a model is the folder of a run; the name of a recipe has no slash."""
    return "/" in name or Path(name).is_dir()


def _name(name: str, taken: "dict[str, Run]") -> str:
    """What stands for a model: the name of its folder or recipe, with a number if it is taken."""
    short = Path(name).name or name
    return next(made for n in range(1, len(taken) + 2) if (made := short if n == 1 else f"{short}-{n}") not in taken)


def _trained(
    recipe: str,
    data: str,
    out: Path,
    epochs: int | None,
    changes: list[str],
    seed: int,
    device: str,
    *,
    quiet: bool,
) -> "Run":
    """A recipe, trained in the folder of the comparison; one that was trained there before is taken as it is."""
    from isthmus.models.overrides import parse_pairs
    from isthmus.runs.fit import fit
    from isthmus.zoo import recipe as known

    if not data:
        raise BadOption("The data of the run was only in memory. Pass --data to train recipes on.")
    options = parse_pairs(changes)
    if not quiet:
        typer.echo(f"{recipe}:", err=True)
    with warnings.catch_warnings():
        # that a run is finished is what is hoped for here
        warnings.filterwarnings("ignore", message=".* is already finished", category=UserWarning)
        return fit(
            known(recipe),
            data,
            epochs=epochs,
            options=options,
            seed=seed,
            device=device,
            out=out / "runs" / recipe,
            progress=not quiet,
            resume=True,
        )
