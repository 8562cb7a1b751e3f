"""The command that diagnoses a run: doctor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from isthmus.cli.inference import loaded
from isthmus.cli.shared import AllowImport, DataOption, Json, OwnInput, RunFolder, own_input, print_json

if TYPE_CHECKING:
    from isthmus.reports.diagnosis import Finding


def doctor(
    folder: RunFolder,
    source: OwnInput = None,
    data: DataOption = None,
    allow_import: AllowImport = False,
    as_json: Json = False,
) -> None:
    """Diagnose common problems of a run.

    Checks for posterior collapse, dead or saturated units, values outside the output range, and an unsuitable learning
    rate or warm-up.
    """
    from dataclasses import asdict

    given = own_input("doctor RUN", source, data)
    found = loaded(folder, allow_import=allow_import).doctor(given)
    if as_json:
        print_json({"run": str(folder), "findings": [asdict(finding) for finding in found]})
    elif found:
        print_findings(found)
    else:
        typer.echo("No problems found.")


def print_findings(found: Sequence["Finding"], *, err: bool = False) -> None:
    """Print one line per finding."""
    from isthmus.cli.wording import as_flags

    for finding in found:
        typer.echo(f"{finding.severity}: {finding.name}. {as_flags(finding.sentence)}", err=err)
