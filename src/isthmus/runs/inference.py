"""Inference with a trained run: codes, reconstructions, denoised examples, scores, samples and interpolations.

Data is an array, the name of a data set or a path; results are like the data: images with their channels where they
were, tables in their original units. The methods of :class:`~isthmus.runs.run.Run` return them as arrays, and
the command writes them into files.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array, texts
from isthmus.data.prepared import PreparedData
from isthmus.data.samplers.stored import StoredTensor
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.axes import in_axes
from isthmus.errors import BadOption, ShapeError, check_choice, check_range
from isthmus.metrics.denoising import is_denoising
from isthmus.metrics.evaluation import evaluate as evaluate_model
from isthmus.metrics.importance import ProgressCallback
from isthmus.metrics.scores import meaning, scores
from isthmus.models.autoencoder import inference
from isthmus.models.inputs import CHUNK, chunks
from isthmus.models.objective import Objective
from isthmus.models.seeding import RandomState, check_seed
from isthmus.parts.likelihoods.support import rows_outside
from isthmus.runs.answers import answer, codes_of
from isthmus.runs.data import Inputs, NewData, data_for, describe_split, evaluation_split, inputs_for
from isthmus.runs.interpolation import PATHS, check_real_code, end_points, lines_between
from isthmus.runs.points.extraction import by_frames, encodes_frames, frame_model, frames_of_codes
from isthmus.runs.restoration import check_noise_level, restore, sized_inputs
from isthmus.runs.run import Run

LISTED = 5
"""Invalid examples that a warning lists."""
CANDIDATES = 4096
"""Examples of data larger than memory among which the ends of interpolations are chosen."""

OVERFLOW = float(np.finfo(np.float32).max)
"""Score of an example that is so far from the training data that a code or a likelihood overflows."""


@dataclass(frozen=True)
class Results:
    """Results of a function of each example, computed chunk by chunk when they are read.

    Attributes:
        function: results (n, ...) of a chunk of model inputs.
        inputs: the model inputs with the names and labels of their rows.
        schema: columns that the results have, if they are reconstructions of a table.
        device: device of the model, on which samples are drawn.
    """

    inputs: Inputs
    function: Callable[[Tensor], Array]
    schema: Schema | None = None
    device: torch.device | None = None

    @property
    def x(self) -> Tensor | StoredTensor:
        """Model inputs (N, *D)."""
        assert isinstance(self.inputs.x, Tensor | StoredTensor)
        return self.inputs.x

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    def chunks(self, seed: int | None = None) -> Iterator[Array]:
        """The results in order, sampled with ``seed`` if it is given; the row of a skipped example is NaN."""
        # held for one chunk at a time: reading the data may run code that draws, too
        noise = nullcontext() if seed is None else RandomState(seed, self.device)

        def computed(x: Tensor) -> Array:
            with noise:
                return self.function(x)

        if isinstance(self.x, Tensor):
            yield from map(computed, chunks(self.x))
            return
        for block in self.x.blocks(CHUNK):
            # if all examples of a block are invalid, an example of zeros gives the shape of the result
            blank = not len(block.x)
            result = computed(torch.zeros(1, *self.x.shape[1:]))[:0] if blank else computed(block.x)
            yield _filled(result, block.size, block.bad)
        _warn_of_bad_examples(self.x)

    def array(self, seed: int | None = None) -> Array:
        """All results (N, ...), sampled with ``seed`` if it is given."""
        if seed is not None:
            check_seed(seed)
        return np.concatenate(list(self.chunks(seed)))

    def answer(self, data: NewData, name: str, seed: int | None = None) -> Any:
        """All results in the kind of ``data``, the data as it was given (:func:`isthmus.runs.answers.answer`)."""
        return answer(self.array(seed), data, self.inputs, name=name, schema=self.schema)


def encode(run: Run, data: NewData, *, sample: bool = False, precision: str = "32") -> Results:
    """The codes of all examples of ``data``, all splits in order; of videos, those of all frames if each has its own.

    Raises:
        IsthmusError: data that cannot be read or does not match the run, or an unknown precision.
    """
    dtype, framewise = run.network_dtype(precision), encodes_frames(run)
    inputs = inputs_for(by_frames(run), data, "input")
    model = frame_model(run) if framewise else run.model
    codes = partial(model.encode, sample=sample, precision=dtype)
    return Results(
        inputs, lambda chunk: _numpy(codes(chunk)[..., 0] if framewise else codes(chunk)), device=model.like.device
    )


def decode(run: Run, z: NewData) -> Any:
    """The decoded examples of codes (N, *code), in the kind of the codes."""
    codes = codes_of(z)
    return answer(run.to_array(decoded(run, codes)), z, Inputs(codes), name="x", schema=run.contract.schema)


def decoded(run: Run, codes: Tensor) -> Tensor:
    """Decoded codes as model outputs; of a run on windows, also codes of single frames."""
    return frames_of_codes(run, codes) if encodes_frames(run) and codes.ndim == 2 else run.model.decode(codes)


def reconstruct(run: Run, data: NewData, *, sample: bool = False) -> Results:
    """The reconstructions of all examples of ``data``."""
    inputs = inputs_for(run, data, "input")
    decoded = partial(run.model.reconstruct, sample=sample)
    return Results(
        inputs, lambda x: in_axes(run.to_array(decoded(x)), inputs.axes), run.contract.schema, run.model.like.device
    )


def denoise(run: Run, data: NewData, *, corrupt: bool = False, noise_level: float | None = None) -> Results:
    """The denoised examples of ``data``, whose values may lie outside the range of clean data.

    With ``corrupt`` the examples are clean, and the corruption of the run is applied to them first. A network that sees
    the ``noise_level`` is told it, in units of the results.

    Raises:
        BadOption: ``corrupt`` is set, but the run has no corruption of clean examples.
    """
    if corrupt and not is_denoising(run.model):
        raise BadOption(
            "corrupt=True needs a run that was trained with a corruption of clean examples, but this run was not. "
            "Leave it out, or use a run that was trained with corruption.kind, such as the recipe denoising."
        )
    check_noise_level(run, noise_level)
    run, inputs = sized_inputs(run, data, "target" if corrupt else "noisy")

    def restored(chunk: Tensor) -> Array:
        with inference(run.model):
            if corrupt:
                chunk = run.model.corruption(chunk.to(run.model.like.device, run.model.like.dtype), 1.0).x
            return in_axes(run.to_array(restore(run, chunk, noise_level=noise_level)), inputs.axes)

    return Results(inputs, restored, run.contract.schema, run.model.like.device)


def interpolate(
    run: Run,
    start: NewData | None = None,
    end: NewData | None = None,
    *,
    rows: int = 6,
    steps: int = 11,
    path: str = "linear",
) -> Tensor:
    """Decoded points on lines between the codes of pairs of examples, as model outputs (rows, steps, *shape).

    Args:
        run: a trained run with a real-valued code.
        start: examples; by default those of the split that is evaluated.
        end: examples, one for each of ``start``. Without them, ``rows`` pairs are chosen among the examples of
            ``start``, of different classes if labels are known.
        rows: number of pairs that are chosen.
        steps: points per line, both ends included.
        path: ``linear`` or ``spherical``.

    Raises:
        IncompatibleParts: a discrete code.
        BadOption: an end without a start.
        ShapeError: not one end for each start.
    """
    check_range("rows", rows, 1, 1000)
    check_range("steps", steps, 2, 1000)
    check_choice("path", path, PATHS)
    check_real_code(run, "Interpolation")
    if start is None and end is not None:
        raise BadOption("The end of an interpolation is given, but not its start. Pass both, or the start only.")
    if start is None or end is None:
        split = evaluation_split(data_for(run, start)).subsample(CANDIDATES, run.metadata.seed)
        return lines_between(run, *end_points(split, rows), steps, path).cpu()
    ends = [torch.cat(list(chunks(inputs_for(run, data, "input").x))) for data in (start, end)]
    if len(ends[0]) != len(ends[1]):
        raise ShapeError(
            f"There are {len(ends[0])} examples at the start, but {len(ends[1])} at the end. Pass one end per start."
        )
    return lines_between(run, ends[0], ends[1], steps, path).cpu()


def evaluate(
    what: Run | Objective,
    data: NewData | None = None,
    *,
    seed: int | None = None,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
) -> dict[str, float]:
    """Metrics of a run, or of an objective on model inputs, by name (:data:`isthmus.metrics.evaluation.MEANINGS`).

    Args:
        what: a run, or an objective with a trained model.
        data: examples in the units of the training data; for an objective, in the units of the model. For a run, by
            default its own test set.
        seed: seed of all samples; that of the run by default.
        importance_samples: if K > 0, also compute ``nll`` from K samples of z per example.
        callback: called with the fraction of the importance samples that is done.

    Raises:
        IsthmusError: data that cannot be read or does not match the model.
    """
    if isinstance(what, Run):
        return evaluate_split(what, data_for(what, data), seed, importance_samples, callback)[0]
    if not isinstance(what, Objective):
        raise BadOption(f"evaluate needs a run or an objective, but was given a {type(what).__name__}. Pass a run.")
    if data is None or isinstance(data, str):
        raise BadOption("An objective is evaluated on model inputs (N, *D). Pass an array or a tensor.")
    x = np.asarray(data) if not isinstance(data, Tensor) else data
    return evaluate_model(what, x, seed=seed or 0, importance_samples=importance_samples, callback=callback)


def evaluate_split(
    run: Run,
    data: PreparedData,
    seed: int | None = None,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
) -> tuple[dict[str, float], str]:
    """The metrics of a run on the split of ``data`` that is evaluated, and the name of that split."""
    split, seed = evaluation_split(data), run.metadata.seed if seed is None else seed
    metrics = evaluate_model(
        run.objective,
        split.x,
        seed=seed,
        importance_samples=importance_samples,
        callback=callback,
        inputs=split.inputs,
    )
    return metrics, describe_split(data)


def _numpy(x: Tensor) -> Array:
    values: Array = x.cpu().numpy()
    return values


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
        named = ", ".join(f"{entry.location}" for entry in bad.entries[:LISTED])
        more = f" and {bad.count - LISTED:,} more" if bad.count > LISTED else ""
        warnings.warn(f"{bad.count:,} invalid examples were skipped; their rows are NaN: {named}{more}.", stacklevel=3)


@dataclass(frozen=True)
class AnomalyScores:
    """Anomaly scores, their meaning, and the examples that they belong to.

    Attributes:
        values: scores (N,); NaN for an invalid example that was skipped, which the summary ignores.
        meaning: unit and definition of a score.
        split: name of the split.
        inputs: names and labels of the examples.
    """

    values: Array
    meaning: str
    split: str
    inputs: Inputs

    def answer(self, data: NewData | None) -> Any:
        """The scores in the kind of ``data``, the data as it was given."""
        return answer(self.values, data, self.inputs, name="score")

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

    def named(self, rows: Sequence[int]) -> list[str]:
        """The names of some rows, or their numbers where they have no names."""
        names = self.inputs.names
        return [str(row) for row in rows] if names is None else texts(names[list(rows)])


def score(
    run: Run,
    data: NewData | None = None,
    *,
    seed: int = 0,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
) -> AnomalyScores:
    """Anomaly scores of all examples of ``data``, or by default of the split that is evaluated.

    Examples may lie outside the range of the training data (:func:`isthmus.metrics.scores.scores`). One so far away
    that its score exceeds the range of 32-bit numbers has the largest of these as its score.
    """
    check_seed(seed)
    if data is None:
        own = data_for(run)
        split, which = evaluation_split(own), describe_split(own)
        inputs = Inputs(split.values, split.labels, own.label_names, split.names, split.row_title, own.name)
    else:
        inputs = inputs_for(run, data, "scored")
        name = data if isinstance(data, str) else inputs.name
        which = f"{name}, all {len(inputs.x):,} examples in order"
    x = inputs.x
    values = scores(
        run.model,
        x,
        seed,
        importance_samples=importance_samples,
        callback=callback,
        inputs=inputs.given,
        shared=True,
    ).numpy()
    values = np.where(np.isfinite(values), values, OVERFLOW)
    if isinstance(x, StoredTensor) and x.bad_examples.count:
        values = _filled(values, len(x), x.bad_examples.rows().tolist())
    _warn_of_bad_examples(x)
    outside = isinstance(x, Tensor) and bool(rows_outside(x, run.model.likelihood).any())
    return AnomalyScores(values, meaning(run.model, importance_samples, outside=outside), which, inputs)
