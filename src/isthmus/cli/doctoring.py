"""The verb that looks for what went wrong: doctor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from isthmus.cli.options import Data, Json, RunFolder, print_json

if TYPE_CHECKING:
    from isthmus.diagnosis import Finding


def doctor(folder: RunFolder, data: Data = None, as_json: Json = False) -> None:
    """Look for what may be wrong with a run: collapse, dead units, saturation, ranges, rate, warm-up."""
    from dataclasses import asdict

    from isthmus import meeting
    from isthmus.diagnosis import diagnose
    from isthmus.run import load

    run = load(folder)
    found = diagnose(run, meeting.data_of(run, data))
    if as_json:
        print_json({"run": str(folder), "findings": [asdict(finding) for finding in found]})
    elif found:
        tell(found)
    else:
        typer.echo("Nothing was found that looks wrong.")


def tell(found: Sequence["Finding"], *, err: bool = False) -> None:
    """One paragraph for each finding."""
    for finding in found:
        typer.echo(f"{finding.severity}: {finding.name}. {finding.sentence}", err=err)
