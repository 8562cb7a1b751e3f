"""The command that trains a run: fit."""

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import launch
from isthmus.cli.shared import Changes, Json, OnBadData, Seed, print_json
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.models.recipe import Recipe
    from isthmus.runs.run import Run


def fit(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a recipe.json.", show_default=False)
    ],
    data: Annotated[str, typer.Option(help="Name of a data set, or a path.")] = "digits",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; runs/RECIPE-DATA by default.", show_default=False)
    ] = None,
    changes: Changes = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training set.", show_default="the recipe's")
    ] = None,
    seed: Seed = 0,
    precision: Annotated[
        str | None, typer.Option(help="Precision of matrix products: auto, 32 or bf16.", show_default="the recipe's")
    ] = None,
    pretrain: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Layer-wise pretraining: rbm (Boltzmann machines), sparse, or a recipe such as denoising.",
            show_default=False,
        ),
    ] = None,
    on_bad_data: OnBadData = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run in --out.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an unfinished run in --out, bit-identically; else start it.")
    ] = False,
    allow_different_results: Annotated[
        bool,
        typer.Option(
            "--allow-different-results",
            help="With --resume: allow another torch version or CPU; results may differ. Also allows another number of "
            "processes.",
        ),
    ] = False,
    devices: Annotated[int, typer.Option(help="Processes per node; each batch is divided among them.")] = 1,
    nodes: Annotated[int, typer.Option(help="Number of nodes; run the same command on each.")] = 1,
    strategy: Annotated[str, typer.Option(help="Distributed strategy: ddp (replicated) or fsdp (sharded).")] = "ddp",
    max_restarts: Annotated[int, typer.Option(min=0, help="Number of restarts after a lost process.")] = 0,
    rendezvous: Annotated[
        str | None, typer.Option(help="HOST:PORT of one node; the same on every node.", show_default=False)
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
    as_json: Json = False,
) -> None:
    """Train an autoencoder; write figures and a report."""
    from isthmus.models.overrides import parse_pairs
    from isthmus.runs.fit import fit as train
    from isthmus.training.distributed import processes

    given = {"training.precision": precision, "pretraining.kind": pretrain, "data.on_bad_data": on_bad_data}
    options = parse_pairs(changes or []) | {path: value for path, value in given.items() if value is not None}
    chosen = _recipe(recipe)
    usual = Path("runs") / f"{chosen.name}-{Path(data).name.split('.')[0].replace(':', '-')}"
    resume = resume or allow_different_results
    folder = out or (usual if resume else _free(usual))
    if launch.wanted(devices, nodes):
        arguments = launch.arguments_with(folder)
        raise typer.Exit(
            launch.relaunch(arguments, devices=devices, nodes=nodes, restarts=max_restarts, rendezvous=rendezvous)
        )
    resume, overwrite = (True, False) if launch.is_restart(folder) else (resume, overwrite)
    try:
        run = train(
            chosen,
            data,
            epochs=epochs,
            seed=seed,
            options=options,
            out=folder,
            overwrite=overwrite,
            progress=not as_json,
            tensorboard=tensorboard,
            resume=resume,
            allow_different_results=allow_different_results,
            strategy=strategy,
        )
    except KeyboardInterrupt as interrupt:
        raise _interrupted(str(interrupt)) from None
    if processes.number() == 0:
        _show(run, folder, as_json)


def _interrupted(message: str) -> typer.Exit:
    """Exit code 130, with the message of an interrupted run: Typer would exit without one."""
    from isthmus.cli.wording import as_flags
    from isthmus.training.distributed import processes

    if processes.number() == 0:
        typer.echo(f"isthmus: {as_flags(message)}", err=True)
    return typer.Exit(130)


def _show(run: "Run", folder: Path, as_json: bool) -> None:
    """Evaluate the run, draw its figures, write its report and print a summary."""
    from dataclasses import asdict

    from isthmus.cli.doctor import print_findings
    from isthmus.cli.show import print_metrics
    from isthmus.reports.diagnosis import diagnose
    from isthmus.reports.figures import draw
    from isthmus.reports.report import write
    from isthmus.runs.data import data_for, evaluate_run

    data = data_for(run)
    metrics, split = evaluate_run(run, data)
    drawn = draw(run, data, folder / "figures")
    report = write(run, metrics, drawn, split=split, folder=folder)
    outcome = run.metadata.outcome
    found = diagnose(run, data)
    if as_json:
        written = {"figures": [str(path) for _, path in drawn], "report": str(report)}
        findings = [asdict(finding) for finding in found]
        content = {"run": str(folder), "split": split, "metrics": metrics, "outcome": outcome, "findings": findings}
        print_json({**content, **written})
        return
    typer.echo(f"Stopped: {outcome['stopped']}; kept the weights of epoch {outcome['kept_epoch']}.")
    print_metrics(metrics, split)
    typer.echo("Figures:")
    for figure, path in drawn:
        typer.echo(f"  {path}  {figure.title.lower()}")
    typer.echo(f"Report, to open in a browser:\n  {report}")
    print_findings([finding for finding in found if finding.severity == "problem"], err=True)


def _recipe(name: str) -> "Recipe":
    """The recipe of a name or of a JSON file."""
    from isthmus import zoo
    from isthmus.models.recipe import Recipe

    path = Path(name)
    if path.suffix != ".json":
        return zoo.recipe(name)
    if not path.is_file():
        raise BadOption(f"There is no recipe file {name!r}. Write one with isthmus recipes vae > recipe.json.")
    try:
        return Recipe.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"The recipe file {name!r} cannot be read as text. Use a JSON file.") from error


def _free(folder: Path) -> Path:
    """``folder``, or the first of folder-2, folder-3, ... that does not exist, finished or not."""
    names = (folder if n == 1 else folder.with_name(f"{folder.name}-{n}") for n in count(1))
    return next(f for f in names if not f.exists() and not f.with_name(f"{f.name}.part").exists())
