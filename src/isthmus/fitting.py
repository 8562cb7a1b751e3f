"""From a recipe and data to a run: the parts meet, everything is checked, then the engine works."""

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from isthmus import __version__, zoo
from isthmus.data import Dataset, Examples, load, split
from isthmus.data.arrays import arranged, bright
from isthmus.data.base import Array, Provenance
from isthmus.data.catalogue import is_named
from isthmus.data.prepare import Prepared, prepare
from isthmus.errors import BadData, BadOption, BadRun, Diverged
from isthmus.model import seeded
from isthmus.objective import Objective
from isthmus.options import DataOptions
from isthmus.recipe import Recipe
from isthmus.run import METRICS, RECORD, Run, facts_of
from isthmus.training.batches import stream
from isthmus.training.engine import Engine, Outcome
from isthmus.training.hardware import describe
from isthmus.training.progress import shown
from isthmus.training.records import recording

SEEDS = 2**31


def fit(
    what: Recipe | Objective | str,
    data: str | Path | Array | Tensor | Prepared,
    *,
    epochs: int | None = None,
    seed: int = 0,
    options: Mapping[str, object] | None = None,
    out: Path | str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    tensorboard: bool = False,
) -> Run:
    """Train an autoencoder.

    Args:
        what: a recipe, the name of one (``"vae"``), or an objective made from parts by hand.
        data: the name of a data set, a path, an array or table in memory with one row to each example, or prepared
            data.
        epochs: passes over the training part; the recipe's own by default.
        seed: of the split, the weights, the batches and every draw.
        options: changes to the recipe by path, as ``{"latent.size": 2}``; for an objective, those of ``training``
            and ``data``.
        out: folder for the run; nothing is written without one.
        overwrite: replace a run that is there.
        progress: show a progress bar on standard error.
        tensorboard: write events into ``out/tensorboard`` too.

    Returns:
        The trained run.

    Raises:
        IsthmusError: what does not fit, before any work starts.
        Diverged: the loss is no longer finite; with ``out``, the best weights before that are saved.

    >>> from sklearn.datasets import load_digits
    >>> run = fit("vae", load_digits().images[:200] / 16, epochs=1)
    >>> run.encode(load_digits().images[:3] / 16).shape
    (3, 16)
    """
    recipe = planned(what, epochs, options)
    check_seed(seed)
    folder = None if out is None else check_free(Path(out), overwrite)
    if tensorboard and folder is None:
        raise BadOption("TensorBoard events need a place, but out is not given. Give out, the folder of the run.")
    ready = data if isinstance(data, Prepared) else prepared(data, recipe.data, seed)
    with seeded(stream(seed, "weights")):
        objective = what if isinstance(what, Objective) else recipe.build(ready.shape)
    objective.model.join(ready.shape)
    objective.rehearse()
    check_range_of(objective, ready, recipe.data)
    valid = None if ready.valid is None else ready.valid.x
    with seeded(stream(seed, "weights", "data")):
        objective.meet(ready.train.x)
    engine = Engine(objective, recipe.training, ready.train.x, valid, seed=seed, dynamic=ready.dynamic)
    recipe = recipe.with_options({"training.epochs": engine.epochs})
    facts = replace(facts_of(ready, seed, source_of(data)), by_hand=isinstance(what, Objective))
    run = Run(recipe, objective, facts, data=ready)
    work = None if folder is None else Path(f"{folder}.part")
    return _trained(run, engine, folder, _cleared(work), progress=progress, tensorboard=tensorboard)


def planned(what: Recipe | Objective | str, epochs: int | None, options: Mapping[str, object] | None) -> Recipe:
    """The recipe with all changes made; for an objective, one that only carries training and data options."""
    if isinstance(what, Objective):
        recipe = Recipe(name="by-hand")
        for path in options or {}:
            if not path.startswith(("training.", "data.")):
                raise BadOption(
                    f"Option {path!r} cannot be set on parts made by hand. Only training.* and data.* can; change "
                    "the parts themselves."
                )
    else:
        recipe = zoo.recipe(what) if isinstance(what, str) else what
    changes = dict(options or {})
    if epochs is not None:
        changes |= {"training.epochs": epochs, "training.steps": None}
    return recipe.with_options(changes) if changes else recipe


def prepared(data: str | Path | Array | Tensor, options: DataOptions, seed: int) -> Prepared:
    """Data as the model will see it, split into its parts by ``seed``."""
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, Tensor | np.ndarray):
        dataset = from_array(data, options)
    elif isinstance(data, str | Path):
        dataset = load(data, options, seed=seed)
    else:
        raise BadData(
            f"Data of type {type(data).__name__} cannot be used. Give an array, a tensor, a path, or the name of a set."
        )
    return prepare(split(dataset, options, seed), dataset, options, seed)


def source_of(data: object) -> str:
    """The name or absolute path that loads ``data`` again; empty where only memory holds it."""
    if isinstance(data, str) and is_named(data):
        return data
    return str(Path(data).expanduser().resolve()) if isinstance(data, str | Path) else ""


def from_array(data: Array | Tensor, options: DataOptions) -> Dataset:
    """An array or tensor as a data set of one part."""
    x = data.detach().cpu().numpy() if isinstance(data, Tensor) else np.asarray(data)
    x = arranged(x, options.shape, "The array")
    return Dataset("array", Examples(x), images=x.ndim > 2, pixels=bright([x]), provenance=Provenance("array"))


def check_seed(seed: int) -> None:
    """Refuse a seed that the generators cannot take."""
    if not 0 <= seed < SEEDS:
        raise BadOption(f"The seed must be at least 0 and below {SEEDS}, but is {seed}.")


def check_free(folder: Path, overwrite: bool) -> Path:
    """A folder that a run may be written into: new, empty, or a run that may be replaced.

    Raises:
        BadRun: something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return folder
    is_run = (folder / RECORD).is_file() or (folder / METRICS).is_file()
    if is_run and overwrite:
        return folder
    what = "already holds a run" if is_run else "exists and is not a run"
    remedy = "Choose another folder, or replace it with --overwrite." if is_run else "Choose another folder."
    raise BadRun(f"{str(folder)!r} {what}. {remedy}")


def check_range_of(objective: Objective, data: Prepared, options: DataOptions) -> None:
    """Let the likelihood refuse data that it cannot describe, before any work."""
    check = objective.model.likelihood.check
    check(data.train.x)  # type: ignore[operator]
    for name, part in (("validation", data.valid), ("test", data.test)):
        try:
            if part is not None:
                check(part.x)  # type: ignore[operator]
        except BadData as error:
            if options.scale != "minmax":
                raise
            raise BadData(
                f"The {name} part leaves the range that data.scale=minmax found on the training part, so the "
                "likelihood cannot describe it. Choose --set likelihood.kind=gaussian (with data.scale=standard)."
            ) from error


def _cleared(work: Path | None) -> Path | None:
    """An empty folder to work in."""
    if work is None:
        return None
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    except OSError as error:
        raise BadRun(f"The folder {str(work)!r} cannot be made: {error.strerror}. Choose another place.") from error
    return work


def _trained(
    run: Run, engine: Engine, folder: Path | None, work: Path | None, *, progress: bool, tensorboard: bool
) -> Run:
    """Train in ``work``, and put what came out into ``folder``.

    After a divergence or an interrupt that is the best weights so far; where no epoch was finished nothing is left,
    and a run that was to be replaced stays.
    """
    ended: dict[str, Any] = {}
    try:
        with contextlib.ExitStack() as stack:
            if progress:
                stack.enter_context(shown(engine))
            records = stack.enter_context(recording(engine, work, tensorboard))
            try:
                ended = _ended(engine.run())
            except (Diverged, KeyboardInterrupt) as error:
                ended = {"stopped": str(error) or f"interrupted in epoch {len(records) + 1}", "kept_epoch": "the best"}
                raise
            finally:
                run.history = [record.to_dict() for record in records]
                run.facts = replace(run.facts, outcome=ended, machine={"isthmus": __version__, **describe()})
    except KeyboardInterrupt:
        left = f"The best weights so far are in {str(folder)!r}." if folder and run.history else "Nothing is kept."
        raise KeyboardInterrupt(f"Stopped in epoch {len(run.history) + 1}. {left}") from None
    finally:
        if work is not None and folder is not None:
            _settled(run, work, folder, good=bool(run.history) and bool(ended))
    return run


def _settled(run: Run, work: Path, folder: Path, *, good: bool) -> None:
    """Put the finished run in its place, or take the work away."""
    try:
        if good:
            run.save(work)
            shutil.rmtree(folder, ignore_errors=True)
            work.replace(folder)
            run.folder = folder
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _ended(outcome: Outcome) -> dict[str, Any]:
    return {name: value for name, value in asdict(outcome).items() if name != "history"}
