"""The command ``isthmus``; an expected error is one sentence on standard error and exit code 2."""

import io
import os
import re
import sys
import warnings
from itertools import chain
from typing import Annotated

import typer

from isthmus.cli import alter, compare, data, doctor, fit, inference, papers, points, show
from isthmus.cli.suggestions import command_like, option_like
from isthmus.cli.usage import UsageError
from isthmus.cli.wording import as_flags
from isthmus.errors import Diverged, IsthmusError

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="isthmus",
    context_settings=HELP_NAMES,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

VERBS = {
    "Train": (fit.fit,),
    "Use a run": (
        inference.encode,
        inference.decode,
        inference.reconstruct,
        inference.denoise,
        inference.score,
        inference.sample,
        inference.interpolate,
        alter.alter,
        points.points,
    ),
    "Examine a run": (show.evaluate, show.plot, doctor.doctor, compare.compare),
    "Look up": (show.recipes, data.data, papers.cite, papers.reproduce),
}
"""The commands by the panel of the help that lists them."""

for panel, verbs in VERBS.items():
    for verb in verbs:
        app.command(context_settings=HELP_NAMES, rich_help_panel=panel)(verb)


def _version(wanted: bool) -> None:
    if wanted:
        from isthmus import __version__

        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and explore autoencoders.

    Start with: isthmus fit vae digits
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 1 after a divergence, 2 after a user error, 130 after Ctrl-C."""
    warnings.showwarning = _one_line
    try:
        code = app(arguments, standalone_mode=False)
    except Diverged as error:
        return _say(as_flags(str(error)), 1)
    except IsthmusError as error:
        return _say(as_flags(str(error)), 2)
    except UsageError as error:
        return _say(_usage(error, sys.argv[1:] if arguments is None else arguments), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _say("Interrupted.", 130)
    except BrokenPipeError:
        return 0
    except OSError as error:
        # such as a full disk
        what = "The output cannot be written" if error.filename is None else f"{error.filename!r} cannot be used"
        return _say(f"{what}: {error.strerror or error}.", 2)
    return code if isinstance(code, int) else 0


def _usage(error: UsageError, arguments: list[str]) -> str:
    """A usage error with the remedy: what was probably meant, and the help of the command in question."""
    message, context = error.format_message().rstrip("."), getattr(error, "ctx", None)
    verb = arguments[0] if arguments and arguments[0] in {verb.__name__ for verb in chain(*VERBS.values())} else ""
    extra = re.fullmatch(r"Got unexpected extra argument(?:s|\(s\))? \(([a-z_]+\.\S+=\S+)\)", message)
    option = re.match(r"No such option: (-\S+)", message)
    command = re.fullmatch(r"No such command '([^']*)'.*", message)
    meant = None
    if extra:
        meant = f"Use --set {extra[1]}."
    elif option and context is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
        found = option_like(option[1], known)
        message, meant = f"No such option: {option[1]}", found and f"Did you mean {found}?"
    elif command and context is not None:
        found = command_like(command[1], context.command.commands)
        message, meant = f"No such command: {command[1]!r}", found and f"Did you mean isthmus {found}?"
    return " ".join(part for part in (f"{message}.", meant, f"Try {f'isthmus {verb}'.rstrip()} --help.") if part)


def script() -> None:
    """The entry point of the installed command."""
    for stream in (sys.stdout, sys.stderr):
        # a console may lack characters of a name or a table
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    code = main()
    group = sys.modules.get("torch.distributed")
    if group is not None and group.is_available() and group.is_initialized():
        # gloo's threads may still hold tensors; freeing them while Python shuts down would abort the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _say(sentence: str, code: int) -> int:
    rank = os.environ.get("RANK", "0")
    who = "isthmus" if rank == "0" else f"isthmus (process {rank})"
    typer.echo(f"{who}: {' '.join(sentence.split())}", err=True)
    return code


def _one_line(message: Warning | str, *_rest: object, **_more: object) -> None:
    """Print a warning, of Isthmus or another library, without its source line."""
    typer.echo(f"isthmus: warning: {as_flags(' '.join(str(message).split()))}", err=True)
