"""Checkpoint files: written atomically, verified when read; the last two and the best weights are kept.

step-000001234-00012.safetensors   tensors of the run between two steps
step-000001234-00012.json          other state, and SHA-256 of all files of the checkpoint; written last
best-00012.safetensors             the best weights
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save, save_file
from torch import Tensor

from isthmus.errors import BadRun, IsthmusError, one_line
from isthmus.files.atomic import replacing, sha256, write_text
from isthmus.files.untrusted import misplaced, parse_json

FORMAT = 2
KEPT = 2
LARGEST_RECORD = 256 * 2**20
"""Bytes of the largest JSON record that is read."""
NAME = re.compile(r"step-(\d{9,})-(\d{5,})\.json")
BEST = re.compile(r"best-\d{5,}\.safetensors")
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError, SafetensorError)
"""Exceptions of reading damaged files."""

Tensors = Mapping[str, Tensor]
StepAndEpoch = tuple[int, int]
"""Finished steps and epochs; after the last step of an epoch there is a moment before and one after validation."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: tensors by name, the best weights (empty before the first epoch), and other state."""

    tensors: dict[str, Tensor]
    best: dict[str, Tensor]
    record: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: their folder, created when the first one is written.
        every: seconds between two checkpoints.
        say: called with a sentence if a checkpoint cannot be written or read; such an error never ends a run.
    """

    def __init__(self, folder: Path, every: float = 60.0, say: Callable[[str], None] = print) -> None:
        self.folder, self.every, self.say = folder, every, say
        self._last = time.monotonic()
        self._best: tuple[int, dict[str, str]] | None = None

    def due(self) -> bool:
        """Whether the next checkpoint is due."""
        return time.monotonic() - self._last >= self.every

    def write(
        self, moment: StepAndEpoch, tensors: Tensors, record: Mapping[str, Any], best: tuple[int, Tensors] | None
    ) -> bool:
        """Write the state of a moment and the best weights; returns whether this succeeded."""
        self._last = time.monotonic()
        try:
            files = {"tensors": self._save(f"{_name(moment)}.safetensors", tensors)}
            if best is not None:
                if self._best is None or self._best[0] != best[0]:
                    self._best = best[0], self._save(f"best-{best[0]:05d}.safetensors", best[1])
                files["best"] = self._best[1]
            content = {"format": FORMAT, "files": files, "record": dict(record)}
            checksummed = {"sha256": _digest(content), **content}
            write_text(self.folder / f"{_name(moment)}.json", json.dumps(checksummed) + "\n")
            self._tidy()
        except (OSError, IsthmusError, SafetensorError) as error:
            self.say(f"The checkpoint of step {moment[0]} could not be written: {one_line(error)}. Training continues.")
            return False
        return True

    def _save(self, name: str, tensors: Tensors) -> dict[str, str]:
        """Write tensors into a file; returns its name and checksum."""
        path = self.folder / name
        # copies, because safetensors supports neither shared memory nor other layouts
        copies = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        with replacing(path) as unfinished:
            save_file(copies, unfinished)
            checksum = sha256(unfinished)
        return {"name": name, "sha256": checksum}

    def saved(self) -> list[StepAndEpoch]:
        """Moments with a record, newest first."""
        found = [NAME.fullmatch(path.name) for path in self.folder.glob("step-*.json")]
        return sorted(((int(match[1]), int(match[2])) for match in found if match), reverse=True)

    def read(self) -> Checkpoint | None:
        """The newest undamaged checkpoint; ``None`` where there are no checkpoints.

        Raises:
            BadRun: all checkpoints are damaged.
        """
        moments = self.saved()
        for number, moment in enumerate(moments):
            try:
                return self._read(moment)
            except DAMAGE as error:
                older = f" Using the one of step {moments[number + 1][0]} instead." if moment != moments[-1] else ""
                self.say(f"The checkpoint of step {moment[0]} is damaged ({one_line(error)}).{older}")
        if moments:
            raise BadRun(
                f"All checkpoints in {str(self.folder)!r} are damaged. Train again with overwrite=True, without "
                "resume=True."
            )
        return None

    def _read(self, moment: StepAndEpoch) -> Checkpoint:
        content = self._record(moment)
        files, record = content["files"], dict(content["record"])
        tensors = self._load(files["tensors"], re.compile(f"{_name(moment)}\\.safetensors"))
        best = self._load(files["best"], BEST) if "best" in files else {}
        if best:
            self._best = int(files["best"]["name"][5:-12]), dict(files["best"])
        return Checkpoint(tensors, best, record)

    def _record(self, moment: StepAndEpoch) -> dict[str, Any]:
        """The verified record of a moment."""
        path = self.folder / f"{_name(moment)}.json"
        if self._regular_file(path).stat().st_size > LARGEST_RECORD:
            raise ValueError(f"its record is larger than {LARGEST_RECORD >> 20} MiB")
        content = parse_json(path.read_text(encoding="utf-8"))
        if content.pop("sha256") != _digest(content):
            raise ValueError("its record was modified")
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, but this version of Isthmus reads {FORMAT}")
        return dict(content)

    def _regular_file(self, path: Path) -> Path:
        """The path of a regular file inside the folder."""
        if (fault := misplaced(path, self.folder)) is not None:
            raise ValueError(f"{path.name} {fault}")
        return path

    def _load(self, file: Mapping[str, str], allowed: re.Pattern[str]) -> dict[str, Tensor]:
        """The tensors of a file of this folder, verified by its checksum."""
        if not allowed.fullmatch(file["name"]):
            raise ValueError(f"it refers to the unexpected file {file['name'][:80]!r}")
        data = self._regular_file(self.folder / file["name"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise ValueError(f"{file['name']} is incomplete or was modified")
        return load(data)

    def _tidy(self) -> None:
        """Remove all but the last two checkpoints, and best weights that neither of them refers to."""
        kept = self.saved()[:KEPT]
        referenced = {f"{_name(moment)}{suffix}" for moment in kept for suffix in (".json", ".safetensors")}
        for moment in kept:
            with suppress(*DAMAGE):
                referenced |= {file["name"] for file in self._record(moment)["files"].values()}
        # records first: a record without tensors would be a damaged checkpoint, tensors without a record are ignored
        found = [path for path in self.folder.iterdir() if path.name.lstrip(".").startswith(("step", "best"))]
        for path in sorted((path for path in found if path.name not in referenced), key=lambda path: path.suffix):
            path.unlink(missing_ok=True)


def checkpoint_to_bytes(found: Checkpoint | None) -> bytes:
    """A checkpoint as bytes, to be sent to other processes."""
    if found is None:
        return b""
    tensors, best = save(found.tensors), save(found.best)
    header = json.dumps({"record": found.record, "tensors": len(tensors)}).encode()
    return len(header).to_bytes(8, "little") + header + tensors + best


def checkpoint_from_bytes(message: bytes) -> Checkpoint | None:
    """The checkpoint in the bytes of :func:`checkpoint_to_bytes`."""
    if not message:
        return None
    start = 8 + int.from_bytes(message[:8], "little")
    header = json.loads(message[8:start])
    end = start + header["tensors"]
    return Checkpoint(load(message[start:end]), load(message[end:]), header["record"])


def _name(moment: StepAndEpoch) -> str:
    return f"step-{moment[0]:09d}-{moment[1]:05d}"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
