"""The command and its way out: every foreseen error is one sentence on standard error and exit code 2."""

import os
import sys
import warnings
from typing import Annotated, cast

import typer

from isthmus import __version__
from isthmus.cli import doctoring, looking, making, reproducing, using
from isthmus.errors import Diverged, IsthmusError

app = typer.Typer(
    name="isthmus",
    help="Train, measure and look at autoencoders.\n\nStart with: isthmus fit vae --data digits",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

USAGE_ERROR = cast(type[Exception], typer.BadParameter.__mro__[2])
"""The base of all usage errors; Typer does not export it by name."""

for verb in (
    making.fit,
    looking.evaluate,
    using.encode,
    using.decode,
    using.reconstruct,
    using.denoise,
    using.score,
    using.sample,
    using.interpolate,
    looking.plot,
    doctoring.doctor,
    looking.recipes,
    reproducing.cite,
    reproducing.reproduce,
    looking.data,
):
    app.command()(verb)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Train, measure and look at autoencoders."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 after a divergence, 2 for a mistake, 130 after Ctrl-C."""
    warnings.showwarning = _one_line
    try:
        code = app(arguments, standalone_mode=False)
    except Diverged as error:
        return _say(str(error), 1)
    except IsthmusError as error:
        return _say(str(error), 2)
    except USAGE_ERROR as error:
        return _say(f"{error.format_message().rstrip('.')}. Try isthmus --help.", 2)  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        return _say("Stopped.", 130)
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0


def script() -> None:
    """The entry point of the installed command."""
    code = main()
    group = sys.modules.get("torch.distributed")
    if group is not None and group.is_available() and group.is_initialized():
        # gloo's threads may still hold tensors: one that lets go of them while Python shuts down aborts the process
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
    """Warnings of ours and of libraries, without their source lines."""
    typer.echo(f"isthmus: warning: {' '.join(str(message).split())}", err=True)
