"""From a recipe and data to a run: the parts meet, everything is checked, then the engine works."""

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor

from isthmus import __version__, zoo
from isthmus.data import Dataset, Examples, load
from isthmus.data.arrays import arranged, bright
from isthmus.data.base import Array, Provenance
from isthmus.data.catalogue import is_named
from isthmus.data.flow import Flow, prepare_flow
from isthmus.data.large import prepare_stored
from isthmus.data.opening import streamed
from isthmus.data.prepare import Prepared
from isthmus.data.sifting import admitted, prepare_whole
from isthmus.errors import BadData, BadOption, Diverged, check_choice
from isthmus.model import seeded
from isthmus.objective import Objective
from isthmus.options import DataOptions, TrainingOptions
from isthmus.recipe import Recipe
from isthmus.run import RECORD, Run, facts_of
from isthmus.run import load as load_run
from isthmus.training import processes, stacked
from isthmus.training.batches import stream
from isthmus.training.checkpoints import Checkpoints, packed, unpacked
from isthmus.training.engine import Engine, Outcome
from isthmus.training.hardware import describe, threads
from isthmus.training.history import copy_of
from isthmus.training.processes import STRATEGIES
from isthmus.training.progress import levels_shown, shown
from isthmus.training.records import recording
from isthmus.unfinished import CHECKPOINTS, PLAN, agree, begun, check_free, check_same, opened, plan_of, write_plan

LEVELS = "pretraining"
"""Folder of an unfinished run that holds its pretrained levels."""
SEEDS = 2**31
MET = 10_000
"""Examples of a streamed training part that parts which start from the data see."""

Data = str | Path | Array | Tensor | Flow | Iterator[Array]
Resume = bool | Literal["elsewhere"]


def fit(
    what: Recipe | Objective | str,
    data: Data | Prepared,
    *,
    epochs: int | None = None,
    seed: int = 0,
    options: Mapping[str, object] | None = None,
    out: Path | str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    tensorboard: bool = False,
    resume: Resume = False,
    strategy: str = "ddp",
) -> Run:
    """Train an autoencoder.

    Args:
        what: a recipe, the name of one (``"vae"``), or an objective made from parts by hand.
        data: the name of a data set, a path, an array or table with one row to each example, a stream of arrays
            (:class:`isthmus.data.flow.Flow`; an iterator will do where ``training.steps`` is given), or prepared data.
        epochs: passes over the training part; the recipe's own by default.
        seed: of the split, the weights, the batches and every draw.
        options: changes to the recipe by path, as ``{"latent.size": 2}``; for an objective, those of ``training``
            and ``data``.
        out: folder for the run; nothing is written without one.
        overwrite: replace a run that is there.
        progress: show a progress bar on standard error.
        tensorboard: write events into ``out/tensorboard`` too.
        resume: go on with the unfinished run in ``out``, to the same bits as if it had never stopped; begin it where
            there is none, and load it where it is finished. ``"elsewhere"`` goes on though another version of torch
            or another processor will give other bits.
        strategy: how several processes that were launched together (by torchrun or Slurm) hold the model: ``ddp``, a
            copy each, or ``fsdp``, a part each. The first of them writes and shows; a batch is shared among all.

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
    check_choice("strategy", strategy, STRATEGIES)
    for name, wanted in (("TensorBoard events need", tensorboard), ("A run that is to go on needs", bool(resume))):
        if wanted and out is None:
            raise BadOption(f"{name} a place, but out is not given. Give out, the folder of the run.")
    first = processes.number() == 0
    folder = check_free(Path(out), overwrite=overwrite, resume=bool(resume)) if out is not None and first else None
    ready = data if isinstance(data, Prepared) else prepared(flow_of(data, recipe.training), recipe.data, seed)
    with seeded(stream(seed, "weights")):
        objective = what if isinstance(what, Objective) else recipe.build(ready.shape)
    objective.model.join(ready.shape)
    objective.rehearse()
    ready = admitted(ready, objective.model.likelihood.check)  # type: ignore[arg-type]
    with seeded(stream(seed, "weights", "data")):
        objective.meet(ready.train.few(MET, seed).tensor)
    tasks = stacked.planned(objective, recipe.pretraining, recipe)
    check_together(recipe, ready, strategy)
    engine = _engine(objective, recipe, ready, seed, strategy)
    recipe = recipe.with_options({"training.epochs": engine.epochs})
    if ready.streamed:
        # another machine has another memory, but the parts must stay the same
        recipe = recipe.with_options({"data.memory": "stream"})
    facts = replace(facts_of(ready, seed, source_of(data)), by_hand=isinstance(what, Objective))
    run = Run(recipe, objective, facts, data=ready)
    done = folder is not None and resume and (folder / RECORD).is_file() and begun(folder) is None
    with processes.reaching():
        if engine.processes.any(bool(done))[0]:
            return finished(run, folder) if folder is not None else run
        work = _started(run, engine, folder, resume)
    bars = {"progress": progress and first, "tensorboard": tensorboard and first}
    return _trained(run, engine, folder, work, tasks, **bars)


def _engine(objective: Objective, recipe: Recipe, ready: Prepared, seed: int, strategy: str) -> Engine:
    """The loop for the data, in as many processes as were launched."""
    valid = None if ready.valid is None else ready.valid.tensor
    drawn = {"dynamic": ready.dynamic, "shift": recipe.data.shift, "strategy": strategy}
    with processes.reaching():
        return Engine(objective, recipe.training, ready.train.x, valid, seed=seed, **drawn)  # type: ignore[arg-type]


def finished(run: Run, folder: Path) -> Run:
    """The run in ``folder``, which has nothing left to do; ``run`` is what the command asks for.

    Raises:
        BadRun: it is another one.
    """
    ended = load_run(folder, run.objective if run.facts.by_hand else None)
    old = replace(ended, facts=replace(ended.facts, outcome={}, machine={}), data=run.data)
    check_same(plan_of(old, {}), plan_of(run, {}), f"The run in {str(folder)!r}")
    warnings.warn(f"The run in {str(folder)!r} is finished, so there is nothing to go on with.", stacklevel=3)
    ended.data = run.data
    return ended


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


def flow_of(data: Data, training: TrainingOptions) -> Data:
    """Data as it is; an iterator as a stream with the examples of all steps.

    Raises:
        BadOption: their number is not known.
    """
    if not isinstance(data, Iterator):
        return data
    if training.steps is None:
        raise BadOption(
            "An iterator does not say how many examples it has. Set training.steps, or give "
            "isthmus.data.flow.Flow(pieces, population=...), with the examples of an epoch."
        )
    return Flow(data, training.steps * training.batch)


def prepared(data: Data, options: DataOptions, seed: int) -> Prepared:
    """Data as the model will see it, split into its parts by ``seed``; what is large stays on the disk.

    Raises:
        BadData: it cannot be used.
    """
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, Flow):
        return prepare_flow(data, options, seed)
    if not isinstance(data, Tensor | np.ndarray | str | Path):
        raise BadData(
            f"Data of type {type(data).__name__} cannot be used. Give an array, a tensor, a path, or the name of a set."
        )
    source = streamed(place_of(data), options)
    if source is not None:
        return prepare_stored(source, str(data) if isinstance(data, str | Path) else "array", options, seed)
    dataset = load(data, options, seed=seed) if isinstance(data, str | Path) else from_array(data, options)
    return prepare_whole(dataset, options, seed)


def place_of(data: str | Path | Array | Tensor) -> str | Path | Array | Tensor:
    """The path behind a text that is no name of a data set; all else as it is."""
    return Path(data).expanduser() if isinstance(data, str) and not is_named(data) else data


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


def check_together(recipe: Recipe, data: Prepared, strategy: str) -> None:
    """Refuse options that the data, or the way it is worked on, has no use for.

    Raises:
        BadData: pretraining on examples that stay on the disk; rows of a table that are to be moved.
        BadOption: pretraining of a model that is cut into parts.
    """
    if recipe.data.shift and not data.images:
        raise BadData(f"data.shift={recipe.data.shift} moves images, but the data is a table. Leave data.shift out.")
    if recipe.training.optimiser == "exact" and strategy == "fsdp":
        raise BadOption("training.optimiser=exact needs whole layers, but fsdp cuts them. Use strategy ddp.")
    if recipe.pretraining.kind == "none":
        return
    if data.streamed:
        raise BadData("Pretraining needs the examples in memory, but these are streamed. Set data.memory=whole.")
    if strategy == "fsdp":
        raise BadOption("Pretraining needs whole layers, but fsdp cuts them into parts. Use strategy ddp.")


def _started(run: Run, engine: Engine, folder: Path | None, resume: Resume) -> Path | None:
    """The folder to work in, with the plan of the run; a run that goes on stands at its newest checkpoint.

    Only the first process sees the folder; it tells the others what is in it.

    Raises:
        BadRun: the folder cannot be used, or holds a run that was begun otherwise.
    """
    work, settings, found = None, engine.settings(), None
    if folder is not None:
        plan = plan_of(run, settings)
        place = begun(folder) if resume else None
        if place is not None:
            # refused before anything is moved
            settings = agree(place, plan, elsewhere=resume == "elsewhere")["settings"]
        work = opened(folder, place)
        if place is None:
            write_plan(work, plan)
        engine.checkpoints = Checkpoints(work / CHECKPOINTS, run.recipe.training.checkpoint, say=_warn)
        found = engine.checkpoints.read() if resume else None
    settings = json.loads(engine.processes.told(json.dumps(settings).encode()))
    engine.use(settings)
    found = unpacked(engine.processes.told(packed(found))) if engine.processes.world > 1 else found
    if found is not None:
        engine.take_up(found)
    return work


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)


def _trained(
    run: Run,
    engine: Engine,
    folder: Path | None,
    work: Path | None,
    tasks: list[stacked.Task],
    *,
    progress: bool,
    tensorboard: bool,
) -> Run:
    """Train in ``work``, and put what came out into ``folder``.

    After a divergence or an interrupt that is the best weights so far; what else ends a run leaves ``work`` as it is,
    so that it can go on. Where nothing was kept nothing is left, and a run that was to be replaced stays.
    """
    ended: dict[str, Any] = {}
    levels: list[stacked.Row] = []
    try:
        with contextlib.ExitStack() as stack:
            if tasks:
                levels = _pretrained(run, engine, work, tasks, progress=progress)
            if progress:
                stack.enter_context(shown(engine))
            stack.enter_context(recording(engine, work, tensorboard))
            try:
                ended = _ended(engine.run()) | ({"pretraining": levels} if levels else {})
            except (Diverged, KeyboardInterrupt) as error:
                stopped = str(error) or f"interrupted in epoch {len(engine.history) + 1}"
                ended = {"stopped": stopped, "kept_epoch": "the best", "finished": isinstance(error, Diverged)}
                raise
            finally:
                run.objective = engine.objective
                run.history = [record.to_dict() for record in engine.history]
                run.facts = replace(run.facts, outcome=ended, machine={"isthmus": __version__, **describe()})
                if run.data is not None:
                    run.facts = replace(run.facts, bad_data=run.data.ledger.to_dict())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(run, engine, folder, work)) from None
    finally:
        if work is not None and folder is not None:
            _settled(run, engine, work, folder, good=bool(run.history) and bool(ended))
    return run


def _pretrained(
    run: Run, engine: Engine, work: Path | None, tasks: list[stacked.Task], *, progress: bool
) -> list[stacked.Row]:
    """Pretrain level by level, and let all processes begin with the weights of the first."""
    assert run.data is not None
    keep = None if work is None else work / LEVELS
    if engine.step:
        return stacked.rows(tasks, keep)
    told, seed, x = engine.processes.told, run.facts.seed, run.data.train.tensor
    with levels_shown() if progress else contextlib.nullcontext() as listener, threads(engine.threads):
        try:
            done = stacked.pretrain(tasks, x, seed=seed, keep=keep, listener=listener, told=told)
        except Diverged as error:
            raise Diverged(
                f"Pretraining diverged: {str(error).partition('. ')[0]}. Lower pretraining.rate, or give one for each "
                "level, such as pretraining.rate=0.05,0.05,0.001, and begin again with --overwrite."
            ) from error
    model = engine.objective.model
    model.load_state_dict(load_bytes(engine.processes.told(save_bytes(model.state_dict()))))
    engine.keeper.weights = copy_of(engine.objective)
    return done


def _stopped(run: Run, engine: Engine, folder: Path | None, work: Path | None) -> str:
    """What an interrupted run leaves, and how to go on."""
    kept = f" The best weights so far are in {str(folder)!r}." if folder and run.history else ""
    where = f"epoch {len(run.history) + 1}" if engine.step else "the beginning"
    onward = " Go on with the same command and --resume." if _can_go_on(engine, work) else ""
    return f"Stopped in {where}.{kept}{onward}" + (" Nothing is kept." if not kept + onward else "")


def _can_go_on(engine: Engine, work: Path | None) -> bool:
    """Whether there is a checkpoint, or a level that is pretrained."""
    kept = engine.checkpoints is not None and bool(engine.checkpoints.moments())
    return kept or (work is not None and any((work / LEVELS).glob("level-*")))


def _settled(run: Run, engine: Engine, work: Path, folder: Path, *, good: bool) -> None:
    """Put the run in its place, or leave it where it can go on, or take the work away."""
    assert engine.checkpoints is not None
    if good:
        run.save(work)
        if run.facts.outcome.get("finished"):
            (work / PLAN).unlink(missing_ok=True)
            shutil.rmtree(work / LEVELS, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        work.replace(folder)
        run.folder = folder
    elif not _can_go_on(engine, work):
        shutil.rmtree(work, ignore_errors=True)


def _ended(outcome: Outcome) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(outcome).items() if name != "history"}
    return kept | {"taken_up": list(outcome.taken_up), "finished": True}
