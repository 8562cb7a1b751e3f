"""Results of inference written into files: arrays, tables and figures, by file extension.

Each function returns the path and the shape of what it wrote.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from isthmus import functional as F
from isthmus import plots
from isthmus.data.base import Array
from isthmus.data.formats.binary import read_npy, read_npz
from isthmus.data.storage.compressed import on_disk
from isthmus.data.tables.names import quote_names
from isthmus.errors import BadData, check_range
from isthmus.metrics.denoising import corrupted
from isthmus.metrics.reconstruction import are_pictures, as_shown
from isthmus.models.seeding import check_seed, seeded
from isthmus.models.tiling import takes_any_size
from isthmus.options import DataOptions
from isthmus.runs import densities, directions, inference
from isthmus.runs.data import Inputs, NewData, inputs_for
from isthmus.runs.directions import Direction
from isthmus.runs.outputs import RowNames, check_extension, write_array, write_chunks, write_figure
from isthmus.runs.restoration import at_size, restore
from isthmus.runs.run import Run

IMAGES = 64
"""Images in one PNG, at most."""
SHOWN, NEAR = 12, 8
"""Examples in a row of a figure, and rows of samples near them, at most."""

CODES = r"z[0-9]+"
"""Names of the columns of codes in a table."""

Written = tuple[Path, tuple[int, ...]]


def encode(
    run: Run, data: NewData, out: Path, *, sample: bool = False, seed: int = 0, precision: str = "32"
) -> Written:
    """Write the codes of all examples of ``data``, all splits in order; NaN where an example is invalid and skipped.

    Raises:
        IsthmusError: an unknown extension, data that cannot be read, or an option out of range.
    """
    check_extension(out)
    check_seed(seed)
    return _write_results(out, inference.encode(run, data, sample=sample, precision=precision), "z", seed)


def decode(run: Run, codes: Path, out: Path) -> Written:
    """Write the decoded examples of latent codes."""
    check_extension(out, figure=True)
    z, names = read_codes(codes)
    return _write(run, out, inference.decoded(run, torch.from_numpy(z)), "Decoded codes", names)


def reconstruct(run: Run, data: NewData, out: Path, *, sample: bool = False, seed: int = 0) -> Written:
    """Write the reconstructions of all examples of ``data``."""
    check_extension(out, figure=True)
    check_seed(seed)
    if not _is_figure(out):
        return _write_results(out, inference.reconstruct(run, data, sample=sample), "x", seed)
    x = inputs_for(run, data, "input").x[:SHOWN]
    with seeded(seed):
        y = run.model.reconstruct(x, sample=sample)
    figure = plots.reconstructions(run.to_plot(run.model.filled(x)), run.to_plot(y), channels=run.channels)
    return write_figure(out, figure), tuple(y.shape)


def denoise(
    run: Run, data: NewData, out: Path, *, corrupt: bool = False, seed: int = 0, noise_level: float | None = None
) -> Written:
    """Write the denoised examples of ``data`` (:func:`isthmus.runs.inference.denoise`)."""
    check_extension(out, figure=True)
    check_seed(seed)
    results = inference.denoise(run, data, corrupt=corrupt, noise_level=noise_level)
    if not _is_figure(out):
        return _write_results(out, results, "x", seed)
    x = results.x[:SHOWN]
    run = at_size(run, tuple(x.shape[2:])) if takes_any_size(run.model) else run
    x_in = corrupted(run.model, x, seed=seed) if corrupt else x
    y = restore(run, x_in, noise_level=noise_level)
    rows = {"original": x, "corrupted": x_in} if corrupt else {"input": x_in}
    return write_figure(out, denoising_figure(run, rows | {"restored": y})), tuple(y.shape)


def denoising_figure(run: Run, rows: dict[str, Tensor]) -> Figure:
    """Rows of images, or panels of others, the restored examples last; with PSNR if the first are clean images.

    Missing values are drawn as the encoder sees them, and as 0 if it interpolates them itself.
    """
    rows = {name: run.model.filled(x).nan_to_num(0.0) for name, x in rows.items()}
    clean, *others = rows.values()
    psnr: list[Array] = []
    if len(others) == 2 and are_pictures(clean):
        psnr = [F.psnr(clean, y.to(clean).clamp(0, 1)).cpu().numpy() for y in others]
    return plots.denoised({name: run.to_plot(x) for name, x in rows.items()}, psnr=psnr, channels=run.channels)


def write_scores(scored: inference.AnomalyScores, out: Path) -> Written:
    """Write scores as ``.npy``, ``.npz``, ``.csv`` or ``.parquet``; all but the first with names and labels of rows."""
    written = write_array(out, scored.values, name="score", rows=_rows(scored.inputs), columns=["score"])
    return written, scored.values.shape


def sample(
    run: Run,
    out: Path,
    *,
    number: int,
    seed: int = 0,
    density: str | None = None,
    temperature: float = 1.0,
    outputs: str = "mean",
    data: NewData | None = None,
    progress: Callable[[str], None] = lambda doing: None,
) -> Written:
    """Write new examples, decoded from codes of the prior or of another density."""
    check_extension(out, figure=True)
    check_range("The number of samples", number, 1, 10_000_000)
    check_seed(seed)
    if _is_figure(out):
        check_range(f"The number of samples in one figure ({out.name})", number, 1, IMAGES)
    kind = densities.density_of(run, density, data, progress).kind
    made = densities.sample(run, number, density=kind, temperature=temperature, outputs=outputs, seed=seed)
    title = "Samples from the prior" if kind == densities.PRIOR else f"Samples from the density {kind} of the codes"
    return _write(run, out, made, title)


def alter(
    run: Run, data: NewData, out: Path, direction: Direction, *, strength: float = 1.0, residual: bool = False
) -> Written:
    """Write the examples of ``data`` moved along a direction; in a figure with half of the way beside it."""
    check_extension(out, figure=True)
    results = directions.alter(run, data, direction, strength=strength, residual=residual)
    if not _is_figure(out):
        return _write_results(out, results, "x", 0)
    x = directions.examples_at_start(results, direction, SHOWN)
    steps = {f"strength {s:g}": s for s in (0.0, strength / 2, strength)}
    made = {name: directions.altered(run, x, direction, strength=s, residual=residual) for name, s in steps.items()}
    figure = _rows_below(run, x, made, f"From {direction.away} toward {direction.toward}")
    return write_figure(out, figure), tuple(x.shape)


def neighborhood(
    run: Run,
    x: NewData,
    out: Path,
    *,
    number: int,
    distance: float = 0.3,
    seed: int = 0,
    data: NewData | None = None,
) -> Written:
    """Write new examples near each of ``x``, (N, number, ...)."""
    check_extension(out, figure=True)
    check_seed(seed)
    if _is_figure(out):
        check_range(f"The number of samples in one figure ({out.name})", number, 1, NEAR)
    results = directions.neighborhood(run, x, number, distance=distance, data=data)
    if not _is_figure(out):
        return _write_results(out, results, "x", seed)
    shown = results.x[:SHOWN]
    with seeded(seed):
        near = directions.near(run, shown, number, distance=distance)
    rows = {f"near {k + 1}": near[:, k] for k in range(number)}
    figure = _rows_below(run, shown, rows, f"Samples near examples, at distance {distance:g}")
    return write_figure(out, figure), tuple(near.shape)


def _rows_below(run: Run, x: Tensor, rows: dict[str, Tensor], title: str) -> Figure:
    """What was made of examples, below them; pictures within the range of pixels."""
    every = {"input": run.model.filled(x)} | rows
    shown = {name: run.to_plot(as_shown(y, x)) for name, y in every.items()}
    return plots.denoised(shown, title=title, channels=run.channels)


def interpolate(run: Run, out: Path, *, data: NewData | None, rows: int, steps: int, path: str = "linear") -> Written:
    """Write decoded interpolations between the codes of pairs of examples, (rows, steps, ...)."""
    check_extension(out, figure=True)
    frames = inference.interpolate(run, data, rows=rows, steps=steps, path=path)
    if _is_figure(out):
        return write_figure(out, plots.interpolation(run.to_plot(frames), channels=run.channels)), tuple(frames.shape)
    lines = run.to_lines(frames)
    return write_array(out, lines, name="x"), lines.shape


def read_codes(path: Path) -> tuple[Array, RowNames]:
    """Codes as written by ``encode``, with any number of axes, and the names and labels of their rows.

    Raises:
        BadData: the file does not exist, or does not hold codes of finite numbers.
    """
    if not path.is_file():
        raise BadData(f"There is no file {str(path)!r}. Write codes with: isthmus encode RUN DATA {path.name}.")
    readers = {".npy": lambda file: (read_npy(on_disk(file)), RowNames()), ".npz": _codes_of_archive}
    z, names = readers.get(path.suffix.lower(), _codes_of_table)(path)
    if z.dtype.kind in "biuf" and z.size:
        with np.errstate(over="ignore", invalid="ignore"):
            z = z.astype(np.float32)
    if z.dtype == np.float32 and z.ndim > 1 and z.size and not np.isfinite(z).all():
        rows = np.flatnonzero(~np.isfinite(z.reshape(len(z), -1)).all(axis=1))
        raise BadData(
            f"{str(path)!r} has {len(rows):,} rows that are not finite numbers, the first is row {rows[0]} (counted "
            "from 0), such as those of examples that were skipped. Remove these rows."
        )
    if z.dtype != np.float32 or not z.size or z.ndim < 2:
        raise BadData(f"{str(path)!r} does not hold codes, one row of finite numbers per example. Encode again.")
    return z, names


def _codes_of_archive(path: Path) -> tuple[Array, RowNames]:
    """The array ``z`` of an archive, and the names and labels beside it that fit."""
    arrays = read_npz(on_disk(path))
    if "z" not in arrays:
        raise BadData(
            f"{str(path)!r} holds {quote_names(sorted(arrays)) or 'no arrays'}, but codes are stored as 'z'. "
            "Encode again."
        )
    z = arrays["z"]
    found = {key: arrays.get(key) for key in ("names", "labels")}
    known = {key: v for key, v in found.items() if v is not None and v.shape == z.shape[:1]}
    return z, RowNames(known.get("names"), labels=known.get("labels"), classes=known.get("labels"))


def _codes_of_table(path: Path) -> tuple[Array, RowNames]:
    """The columns z1, z2 ... of a table, and what precedes them; all of its numbers if it has none of these."""
    from isthmus.data.tables.reading import read_table

    frame, _ = read_table(on_disk(path), DataOptions())
    named = [name for name in frame.columns if re.fullmatch(CODES, str(name))]
    if not named:
        return frame.select_dtypes("number").to_numpy(), RowNames()
    before = [name for name in frame.columns if name not in named]
    classes = frame["label"].to_numpy() if "label" in before else None
    title = next((name for name in before if name != "label"), None)
    names = RowNames(None if title is None else frame[title].to_numpy(), str(title or "row"), classes=classes)
    return frame[named].to_numpy(), names


def _is_figure(out: Path) -> bool:
    return out.suffix.lower() == ".png"


def _write_results(out: Path, results: inference.Results, name: str, seed: int) -> Written:
    """Write results chunk by chunk, with the names and labels of their rows."""
    schema = results.schema
    named = None if schema is None else list(schema.features)
    chunks = results.chunks(seed)
    return out, write_chunks(out, chunks, len(results), name=name, rows=_rows(results.inputs), columns=named or name)


def _rows(inputs: Inputs) -> RowNames:
    """The names and labels of rows, for files."""
    labels = inputs.labels
    if labels is not None and inputs.label_names:
        labels = np.array(inputs.label_names)[labels]
    return RowNames(inputs.names, inputs.row_title or "row", inputs.labels, labels)


def _write(run: Run, out: Path, x: Tensor, title: str, rows: RowNames = RowNames()) -> Written:  # noqa: B008
    if _is_figure(out):
        x = x[:IMAGES]
        return write_figure(out, plots.samples(run.to_plot(x), title=title, channels=run.channels)), tuple(x.shape)
    values, schema = run.to_array(x.cpu()), run.contract.schema
    named = "x" if schema is None else list(schema.features)
    return write_array(out, values, name="x", rows=rows, columns=named), values.shape
