"""The base class of Typer's usage errors, which no release of Typer exports by name.

Recent releases bundle a copy of click, earlier ones import it, so the class is found by its name.
``tests/cli/test_usage.py`` checks that it exists: an upgrade that moves it fails in the tests, not for a user.
"""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:

    class UsageError(Exception):
        """Base class of usage errors of the command line."""

        def format_message(self) -> str:
            """The error message."""
            ...

else:
    UsageError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
