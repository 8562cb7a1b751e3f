"""A trained run at work on data that comes as a name or a path, answering into a file.

Each function returns the file and the shape of what it wrote. Arrays come back like the data: images with channels
last, tables in their own units.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus import gallery, plots
from isthmus.data.base import Array, Place
from isthmus.data.binary import read_npy, read_npz
from isthmus.data.stored import Stored
from isthmus.data.tables import listed, read_table
from isthmus.errors import BadData, BadOption, IncompatibleParts, check_range
from isthmus.fitting import check_seed
from isthmus.meeting import data_of, examples, measured_part, part_name
from isthmus.metrics.denoising import corrupted, is_denoising
from isthmus.metrics.importance import Listener
from isthmus.metrics.scores import meaning, scores
from isthmus.model import CHUNK, chunks, inference, seeded
from isthmus.output import check_ending, write_array, write_figure, write_pieces
from isthmus.run import Run
from isthmus.trace import Offer

PICTURES = 64
"""Pictures that one PNG shows."""
TOLD = 5
"""Bad examples that are named in a warning."""

Written = tuple[Path, tuple[int, ...]]


def encode(run: Run, source: str, out: Path, *, sample: bool = False, seed: int = 0, precision: str = "32") -> Written:
    """The code of each example of ``source``, all its parts in order; NaN where an example is bad and skipped."""
    check_ending(out)
    low = run.products(precision)
    x, labels = examples(run, source)
    check_seed(seed)
    with seeded(seed):
        return _answered(
            out,
            x,
            lambda chunk: run.model.encode(chunk, sample=sample, precision=low).cpu().numpy(),
            name="z",
            labels=labels,
        )


def decode(run: Run, codes: Path, out: Path) -> Written:
    """What codes stand for."""
    check_ending(out, picture=True)
    z = read_codes(codes)
    return _write(run, out, run.model.decode(torch.from_numpy(z)), "Decoded codes")


def reconstruct(run: Run, source: str, out: Path, *, sample: bool = False, seed: int = 0) -> Written:
    """What is left of each example of ``source``."""
    check_ending(out, picture=True)
    x, _ = examples(run, source)
    check_seed(seed)
    with seeded(seed):
        if out.suffix.lower() == ".png":
            x = x[: gallery.SHOWN]
            y = run.model.reconstruct(x, sample=sample)
            return write_figure(out, plots.reconstructions(run.drawn(x), run.drawn(y))), tuple(y.shape)
        return _answered(out, x, lambda chunk: run.restored(run.model.reconstruct(chunk, sample=sample)), name="x")


def denoise(run: Run, source: str, out: Path, *, corrupt: bool = False, seed: int = 0) -> Written:
    """What the model restores from each example of ``source``, taken as it is: it may leave the range of clean data.

    With ``corrupt`` the examples are clean, and the run's own corruption is put on them first.

    Raises:
        BadOption: ``corrupt``, and the run has no corruption.
    """
    check_ending(out, picture=True)
    check_seed(seed)
    if corrupt and not is_denoising(run.model):
        raise BadOption(
            "This run was trained without a corruption, so there is none for --corrupt to draw from. Leave it out, or "
            "use a run that denoises."
        )
    x, _ = examples(run, source, clean=corrupt)
    if out.suffix.lower() == ".png":
        return _denoised_picture(run, x[: gallery.SHOWN], out, corrupt=corrupt, seed=seed)

    def restored(chunk: Tensor) -> Array:
        if corrupt:
            chunk = run.model.corruption(chunk.to(run.model.like.device, run.model.like.dtype), 1.0).x
        return run.restored(run.model.reconstruct(chunk))

    with inference(run.model), seeded(seed):
        return _answered(out, x, restored, name="x")


def _denoised_picture(run: Run, x: Tensor, out: Path, *, corrupt: bool, seed: int) -> Written:
    x_in = corrupted(run.model, x, seed=seed) if corrupt else x
    y = run.model.reconstruct(x_in)
    rows = {"original": x, "corrupted": x_in} if corrupt else {"input": x_in}
    return write_figure(out, gallery.denoised(run, rows | {"restored": y})), tuple(y.shape)


def _answered(
    out: Path, x: Tensor | Stored, ask: Callable[[Tensor], Array], *, name: str, labels: Array | None = None
) -> Written:
    """Write the answer to each example, chunk by chunk; rows of NaN where an example is bad."""
    pieces = map(ask, chunks(x)) if isinstance(x, Tensor) else _aligned(x, ask)
    shape = write_pieces(out, pieces, len(x), name=name, labels=labels)
    _tell(x)
    return out, shape


def _aligned(x: Stored, ask: Callable[[Tensor], Array]) -> Iterator[Array]:
    for slab in x.slabs(CHUNK):
        # a slab of bad examples only has no answer to take the shape from
        answer = ask(slab.x) if len(slab.x) else ask(torch.zeros(1, *x.shape[1:]))[:0]
        yield _filled(answer, slab.size, slab.bad)


def _filled(answer: Array, size: int, bad: Sequence[int]) -> Array:
    """An answer (n, ...) with a row of NaN for each bad example, (size, ...)."""
    if not len(bad):
        return answer
    filled = np.full((size, *answer.shape[1:]), np.nan, answer.dtype)
    filled[np.delete(np.arange(size), bad)] = answer
    return filled


def _tell(x: object) -> None:
    """Say which examples were bad."""
    if isinstance(x, Stored) and x.ledger.count:
        ledger = x.ledger
        named = ", ".join(f"{Place(entry.file, entry.row)}" for entry in ledger.entries[:TOLD])
        more = f" and {ledger.count - TOLD:,} more" if ledger.count > TOLD else ""
        warnings.warn(f"{ledger.count:,} bad examples have NaN for an answer: {named}{more}.", stacklevel=3)


@dataclass(frozen=True)
class Scored:
    """The score of each example, (N,), what it means, which examples they are, and their labels where known.

    The score of a bad example that was skipped is NaN; the summary leaves it out.
    """

    values: Array
    meaning: str
    part: str
    labels: Array | None = None

    def summary(self) -> dict[str, float]:
        """The spread of the scores."""
        good = self.values[~np.isnan(self.values)]
        low, middle, high = np.quantile(good, [0, 0.5, 1])
        figures = {"n": len(good), "mean": float(good.mean()), "least": float(low)}
        return figures | {"median": float(middle), "greatest": float(high)}

    def highest(self, count: int = 10) -> list[int]:
        """Numbers of the examples with the highest scores, counted from 0, the highest first."""
        order: list[int] = np.argsort(-self.values, kind="stable")[:count].tolist()
        return order


def score(
    run: Run,
    data: str | None = None,
    *,
    seed: int = 0,
    importance_samples: int = 0,
    listener: Listener | None = None,
) -> Scored:
    """How unusual each example is to the run: all examples of ``data``, else the part that evaluation uses."""
    check_seed(seed)
    if data is None:
        ready = data_of(run)
        part, which = measured_part(ready), part_name(ready)
        x, labels = part.x, part.labels
    else:
        x, labels = examples(run, data)
        which = f"{data}, all {len(x):,} examples in order"
    values = scores(run.model, x, seed, importance_samples=importance_samples, listener=listener).cpu().numpy()
    if isinstance(x, Stored) and x.ledger.count:
        values = _filled(values, len(x), x.ledger.rows().tolist())
    _tell(x)
    return Scored(values, meaning(run.model, importance_samples), which, labels)


def write_scores(scored: Scored, out: Path) -> Written:
    """Write scores as ``.npy``, ``.npz`` (with labels, where known) or ``.csv``."""
    return write_array(out, scored.values, name="score", labels=scored.labels), scored.values.shape


def sample(run: Run, out: Path, *, number: int, seed: int = 0) -> Written:
    """New examples, drawn from the prior."""
    check_ending(out, picture=True)
    check_range("The number of samples", number, 1, 10_000_000)
    check_seed(seed)
    if out.suffix.lower() == ".png":
        check_range(f"The number of samples in one picture ({out.name})", number, 1, PICTURES)
    return _write(run, out, run.model.sample(number, seed=seed), "Samples from the prior")


def interpolate(run: Run, out: Path, *, data: str | None, rows: int, steps: int) -> Written:
    """The decoded lines between codes of pairs of examples: (rows, steps, ...)."""
    check_ending(out, picture=True)
    check_range("--rows", rows, 1, 1000)
    check_range("--steps", steps, 2, 1000)
    if not gallery.is_real(run):
        raise IncompatibleParts(
            f"A line between codes needs {Offer.REAL}, but this run's latent ({run.recipe.latent.kind}) gives another "
            "kind of code. Use a run with another latent."
        )
    part = measured_part(data_of(run, data)).few(PICTURES**2, run.facts.seed)
    frames = gallery.interpolate(run, *gallery.ends(part, rows), steps).cpu()
    if out.suffix.lower() == ".png":
        return write_figure(out, plots.interpolation(run.drawn(frames))), tuple(frames.shape)
    restored = run.restored(frames.flatten(0, 1))
    walks = restored.reshape(*frames.shape[:2], *restored.shape[1:])
    return write_array(out, walks, name="x"), walks.shape


def read_codes(path: Path) -> Array:
    """Codes as ``encode`` wrote them: any number of axes, no meaning of axes assumed.

    Raises:
        BadData: no such file, no codes in it, or codes that are not finite numbers.
    """
    if not path.is_file():
        raise BadData(f"There is no file {str(path)!r}. Write codes with isthmus encode RUN IN {path.name}.")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        arrays = read_npz(path)
        if "z" not in arrays:
            raise BadData(f"{str(path)!r} holds {listed(sorted(arrays)) or 'nothing'}, but codes are called 'z'.")
        z = arrays["z"]
    else:
        z = read_npy(path) if suffix == ".npy" else read_table(path, None)[0]
    if z.dtype.kind in "biuf" and z.size:
        with np.errstate(over="ignore", invalid="ignore"):
            z = z.astype(np.float32)
    if z.dtype != np.float32 or not z.size or z.ndim < 2 or not np.isfinite(z).all():
        raise BadData(f"{str(path)!r} holds no codes: one row of finite numbers to each is needed. Encode again.")
    return z


def _write(run: Run, out: Path, x: Tensor, title: str) -> Written:
    if out.suffix.lower() == ".png":
        return write_figure(out, plots.samples(run.drawn(x), title=title)), tuple(x.shape)
    values = run.restored(x.cpu())
    return write_array(out, values, name="x"), values.shape
