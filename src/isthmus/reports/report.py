"""The report of a run: its metrics, its figures and the commands that reproduce them, on one page."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.data.prepared import PreparedData
from isthmus.errors import BadRun
from isthmus.metrics.evaluation import MEANINGS
from isthmus.reports.figures import RunFigure, draw
from isthmus.reports.html import FigureEntry, Report, write_report
from isthmus.runs.data import NewData, data_for
from isthmus.runs.inference import evaluate_split
from isthmus.runs.run import Run
from isthmus.zoo import RECIPES


@dataclass(frozen=True)
class Written:
    """A report and what it shows: its path, the metrics, the split they are of, and the figures with their files."""

    path: Path
    metrics: dict[str, float]
    split: str
    figures: list[tuple[RunFigure, Path]]


def make(run: Run, folder: Path | str | None = None, data: NewData | PreparedData | None = None) -> Written:
    """Evaluate a run, draw its figures and write its report, into ``folder`` or by default the folder of the run.

    Raises:
        BadRun: no ``folder`` is given, and the run was not saved.
    """
    if folder is None and run.folder is None:
        raise BadRun("The run was not saved, so its report has no folder. Pass one, or save the run first.")
    place = Path(folder or run.folder or "")
    prepared = data if isinstance(data, PreparedData) else data_for(run, data)
    metrics, split = evaluate_split(run, prepared)
    drawn = draw(run, prepared, place / "figures")
    return Written(write(run, metrics, drawn, split=split, folder=place), metrics, split, drawn)


def write(
    run: Run, metrics: Mapping[str, float], drawn: Sequence[tuple[RunFigure, Path]], *, split: str, folder: Path
) -> Path:
    """Write ``report.html`` into ``folder``: ``metrics`` of ``split``, and the figures ``drawn``."""
    name = shlex.quote(str(folder))
    known = RECIPES.get(run.recipe.name)
    entries = [
        FigureEntry(path, figure.title, figure.caption, f"isthmus plot {name} --only {figure.name}")
        for figure, path in drawn
    ]
    what = (
        f"{known.summary[0].upper()}{known.summary[1:]}; minimizes {known.formula} ({known.paper}). " if known else ""
    )
    report = Report(
        title=f"{run.recipe.name} on {run.metadata.data}",
        summary=summary(run),
        metrics={key: (value, MEANINGS.get(key, "")) for key, value in metrics.items()},
        recipe=run.recipe.to_dict(),
        command=command_of(run),
        figures=entries,
        description=f"{what}Metrics are of {split}. {_credit(run)}".strip(),
        left_out=_left_out(run),
    )
    return write_report(folder / "report.html", report)


def summary(run: Run) -> list[tuple[str, str]]:
    """The most important facts about a run, as labels and values."""
    metadata, outcome = run.metadata, run.metadata.outcome
    counts = ", ".join(f"{count:,} {split}" for split, count in metadata.counts.items())
    shape = " x ".join(map(str, metadata.shape))
    code = " x ".join(map(str, run.model.code_shape or ()))
    weights = sum(p.numel() for p in run.model.parameters())
    return [
        ("data", f"{metadata.data}: {counts} (each {shape})"),
        ("code", f"{code} ({run.recipe.latent.kind})"),
        ("parameters", f"{weights:,}"),
        ("stopped", str(outcome.get("stopped", "unknown"))),
        ("kept", f"weights of epoch {outcome.get('kept_epoch', '?')}"),
        ("training", f"{outcome.get('seconds', 0):.1f} s, networks in {outcome.get('precision', '?')}"),
        ("seed", str(metadata.seed)),
        ("versions", ", ".join(f"{k} {v}" for k, v in metadata.machine.items() if k in ("isthmus", "torch", "python"))),
    ]


def _left_out(run: Run) -> tuple[list[tuple[str, int, str]], int]:
    """The invalid examples that training skipped, and their number."""
    bad = run.metadata.bad_data
    listed = [(str(e["file"]), int(e["row"]), str(e["why"])) for e in bad.get("listed", [])]
    return listed, int(bad.get("count", 0))


def _credit(run: Run) -> str:
    """Credit and license of the data."""
    credit, terms = (run.metadata.provenance.get(key) for key in ("credit", "terms"))
    return f"Data: {credit}{f' ({terms})' if terms else ''}." if credit else ""


def command_of(run: Run) -> str:
    """The command that trains the run again: the name of its recipe, its data and all options that differ."""
    if run.metadata.by_hand or not run.metadata.source:
        return "(trained from Python)"
    recipe = run.recipe
    data = f"--data {shlex.quote(run.metadata.source)} --epochs {recipe.training.epochs} --seed {run.metadata.seed}"
    if run.metadata.start:
        data += f" --from {shlex.quote(str(run.metadata.start.get('folder') or 'RUN'))}"
    if recipe.name not in RECIPES:
        return f"isthmus fit {shlex.quote(str(run.folder or 'RUN'))}/recipe.json {data}"
    base = RECIPES[recipe.name].make().to_dict()
    changes = _differences(recipe.to_dict(), base)
    changes |= {f"penalties.{name}": "null" for name in base["penalties"] if name not in recipe.penalties}
    changes.pop("training.epochs", None)
    sets = "".join(f" --set {shlex.quote(f'{path}={value}')}" for path, value in changes.items())
    return f"isthmus fit {recipe.name} {data}{sets}"


def _differences(tree: object, base: object, path: str = "") -> dict[str, str]:
    """The leaves of ``tree`` that differ from ``base``, by path."""
    if isinstance(tree, dict):
        found: dict[str, str] = {}
        for key, value in tree.items():
            inner = base.get(key) if isinstance(base, dict) else None
            found |= _differences(value, inner, f"{path}.{key}" if path else key)
        return found
    if tree == base:
        return {}
    return {path: tree if isinstance(tree, str) else json.dumps(tree)}
