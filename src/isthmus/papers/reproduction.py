"""Resumable reproductions: the work is divided into pieces, and finished pieces are not computed again.

``pieces/NAME.json`` holds the results of a finished piece, ``results.json`` the table with budget, seed and machine;
the figures are in the same folder.
"""

import hashlib
import json
import re
import statistics
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from isthmus import __version__
from isthmus.data.catalogue.table import ensure_available
from isthmus.data.prepared import PreparedData, PreparedSplit
from isthmus.data.preparing import prepare
from isthmus.errors import BadRun, Diverged
from isthmus.files.atomic import write_text
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.hardware import describe
from isthmus.models.recipe import Recipe
from isthmus.options import TrainingOptions
from isthmus.runs.fit import fit
from isthmus.runs.folder import RECORD
from isthmus.runs.loading import load
from isthmus.runs.resume import unfinished_folder
from isthmus.runs.run import Run
from isthmus.runs.start import start_of
from isthmus.training.supervised import supervise


@dataclass(frozen=True)
class Row:
    """A metric of a paper: the published value, ours, and the best known.

    ``target`` is a condition on ours in words, and ``met`` whether it holds; ``None`` without a target. ``ours`` is a
    mean over seeds if there are several, with their standard deviation in ``spread``.
    """

    what: str
    ours: float | str
    published: float | str = "-"
    known: str = "-"
    unit: str = ""
    target: str = ""
    met: bool | None = None
    spread: float | None = None


@dataclass
class Reproduction:
    """The settings of one call of a reproduction: folder, seed, version, and the function that prints progress.

    ``quick`` is the small version; without ``pretrain`` a paper with pretraining is reproduced without it.
    """

    out: Path
    seed: int = 0
    quick: bool = False
    pretrain: bool = True
    say: Callable[[str], None] = print
    seconds: dict[str, float] = field(default_factory=dict)

    def piece(self, name: str, make: Callable[[], Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
        """The results of a piece: read if it is finished with the same settings, else computed and stored."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name):
            raise ValueError(f"{name!r} is not a valid name of a piece")
        plan = json.loads(json.dumps({"settings": settings, "seed": self.seed, "quick": self.quick}))
        path = self.out / "pieces" / f"{name}.json"
        known = self._known(path)
        if known is not None and known.get("plan") == plan:
            self.seconds[name] = float(known["seconds"])
            self.say(f"{name}: already finished")
            return dict(known["figures"])
        self.say(f"{name} ...")
        started = time.perf_counter()
        results = json.loads(json.dumps(dict(make())))
        self.seconds[name] = round(time.perf_counter() - started, 1)
        write_text(path, json.dumps({"plan": plan, "seconds": self.seconds[name], "figures": results}, indent=2) + "\n")
        self.say(f"{name}: {self.seconds[name]:.0f} s")
        return dict(results)

    def model(self, name: str, recipe: Recipe, data: PreparedData, *, seed: int = 0, start: Run | None = None) -> Run:
        """A recipe trained on prepared data, stored with the pieces, so that an interrupted run is resumed.

        With ``start`` it is trained from the weights of another run.

        Raises:
            Diverged: training diverged.
        """
        plan = [recipe.to_dict(), data.name, fingerprint(data), self.seed + seed]
        if start is not None:
            plan.append(start_of(start).digest)
        digest = hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:8]
        folder = self.out / "pieces" / f"{name}-{digest}"
        if not (folder / RECORD).is_file() or unfinished_folder(folder) is not None:
            return fit(recipe, data, start=start, seed=self.seed + seed, out=folder, resume=True)
        found = load(folder)
        if "seconds" not in found.metadata.outcome:
            raise Diverged(str(found.metadata.outcome.get("stopped")))
        return found

    def _known(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return content if isinstance(content["figures"], dict) and float(content["seconds"]) >= 0 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def place(self, name: str) -> Path:
        """The path of a file in the folder of this reproduction."""
        return self.out / name


@dataclass(frozen=True)
class Paper:
    """A reproduced paper: its key, its claim, the size of its quick version, and the function that runs it.

    ``bare`` is the budget without pretraining, of a paper with pretraining; ``data_sets`` are the data sets whose files
    must be available before it starts. ``source`` states where the published values are from and how certain they are;
    ``notes`` are remarks on the table.
    """

    name: str
    title: str
    claim: str
    quick: str
    run: Callable[[Reproduction], list[Row]]
    budget: str = ""
    bare: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    data_sets: tuple[str, ...] = ()


def reproduce(paper: Paper, reproduction: Reproduction) -> dict[str, Any]:
    """Run a reproduction and store its table; returns the content of results.json.

    Raises:
        BadRun: the folder holds another reproduction, or other files.
        BadData: a required data set is not available.
    """
    path, command = reproduction.out / "results.json", _command(paper, reproduction)
    _check_free(reproduction.out, command)
    for name in paper.data_sets:
        ensure_available(name)
    started = time.time()
    # a smaller experiment is a different one, so the targets do not apply
    rows = [replace(row, met=None if reproduction.quick else row.met) for row in paper.run(reproduction)]
    results: dict[str, Any] = {
        "paper": paper.name,
        "title": paper.title,
        "claim": paper.claim,
        "command": command,
        "budget": paper.quick if reproduction.quick else paper.budget if reproduction.pretrain else paper.bare,
        "seed": reproduction.seed,
        "seconds": reproduction.seconds,
        "machine": {"isthmus": __version__, **describe()},
        "rows": [asdict(row) for row in rows],
        "pictures": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in _drawn(reproduction.out, started)},
    }
    write_text(path, json.dumps(results, indent=2) + "\n")
    return results


def _command(paper: Paper, reproduction: Reproduction) -> str:
    """The command that runs this version of a reproduction."""
    flags = f" --seed {reproduction.seed}" * bool(reproduction.seed) + " --quick" * reproduction.quick
    return f"isthmus reproduce {paper.name}{flags}" + " --no-pretrain" * (not reproduction.pretrain)


def _check_free(folder: Path, command: str) -> None:
    """Refuse a folder that holds anything other than this reproduction, finished or not."""
    path = folder / "results.json"
    if folder.exists() and not folder.is_dir():
        raise BadRun(f"{str(folder)!r} is not a folder. Use another --out.")
    if path.is_file():
        try:
            other = json.loads(path.read_text(encoding="utf-8")).get("command")
        except (ValueError, AttributeError):
            other = "a results.json that cannot be read"
        if other != command:
            raise BadRun(f"{str(folder)!r} holds the results of another command, {other}. Use another --out.")
    elif folder.is_dir() and any(folder.iterdir()) and not (folder / "pieces").is_dir():
        raise BadRun(f"{str(folder)!r} exists and is not the folder of a reproduction. Use another --out.")


def _drawn(folder: Path, started: float) -> list[Path]:
    """The figures that were drawn since ``started``; older ones do not belong to this reproduction."""
    # some file systems store integer seconds only
    return [path for path in sorted(folder.glob("*.png")) if path.stat().st_mtime >= started - 1]


def fingerprint(data: PreparedData) -> str:
    """A checksum of the training set, because data generated by code has no file with a known checksum."""
    return f"{zlib.crc32(data.train.tensor.contiguous().numpy().data):08x}"


def images_of(
    reproduction: Reproduction, name: str, recipe: Recipe, *, quick_train: int = 6000, quick_test: int = 1000
) -> PreparedData:
    """A named data set, prepared for ``recipe``; in a quick version only its first examples."""
    data = prepare(name, recipe.data, reproduction.seed)
    if not reproduction.quick:
        return data
    return replace(
        data,
        train=_first(data.train, quick_train),
        valid=None if data.valid is None else _first(data.valid, quick_test),
        test=None if data.test is None else _first(data.test, quick_test),
    )


def _first(split: PreparedSplit, rows: int) -> PreparedSplit:
    return PreparedSplit(split.x[:rows], None if split.labels is None else split.labels[:rows])


def classified(source: Autoencoder, data: PreparedData, *, fine_tuning: TrainingOptions, seed: int) -> dict[str, float]:
    """Classification error of a fine-tuned encoder in percent, on the validation and on the test set.

    The validation set decides which epoch's weights are kept, if ``fine_tuning`` keeps the best.
    """
    splits = [(split.tensor, torch.as_tensor(split.labels)) for split in (data.train, data.valid, data.test) if split]
    train, valid, test = splits
    classes = int(train[1].max()) + 1
    model = supervise(source, *train, fine_tuning=fine_tuning, valid=valid, classes=classes, seed=seed)
    return {"valid": 100 * model.error(*valid), "test": 100 * model.error(*test)}


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation over seeds; ``None`` in place of the standard deviation of one value.

    >>> mean_and_spread([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
