"""A run: a recipe, the model it became, how it was trained, and the folder that holds all of it.

    recipe.json         the recipe, complete
    model.safetensors   the weights
    run.json            data, shape, scaling, seed, versions, machine, outcome
    metrics.jsonl       one line for each epoch

JSON and safetensors only: loading a run from a stranger runs no code.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from isthmus.data.arrays import arranged, bright
from isthmus.data.base import Array
from isthmus.data.large import stored_like
from isthmus.data.opening import streamed
from isthmus.data.prepare import Prepared, prepare_like
from isthmus.data.scaling import Scaling
from isthmus.data.stored import Stored
from isthmus.errors import BadRun, IsthmusError, one_line
from isthmus.files import replacing, write_text
from isthmus.metrics.evaluation import evaluate
from isthmus.model import Autoencoder, chunks
from isthmus.objective import Objective
from isthmus.options import DataOptions
from isthmus.recipe import Recipe, readable
from isthmus.strangers import misplaced, parse_json
from isthmus.training.hardware import network_precision

FORMAT = 1
RECIPE, WEIGHTS, RECORD, METRICS = "recipe.json", "model.safetensors", "run.json", "metrics.jsonl"
LARGEST_JSON = 64 * 2**20
"""Bytes of the largest JSON file that is read from a run folder."""
MOST_ROWS = 100_000
"""Epochs of the longest history that is read, and figures of one epoch."""
KINDS = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL"})
"""Types of numbers that weights may have in a file."""


@dataclass(frozen=True)
class Facts:
    """What a run knows about its data and itself, as plain data: the content of run.json."""

    data: str
    source: str
    shape: tuple[int, ...]
    images: bool
    scaling: dict[str, Any]
    seed: int
    by_hand: bool = False
    label_names: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    held_out: str = "none"
    provenance: dict[str, Any] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    bad_data: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(repr=False)
class Run:
    """A trained model with everything needed to use it again and to tell where it came from.

    ``encode``, ``decode``, ``reconstruct`` and ``sample`` take and give data as it was given to ``fit``; the model's
    own methods speak the units it was trained in. ``history`` holds the rows of metrics.jsonl; ``folder`` is ``None``
    until the run is saved, ``data`` what the run was trained on where that is still at hand.
    """

    recipe: Recipe
    objective: Objective
    facts: Facts
    history: list[dict[str, Any]] = field(default_factory=list)
    folder: Path | None = None
    data: Prepared | None = None

    def __repr__(self) -> str:
        """One line that tells the run from others."""
        kept = self.facts.outcome.get("kept_epoch", "?")
        place = f", saved in {str(self.folder)!r}" if self.folder else ""
        return f"<Run {self.recipe.name} on {self.facts.data}, weights of epoch {kept}{place}>"

    @property
    def model(self) -> Autoencoder:
        """The trained autoencoder."""
        return self.objective.model

    @property
    def scaling(self) -> Scaling:
        """How raw values became what the model sees."""
        return Scaling.from_dict(self.facts.scaling)

    def encode(self, x: Array, *, sample: bool = False, precision: str = "32") -> Array:
        """The code of each example, as numpy: the mean of q(z | x), or a draw from it.

        ``precision`` is that of the encoder's products: ``32``, ``bf16`` (about four times as fast where the machine
        has it; codes of a trained net off by about 0.3 % in norm), or ``auto``, which takes bf16 where it is fast.
        """
        low = self.products(precision)
        parts = (self.model.encode(c, sample=sample, precision=low) for c in chunks(self.examples(x)))
        return np.concatenate([part.cpu().numpy() for part in parts])

    def products(self, precision: str) -> torch.dtype | None:
        """The precision of products by its name (``auto``, ``32``, ``bf16``) on the model's device; ``None`` is full.

        Raises:
            BadOption: no such precision, or the device does not have it.
        """
        return network_precision(precision, self.model.like.device)

    def decode(self, z: Array) -> Array:
        """What codes stand for, in the units of the data."""
        return self.restored(self.model.decode(torch.as_tensor(np.asarray(z, np.float32))))

    def reconstruct(self, x: Array, *, sample: bool = False) -> Array:
        """What is left of each example behind the code, in the units of the data."""
        parts = (self.model.reconstruct(chunk, sample=sample) for chunk in chunks(self.examples(x)))
        return np.concatenate([self.restored(part) for part in parts])

    def sample(self, n: int, *, seed: int | None = None) -> Array:
        """``n`` new examples, in the units of the data."""
        return self.restored(self.model.sample(n, seed=seed))

    def evaluate(self, x: Array, *, seed: int = 0) -> dict[str, float]:
        """The figures of the run on raw examples; their units are in :data:`isthmus.metrics.evaluation.MEANINGS`."""
        ready = self.examples(x)
        if isinstance(ready, Stored):
            ready.demand(self.model.likelihood.check)  # type: ignore[arg-type]
        return evaluate(self.objective, ready, seed=seed)

    def examples(self, x: Array) -> Tensor | Stored:
        """Raw examples as the model takes them; what is large, such as a mapped file, is read chunk by chunk."""
        source = streamed(x, DataOptions())
        if source is None:
            return self.prepared(x)
        return stored_like(source, self.facts.shape, self.scaling, DataOptions(), self.facts.seed)

    def prepared(self, x: Array, *, pixels: bool | None = None) -> Tensor:
        """Raw examples as the model takes them, treated as the training data was.

        ``pixels`` says whether 8-bit values are brightness; where it is not given, they are unless all are 0 or 1.

        Raises:
            IsthmusError: another shape, or values that are not finite.
        """
        x = arranged(np.asarray(x), None, "The array")
        given = bright([x]) if pixels is None else pixels
        return prepare_like(x, self.facts.shape, self.scaling, self.facts.images, given)

    def drawn(self, x: Tensor) -> Array:
        """Model inputs or outputs as plots take them: images channels first, in the units of the data."""
        x = x.detach().cpu()
        return (self.scaling.invert(x) if self.facts.images and self._rescaled else x).numpy()

    @property
    def _rescaled(self) -> bool:
        """Whether images were scaled otherwise than from bytes to [0, 1]."""
        return self.scaling.kind not in ("auto", "none")

    def restored(self, x: Tensor) -> Array:
        """Model outputs as arrays like the data: channels last, tables in their own units; pixels stay in [0, 1]."""
        x = x.detach().cpu()
        if not self.facts.images:
            return self.scaling.invert(x).numpy()
        images = self.scaling.invert(x) if self._rescaled else x
        return (images[:, 0] if images.shape[1] == 1 else images.movedim(1, -1)).contiguous().numpy()

    def save(self, folder: Path | str) -> Path:
        """Write the run into ``folder``; each file appears whole or not at all."""
        folder = Path(folder)
        with replacing(folder / WEIGHTS) as path:
            weights = {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
            try:
                save_file(weights, path, metadata={"format": str(FORMAT)})
            except SafetensorError as error:
                raise BadRun(f"The weights cannot be written: {one_line(error)}. Make room on the disk.") from error
        write_text(folder / METRICS, "".join(json.dumps(row) + "\n" for row in self.history))
        kept = {"name", "training", "data"} if self.facts.by_hand else None
        recipe = {name: value for name, value in self.recipe.to_dict().items() if kept is None or name in kept}
        write_text(folder / RECIPE, json.dumps(recipe, indent=2) + "\n")
        write_text(folder / RECORD, json.dumps(asdict(self.facts), indent=2) + "\n")
        self.folder = folder
        return folder


def load(folder: Path | str, objective: Objective | None = None) -> Run:
    """A saved run. One made from parts by hand needs its ``objective`` built again, in the same way.

    Raises:
        BadRun: the folder is missing, damaged, or of another format.
    """
    folder = Path(folder)
    try:
        there, whole = folder.is_dir(), (folder / RECORD).exists()
    except OSError:
        # a name that no folder can have
        there = whole = False
    if not whole:
        what = "has no run.json" if there else "does not exist"
        raise BadRun(f"{str(folder)!r} is not a run: it {what}. Make one with isthmus fit vae --data digits --out RUN.")
    facts = _facts(read_json(folder / RECORD), folder)
    recipe = Recipe.from_dict(read_json(folder / RECIPE))
    weights = _own(folder / WEIGHTS)
    if objective is None:
        if facts.by_hand:
            raise BadRun(
                f"The run in {str(folder)!r} was made from parts by hand, which no file describes. Build the same "
                "objective and give it to load(folder, objective)."
            )
        # a few bytes may describe a model of gibibytes: none is built before the weights are seen to be there
        _check_weights(recipe.draft(facts.shape).model, weights)
        objective = recipe.build(facts.shape)
    objective.model.join(facts.shape)
    _check_weights(objective.model, weights)
    objective.model.load_state_dict(_tensors(weights))
    objective.eval()
    return Run(recipe, objective, facts, _rows(folder / METRICS), folder)


def facts_of(data: Prepared, seed: int, source: str) -> Facts:
    """The facts about data that is at hand; ``source`` is the name or path that loads it again."""
    parts = {"train": data.train, "valid": data.valid, "test": data.test}
    return Facts(
        data=data.name,
        source=source,
        shape=tuple(data.shape),
        images=data.images,
        scaling=data.scaling.to_dict(),
        seed=seed,
        label_names=tuple(data.label_names),
        counts={name: len(part) for name, part in parts.items() if part is not None},
        held_out=data.held_out,
        # as JSON will give it back: lists, not tuples
        provenance=json.loads(json.dumps(asdict(data.provenance))),
    )


def _own(path: Path) -> Path:
    """The path of a file of a run, if it is a plain file that lies in the run's folder."""
    fault = misplaced(path, path.parent)
    if fault is not None:
        raise BadRun(f"{str(path)!r} {fault}, but a run holds plain files of its own. Copy the whole run again.")
    return path


def _text(path: Path) -> str:
    """The text of a file of bounded size."""
    try:
        if _own(path).stat().st_size > LARGEST_JSON:
            raise BadRun(f"{str(path)!r} is larger than {LARGEST_JSON >> 20} MiB, so it is no file of a run.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as text: {one_line(error)}. Train the run again.") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size."""
    try:
        content = parse_json(_text(path))
    except IsthmusError:
        raise
    except ValueError as error:
        raise BadRun(f"{str(path)!r} cannot be read as JSON: {one_line(error)}. Train the run again.") from error
    if not isinstance(content, dict):
        raise BadRun(f"{str(path)!r} holds no JSON object. Train the run again.")
    return content


def _facts(content: Mapping[str, Any], folder: Path) -> Facts:
    """The checked content of run.json."""
    if content.get("format") != FORMAT:
        raise BadRun(
            f"The run in {str(folder)!r} has format {content.get('format')!r}, but this version reads {FORMAT}. "
            "Use the version of Isthmus that wrote it."
        )
    try:
        facts = TypeAdapter(Facts).validate_python(dict(content))
        sensible = 1 <= len(facts.shape) <= 3 and min(facts.shape) >= 1 and math.prod(facts.shape) <= 2**28
        Scaling.from_dict(facts.scaling)
    except ValidationError as error:
        raise BadRun(f"run.json in {str(folder)!r} lacks or spoils what a run needs: {readable(error)}") from error
    except ValueError as error:
        raise BadRun(f"run.json in {str(folder)!r} lacks or spoils what a run needs: {one_line(error)}.") from error
    if not sensible:
        raise BadRun(f"run.json in {str(folder)!r} names an example of shape {facts.shape}, which no run has.")
    return facts


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; none where the file is missing or spoiled, for no figure depends on it."""
    try:
        lines = _text(path).splitlines()
        rows = [parse_json(line, MOST_ROWS) for line in lines if line] if len(lines) <= MOST_ROWS else []
    except (ValueError, IsthmusError):
        return []
    return rows if all(map(_is_row, rows)) else []


def _is_row(row: object) -> bool:
    """Whether a row tells an epoch and the figures of its parts, the training loss among them."""
    if not isinstance(row, dict) or not isinstance(row.get("train"), dict) or "loss" not in row["train"]:
        return False
    parts = [row["train"], row.get("valid") or {}, row.get("weights") or {}, {"epoch": row.get("epoch")}]
    figures = [value for part in parts for value in (part.values() if isinstance(part, dict) else [None])]
    # a whole number beyond these is no float
    return all(type(value) is float or (type(value) is int and abs(value) < 2**53) for value in figures)


def _check_weights(model: Autoencoder, path: Path) -> None:
    """Refuse a file that holds other weights than the model's, by its header: names, shapes and types."""
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            shapes = {name: piece.get_shape() for name, piece in found.items()}
            kinds = {name: piece.get_dtype() for name, piece in found.items()}
    except (OSError, SafetensorError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as safetensors: {one_line(error)}. Train the run again.") from error
    for name in sorted(expected.keys() ^ shapes.keys()):
        side = "lacks" if name in expected else "has an unknown"
        raise BadRun(f"{str(path)!r} {side} weight {name[:80]!r}, so it does not belong to this recipe.")
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise BadRun(
                f"{str(path)!r} holds {name} of shape {tuple(shapes[name])}, but the recipe needs {tuple(shape)}. "
                "The two files are not of one run."
            )
        if kinds[name] not in KINDS:
            raise BadRun(
                f"{str(path)!r} holds {name} as {kinds[name]}, but weights are read as {', '.join(sorted(KINDS))}. "
                "Train the run again."
            )


def _tensors(path: Path) -> dict[str, Tensor]:
    """All weights of a file."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as safetensors: {one_line(error)}. Train the run again.") from error
