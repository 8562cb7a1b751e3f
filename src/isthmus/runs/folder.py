"""The folder of a run, as files.

    recipe.json         the recipe, complete
    model.safetensors   the weights
    penalties.safetensors   those of critics and comparators, if there are any
    run.json            data, shape, scaling, seed, versions, machine, outcome
    metrics.jsonl       one line per epoch

JSON and safetensors only: reading the folder of an untrusted run executes no code. Files are written atomically.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from isthmus.data.prepared import PreparedData
from isthmus.data.transforms.axes import Kind, kind_of, units_of
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadData, BadRun, IsthmusError, one_line, printable
from isthmus.files.atomic import replacing, write_text
from isthmus.files.untrusted import misplaced, parse_json
from isthmus.models.objective import Objective
from isthmus.models.recipe import readable
from isthmus.parts.hooks import Adversary, ComparesFeatures

FORMAT = 2
RECIPE, WEIGHTS, RECORD, METRICS = "recipe.json", "model.safetensors", "run.json", "metrics.jsonl"
PENALTIES = "penalties.safetensors"
LARGEST_JSON = 64 * 2**20
"""Bytes of the largest JSON file that is read from a run folder."""
MOST_ROWS = 100_000
"""Epochs of the longest history that is read, and metrics of one epoch."""
KINDS = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL"})
"""Permitted dtypes of weights in a file."""


@dataclass(frozen=True)
class RunMetadata:
    """Metadata of a run and its data, as plain data: the content of run.json."""

    data: str
    source: str
    shape: tuple[int, ...]
    images: bool
    scaling: dict[str, Any]
    seed: int
    by_hand: bool = False
    made_by: str = ""
    validation: str = ""
    label_names: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    held_out: str = "none"
    provenance: dict[str, Any] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    bad_data: dict[str, Any] = field(default_factory=dict)
    contract: dict[str, Any] = field(default_factory=dict)
    missing: str = ""
    start: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def kind(self) -> Kind:
        """Whether examples are rows of a table, sequences, images or frames."""
        return kind_of(self.shape)

    @property
    def data_contract(self) -> DataContract:
        """What was decided on the training data.

        Raises:
            BadData: it is damaged.
        """
        return DataContract.from_dict(self.shape, Scaling.from_dict(self.scaling), self.contract)


def metadata_of(data: PreparedData, seed: int, source: str) -> RunMetadata:
    """The metadata of prepared data; ``source`` is the name or path that loads it again."""
    splits = {"train": data.train, "valid": data.valid, "test": data.test}
    return RunMetadata(
        data=printable(data.name),
        source=source,
        shape=tuple(data.shape),
        images=data.images,
        scaling=data.scaling.to_dict(),
        seed=seed,
        label_names=tuple(data.label_names),
        counts={name: len(split) for name, split in splits.items() if split is not None},
        held_out=data.held_out,
        # as read back from JSON: lists, not tuples
        provenance=json.loads(json.dumps(asdict(data.provenance))),
        contract=json.loads(json.dumps(data.contract.to_dict())),
        missing=str(data.missing) if data.missing else "",
    )


def write_run(
    folder: Path,
    recipe: Mapping[str, Any],
    objective: Objective,
    metadata: RunMetadata,
    history: Sequence[Any],
) -> None:
    """Write the files of a run into ``folder``; if its parts were made by hand, without the recipe of the parts.

    Raises:
        BadRun: the weights cannot be written.
    """
    _write_weights(objective.model, folder / WEIGHTS)
    networks = own_networks(objective)
    if len(networks):
        _write_weights(networks, folder / PENALTIES)
    write_text(folder / METRICS, "".join(json.dumps(row) + "\n" for row in history))
    kept = {"name", "training", "data"} if metadata.by_hand else set(recipe)
    content = {name: value for name, value in recipe.items() if name in kept}
    write_text(folder / RECIPE, json.dumps(content, indent=2) + "\n")
    write_text(folder / RECORD, json.dumps(asdict(metadata), indent=2) + "\n")


def _write_weights(module: nn.Module, path: Path) -> None:
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with replacing(path) as temporary:
        try:
            save_file(weights, temporary, metadata={"format": str(FORMAT)})
        except SafetensorError as error:
            raise BadRun(f"The weights cannot be written: {one_line(error)}. Free some disk space.") from error


def own_networks(objective: Objective) -> nn.ModuleDict:
    """The critics and comparators of an objective by the name of their penalty."""
    found = {}
    for name, penalty in objective.penalties.items():
        if isinstance(penalty, Adversary):
            found[name] = penalty.critic
        if isinstance(penalty, ComparesFeatures):
            found[name] = penalty
    return nn.ModuleDict(found)


def plain_file(path: Path) -> Path:
    """The path of a file of a run, if it is a regular file inside the run folder."""
    fault = misplaced(path, path.parent)
    if fault is not None:
        raise BadRun(f"{str(path)!r} {fault}, but a run folder holds regular files only. Copy the whole run again.")
    return path


def _text(path: Path) -> str:
    """The text of a file of at most ``LARGEST_JSON`` bytes."""
    try:
        if plain_file(path).stat().st_size > LARGEST_JSON:
            raise BadRun(
                f"{str(path)!r} is larger than {LARGEST_JSON >> 20} MiB, the limit for files of a run. Train it again."
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as text: {one_line(error)}. Train the run again.") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of at most ``LARGEST_JSON`` bytes."""
    try:
        content = parse_json(_text(path))
    except IsthmusError:
        raise
    except ValueError as error:
        raise BadRun(f"{str(path)!r} cannot be read as JSON: {one_line(error)}. Train the run again.") from error
    if not isinstance(content, dict):
        raise BadRun(f"{str(path)!r} does not hold a JSON object. Train the run again.")
    return content


def read_metadata(folder: Path) -> RunMetadata:
    """The checked content of run.json.

    Raises:
        BadRun: it is of another format, or has missing or invalid fields.
    """
    content = read_json(folder / RECORD)
    if content.get("format") != FORMAT:
        raise BadRun(
            f"The run in {str(folder)!r} has format {content.get('format')!r}, but this version of Isthmus reads "
            f"format {FORMAT}. Train it again, or use the version that wrote it."
        )
    try:
        metadata = TypeAdapter(RunMetadata).validate_python(content)
        valid_shape = 1 <= len(metadata.shape) <= 4 and min(metadata.shape) >= 1 and math.prod(metadata.shape) <= 2**28
        if valid_shape:
            _check_contract(metadata)
    except ValidationError as error:
        raise BadRun(f"run.json in {str(folder)!r} has missing or invalid fields: {readable(error)}") from error
    except ValueError as error:
        raise BadRun(f"run.json in {str(folder)!r} has missing or invalid fields: {one_line(error)}.") from error
    if not valid_shape:
        raise BadRun(
            f"run.json in {str(folder)!r} has an invalid example shape, {metadata.shape}. Train the run again."
        )
    return metadata


def _check_contract(metadata: RunMetadata) -> None:
    """Check that the contract is valid, and that its numbers match the shape.

    Raises:
        BadData: they do not.
    """
    contract, size, width = metadata.data_contract, math.prod(metadata.shape), units_of(metadata.shape)
    lengths = {"fill values": len(contract.fill), "scales": len(contract.scaling.scale)}
    for what, length in lengths.items():
        if length not in (1, width):
            raise BadData(f"The contract has {length} {what} for examples of shape {metadata.shape}.")
    columns = size if contract.schema is None else contract.schema.width
    # the columns of windows are their channels
    if columns not in (size, width) or (contract.row is not None and math.prod(contract.row) != size):
        raise BadData(f"The contract has {columns} columns, or rows of another shape, for examples of {size} values.")


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; none if the file is missing or damaged, because no metric depends on it."""
    try:
        lines = _text(path).splitlines()
        rows = [parse_json(line, MOST_ROWS) for line in lines if line] if len(lines) <= MOST_ROWS else []
    except (ValueError, IsthmusError):
        return []
    return rows if all(map(_is_row, rows)) else []


def _is_row(row: object) -> bool:
    """Whether a row holds an epoch and the values of its losses, the training loss among them."""
    if not isinstance(row, dict) or not isinstance(row.get("train"), dict) or "loss" not in row["train"]:
        return False
    groups = [row["train"], row.get("valid") or {}, row.get("weights") or {}, {"epoch": row.get("epoch")}]
    values = [value for group in groups for value in (group.values() if isinstance(group, dict) else [None])]
    # a larger integer has no exact float
    return all(type(value) is float or (type(value) is int and abs(value) < 2**53) for value in values)


def check_weights(model: nn.Module, path: Path) -> None:
    """Refuse a file whose header differs from the weights of a model in names, shapes or dtypes."""
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            shapes = {name: tensor.get_shape() for name, tensor in found.items()}
            kinds = {name: tensor.get_dtype() for name, tensor in found.items()}
    except (OSError, SafetensorError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as safetensors: {one_line(error)}. Train the run again.") from error
    for name in sorted(expected.keys() ^ shapes.keys()):
        side = "lacks" if name in expected else "has an unknown"
        raise BadRun(
            f"{str(path)!r} {side} weight {name[:80]!r}, so it does not belong to this recipe. Train the run again."
        )
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise BadRun(
                f"{str(path)!r} holds {name} of shape {tuple(shapes[name])}, but the recipe needs {tuple(shape)}. "
                "The two files are from different runs. Copy the whole run again."
            )
        if kinds[name] not in KINDS:
            raise BadRun(
                f"{str(path)!r} holds {name} as {kinds[name]}, but supported are {', '.join(sorted(KINDS))}. "
                "Train the run again."
            )


def read_weights(path: Path) -> dict[str, Tensor]:
    """All weights of a file."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as safetensors: {one_line(error)}. Train the run again.") from error
