"""Usage errors: the base class, of which no release of Typer exports the name, and what the messages say."""

import pytest
import typer

from isthmus.cli.app import main
from isthmus.cli.usage import UsageError


def test_the_base_of_usage_errors_is_found_and_explains_itself():
    assert issubclass(typer.BadParameter, UsageError)
    assert not issubclass(typer.Exit, UsageError)
    assert UsageError.__name__ == "ClickException"
    assert typer.BadParameter("no such thing").format_message()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "vae", "latent.size=2"], "unexpected extra argument(s) (latent.size=2). Use --set latent.size=2."),
        (
            ["fit", "vae", "--epoch", "3"],
            "(Possible options: --epochs). Try isthmus fit --help.",
        ),
        (["sample", "runs/first"], "Missing argument 'OUT'. Try isthmus sample --help."),
        (["frobnicate"], "No such command 'frobnicate'. Try isthmus --help."),
        (["score", "runs/first", "digits"], "To score a data set, use --data digits."),
        (
            ["fit", "vae", "--set", "penalties.l1=0.1"],
            "Use --set penalties.l1.weight=0.1 to add a penalty",
        ),
        (["fit", "vae", "--set", "latent.kind=deterministic"], "or --set penalties.kl=null to remove it."),
    ],
)
def test_a_usage_error_names_what_to_type(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
