"""Directions in the latent space of a run, examples that are moved along them, and examples near a given one."""

import difflib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.objects import as_array
from isthmus.data.tables.names import quote_names
from isthmus.data.transforms.axes import in_axes
from isthmus.data.transforms.labels import encode_labels
from isthmus.densities import GaussianMixture
from isthmus.densities.fitting import MOST_CODES
from isthmus.errors import BadData, BadOption, ShapeError, UnknownName, check_choice, check_range
from isthmus.functional.directions import DIRECTIONS, neighboring_codes
from isthmus.models.inputs import chunks
from isthmus.models.seeding import derive_seed
from isthmus.parts.likelihoods.support import clip_to_support
from isthmus.runs.data import NewData, data_for, inputs_for, labels_of
from isthmus.runs.densities import density_of, projected
from isthmus.runs.inference import Results
from isthmus.runs.interpolation import check_real_code
from isthmus.runs.run import Run

PAIRS, OTHER = "pairs", "other"
STRONGEST = 100.0
NEIGHBORS = 1000
"""Neighbors of one example, at most."""


@dataclass(frozen=True)
class Direction:
    """A step in latent space, from one group of examples to another.

    Attributes:
        vector: the step, of the shape of a code; arithmetic on codes is arithmetic with it:
            ``run.decode(run.encode(x) + 1.5 * direction.vector)``.
        toward: name of the class that it leads to, or ``after``.
        away: name of the class that it starts from, ``other`` for several others, or ``before``.
        method: ``means``, ``logistic`` or ``pairs``.
        examples: number of examples at its start and at its end.
    """

    vector: Array
    toward: str
    away: str
    method: str
    examples: tuple[int, int]

    def __str__(self) -> str:
        """Start, end and method in words."""
        start, end = self.examples
        return f"{self.away} ({start:,} examples) to {self.toward} ({end:,}), {self.method}"


def direction_of(
    run: Run,
    toward: object = None,
    *,
    away: object = None,
    data: NewData | None = None,
    labels: object = None,
    before: NewData | None = None,
    after: NewData | None = None,
    method: str = "means",
) -> Direction:
    """The direction that leads from one class to another, or from ``before`` to ``after``.

    Args:
        run: a trained run with a real-valued code.
        toward: class that it leads to, by its name or number.
        away: class that it starts from; all others by default.
        data: labeled examples; by default the training data.
        labels: their labels (N,), or the column or array of ``data`` that holds them; by default the labels of
            ``data``.
        before: examples at the start, each with a counterpart in ``after``: the direction is the mean difference.
        after: examples at the end, in the same order.
        method: ``means`` or ``logistic`` (:data:`isthmus.functional.directions.DIRECTIONS`).

    Raises:
        IncompatibleParts: a discrete code.
        BadData: no labels, or a class without examples.
        UnknownName: no class of this name.
        BadOption: neither a class nor a pair, or an unknown method.
    """
    check_real_code(run, "A direction")
    check_choice("method", method, DIRECTIONS)
    if (before is None) != (after is None):
        raise BadOption("A direction from pairs needs both of them. Pass before=... and after=... together.")
    if before is not None:
        if toward is not None or away is not None or labels is not None:
            raise BadOption(
                "A direction leads to a class or follows pairs, not both. Leave out the class or the pairs."
            )
        return _of_pairs(run, before, after)
    if toward is None:
        raise BadOption("The direction is not given. Pass toward=CLASS, or pairs of examples (before=..., after=...).")
    x, found, names = _labeled(run, data, labels)
    end = _class(toward, found, names)
    start = None if away is None else _class(away, found, names)
    if start == end:
        raise BadOption(f"The direction leads from {away!r} to itself. Leave out the class that it starts from.")
    kept = _some(run, np.ones(len(found), bool) if start is None else (found == end) | (found == start))
    target = torch.from_numpy(found[kept] == end)
    z = run.model.encode(x[torch.from_numpy(kept)])
    vector = DIRECTIONS[method](z.flatten(1), target.to(z.device)).reshape(z.shape[1:])
    ends = int((~target).sum()), int(target.sum())
    return Direction(vector.cpu().numpy(), _name(end, names), _start_name(start, end, found, names), method, ends)


def alter(
    run: Run, x: NewData, toward: object = None, *, strength: float = 1.0, residual: bool = False, **options: Any
) -> Results:
    r"""The examples of ``x`` with their codes moved along a direction, as reconstructions.

    .. math:: \hat x = D(z + s v), \quad \text{or with residual} \quad \hat x = x + D(z + s v) - D(z)

    Args:
        run: a trained run with a real-valued code.
        x: examples.
        toward: the direction v, or a class, with the options of :func:`direction_of`.
        strength: s; 1 is the whole way from one class to the other, below 0 leads away from it.
        residual: add what the reconstruction of each example lacks, so that details remain that the code does not keep.
        options: the options of :func:`direction_of`.

    Raises:
        ShapeError: a direction of another run, whose codes have another shape.
        BadOption: a strength out of range.
    """
    check_real_code(run, "A direction")
    check_range("The strength", strength, -STRONGEST, STRONGEST)
    direction = toward if isinstance(toward, Direction) else direction_of(run, toward, **options)
    inputs = inputs_for(run, x, "input")
    moved = partial(altered, run, direction=direction, strength=strength, residual=residual)
    return Results(
        inputs,
        lambda chunk: in_axes(run.to_array(moved(chunk)), inputs.axes),
        run.contract.schema,
        run.model.like.device,
    )


def altered(run: Run, x: Tensor, direction: Direction, *, strength: float = 1.0, residual: bool = False) -> Tensor:
    """Model inputs ``x`` (N, *D) with codes moved along a direction, as model outputs."""
    z = run.model.encode(x)
    if direction.vector.shape != tuple(z.shape[1:]):
        raise ShapeError(
            f"The direction has shape {direction.vector.shape}, but codes of this run have {tuple(z.shape[1:])}. Use a "
            "direction of the same run."
        )
    y = run.model.decode(projected(run, z + strength * torch.from_numpy(direction.vector).to(z)))
    if not residual:
        return y
    own = run.model.filled(x).to(y)
    return clip_to_support(own + y - run.model.decode(z), run.model.likelihood)


def neighborhood(
    run: Run, x: NewData, number: int = 8, *, distance: float = 0.3, data: NewData | None = None
) -> Results:
    """New examples near each of ``x``, (N, number, ...): decoded codes around its own.

    Args:
        run: a trained run with a real-valued code.
        x: examples.
        number: new examples for each.
        distance: 0 (the reconstruction) to 1 (as far apart as any two examples are)
            (:func:`isthmus.functional.directions.neighboring_codes`).
        data: examples whose codes say what is far; by default the training data.

    Raises:
        IncompatibleParts: a discrete code.
        BadOption: an option out of range.
    """
    check_real_code(run, "A direction")
    check_range("The number of samples near each example", number, 1, NEIGHBORS)
    check_range("The distance", distance, 0, 1)
    density_of(run, "gaussian", data)

    def made(x: Tensor) -> Array:
        return run.to_lines(near(run, x, number, distance=distance))

    return Results(inputs_for(run, x, "input"), made, device=run.model.like.device)


def near(run: Run, x: Tensor, number: int, *, distance: float) -> Tensor:
    """Model outputs (N, number, *D) near model inputs (N, *D)."""
    density = density_of(run, "gaussian").density
    assert isinstance(density, GaussianMixture)
    z = run.model.encode(x)
    mean, factor = (v.to(z.device) for v in (density.means[0], density.factors[0]))
    codes = neighboring_codes(z.flatten(1).double(), mean, factor, float(distance), number)
    made = run.model.decode(projected(run, codes.to(z).reshape(-1, *z.shape[1:])))
    return made.reshape(len(x), number, *made.shape[1:])


def examples_at_start(results: Results, direction: Direction, number: int) -> Tensor:
    """The first model inputs to show the effect of a direction on: of its start, where they have such labels."""
    names, labels = results.inputs.label_names, results.inputs.labels
    rows = np.arange(len(results))
    if labels is not None:
        known = np.array([_name(int(label), names) for label in labels])
        of_start = known == direction.away if direction.away != OTHER else known != direction.toward
        rows = np.flatnonzero(of_start) if of_start.any() else rows
    return torch.cat([results.x[row : row + 1] for row in rows[:number].tolist()])


def _start_name(start: int | None, end: int, labels: Array, names: tuple[str, ...]) -> str:
    """The name of the class that a direction starts from: the only one there is besides its end, or ``other``."""
    if start is None:
        others = [label for label in np.unique(labels).tolist() if label != end]
        start = others[0] if len(others) == 1 else None
    return OTHER if start is None else _name(start, names)


def _of_pairs(run: Run, before: NewData, after: NewData) -> Direction:
    """The mean difference of the codes of pairs.

    Raises:
        ShapeError: not one example after for each before.
    """
    ends = [
        torch.cat([run.model.encode(x) for x in chunks(inputs_for(run, data, "input").x)]) for data in (before, after)
    ]
    if len(ends[0]) != len(ends[1]):
        raise ShapeError(
            f"There are {len(ends[0]):,} examples before, but {len(ends[1]):,} after. Pass one after for each before."
        )
    vector = (ends[1] - ends[0]).mean(0)
    return Direction(vector.cpu().numpy(), "after", "before", PAIRS, (len(ends[0]), len(ends[1])))


def _labeled(run: Run, data: NewData | None, labels: object) -> tuple[Tensor, Array, tuple[str, ...]]:
    """Labeled examples: model inputs, labels as integers, and the names of the classes.

    Raises:
        BadData: there are no labels, or not one for each example.
    """
    name = labels if isinstance(labels, str) else None
    given = None if labels is None or name is not None else as_array(labels, "The labels")
    if data is None:
        x, found, names = _own_labeled(run, name, given)
    else:
        inputs = inputs_for(run, data, "input", name)
        x, found, names = torch.cat(list(chunks(inputs.x))), inputs.labels, inputs.label_names
        if given is not None:
            found, names = _numbered(given, len(x))
    if found is None:
        what = "The data has no labels" if name is None else f"The data has no labels {name!r}"
        raise BadData(
            f"{what}, but a direction leads from one class to another. Pass labels=... (an array, or the name of a "
            "column of data=...), or pairs of examples (before=..., after=...)."
        )
    if names and (found < 0).any():
        # examples without a class, of data whose classes have names
        rows = np.flatnonzero(found >= 0)
        x, found = x[torch.from_numpy(rows)], found[rows]
    return x, found, names


def _some(run: Run, used: Array) -> Array:
    """The rows of the examples to use, at most :data:`MOST_CODES` of them at random."""
    rows = np.flatnonzero(used)
    if len(rows) <= MOST_CODES:
        return rows
    seed = derive_seed(run.metadata.seed, "direction")
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_CODES, replace=False))


def _own_labeled(run: Run, name: str | None, given: Array | None) -> tuple[Tensor, Array | None, tuple[str, ...]]:
    """Labeled examples of the training data, or of its validation set where the training set is not in memory."""
    prepared = data_for(run)
    split = prepared.valid if prepared.streamed and prepared.valid is not None else prepared.train
    if name is not None:
        return split.tensor, *labels_of(run, name, split)
    if given is None:
        return split.tensor, split.labels, prepared.label_names
    encoded, names = _numbered(given, len(given))
    rows = np.arange(len(split)) if split.rows is None else split.rows
    if len(rows) and rows.max() >= len(given):
        raise BadData(
            f"There are {len(given):,} labels, but the training data has more examples. Pass one label for each, or "
            "the labeled examples too, as data=...."
        )
    return split.tensor, encoded[rows], names


def _numbered(labels: Array, count: int) -> tuple[Array, tuple[str, ...]]:
    """Labels as integers, and the names of the classes.

    Raises:
        BadData: not one label for each of ``count`` examples.
    """
    if len(labels) != count:
        raise BadData(f"There are {len(labels):,} labels for {count:,} examples. Pass one label per example.")
    encoded, names = encode_labels({"train": labels}, "the examples")
    return encoded["train"], names


def _class(wanted: object, labels: Array, names: tuple[str, ...]) -> int:
    """The number of a class by its name, in any case of letters, or its number.

    Raises:
        UnknownName: there is no such class.
    """
    known = {int(label): _name(int(label), names) for label in np.unique(labels)}
    text = str(wanted)
    for same in (str, str.lower):
        found = [label for label, name in known.items() if same(name) == same(text)]
        if len(found) == 1:
            return found[0]
    if text.isdecimal() and int(text) in known:
        return int(text)
    near = difflib.get_close_matches(text.lower(), [name.lower() for name in known.values()], n=1, cutoff=0.5)
    hint = next((f"; did you mean {name!r}?" for name in known.values() if name.lower() in near), ".")
    raise UnknownName(f"There is no class {text[:60]!r}{hint} The classes are {quote_names(list(known.values()))}.")


def _name(label: int, names: tuple[str, ...]) -> str:
    return names[label] if 0 <= label < len(names) else str(label)
