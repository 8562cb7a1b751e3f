"""The report of a run: its figures, its pictures and the commands that make them, on one page."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from isthmus.gallery import Picture
from isthmus.metrics.evaluation import MEANINGS
from isthmus.report import FigureEntry, Report, write_report
from isthmus.run import Run
from isthmus.zoo import RECIPES


def write(
    run: Run, figures: Mapping[str, float], drawn: Sequence[tuple[Picture, Path]], *, part: str, folder: Path
) -> Path:
    """Write ``report.html`` into ``folder``: ``figures`` measured on ``part``, and the pictures ``drawn``."""
    name = shlex.quote(str(folder))
    known = RECIPES.get(run.recipe.name)
    entries = [
        FigureEntry(path, picture.title, picture.caption, f"isthmus plot {name} --only {picture.name}")
        for picture, path in drawn
    ]
    what = (
        f"{known.summary[0].upper()}{known.summary[1:]}; minimises {known.formula} ({known.paper}). " if known else ""
    )
    report = Report(
        title=f"{run.recipe.name} on {run.facts.data}",
        summary=summary(run),
        metrics={key: (value, MEANINGS.get(key, "")) for key, value in figures.items()},
        recipe=run.recipe.to_dict(),
        command=command_of(run),
        figures=entries,
        description=f"{what}Figures are of {part}. {_credit(run)}".strip(),
        left_out=_left_out(run),
    )
    return write_report(folder / "report.html", report)


def summary(run: Run) -> list[tuple[str, str]]:
    """What a reader wants to know first, as labels and values."""
    facts, outcome = run.facts, run.facts.outcome
    counts = ", ".join(f"{count:,} {part}" for part, count in facts.counts.items())
    shape = " x ".join(map(str, facts.shape))
    code = " x ".join(map(str, run.model.code or ()))
    weights = sum(p.numel() for p in run.model.parameters())
    return [
        ("data", f"{facts.data}: {counts} (each {shape})"),
        ("code", f"{code} ({run.recipe.latent.kind})"),
        ("parameters", f"{weights:,}"),
        ("stopped", str(outcome.get("stopped", "not known"))),
        ("kept", f"weights of epoch {outcome.get('kept_epoch', '?')}"),
        ("training", f"{outcome.get('seconds', 0):.1f} s, networks in {outcome.get('precision', '?')}"),
        ("seed", str(facts.seed)),
        ("versions", ", ".join(f"{k} {v}" for k, v in facts.machine.items() if k in ("isthmus", "torch", "python"))),
    ]


def _left_out(run: Run) -> tuple[list[tuple[str, int, str]], int]:
    """The bad examples that training left out, and how many there were."""
    bad = run.facts.bad_data
    listed = [(str(e["file"]), int(e["row"]), str(e["why"])) for e in bad.get("listed", [])]
    return listed, int(bad.get("count", 0))


def _credit(run: Run) -> str:
    """Whose data it is, and its terms."""
    credit, terms = (run.facts.provenance.get(key) for key in ("credit", "terms"))
    return f"Data: {credit}{f' ({terms})' if terms else ''}." if credit else ""


def command_of(run: Run) -> str:
    """The command that makes the run again: its recipe's name, its data and every option that differs."""
    if run.facts.by_hand or not run.facts.source:
        return "(made in Python)"
    recipe = run.recipe
    data = f"--data {shlex.quote(run.facts.source)} --epochs {recipe.training.epochs} --seed {run.facts.seed}"
    if recipe.name not in RECIPES:
        return f"isthmus fit {shlex.quote(str(run.folder or 'RUN'))}/recipe.json {data}"
    base = RECIPES[recipe.name].make().to_dict()
    changes = _differences(recipe.to_dict(), base)
    changes |= {f"penalties.{name}": "null" for name in base["penalties"] if name not in recipe.penalties}
    changes.pop("training.epochs", None)
    sets = "".join(f" --set {shlex.quote(f'{path}={value}')}" for path, value in changes.items())
    return f"isthmus fit {recipe.name} {data}{sets}"


def _differences(tree: object, base: object, path: str = "") -> dict[str, str]:
    """The leaves of ``tree`` that are not the same in ``base``, by path."""
    if isinstance(tree, dict):
        found: dict[str, str] = {}
        for key, value in tree.items():
            inner = base.get(key) if isinstance(base, dict) else None
            found |= _differences(value, inner, f"{path}.{key}" if path else key)
        return found
    if tree == base:
        return {}
    return {path: tree if isinstance(tree, str) else json.dumps(tree)}
