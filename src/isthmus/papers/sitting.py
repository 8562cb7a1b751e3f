"""A reproduction that survives being stopped: its work is cut into pieces, and finished pieces are never done again.

``pieces/NAME.json`` holds the figures of one finished piece, ``results.json`` the table with budget, seed and
machine, and pictures lie beside it.
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
from isthmus.data.catalogue import bring
from isthmus.data.prepare import Part, Prepared
from isthmus.errors import BadRun, Diverged
from isthmus.files import write_text
from isthmus.fitting import fit, prepared
from isthmus.model import Autoencoder
from isthmus.options import TrainingOptions
from isthmus.recipe import Recipe
from isthmus.run import RECORD, Run, load
from isthmus.supervised import supervise
from isthmus.training.hardware import describe
from isthmus.unfinished import begun


@dataclass(frozen=True)
class Row:
    """One figure of a paper: as published, as reached here, and the best known from anyone.

    ``bar`` says in words what ours should do, and ``met`` whether it does; ``None`` where no bar is set. ``ours`` is
    a mean over ``seeds`` where there are several, with their standard deviation in ``spread``.
    """

    what: str
    ours: float | str
    published: float | str = "-"
    known: str = "-"
    unit: str = ""
    bar: str = ""
    met: bool | None = None
    spread: float | None = None


@dataclass
class Sitting:
    """What one call of a reproduction works with: its folder, its seed, how much it may spend, and whom it tells.

    ``pretrain`` is False where a paper that pretrains is to be remade without.
    """

    out: Path
    seed: int = 0
    quick: bool = False
    pretrain: bool = True
    say: Callable[[str], None] = print
    seconds: dict[str, float] = field(default_factory=dict)

    def piece(self, name: str, make: Callable[[], Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
        """The figures of a piece of work: read where the same settings were finished before, else made and kept."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name):
            raise ValueError(f"a piece cannot be called {name!r}")
        plan = json.loads(json.dumps({"settings": settings, "seed": self.seed, "quick": self.quick}))
        path = self.out / "pieces" / f"{name}.json"
        known = self._known(path)
        if known is not None and known.get("plan") == plan:
            self.seconds[name] = float(known["seconds"])
            self.say(f"{name}: done before")
            return dict(known["figures"])
        self.say(f"{name} ...")
        started = time.perf_counter()
        figures = json.loads(json.dumps(dict(make())))
        self.seconds[name] = round(time.perf_counter() - started, 1)
        write_text(path, json.dumps({"plan": plan, "seconds": self.seconds[name], "figures": figures}, indent=2) + "\n")
        self.say(f"{name}: {self.seconds[name]:.0f} s")
        return dict(figures)

    def model(self, name: str, recipe: Recipe, data: Prepared, *, seed: int = 0) -> Run:
        """A recipe trained on prepared data; kept among the pieces, so that a run that was stopped goes on.

        Raises:
            Diverged: it ended in numbers that are not finite.
        """
        plan = [recipe.to_dict(), data.name, fingerprint(data), self.seed + seed]
        kept = hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:8]
        folder = self.out / "pieces" / f"{name}-{kept}"
        if not (folder / RECORD).is_file() or begun(folder) is not None:
            return fit(recipe, data, seed=self.seed + seed, out=folder, resume=True)
        found = load(folder)
        if "seconds" not in found.facts.outcome:
            raise Diverged(str(found.facts.outcome.get("stopped")))
        return found

    def _known(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return content if isinstance(content["figures"], dict) and float(content["seconds"]) >= 0 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def place(self, name: str) -> Path:
        """A path in the folder of this reproduction."""
        return self.out / name


@dataclass(frozen=True)
class Paper:
    """A reproduced paper: its key, what it claims, what its quick form leaves out, and how it is run.

    ``bare`` is the budget without pretraining, of a paper that pretrains; ``needs`` the data sets whose files must be
    here before work starts. ``source`` says where in the paper the published figures stand and how certain they are,
    ``notes`` what a reader of the table has to know beside it.
    """

    name: str
    title: str
    claim: str
    quick: str
    run: Callable[[Sitting], list[Row]]
    budget: str = ""
    bare: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def reproduce(paper: Paper, sitting: Sitting) -> dict[str, Any]:
    """Run a reproduction to its end and keep its table; what comes back is the content of results.json.

    Raises:
        BadRun: the folder holds another reproduction, or something else.
        BadData: data that is needed is not here.
    """
    path, command = sitting.out / "results.json", _command(paper, sitting)
    _check_free(sitting.out, command)
    for name in paper.needs:
        bring(name)
    started = time.time()
    # what is shrunk is another experiment: no bar is asked of it
    rows = [replace(row, met=None if sitting.quick else row.met) for row in paper.run(sitting)]
    results: dict[str, Any] = {
        "paper": paper.name,
        "title": paper.title,
        "claim": paper.claim,
        "command": command,
        "budget": paper.quick if sitting.quick else paper.budget if sitting.pretrain else paper.bare,
        "seed": sitting.seed,
        "seconds": sitting.seconds,
        "machine": {"isthmus": __version__, **describe()},
        "rows": [asdict(row) for row in rows],
        "pictures": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in _drawn(sitting.out, started)},
    }
    write_text(path, json.dumps(results, indent=2) + "\n")
    return results


def _command(paper: Paper, sitting: Sitting) -> str:
    """The command that makes this form of a reproduction."""
    flags = f" --seed {sitting.seed}" * bool(sitting.seed) + " --quick" * sitting.quick
    return f"isthmus reproduce {paper.name}{flags}" + " --no-pretrain" * (not sitting.pretrain)


def _check_free(folder: Path, command: str) -> None:
    """Refuse a folder that holds something else than this reproduction, finished or not."""
    path = folder / "results.json"
    if folder.exists() and not folder.is_dir():
        raise BadRun(f"{str(folder)!r} is no folder. Choose another --out.")
    if path.is_file():
        try:
            other = json.loads(path.read_text(encoding="utf-8")).get("command")
        except (ValueError, AttributeError):
            other = "a results.json that cannot be read"
        if other != command:
            raise BadRun(f"{str(folder)!r} holds the results of another command, {other}. Choose another --out.")
    elif folder.is_dir() and any(folder.iterdir()) and not (folder / "pieces").is_dir():
        raise BadRun(f"{str(folder)!r} holds other things than a reproduction. Choose another --out.")


def _drawn(folder: Path, started: float) -> list[Path]:
    """The pictures that were drawn since then; older ones are not of this reproduction."""
    # some file systems keep whole seconds only
    return [path for path in sorted(folder.glob("*.png")) if path.stat().st_mtime >= started - 1]


def fingerprint(data: Prepared) -> str:
    """A checksum of the training part: data that is drawn by code has no file whose checksum is known."""
    return f"{zlib.crc32(data.train.tensor.contiguous().numpy().data):08x}"


def images_of(
    sitting: Sitting, name: str, recipe: Recipe, *, quick_train: int = 6000, quick_test: int = 1000
) -> Prepared:
    """A named data set as ``recipe`` takes it; in a quick form only its first examples."""
    ready = prepared(name, recipe.data, sitting.seed)
    if not sitting.quick:
        return ready
    return replace(
        ready,
        train=_first(ready.train, quick_train),
        valid=None if ready.valid is None else _first(ready.valid, quick_test),
        test=None if ready.test is None else _first(ready.test, quick_test),
    )


def _first(part: Part, rows: int) -> Part:
    return Part(part.x[:rows], None if part.labels is None else part.labels[:rows])


def classified(source: Autoencoder, data: Prepared, *, whole: TrainingOptions, seed: int) -> dict[str, float]:
    """Per cent of wrong labels, of validation and test part, once a head stands on the encoder of ``source``.

    The validation part decides which epoch's weights are kept, where ``whole`` keeps the best.
    """
    parts = [(part.tensor, torch.as_tensor(part.labels)) for part in (data.train, data.valid, data.test) if part]
    train, valid, test = parts
    classes = int(train[1].max()) + 1
    model = supervise(source, *train, whole=whole, valid=valid, classes=classes, seed=seed)
    return {"valid": 100 * model.error(*valid), "test": 100 * model.error(*test)}


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds, and their standard deviation where there are several.

    >>> mean_and_spread([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
