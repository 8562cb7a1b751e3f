"""Commands about papers: reproduce, cite."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.shared import Changes, Json, Seed, print_json, print_table
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.papers.reproduction import Paper


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="[PAPER]", help="Key of a paper; without one, all are listed.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run a small version, in under two minutes.")] = False,
    pretrain: Annotated[
        bool, typer.Option("--pretrain/--no-pretrain", help="For hinton2006: with or without pretraining.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; runs/PAPER by default.", show_default=False)
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Reproduce the results of a paper; resumes if interrupted."""
    from isthmus.papers import PAPERS, paper
    from isthmus.papers.reproduction import Reproduction
    from isthmus.papers.reproduction import reproduce as run

    if name is None:
        if quick or out is not None or not pretrain:
            raise BadOption(f"No paper is given. Use one of {', '.join(PAPERS)}, or no option to list them.")
        known = [paper(key) for key in PAPERS]
        if as_json:
            print_json([{"name": p.name, "title": p.title, "claim": p.claim, "quick": p.quick} for p in known])
            return
        print_table({"paper": "left", "claim": "left"}, [(p.name, p.claim) for p in known])
        typer.echo("Try one: isthmus reproduce higgins2017 --quick")
        return
    chosen = paper(name)
    if not pretrain and not chosen.bare:
        raise BadOption(f"--no-pretrain is set, but paper {name!r} does not use pretraining. Leave it out.")
    form = f"-seed{seed}" * bool(seed) + "-quick" * quick + "-no-pretrain" * (not pretrain)
    folder = out or Path("runs") / f"{name}{form}"
    results = run(chosen, Reproduction(folder, seed, quick, pretrain, lambda text: typer.echo(text, err=True)))
    if as_json:
        print_json(results)
    else:
        _print_results(chosen, results, folder)


def _print_results(chosen: "Paper", results: dict[str, Any], folder: Path) -> None:
    """Print the table of a reproduction, its targets and the files written."""
    from isthmus.papers.page import cells

    rows = [cells(row) for row in results["rows"]]
    print_table(
        {"metric": "left", "published": "right", "ours": "right", "best known": "left"},
        [row[:4] for row in rows],
        f"{chosen.title}{' (quick version)' if '--quick' in results['command'] else ''}",
        wrap=True,
    )
    for row in rows:
        if row.target:
            typer.echo(f"Target: {row.metric}: {row.target}: {row.verdict}")
    typer.echo(f"Budget: {results['budget']}")
    for note in chosen.notes:
        typer.echo(f"Note: {note}")
    for figure in results["pictures"]:
        typer.echo(f"  {folder / figure}")
    typer.echo(f"Results:\n  {folder / 'results.json'}")


def cite(
    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="Name of a recipe, or a run folder.")],
    changes: Changes = None,
) -> None:
    """Print BibTeX entries of a recipe or run and its parts."""
    from isthmus.models.overrides import parse_pairs
    from isthmus.runs.loading import load
    from isthmus.zoo import ALIASES, RECIPES, recipe
    from isthmus.zoo.citations import bibtex, keys

    chosen = recipe(what) if what in {**RECIPES, **ALIASES} or not Path(what).is_dir() else load(what).recipe
    typer.echo(bibtex(keys(chosen.with_options(parse_pairs(changes or [])))), nl=False)
