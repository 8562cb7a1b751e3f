"""The command ``isthmus``; an expected error is one sentence on standard error and exit code 2."""

import os
import re
import sys
import warnings
from typing import Annotated

import typer

from isthmus.cli import doctor, fit, inference, papers, show
from isthmus.cli.usage import UsageError
from isthmus.cli.wording import as_flags
from isthmus.errors import Diverged, IsthmusError

app = typer.Typer(
    name="isthmus",
    help="Train, evaluate and explore autoencoders.\n\nStart with: isthmus fit vae --data digits",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for verb in (
    fit.fit,
    show.evaluate,
    inference.encode,
    inference.decode,
    inference.reconstruct,
    inference.denoise,
    inference.score,
    inference.sample,
    inference.interpolate,
    show.plot,
    doctor.doctor,
    show.recipes,
    papers.cite,
    papers.reproduce,
    show.data,
):
    app.command()(verb)


def _version(wanted: bool) -> None:
    if wanted:
        from isthmus import __version__

        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and explore autoencoders."""


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
        return _say(_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _say("Interrupted.", 130)
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0


def _usage(error: UsageError) -> str:
    """A usage error with the remedy: the help of the command in question, or a forgotten ``--set``."""
    message, context = error.format_message().rstrip("."), getattr(error, "ctx", None)
    extra = re.fullmatch(r"Got unexpected extra argument(?:s|\(s\))? \(([a-z_]+\.\S+=\S+)\)", message)
    if extra:
        return f"{message}. Use --set {extra[1]}."
    verb = context.info_name if context is not None and context.parent is not None else ""
    return f"{message}. Try {f'isthmus {verb}'.rstrip()} --help."


def script() -> None:
    """The entry point of the installed command."""
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
