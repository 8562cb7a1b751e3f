"""The verbs about papers: reproduce remakes their figures, cite names them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.options import Changes, Json, Seed, print_json, print_table
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.papers.sitting import Paper


def reproduce(
    name: Annotated[str | None, typer.Argument(metavar="[PAPER]", help="Key of a paper; none lists them.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small form, under two minutes.")] = False,
    pretrain: Annotated[
        bool, typer.Option("--pretrain/--no-pretrain", help="hinton2006: with or without pretraining.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Folder for pieces and results; runs/PAPER by default.", show_default=False)
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Remake the figures of a paper; stopped and called again, it goes on where it was."""
    from isthmus.papers import PAPERS, paper
    from isthmus.papers.sitting import Sitting
    from isthmus.papers.sitting import reproduce as run

    if name is None:
        if quick or out is not None or not pretrain:
            raise BadOption(f"No paper is named. Name one of {', '.join(PAPERS)}, or give no option to list them.")
        known = [paper(key) for key in PAPERS]
        if as_json:
            print_json([{"name": p.name, "title": p.title, "claim": p.claim, "quick": p.quick} for p in known])
            return
        print_table({"paper": "left", "claim": "left"}, [(p.name, p.claim) for p in known])
        typer.echo("Try one: isthmus reproduce higgins2017 --quick")
        return
    chosen = paper(name)
    if not pretrain and not chosen.bare:
        raise BadOption(f"Paper {name!r} pretrains nothing, so --no-pretrain has no meaning. Leave it out.")
    form = f"-seed{seed}" * bool(seed) + "-quick" * quick + "-no-pretrain" * (not pretrain)
    folder = out or Path("runs") / f"{name}{form}"
    results = run(chosen, Sitting(folder, seed, quick, pretrain, lambda text: typer.echo(text, err=True)))
    if as_json:
        print_json(results)
    else:
        _told(chosen, results, folder)


def _told(chosen: "Paper", results: dict[str, Any], folder: Path) -> None:
    """Print the table of a reproduction, its bars, and where all of it lies."""
    from isthmus.papers.page import cells

    rows = [cells(row) for row in results["rows"]]
    print_table(
        {"figure": "left", "published": "right", "ours": "right", "best known": "left"},
        [row[:4] for row in rows],
        f"{chosen.title}{' (quick form)' if '--quick' in results['command'] else ''}",
        wrap=True,
    )
    for row in rows:
        if row.bar:
            typer.echo(f"Bar: {row.figure}: {row.bar}: {row.verdict}")
    typer.echo(f"Budget: {results['budget']}")
    for note in chosen.notes:
        typer.echo(f"Note: {note}")
    for picture in results["pictures"]:
        typer.echo(f"  {folder / picture}")
    typer.echo(f"Results:\n  {folder / 'results.json'}")


def cite(
    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="Name of a recipe, or folder of a run.")],
    changes: Changes = None,
) -> None:
    """Print the BibTeX of the papers behind a recipe or a run, and behind each of its parts."""
    from isthmus.citations import bibtex, keys
    from isthmus.overrides import parse_pairs
    from isthmus.run import load
    from isthmus.zoo import RECIPES, recipe

    chosen = recipe(what) if what in RECIPES or not Path(what).is_dir() else load(what).recipe
    typer.echo(bibtex(keys(chosen.with_options(parse_pairs(changes or [])))), nl=False)
