"""Results of inference written into files: arrays, tables and figures, by file extension.

Each function returns the path and the shape of what it wrote.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from isthmus import functional as F
from isthmus import plots
from isthmus.data.base import Array
from isthmus.data.formats.binary import read_npy, read_npz
from isthmus.data.formats.tables import quote_names, read_table
from isthmus.errors import BadData, check_range
from isthmus.metrics.denoising import corrupted
from isthmus.metrics.reconstruction import are_pictures
from isthmus.models.seeding import check_seed, seeded
from isthmus.runs import inference
from isthmus.runs.data import NewData, inputs_for
from isthmus.runs.outputs import check_extension, write_array, write_chunks, write_figure
from isthmus.runs.run import Run

IMAGES = 64
"""Images in one PNG, at most."""
SHOWN = 12
"""Examples in a row of a figure."""

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
    z = read_codes(codes)
    return _write(run, out, run.model.decode(torch.from_numpy(z)), "Decoded codes")


def reconstruct(run: Run, data: NewData, out: Path, *, sample: bool = False, seed: int = 0) -> Written:
    """Write the reconstructions of all examples of ``data``."""
    check_extension(out, figure=True)
    check_seed(seed)
    if not _is_figure(out):
        return _write_results(out, inference.reconstruct(run, data, sample=sample), "x", seed)
    x = inputs_for(run, data, target=False)[0][:SHOWN]
    with seeded(seed):
        y = run.model.reconstruct(x, sample=sample)
    return write_figure(out, plots.reconstructions(run.to_plot(x), run.to_plot(y))), tuple(y.shape)


def denoise(run: Run, data: NewData, out: Path, *, corrupt: bool = False, seed: int = 0) -> Written:
    """Write the denoised examples of ``data`` (:func:`isthmus.runs.inference.denoise`)."""
    check_extension(out, figure=True)
    check_seed(seed)
    results = inference.denoise(run, data, corrupt=corrupt)
    if not _is_figure(out):
        return _write_results(out, results, "x", seed)
    x = results.x[:SHOWN]
    x_in = corrupted(run.model, x, seed=seed) if corrupt else x
    y = run.model.reconstruct(x_in)
    rows = {"original": x, "corrupted": x_in} if corrupt else {"input": x_in}
    return write_figure(out, denoising_figure(run, rows | {"restored": y})), tuple(y.shape)


def denoising_figure(run: Run, rows: dict[str, Tensor]) -> Figure:
    """Rows of images, or panels of a table, the restored examples last; with PSNR if the first are clean images."""
    clean, *others = rows.values()
    psnr: list[Array] = []
    if len(others) == 2 and are_pictures(clean):
        psnr = [F.psnr(clean, y.to(clean).clamp(0, 1)).cpu().numpy() for y in others]
    return plots.denoised({name: run.to_plot(x) for name, x in rows.items()}, psnr=psnr)


def write_scores(scored: inference.AnomalyScores, out: Path) -> Written:
    """Write scores as ``.npy``, ``.npz`` (with labels, if known) or ``.csv``."""
    return write_array(out, scored.values, name="score", labels=scored.labels), scored.values.shape


def sample(run: Run, out: Path, *, number: int, seed: int = 0) -> Written:
    """Write new examples, decoded from samples of the prior."""
    check_extension(out, figure=True)
    check_range("The number of samples", number, 1, 10_000_000)
    check_seed(seed)
    if _is_figure(out):
        check_range(f"The number of samples in one figure ({out.name})", number, 1, IMAGES)
    return _write(run, out, run.model.sample(number, seed=seed), "Samples from the prior")


def interpolate(run: Run, out: Path, *, data: NewData | None, rows: int, steps: int) -> Written:
    """Write decoded interpolations between the codes of pairs of examples, (rows, steps, ...)."""
    check_extension(out, figure=True)
    frames = inference.interpolate(run, data, rows=rows, steps=steps)
    if _is_figure(out):
        return write_figure(out, plots.interpolation(run.to_plot(frames))), tuple(frames.shape)
    lines = run.to_lines(frames)
    return write_array(out, lines, name="x"), lines.shape


def read_codes(path: Path) -> Array:
    """Codes as written by ``encode``, with any number of axes.

    Raises:
        BadData: the file does not exist, or does not hold codes of finite numbers.
    """
    if not path.is_file():
        raise BadData(f"There is no file {str(path)!r}. Write codes with: isthmus encode RUN DATA {path.name}.")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        arrays = read_npz(path)
        if "z" not in arrays:
            raise BadData(
                f"{str(path)!r} holds {quote_names(sorted(arrays)) or 'no arrays'}, but codes are stored as 'z'. "
                "Encode again."
            )
        z = arrays["z"]
    else:
        z = read_npy(path) if suffix == ".npy" else read_table(path, None)[0]
    if z.dtype.kind in "biuf" and z.size:
        with np.errstate(over="ignore", invalid="ignore"):
            z = z.astype(np.float32)
    if z.dtype != np.float32 or not z.size or z.ndim < 2 or not np.isfinite(z).all():
        raise BadData(f"{str(path)!r} does not hold codes, one row of finite numbers per example. Encode again.")
    return z


def _is_figure(out: Path) -> bool:
    return out.suffix.lower() == ".png"


def _write_results(out: Path, results: inference.Results, name: str, seed: int) -> Written:
    """Write results chunk by chunk, with labels if they have any."""
    with seeded(seed):
        return out, write_chunks(out, results.chunks(), len(results), name=name, labels=results.labels)


def _write(run: Run, out: Path, x: Tensor, title: str) -> Written:
    if _is_figure(out):
        x = x[:IMAGES]
        return write_figure(out, plots.samples(run.to_plot(x), title=title)), tuple(x.shape)
    values = run.to_array(x.cpu())
    return write_array(out, values, name="x"), values.shape
