"""Options of Isthmus for each task, chosen on validation images only: one option after another, best one kept.

A try ends where it would be slower than the best one so far. The options that are taken have to reach the figure with
two more seeds, else those that were next: high learning rates are fast with one seed and fail with another. Every try
is kept in ``results/quality_search.json`` and none is made again: remove the file to begin anew, such as with a
longer ``--limit``.
"""

import json
from datetime import date
from typing import Any

from running import Field, Run, ahead, resolved
from tasks import Settings, keep, kept, kind, versions

FILE = "quality_search.json"
"""The tries, beside the other results."""
SEED, MORE = 1000, (1001, 1002)
"""Seed of the tries, and of their confirmation, which no measured run has."""

Choices = list[list[Settings]]


def _rates(*pairs: tuple[str, float]) -> list[Settings]:
    return [{"training.optimizer": kind, "training.learning_rate": rate} for kind, rate in pairs]


def _schedules(key: str, longest: int, *lengths: int) -> list[Settings]:
    """A constant rate, or half a cosine over so many epochs or steps."""
    constant = {"training.schedule": "constant", f"training.{key}": longest}
    return [constant, *({"training.schedule": "cosine", f"training.{key}": length} for length in lengths)]


def _each(path: str, *values: Any) -> list[Settings]:
    return [{path: value} for value in values]


ADAM = _rates(*(("adam", rate) for rate in (1e-3, 2e-3, 4e-3, 8e-3)))
MUON = _rates(*(("muon", rate) for rate in (5e-3, 1e-2)))
INITIAL = _each("net.init", "glorot", "he", "orthogonal")

# Larger batches make epochs faster, so the size comes first; in the deep network with Muon and few epochs, which have
# the lowest validation error after equal time (docs/log.md, 2026-11-21). Muon is for matrices, which networks of
# convolutions do not have.
SPACES: dict[str, Choices] = {
    "deep": [
        [
            {**MUON[0], "net.activation": "gelu", "training.batch_size": batch, "training.epochs": epochs}
            for batch, epochs in ((250, 12), (250, 14), (500, 15))
        ],
        [*MUON[1:], {"training.optimizer": "adam", "training.learning_rate": 2e-3}],
    ],
    "vae": [
        _each("training.batch_size", 100, 200, 500),
        ADAM + MUON,
        _schedules("epochs", 200, 8, 11, 15),
        INITIAL,
    ],
    "conv": [
        _each("training.batch_size", 50, 100, 200),
        INITIAL,
        ADAM,
        _schedules("epochs", 200, 3, 5, 8, 12),
    ],
    "faces": [
        _schedules("steps", 8000, 1000, 1500, 2000, 3000),
        _each("training.batch_size", 4, 16),
        _rates(("adamw", 1e-3), ("adamw", 4e-3)),
    ],
}


def search(field: Field, *, trial: bool = False) -> Settings:
    """The best options of a task, by coordinate descent from those of the recipe.

    Args:
        field: the task and its data.
        trial: try two values of each option, and keep nothing.
    """
    options = [option[:2] if trial else option for option in SPACES[field.name]]
    best: Run | None = None
    tried: list[Run] = []
    settings: Settings = resolved(field.task.net, {}, field.images)
    before = {} if trial else _before(field.name)
    seen: list[Settings] = []
    for changes in [{}, *(change for option in options for change in option)]:
        # a change builds on the best options of all tries before it
        candidate = (best["settings"] if best else settings) | changes
        if candidate in seen:
            continue
        seen.append(candidate)
        run = before.get(_key(candidate)) or field.run("isthmus", SEED, candidate, limit=_limit(best), test=False)
        tried.append({key: value for key, value in run.items() if key != "track"})
        if best is None or ahead(field.task, run, best):
            best = run
        _say(len(tried), changes, run, better=best is run)
        assert best is not None
        if not trial:
            keep(FILE, field.name, _record(field, best, tried))
    assert best is not None
    if trial:
        return dict(best["settings"])
    taken = _confirmed(field, tried)
    keep(FILE, field.name, _record(field, taken or best, tried) | ({} if taken else {"chosen": None}))
    return dict((taken or best)["settings"])


def _confirmed(field: Field, tried: list[Run]) -> Run | None:
    """The fastest options that reach the figure with more seeds too."""
    for run in sorted((run for run in tried if run["reached"]), key=lambda run: float(run["seconds"])):
        if "more_seeds" not in run:
            again = [field.run("isthmus", seed, run["settings"], test=False) for seed in MORE]
            run["more_seeds"] = [one["seconds"] if one["reached"] else None for one in again]
        seconds = run["more_seeds"]
        print(f"      seeds {MORE}: {seconds} s", flush=True)
        if None not in seconds:
            return run
    return None


def _before(name: str) -> dict[str, Run]:
    """The tries that were made for a task on this kind of machine, by their options."""
    from isthmus.models.hardware import describe

    found = kept(FILE).get(kind(describe()), {}).get(name, {"tries": []})
    return {_key(run["settings"]): run for run in found["tries"]}


def _key(settings: Settings) -> str:
    return json.dumps(settings, sort_keys=True)


def chosen(name: str) -> Settings | None:
    """The options that a search has chosen for a task, if there was one and it reached the figure.

    A search on this kind of machine comes before one on another.
    """
    from isthmus.models.hardware import describe

    here = kind(describe())
    tables = sorted(kept(FILE).items(), key=lambda item: item[0] != here)
    found: list[Settings | None] = [tasks[name]["chosen"] for _, tasks in tables if name in tasks]
    return found[0] if found else None


def _limit(best: Run | None) -> float | None:
    return best["seconds"] if best and best["reached"] else None


def _say(number: int, changes: Settings, run: Run, *, better: bool) -> None:
    words = " ".join(f"{key.partition('.')[2]}={value}" for key, value in changes.items()) or "the recipe"
    figure = (
        run.get("failed", "")[-60:].strip() or f"{run['seconds']:7.1f} s  {run['epochs']:3} epochs  {run['valid']:.4g}"
    )
    print(f"  {number:3} {words:50} {figure}{'  reached' * run['reached']}{'  BEST' * better}", flush=True)


def _record(field: Field, best: Run, tried: list[Run]) -> dict[str, Any]:
    from isthmus.models.hardware import describe

    return {
        "title": field.task.title,
        "goal": field.goal,
        "seed": SEED,
        "chosen": best["settings"] if best["reached"] else None,
        "seconds": best.get("seconds"),
        "valid": best.get("valid"),
        "command": f"python benchmarks/quality --search --tasks {field.name}",
        "date": date.today().isoformat(),
        "machine": describe(),
        "versions": versions(),
        "tries": tried,
    }
