"""Inference with a trained run: from data, given by name or path, to a file with the result.

Each function that writes returns the path and the shape of what it wrote. Arrays are like the data: images with
channels last, tables in their original units.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from isthmus import functional as F
from isthmus import plots
from isthmus.data.base import Array, Location
from isthmus.data.formats.binary import read_npy, read_npz
from isthmus.data.formats.tables import quote_names, read_table
from isthmus.data.streaming.lazy import StoredTensor
from isthmus.errors import BadData, BadOption, IncompatibleParts, check_range
from isthmus.metrics.denoising import corrupted, is_denoising
from isthmus.metrics.importance import ProgressCallback
from isthmus.metrics.reconstruction import are_pictures
from isthmus.metrics.scores import meaning, scores
from isthmus.models.autoencoder import inference
from isthmus.models.inputs import CHUNK, chunks
from isthmus.models.seeding import check_seed, seeded
from isthmus.runs.data import data_for, describe_split, evaluation_split, inputs_for
from isthmus.runs.interpolation import end_points, has_real_code, interpolate
from isthmus.runs.outputs import check_extension, write_array, write_chunks, write_figure
from isthmus.runs.run import Run

IMAGES = 64
"""Images in one PNG, at most."""
SHOWN = 12
"""Examples in a row of a figure."""
LISTED = 5
"""Invalid examples that a warning lists."""

Written = tuple[Path, tuple[int, ...]]


def encode(run: Run, source: str, out: Path, *, sample: bool = False, seed: int = 0, precision: str = "32") -> Written:
    """Write the codes of all examples of ``source``, all splits in order; NaN where an example is invalid and skipped.

    Raises:
        IsthmusError: an unknown extension, data that cannot be read, or an option out of range.
    """
    check_extension(out)
    dtype = run.network_dtype(precision)
    x, labels = inputs_for(run, source)
    check_seed(seed)

    def codes(chunk: Tensor) -> Array:
        z: Array = run.model.encode(chunk, sample=sample, precision=dtype).cpu().numpy()
        return z

    with seeded(seed):
        return _write_mapped(out, x, codes, name="z", labels=labels)


def decode(run: Run, codes: Path, out: Path) -> Written:
    """Write the decoded examples of latent codes."""
    check_extension(out, figure=True)
    z = read_codes(codes)
    return _write(run, out, run.model.decode(torch.from_numpy(z)), "Decoded codes")


def reconstruct(run: Run, source: str, out: Path, *, sample: bool = False, seed: int = 0) -> Written:
    """Write the reconstructions of all examples of ``source``."""
    check_extension(out, figure=True)
    x, _ = inputs_for(run, source)
    check_seed(seed)
    with seeded(seed):
        if out.suffix.lower() == ".png":
            x = x[:SHOWN]
            y = run.model.reconstruct(x, sample=sample)
            return write_figure(out, plots.reconstructions(run.to_plot(x), run.to_plot(y))), tuple(y.shape)
        return _write_mapped(out, x, lambda chunk: run.to_array(run.model.reconstruct(chunk, sample=sample)), name="x")


def denoise(run: Run, source: str, out: Path, *, corrupt: bool = False, seed: int = 0) -> Written:
    """Write the denoised examples of ``source``, whose values may lie outside the range of clean data.

    With ``corrupt`` the examples are clean, and the corruption of the run is applied to them first.

    Raises:
        BadOption: ``corrupt`` is set, but the run has no corruption.
    """
    check_extension(out, figure=True)
    check_seed(seed)
    if corrupt and not is_denoising(run.model):
        raise BadOption(
            "corrupt=True needs a run with a corruption, but this run was trained without one. Leave it out, or use a "
            "run that was trained with corruption.kind, such as the recipe denoising."
        )
    x, _ = inputs_for(run, source, clean=corrupt)
    if out.suffix.lower() == ".png":
        return _write_denoised_figure(run, x[:SHOWN], out, corrupt=corrupt, seed=seed)

    def restored(chunk: Tensor) -> Array:
        if corrupt:
            chunk = run.model.corruption(chunk.to(run.model.like.device, run.model.like.dtype), 1.0).x
        return run.to_array(run.model.reconstruct(chunk))

    with inference(run.model), seeded(seed):
        return _write_mapped(out, x, restored, name="x")


def _write_denoised_figure(run: Run, x: Tensor, out: Path, *, corrupt: bool, seed: int) -> Written:
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


def _write_mapped(
    out: Path, x: Tensor | StoredTensor, function: Callable[[Tensor], Array], *, name: str, labels: Array | None = None
) -> Written:
    """Write ``function`` of each example, chunk by chunk; the row of an invalid example is NaN."""
    results = map(function, chunks(x)) if isinstance(x, Tensor) else _aligned(x, function)
    shape = write_chunks(out, results, len(x), name=name, labels=labels)
    _warn_of_bad_examples(x)
    return out, shape


def _aligned(x: StoredTensor, function: Callable[[Tensor], Array]) -> Iterator[Array]:
    for block in x.blocks(CHUNK):
        # if all examples of a block are invalid, an example of zeros gives the shape of the result
        result = function(block.x) if len(block.x) else function(torch.zeros(1, *x.shape[1:]))[:0]
        yield _filled(result, block.size, block.bad)


def _filled(result: Array, size: int, bad: Sequence[int]) -> Array:
    """A result (n, ...) with rows of NaN inserted for invalid examples, (size, ...)."""
    if not len(bad):
        return result
    filled = np.full((size, *result.shape[1:]), np.nan, result.dtype)
    filled[np.delete(np.arange(size), bad)] = result
    return filled


def _warn_of_bad_examples(x: object) -> None:
    """Warn of invalid examples that were skipped."""
    if isinstance(x, StoredTensor) and x.bad_examples.count:
        bad = x.bad_examples
        named = ", ".join(f"{Location(entry.file, entry.row)}" for entry in bad.entries[:LISTED])
        more = f" and {bad.count - LISTED:,} more" if bad.count > LISTED else ""
        warnings.warn(f"{bad.count:,} invalid examples were skipped; their rows are NaN: {named}{more}.", stacklevel=3)


@dataclass(frozen=True)
class AnomalyScores:
    """Anomaly scores, their meaning, the split they belong to, and labels if known.

    Attributes:
        values: scores (N,); NaN for an invalid example that was skipped, which the summary ignores.
        meaning: unit and definition of a score.
        split: name of the split.
        labels: (N,), or ``None``.
    """

    values: Array
    meaning: str
    split: str
    labels: Array | None = None

    def summary(self) -> dict[str, float]:
        """Number, mean, minimum, median and maximum of the scores."""
        valid = self.values[~np.isnan(self.values)]
        low, middle, high = np.quantile(valid, [0, 0.5, 1])
        summary = {"n": len(valid), "mean": float(valid.mean()), "min": float(low)}
        return summary | {"median": float(middle), "max": float(high)}

    def highest(self, count: int = 10) -> list[int]:
        """Row numbers of the highest scores, counted from 0, the highest first."""
        order: list[int] = np.argsort(-self.values, kind="stable")[:count].tolist()
        return order


def score(
    run: Run,
    data: str | None = None,
    *,
    seed: int = 0,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
) -> AnomalyScores:
    """Anomaly scores of all examples of ``data``, or by default of the split that is evaluated."""
    check_seed(seed)
    if data is None:
        own = data_for(run)
        split, which = evaluation_split(own), describe_split(own)
        x, labels = split.x, split.labels
    else:
        x, labels = inputs_for(run, data)
        which = f"{data}, all {len(x):,} examples in order"
    values = scores(run.model, x, seed, importance_samples=importance_samples, callback=callback).cpu().numpy()
    if isinstance(x, StoredTensor) and x.bad_examples.count:
        values = _filled(values, len(x), x.bad_examples.rows().tolist())
    _warn_of_bad_examples(x)
    return AnomalyScores(values, meaning(run.model, importance_samples), which, labels)


def write_scores(scored: AnomalyScores, out: Path) -> Written:
    """Write scores as ``.npy``, ``.npz`` (with labels, if known) or ``.csv``."""
    return write_array(out, scored.values, name="score", labels=scored.labels), scored.values.shape


def sample(run: Run, out: Path, *, number: int, seed: int = 0) -> Written:
    """Write new examples, decoded from samples of the prior."""
    check_extension(out, figure=True)
    check_range("The number of samples", number, 1, 10_000_000)
    check_seed(seed)
    if out.suffix.lower() == ".png":
        check_range(f"The number of samples in one figure ({out.name})", number, 1, IMAGES)
    return _write(run, out, run.model.sample(number, seed=seed), "Samples from the prior")


def write_interpolations(run: Run, out: Path, *, data: str | None, rows: int, steps: int) -> Written:
    """Write decoded interpolations between the codes of pairs of examples, (rows, steps, ...)."""
    check_extension(out, figure=True)
    check_range("rows", rows, 1, 1000)
    check_range("steps", steps, 2, 1000)
    if not has_real_code(run):
        raise IncompatibleParts(
            f"Interpolation needs a real-valued code, but latent.kind={run.recipe.latent.kind} has a discrete one. Use "
            "a run with a deterministic, Gaussian or sparse latent."
        )
    split = evaluation_split(data_for(run, data)).subsample(IMAGES**2, run.metadata.seed)
    frames = interpolate(run, *end_points(split, rows), steps).cpu()
    if out.suffix.lower() == ".png":
        return write_figure(out, plots.interpolation(run.to_plot(frames))), tuple(frames.shape)
    outputs = run.to_array(frames.flatten(0, 1))
    lines = outputs.reshape(*frames.shape[:2], *outputs.shape[1:])
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


def _write(run: Run, out: Path, x: Tensor, title: str) -> Written:
    if out.suffix.lower() == ".png":
        return write_figure(out, plots.samples(run.to_plot(x), title=title)), tuple(x.shape)
    values = run.to_array(x.cpu())
    return write_array(out, values, name="x"), values.shape
