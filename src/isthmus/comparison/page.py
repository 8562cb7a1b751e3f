"""The page of a comparison: a table of reconstructions, one of samples, and sheets of both."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from isthmus import plots
from isthmus.comparison.compare import Comparison
from isthmus.comparison.measures import MEANINGS
from isthmus.files.atomic import write_text
from isthmus.files.plain import finite
from isthmus.reports.html import FigureEntry, document, figures, header, table
from isthmus.runs.run import Run

COLUMNS = ("frechet", "kid", "precision", "recall", "sharpness", "nearest", "frechet_random")
OF_RECONSTRUCTIONS = ("psnr", "frechet", "kid", "sharpness")
TITLES = {
    "frechet": "Frechet",
    "kid": "KID",
    "precision": "prec.",
    "recall": "recall",
    "sharpness": "sharp",
    "nearest": "near",
    "frechet_random": "random",
    "psnr": "PSNR",
}
"""Short names of the measures, for the heads of tables."""
MISSING = "-"


def reconstruction_rows(found: Comparison) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of the table of reconstructions, with the cost of each model."""
    names = [name for name in OF_RECONSTRUCTIONS if any(name in m.reconstructions for m in found.models)]
    columns = ["model", "updates", "seconds", *(TITLES[name] for name in names)]
    rows: list[list[object]] = [
        [m.name, int(m.cost["updates"]), round(m.cost["seconds"]), *_values(m.reconstructions, names)]
        for m in found.models
    ]
    return columns, rows


def sample_rows(found: Comparison, *, likelihoods: bool = False) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of the table of samples; the last row is the data itself.

    With ``likelihoods`` one column has the log-likelihood of held-out codes under each density.
    """
    all_of = [measures for m in found.models for measures in m.samples.values()]
    names = [name for name in COLUMNS if any(name in measures for measures in all_of)]
    rows: list[list[object]] = []
    for model in found.models:
        for kind, measures in model.samples.items():
            nats = model.likelihoods.get(kind, math.nan)
            shown = [MISSING if math.isnan(nats) else f"{nats:.2f}"] * likelihoods
            rows.append([model.name, kind, *shown, *_values(measures, names)])
    rows.append(["training data", MISSING, *[MISSING] * likelihoods, *_values(found.floor, names)])
    return ["model", "codes", *["nats"] * likelihoods, *(TITLES[name] for name in names)], rows


def _values(measures: Mapping[str, float], names: list[str]) -> list[object]:
    return [_short(measures[name]) if name in measures else MISSING for name in names]


def _short(value: float) -> str:
    """A measure in few characters: two digits after the point, or three in all."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def write(found: Comparison, runs: Mapping[str, Run], folder: Path) -> Path:
    """Write ``comparison.html``, ``comparison.json`` and the sheets into ``folder``; returns the page."""
    sheets = _sheets(found, runs, folder / "sheets")
    note = "; ".join(f"{TITLES[name]}: {meaning}" for name, meaning in MEANINGS.items())
    sections = [
        table("Reconstructions", *reconstruction_rows(found)),
        table("Samples", *sample_rows(found, likelihoods=True), note=f"{note}. Judge: {found.judge}."),
        figures(sheets),
    ]
    title = f"Comparison on {found.data.partition(',')[0]}"
    description = f"Compared with {found.data}; features of the judge: {found.judge}."
    page = folder / "comparison.html"
    write_text(page, document(title, header(title, description), [s for s in sections if s]))
    write_text(folder / "comparison.json", json.dumps(finite(found.to_dict()), indent=2) + "\n")
    return page


def _sheets(found: Comparison, runs: Mapping[str, Run], folder: Path) -> list[FigureEntry]:
    """Draw one figure with a row of everything, and a sheet for the samples of each model."""
    entries = []
    images = found.originals.ndim == 4
    if images:
        first = next(iter(runs.values()))
        rows = {"data": first.to_plot(found.originals)}
        for model in found.models:
            names = {"reconstructions": "reconstructed"} | {kind: f"samples, {kind}" for kind in model.samples}
            rows |= {f"{model.name}: {words}": first.to_plot(model.shown[key]) for key, words in names.items()}
        path = plots.save(plots.strip(rows, title=f"Models of {found.data.partition(',')[0]}"), folder / "all.png")
        entries.append(FigureEntry(path, "All models", "Examples, their reconstructions, and samples of each model."))
    for model in found.models:
        for kind in model.samples:
            run = runs[model.name]
            title = f"{model.name}: samples, codes from {kind}"
            figure = plots.samples(run.to_plot(model.shown[kind]), title=title, channels=run.channels)
            path = plots.save(figure, folder / f"{model.name.replace('/', '-')}-{kind}.png")
            entries.append(FigureEntry(path, title))
    return entries
