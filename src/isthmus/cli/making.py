"""The verb that makes a run: fit."""

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import launching
from isthmus.cli.options import Changes, Json, OnBad, Seed, print_json
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.recipe import Recipe
    from isthmus.run import Run


def fit(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a recipe.json.", show_default=False)
    ],
    data: Annotated[str, typer.Option(help="Name of a data set, or a path.")] = "digits",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; runs/RECIPE-DATA by default.", show_default=False)
    ] = None,
    changes: Changes = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.", show_default="the recipe's")] = None,
    seed: Seed = 0,
    precision: Annotated[str | None, typer.Option(help="auto, 32 or bf16.", show_default="the recipe's")] = None,
    pretrain: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Train level by level first: rbm (Boltzmann machines), or a recipe such as denoising or sparse.",
            show_default=False,
        ),
    ] = None,
    on_bad: OnBad = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in --out, if any.")] = False,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="With --resume: accept another torch or processor, and so other bits.")
    ] = False,
    devices: Annotated[int, typer.Option(help="Processes on this machine that share each batch.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines that do so; run the command on each.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="How they hold the model: ddp (a copy each) or fsdp (a part each).")
    ] = "ddp",
    max_restarts: Annotated[int, typer.Option(min=0, help="How often to start again when a process is lost.")] = 0,
    rendezvous: Annotated[
        str | None, typer.Option(help="HOST:PORT where the machines meet.", show_default=False)
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard events too.")] = False,
    as_json: Json = False,
) -> None:
    """Train an autoencoder, measure it, draw its pictures and write a report."""
    from isthmus import fitting
    from isthmus.overrides import parse_pairs
    from isthmus.training import processes

    given = {"training.precision": precision, "pretraining.kind": pretrain, "data.on_bad": on_bad}
    options = parse_pairs(changes or []) | {path: value for path, value in given.items() if value is not None}
    chosen = _recipe(recipe)
    usual = Path("runs") / f"{chosen.name}-{Path(data).name.split('.')[0].replace(':', '-')}"
    folder = out or (usual if resume or elsewhere else _free(usual))
    if launching.wanted(devices, nodes):
        arguments = launching.arguments_with(folder)
        raise typer.Exit(
            launching.relaunch(arguments, devices=devices, nodes=nodes, restarts=max_restarts, rendezvous=rendezvous)
        )
    resume, overwrite = (True, False) if launching.is_restart(folder) else (resume, overwrite)
    try:
        run = fitting.fit(
            chosen,
            data,
            epochs=epochs,
            seed=seed,
            options=options,
            out=folder,
            overwrite=overwrite,
            progress=not as_json,
            tensorboard=tensorboard,
            resume="elsewhere" if elsewhere else resume,
            strategy=strategy,
        )
    except KeyboardInterrupt as stop:
        # said here, for Typer would end the command without a word
        if processes.number() == 0:
            typer.echo(f"isthmus: {stop}", err=True)
        raise typer.Exit(130) from None
    if processes.number() == 0:
        _show(run, folder, as_json)


def _show(run: "Run", folder: Path, as_json: bool) -> None:
    """Measure the run, draw it, report it, and say what there is."""
    from dataclasses import asdict

    from isthmus import gallery, meeting, reporting
    from isthmus.cli.doctoring import tell
    from isthmus.cli.looking import print_figures
    from isthmus.diagnosis import diagnose

    ready = meeting.data_of(run)
    figures, part = meeting.measured(run, ready)
    drawn = gallery.draw(run, ready, folder / "figures")
    report = reporting.write(run, figures, drawn, part=part, folder=folder)
    outcome = run.facts.outcome
    found = diagnose(run, ready)
    if as_json:
        written = {"pictures": [str(path) for _, path in drawn], "report": str(report)}
        findings = [asdict(finding) for finding in found]
        said = {"run": str(folder), "part": part, "figures": figures, "outcome": outcome, "findings": findings}
        print_json({**said, **written})
        return
    typer.echo(f"Stopped: {outcome['stopped']}; kept the weights of epoch {outcome['kept_epoch']}.")
    print_figures(figures, part)
    typer.echo("Pictures:")
    for picture, path in drawn:
        typer.echo(f"  {path}  {picture.title.lower()}")
    typer.echo(f"Report:\n  {report}")
    tell([finding for finding in found if finding.severity == "problem"], err=True)


def _recipe(name: str) -> "Recipe":
    """The recipe behind a name or a file."""
    from isthmus import zoo
    from isthmus.recipe import Recipe

    path = Path(name)
    if path.suffix != ".json":
        return zoo.recipe(name)
    if not path.is_file():
        raise BadOption(f"There is no recipe file {name!r}. Write one with isthmus recipes vae --json > recipe.json.")
    try:
        return Recipe.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"The recipe file {name!r} cannot be read as text. Give a JSON file.") from error


def _free(folder: Path) -> Path:
    """``folder``, or the first of folder-2, folder-3, ... that is not there, finished or not."""
    names = (folder if n == 1 else folder.with_name(f"{folder.name}-{n}") for n in count(1))
    return next(f for f in names if not f.exists() and not f.with_name(f"{f.name}.part").exists())
