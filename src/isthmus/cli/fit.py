"""The command that trains a run: fit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import launch
from isthmus.cli.shared import (
    Changes,
    Device,
    Json,
    OnBadData,
    complete_data,
    complete_recipe,
    own_input,
    print_json,
    search_current_folder,
)
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.models.recipe import Recipe
    from isthmus.runs.run import Run

OPTION = re.compile(r"[a-z_]+(\.[a-z_0-9]+)+=\S*")
"""What belongs behind ``--set``."""
OFTEN, RESUMING, DISTRIBUTED = "Training", "Resuming and replacing", "Several processes"
"""Panels of the help."""


def fit(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="Name of a recipe, a recipe.json, or MODULE:FUNCTION that returns an objective; with --from by "
            "default that of the run.",
            show_default=False,
            autocompletion=complete_recipe,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Name of a data set, or a path; digits by default, or the data of the run of --from.",
            show_default=False,
            autocompletion=complete_data,
        ),
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Another way to give DATA.", show_default=False)] = None,
    valid: Annotated[
        str | None,
        typer.Option(help="Validation set: name or path; by default a part of DATA is held out.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; runs/RECIPE-DATA by default.", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training set.", show_default="the recipe's", rich_help_panel=OFTEN),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples per step.", show_default="the recipe's", rich_help_panel=OFTEN)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default="the recipe's", rich_help_panel=OFTEN)
    ] = None,
    changes: Changes = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of a trained run; with --set training.stage=decoder only the decoder is "
            "trained.",
            show_default=False,
            rich_help_panel=OFTEN,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed.", show_default="0, or that of the run of --from")
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            help="Precision of matrix products: auto, 32 or bf16.", show_default="the recipe's", rich_help_panel=OFTEN
        ),
    ] = None,
    pretrain: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Layer-wise pretraining: rbm (Boltzmann machines), sparse, or a recipe such as denoising.",
            show_default=False,
            rich_help_panel=OFTEN,
        ),
    ] = None,
    on_bad_data: OnBadData = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing run in --out.", rich_help_panel=RESUMING)
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an unfinished run in --out, bit-identically; else start it.",
            rich_help_panel=RESUMING,
        ),
    ] = False,
    allow_different_results: Annotated[
        bool,
        typer.Option(
            "--allow-different-results",
            help="With --resume: allow another torch version or CPU; results may differ. Also allows another number of "
            "processes.",
            rich_help_panel=RESUMING,
        ),
    ] = False,
    devices: Annotated[
        int,
        typer.Option(help="Processes per node; each batch is divided among them.", rich_help_panel=DISTRIBUTED),
    ] = 1,
    nodes: Annotated[
        int, typer.Option(help="Number of nodes; run the same command on each.", rich_help_panel=DISTRIBUTED)
    ] = 1,
    strategy: Annotated[
        str,
        typer.Option(help="Distributed strategy: ddp (replicated) or fsdp (sharded).", rich_help_panel=DISTRIBUTED),
    ] = "ddp",
    max_restarts: Annotated[
        int, typer.Option(min=0, help="Number of restarts after a lost process.", rich_help_panel=DISTRIBUTED)
    ] = 0,
    rendezvous: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of one node; the same on every node.", show_default=False, rich_help_panel=DISTRIBUTED
        ),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
    as_json: Json = False,
) -> None:
    """Train an autoencoder; write figures and a report.

    Unless the data has its own test and validation set, a tenth of it is held out for each.
    """
    from isthmus.models.overrides import parse_pairs
    from isthmus.runs.fit import fit as train
    from isthmus.training.distributed import processes

    data = _data(source, data, start)
    flags = {"training.batch_size": batch_size, "training.learning_rate": lr, "training.precision": precision}
    flags |= {"pretraining.kind": pretrain, "data.on_bad_data": on_bad_data}
    options = parse_pairs(changes or []) | {path: value for path, value in flags.items() if value is not None}
    begin, chosen = _chosen(recipe, start)
    resume, usual = resume or allow_different_results, out or _usual_folder(chosen, data, begin)
    with _claimed(usual) if out is None and not resume and processes.number() == 0 else nullcontext(usual) as folder:
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
                start=begin,
                valid=valid,
                epochs=epochs,
                seed=seed,
                options=options,
                device=device,
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


def _chosen(recipe: str | None, start: Path | None) -> "tuple[Run | None, Recipe | str]":
    """The run to start from, and what is trained: by default the recipe of that run.

    Raises:
        BadOption: there is neither.
    """
    from isthmus.runs.loading import load

    begin = None if start is None else load(start)
    if recipe is not None:
        return begin, _recipe(recipe)
    if begin is None:
        raise BadOption("RECIPE is missing, what to train. Use isthmus fit vae DATA, or isthmus fit --from RUN.")
    return begin, begin.recipe


def _data(source: str | None, data: str | None, start: Path | None = None) -> str | None:
    """The data, given by position or by ``--data``; ``None`` for that of the run to start from.

    Raises:
        BadOption: it is given twice, or it is an option without ``--set``.
    """
    chosen = own_input("fit RECIPE", source, data, "DATA")
    if chosen is None:
        return "digits" if start is None else None
    if OPTION.fullmatch(chosen) and not Path(chosen).exists():
        raise BadOption(f"There is no data called {chosen}. Use --set {chosen}.")
    return chosen


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
    from isthmus.reports import report

    written = report.make(run, folder)
    outcome, found = run.metadata.outcome, run.doctor()
    if as_json:
        findings = [asdict(finding) for finding in found]
        content = {"run": str(folder), "split": written.split, "metrics": written.metrics, "outcome": outcome}
        files = {"figures": [str(path) for _, path in written.figures], "report": str(written.path)}
        print_json({**content, "findings": findings, **files})
        return
    typer.echo(f"Stopped: {outcome['stopped']}; kept the weights of epoch {outcome['kept_epoch']}.")
    print_metrics(written.metrics, written.split)
    typer.echo("Figures:")
    for figure, path in written.figures:
        typer.echo(f"  {path}  {figure.title.lower()}")
    print_findings([finding for finding in found if finding.severity == "problem"], err=True)
    typer.echo(f"Open this page in a browser:\n  {written.path}")


def _recipe(name: str) -> "Recipe | str":
    """The recipe of a name or of a JSON file; the import path of an objective as it is."""
    from isthmus import zoo
    from isthmus.models.imported import is_import_path
    from isthmus.models.recipe import Recipe

    path = Path(name)
    if path.suffix != ".json":
        if not is_import_path(name):
            return zoo.recipe(name)
        search_current_folder()
        return name
    if not path.is_file():
        raise BadOption(f"There is no recipe file {name!r}. Write one with isthmus recipes vae > recipe.json.")
    try:
        return Recipe.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"The recipe file {name!r} cannot be read as text. Use a JSON file.") from error


def _usual_folder(recipe: "Recipe | str", data: str | None, start: "Run | None") -> Path:
    """The folder of a run by its recipe and data, by default those of the run to start from."""
    data = data or (start.metadata.source if start else "")
    name = recipe.rpartition(":")[2] if isinstance(recipe, str) else recipe.name
    # of a path such as "." the name of the folder
    stem = Path(data).name or Path(data).resolve().name
    return Path("runs") / f"{name}-{stem.split('.')[0].replace(':', '-') or 'data'}"


@contextmanager
def _claimed(folder: Path) -> Iterator[Path]:
    """``folder``, or the first of folder-2, folder-3, ... that does not exist, finished or not.

    In the block its working folder exists, so that no other process takes the same one; afterwards it is removed if
    nothing was written.
    """
    chosen = next(f for f in (folder.with_name(_numbered(folder.name, n)) for n in count(1)) if _claim(f))
    try:
        yield chosen
    finally:
        for place in (_working(chosen), chosen.parent):
            # only an empty folder is removed
            with suppress(OSError):
                place.rmdir()


def _numbered(name: str, n: int) -> str:
    return name if n == 1 else f"{name}-{n}"


def _working(folder: Path) -> Path:
    """The folder of a run while it is trained, as :func:`isthmus.runs.resume.working_folder` names it."""
    from isthmus.runs.resume import working_folder

    return working_folder(folder)


def _claim(folder: Path) -> bool:
    """Create the working folder of a run; False if there is one, or if the run exists already."""
    if folder.exists():
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _working(folder).mkdir()
    except FileExistsError:
        return False
    except OSError:
        # nothing can be written here, which is said when the run is
        return True
    if folder.exists():
        # finished since the first look
        _working(folder).rmdir()
        return False
    return True
