"""Resuming a run: its working folder, the settings it was started with, and checks that a call matches them.

While a run ``OUT`` is trained, its folder is ``OUT.part``, with its plan and its checkpoints; at the end it is renamed
to ``OUT``. A run that was interrupted after its first epoch is renamed too, so that its best weights can be used, and
keeps everything needed to resume it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from isthmus.errors import BadRun
from isthmus.files.atomic import write_text
from isthmus.files.locks import locked
from isthmus.models.inputs import Chunked, chunks
from isthmus.runs.folder import METRICS, RECORD, read_json
from isthmus.runs.run import Run

PLAN, CHECKPOINTS = "plan.json", "checkpoints"
BYTES, VALID_BYTES = "the values of the data", "the values of the validation set"
FREE = frozenset({"training.checkpoint_interval"})
"""Options that do not affect results, and so may differ when a run is resumed."""
MACHINE = {"torch": "version of torch", "processor": "kind of CPU", "processes": "number of processes"}
"""Settings that bit-identical results require and that cannot be restored: name in a plan -> description."""


def working_folder(folder: Path) -> Path:
    """The folder of the run ``folder`` until it is finished."""
    return folder.with_name(f"{folder.name}.part")


@contextmanager
def reserved(out: Path | str | None, *, overwrite: bool, resume: bool) -> Iterator[Path | None]:
    """The folder of a run (:func:`check_free`), which no other process or thread writes into during the block.

    Raises:
        BadRun: another one does, or the folder cannot be used.
    """
    if out is None:
        yield None
        return
    folder = Path(out)
    with locked(folder) as alone:
        if not alone:
            raise BadRun(f"{str(folder)!r} is being written by another fit. Wait until it ends, or use another folder.")
        yield check_free(folder, overwrite=overwrite, resume=resume)


def check_free(folder: Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """A folder that a run may be written into: new, empty, or a run that may be replaced or resumed.

    Raises:
        BadRun: the folder holds something else, or a run that must not be replaced.
    """
    work = working_folder(folder)
    if work.exists() and not (work / PLAN).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise BadRun(f"{str(work)!r} exists and is not a run folder. Move it, or use another folder.")
    if work.exists() and (work / PLAN).is_file() and not (overwrite or resume):
        raise BadRun(
            f"{str(work)!r} holds an unfinished run. Resume it with resume=True, replace it with overwrite=True, or "
            "use another folder."
        )
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return folder
    is_run = (folder / RECORD).is_file() or (folder / METRICS).is_file()
    if is_run and (overwrite or resume):
        return folder
    what = "already holds a run" if is_run else "exists and is not a run folder"
    resumable = ", resume the run with resume=True" if unfinished_folder(folder) else ""
    remedy = f"Use another folder{resumable}, or replace it with overwrite=True." if is_run else "Use another folder."
    raise BadRun(f"{str(folder)!r} {what}. {remedy}")


def unfinished_folder(folder: Path) -> Path | None:
    """The folder of a run that was started and can be resumed; ``None`` if there is none or it is finished."""
    work = working_folder(folder)
    if (work / PLAN).is_file():
        return work
    kept = any((folder / CHECKPOINTS).glob("step-*.json"))
    if not kept or not (folder / PLAN).is_file() or not (folder / RECORD).is_file():
        return None
    outcome = read_json(folder / RECORD).get("outcome")
    return folder if isinstance(outcome, dict) and outcome.get("finished") is False else None


def open_working_folder(folder: Path, place: Path | None) -> Path:
    """The working folder: the one at ``place`` if a run is resumed, else an empty one.

    Raises:
        BadRun: it cannot be created.
    """
    work = working_folder(folder)
    try:
        if place is None:
            _empty(work)
        elif place != work:
            place.replace(work)
        work.mkdir(parents=True, exist_ok=True)
        # fails now rather than after an hour of training
        write_text(work / ".write", "")
        (work / ".write").unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not writable"
        raise BadRun(f"The folder {str(work)!r} cannot be created: {reason}. Use another folder.") from error
    return work


def _empty(folder: Path) -> None:
    """Remove the content of a folder; the folder itself stays, as it may reserve its name."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def plan_of(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings a run is started with, as plain data: recipe, data, seed and the values chosen by ``auto``."""
    metadata = asdict(run.metadata)
    if not run.metadata.source and run.data is not None and not run.data.streamed:
        # data that is only in memory can be compared in no other way
        metadata[BYTES] = _hash(run.data.train.x)
    if run.metadata.validation and run.data is not None and run.data.valid is not None:
        metadata[VALID_BYTES] = _hash(run.data.valid.tensor)
    content = {"recipe": run.recipe.to_dict(), "metadata": metadata, "settings": dict(settings)}
    return dict(json.loads(json.dumps(content)))


def _hash(x: Tensor | Chunked) -> str:
    """Hash of all values of examples in memory."""
    found = hashlib.sha256()
    for chunk in chunks(x):
        found.update(chunk.contiguous().numpy().data)
    return found.hexdigest()


def write_plan(work: Path, plan: Mapping[str, Any]) -> None:
    """Keep the plan of a new run beside its checkpoints."""
    write_text(work / PLAN, json.dumps(plan, indent=2) + "\n")


def check_resumable(place: Path, plan: Mapping[str, Any], *, allow_different_results: bool = False) -> dict[str, Any]:
    """The plan of the run at ``place``, if it matches the requested ``plan``.

    Raises:
        BadRun: recipe, data or seed differ, or the machine differs and different results are not allowed.
    """
    path = place / PLAN
    old = read_json(path)
    if set(old) != set(plan) or not all(isinstance(section, dict) for section in old.values()):
        raise BadRun(
            f"{str(path)!r} is damaged or was written by another version of Isthmus. Train again without resume=True, "
            "with overwrite=True."
        )
    check_same(old, plan, f"The unfinished run in {str(place)!r}")
    for name, description in MACHINE.items():
        before, now = old["settings"].get(name), plan["settings"].get(name)
        if before != now and not allow_different_results:
            raise BadRun(
                f"The unfinished run in {str(place)!r} was started with another {description} ({_short(before)}; here "
                f"{_short(now)}), so its results may differ from those of an uninterrupted run. Resume it where it was "
                "started, or pass allow_different_results=True."
            )
    return old


def check_same(old: Mapping[str, Any], plan: Mapping[str, Any], what: str) -> None:
    """Refuse two plans that differ in recipe, data or seed.

    Raises:
        BadRun: they differ; ``what`` is the subject of the message, the run of the old plan.
    """
    for section in ("recipe", "metadata"):
        before, now = _flat(old[section]), _flat(plan[section])
        for name in sorted(before.keys() | now.keys(), key=_order):
            if name in FREE or before.get(name) == now.get(name):
                continue
            bytes_differ = name in (BYTES, VALID_BYTES)
            other = f"other{name.removeprefix('the')}" if bytes_differ else f"{name} = {_short(before.get(name))}"
            requested = "this call has these" if bytes_differ else f"this call has {_short(now.get(name))}"
            raise BadRun(
                f"{what} was started with {other}, but {requested}. Use the same settings, or start again with "
                "overwrite=True."
            )


def _order(name: str) -> tuple[bool, bool, str]:
    """Key of the order in which settings are compared: causes before the values that follow from them."""
    return name.startswith("contract."), name in (BYTES, VALID_BYTES), name


def _flat(content: object, path: str = "") -> dict[str, object]:
    """Nested plain data with one dotted name per value."""
    if not isinstance(content, dict) or not content:
        return {path: content}
    found: dict[str, object] = {}
    for name, value in content.items():
        found |= _flat(value, f"{path}.{name}" if path else str(name))
    return found


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
