"""A run that is not finished: where it lies, what it was begun with, and whether a command may go on with it.

While a run ``OUT`` is trained it lies in ``OUT.part``, with its plan and its checkpoints; at its end the folder takes
its name. A run that was interrupted after its first epoch takes its name too, so that its best weights can be used,
and keeps all that is needed to go on.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from isthmus.errors import BadRun
from isthmus.files import write_text
from isthmus.run import METRICS, RECORD, Run, read_json

PLAN, CHECKPOINTS = "plan.json", "checkpoints"
BYTES = "the values of the data"
FREE = frozenset({"training.checkpoint"})
"""Options that change no figure, and so may differ when a run goes on."""
BITS = {"torch": "version of torch", "processor": "kind of processor", "processes": "number of processes"}
"""What must be the same for the same bits and cannot be chosen again: its name in a plan, and in words."""


def part_of(folder: Path) -> Path:
    """Where the run ``folder`` lies until it is finished."""
    return folder.with_name(f"{folder.name}.part")


def check_free(folder: Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """A folder that a run may be written into: new, empty, or a run that may be replaced or gone on with.

    Raises:
        BadRun: something else is there.
    """
    work = part_of(folder)
    if work.exists() and not (work / PLAN).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise BadRun(f"{str(work)!r} is in the way, and no run. Move it, or choose another folder.")
    if work.exists() and (work / PLAN).is_file() and not (overwrite or resume):
        raise BadRun(
            f"{str(work)!r} holds an unfinished run. Go on with it by --resume, replace it with --overwrite, or choose "
            "another folder."
        )
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return folder
    is_run = (folder / RECORD).is_file() or (folder / METRICS).is_file()
    if is_run and (overwrite or resume):
        return folder
    what = "already holds a run" if is_run else "exists and is not a run"
    onward = ", go on with it by --resume" if begun(folder) else ""
    remedy = f"Choose another folder{onward}, or replace it with --overwrite." if is_run else "Choose another folder."
    raise BadRun(f"{str(folder)!r} {what}. {remedy}")


def begun(folder: Path) -> Path | None:
    """Where a run lies that was begun and can go on; ``None`` where there is none, or it is finished."""
    work = part_of(folder)
    if (work / PLAN).is_file():
        return work
    kept = any((folder / CHECKPOINTS).glob("step-*.json"))
    if not kept or not (folder / PLAN).is_file() or not (folder / RECORD).is_file():
        return None
    outcome = read_json(folder / RECORD).get("outcome")
    return folder if isinstance(outcome, dict) and outcome.get("finished") is False else None


def opened(folder: Path, place: Path | None) -> Path:
    """The folder to work in: what lies at ``place`` where a run goes on, else an empty one.

    Raises:
        BadRun: it cannot be made.
    """
    work = part_of(folder)
    try:
        if place is None:
            shutil.rmtree(work, ignore_errors=True)
        elif place != work:
            place.replace(work)
        work.mkdir(parents=True, exist_ok=True)
        # asked now, not after an hour
        write_text(work / ".write", "")
        (work / ".write").unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "nothing can be written there"
        raise BadRun(f"The folder {str(work)!r} cannot be made: {reason}. Choose another place.") from error
    return work


def plan_of(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is begun with, as plain data: recipe, data, seed and the settings that ``auto`` chose."""
    facts = asdict(run.facts)
    if not run.facts.source and run.data is not None and isinstance(run.data.train.x, Tensor):
        # of data that only memory holds nothing else tells whether it is the same
        facts[BYTES] = hashlib.sha256(run.data.train.x.numpy().data).hexdigest()
    content = {"recipe": run.recipe.to_dict(), "facts": facts, "settings": dict(settings)}
    return dict(json.loads(json.dumps(content)))


def write_plan(work: Path, plan: Mapping[str, Any]) -> None:
    """Keep the plan of a new run beside its checkpoints."""
    write_text(work / PLAN, json.dumps(plan, indent=2) + "\n")


def agree(place: Path, plan: Mapping[str, Any], *, elsewhere: bool = False) -> dict[str, Any]:
    """The plan of the run that lies at ``place``, if a command asks for the same.

    Raises:
        BadRun: the command asks for another recipe, data or seed, or the machine is another one and the run is not
            to go on ``elsewhere``.
    """
    path = place / PLAN
    old = read_json(path)
    if set(old) != set(plan) or not all(isinstance(part, dict) for part in old.values()):
        raise BadRun(f"{str(path)!r} is not the plan of a run. Train again without --resume, with --overwrite.")
    check_same(old, plan, f"The unfinished run in {str(place)!r}")
    for name, words in BITS.items():
        before, now = old["settings"].get(name), plan["settings"].get(name)
        if before != now and not elsewhere:
            raise BadRun(
                f"The unfinished run in {str(place)!r} was begun with another {words} ({_short(before)}; here "
                f"{_short(now)}), so its end would not be the same to the bit. Go on where it was begun, or accept "
                "that with --elsewhere."
            )
    return old


def check_same(old: Mapping[str, Any], plan: Mapping[str, Any], what: str) -> None:
    """Refuse to take one run for another.

    Raises:
        BadRun: recipe, data or seed of two plans differ; ``what`` says whose the old one is.
    """
    for part in ("recipe", "facts"):
        before, now = _flat(old[part]), _flat(plan[part])
        for name in sorted(before.keys() | now.keys(), key=lambda name: (name == BYTES, name)):
            if name in FREE or before.get(name) == now.get(name):
                continue
            other = "other values of the data" if name == BYTES else f"{name} = {_short(before.get(name))}"
            asked = "these" if name == BYTES else _short(now.get(name))
            raise BadRun(
                f"{what} was begun with {other}, but this command asks for {asked}. Give the same command, or begin "
                "again with --overwrite."
            )


def _flat(content: object, path: str = "") -> dict[str, object]:
    """Nested plain data with one dotted name for each value."""
    if not isinstance(content, dict) or not content:
        return {path: content}
    found: dict[str, object] = {}
    for name, value in content.items():
        found |= _flat(value, f"{path}.{name}" if path else str(name))
    return found


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
