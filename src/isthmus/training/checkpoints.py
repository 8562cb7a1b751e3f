"""Checkpoints on disk: written whole or not at all, checked when read, the last two and the best weights kept.

step-000001234.safetensors   tensors of the run between two steps
step-000001234.json          the rest, and SHA-256 of all it belongs to; written last, so it vouches for the files
best-00012.safetensors       the weights of the best epoch so far
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
from isthmus.files import replacing, sha256, write_text
from isthmus.strangers import misplaced, parse_json

FORMAT = 1
KEPT = 2
LARGEST_RECORD = 256 * 2**20
"""Bytes of the largest JSON record that is read."""
NAME = re.compile(r"step-(\d{9,})-(\d{5,})\.json")
BEST = re.compile(r"best-\d{5,}\.safetensors")
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError, SafetensorError)
"""What reading spoiled files raises."""

Tensors = Mapping[str, Tensor]
Moment = tuple[int, int]
"""Steps and epochs done: the last step of an epoch lies before its validation, and again behind it."""


@dataclass(frozen=True)
class Found:
    """A checkpoint that was read: tensors by name, the best weights (none before the first epoch), and the rest."""

    tensors: dict[str, Tensor]
    best: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made when the first is written.
        every: seconds between two of them.
        say: told, in a sentence, what could not be written or read; such a fault never ends a run.
    """

    def __init__(self, folder: Path, every: float = 60.0, say: Callable[[str], None] = print) -> None:
        self.folder, self.every, self.say = folder, every, say
        self._last = time.monotonic()
        self._best: tuple[int, dict[str, str]] | None = None

    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._last >= self.every

    def write(
        self, moment: Moment, tensors: Tensors, record: Mapping[str, Any], best: tuple[int, Tensors] | None
    ) -> bool:
        """Write the state of a moment, and the weights of the best epoch; say whether it could be done."""
        self._last = time.monotonic()
        try:
            files = {"tensors": self._save(f"{_name(moment)}.safetensors", tensors)}
            if best is not None:
                if self._best is None or self._best[0] != best[0]:
                    self._best = best[0], self._save(f"best-{best[0]:05d}.safetensors", best[1])
                files["best"] = self._best[1]
            content = {"format": FORMAT, "files": files, "record": dict(record)}
            sealed = {"sha256": _digest(content), **content}
            write_text(self.folder / f"{_name(moment)}.json", json.dumps(sealed) + "\n")
            self._tidy()
        except (OSError, IsthmusError, SafetensorError) as error:
            self.say(f"The checkpoint of step {moment[0]} could not be written: {one_line(error)}. Training goes on.")
            return False
        return True

    def _save(self, name: str, tensors: Tensors) -> dict[str, str]:
        """Write tensors into a file; its name and checksum."""
        path = self.folder / name
        # copies, for safetensors takes neither two names of one memory nor other layouts
        copies = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        with replacing(path) as unfinished:
            save_file(copies, unfinished)
            checksum = sha256(unfinished)
        return {"name": name, "sha256": checksum}

    def moments(self) -> list[Moment]:
        """The moments of which there is a record, the newest first."""
        found = [NAME.fullmatch(path.name) for path in self.folder.glob("step-*.json")]
        return sorted(((int(match[1]), int(match[2])) for match in found if match), reverse=True)

    def read(self) -> Found | None:
        """The newest checkpoint that is whole; ``None`` where there is none at all.

        Raises:
            BadRun: there are some, and all are damaged.
        """
        moments = self.moments()
        for number, moment in enumerate(moments):
            try:
                return self._read(moment)
            except DAMAGE as error:
                older = f" Going back to that of step {moments[number + 1][0]}." if moment != moments[-1] else ""
                self.say(f"The checkpoint of step {moment[0]} is damaged ({one_line(error)}).{older}")
        if moments:
            raise BadRun(
                f"All checkpoints in {str(self.folder)!r} are damaged. Train again without --resume, with --overwrite."
            )
        return None

    def _read(self, moment: Moment) -> Found:
        content = self._record(moment)
        files, record = content["files"], dict(content["record"])
        tensors = self._load(files["tensors"], re.compile(f"{_name(moment)}\\.safetensors"))
        best = self._load(files["best"], BEST) if "best" in files else {}
        if best:
            self._best = int(files["best"]["name"][5:-12]), dict(files["best"])
        return Found(tensors, best, record)

    def _record(self, moment: Moment) -> dict[str, Any]:
        """The record of a moment, if it is the one that was written."""
        path = self.folder / f"{_name(moment)}.json"
        if self._own(path).stat().st_size > LARGEST_RECORD:
            raise ValueError(f"its record is larger than {LARGEST_RECORD >> 20} MiB")
        content = parse_json(path.read_text(encoding="utf-8"))
        if content.pop("sha256") != _digest(content):
            raise ValueError("its record was changed")
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, but this version reads {FORMAT}")
        return dict(content)

    def _own(self, path: Path) -> Path:
        """The path of a plain file that lies in the folder."""
        if (fault := misplaced(path, self.folder)) is not None:
            raise ValueError(f"{path.name} {fault}")
        return path

    def _load(self, file: Mapping[str, str], allowed: re.Pattern[str]) -> dict[str, Tensor]:
        """The tensors of a file of this folder, if its bytes are the ones that were written."""
        if not allowed.fullmatch(file["name"]):
            raise ValueError(f"it names the file {file['name'][:80]!r}")
        data = self._own(self.folder / file["name"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise ValueError(f"{file['name']} is torn or was changed")
        return load(data)

    def _tidy(self) -> None:
        """Remove what is older than the last two, and best weights that none of them names."""
        kept = self.moments()[:KEPT]
        named = {f"{_name(moment)}{suffix}" for moment in kept for suffix in (".json", ".safetensors")}
        for moment in kept:
            with suppress(*DAMAGE):
                named |= {file["name"] for file in self._record(moment)["files"].values()}
        # records first: a record without its tensors would be a damaged checkpoint, tensors alone are only litter
        ours = [path for path in self.folder.iterdir() if path.name.lstrip(".").startswith(("step", "best"))]
        for path in sorted((path for path in ours if path.name not in named), key=lambda path: path.suffix):
            path.unlink(missing_ok=True)


def packed(found: Found | None) -> bytes:
    """A checkpoint as bytes, for processes that cannot see the folder."""
    if found is None:
        return b""
    tensors, best = save(found.tensors), save(found.best)
    head = json.dumps({"record": found.record, "tensors": len(tensors)}).encode()
    return len(head).to_bytes(8, "little") + head + tensors + best


def unpacked(message: bytes) -> Found | None:
    """The checkpoint in the bytes of :func:`packed`."""
    if not message:
        return None
    begin = 8 + int.from_bytes(message[:8], "little")
    head = json.loads(message[8:begin])
    end = begin + head["tensors"]
    return Found(load(message[begin:end]), load(message[end:]), head["record"])


def _name(moment: Moment) -> str:
    return f"step-{moment[0]:09d}-{moment[1]:05d}"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
