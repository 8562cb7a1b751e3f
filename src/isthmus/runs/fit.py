"""Training: the recipe is built for the data, all options are checked, then the engine trains."""

import contextlib
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes

from isthmus import __version__
from isthmus.data.base import Array
from isthmus.data.opening import Data, source_name
from isthmus.data.prepared import PreparedData
from isthmus.errors import BadOption, Diverged, check_choice
from isthmus.models.hardware import describe, threads
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import check_seed
from isthmus.pretraining.greedy import LayerRecord, LayerTask, finished_layers, plan_pretraining, pretrain
from isthmus.runs.feature_training import learn_features
from isthmus.runs.folder import RECORD, metadata_of
from isthmus.runs.loading import load as load_run
from isthmus.runs.origin import signature
from isthmus.runs.progress import shown_pretraining, shown_training
from isthmus.runs.resume import (
    CHECKPOINTS,
    PLAN,
    check_resumable,
    check_same,
    open_working_folder,
    plan_of,
    reserved,
    unfinished_folder,
    write_plan,
)
from isthmus.runs.run import Run
from isthmus.runs.setup import (
    Trainable,
    built,
    check_data_fits,
    decided,
    engine_for,
    prepare_data,
    resolve,
    resolve_recipe,
)
from isthmus.runs.start import BEFORE, Start, check_seed_of_start, cost_of, data_or_that_of, start_of, take_over
from isthmus.training.callbacks import AnyCallback, Callback, calling, checked
from isthmus.training.checkpointing.files import CheckpointStore, checkpoint_from_bytes, checkpoint_to_bytes
from isthmus.training.distributed import processes
from isthmus.training.distributed.processes import STRATEGIES
from isthmus.training.engine import Engine
from isthmus.training.history import Outcome, copy_weights
from isthmus.training.loggers import logging_to

PRETRAINED = "pretraining"
"""Folder of an unfinished run that holds its pretrained layers."""


def fit(
    what: Trainable | Run,
    data: Data | PreparedData | None = None,
    *,
    start: Run | Path | str | None = None,
    valid: Data | None = None,
    labels: Array | str | None = None,
    targets: Data | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    options: Mapping[str, object] | None = None,
    device: str = "auto",
    callbacks: Sequence[AnyCallback] = (),
    out: Path | str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    tensorboard: bool = False,
    resume: bool = False,
    allow_different_results: bool = False,
    strategy: str = "ddp",
) -> Run:
    """Train an autoencoder.

    Not all examples are trained on: unless the data brings its own, a test set (``data.test``, a tenth by default) and
    a validation set (``data.validation``, a tenth of the rest) are held out at random; the validation set decides which
    epoch's weights are kept. With ``options={"data.test": 0, "data.validation": 0}`` nothing is held out.

    Args:
        what: a recipe, the name of one (``"vae"``), an objective (:func:`isthmus.autoencoder`, or made from parts), a
            function that returns one, or the import path of such a function (``"package.module:function"``). A run of a
            function that can be imported is loaded again without passing its objective. A trained run stands for its
            recipe, started from its weights.
        data: the name of a data set; a path; or one row per example in an array (also masked, sparse, memory-mapped), a
            tensor, a data frame (pandas, polars, Arrow), a data set or loader of torch or Hugging Face, or an iterable
            of chunks, which is read into memory unless ``training.steps`` is given. Pairs (x, y) are examples and
            labels, or inputs and targets of the same shape. A stream without end is a
            :class:`isthmus.data.samplers.streams.Stream`. By default that of the run it starts from.
        start: a trained run, or its folder, from whose weights to start. Parts that differ from its own start with new
            weights. With ``options={"training.stage": "decoder"}`` only the decoder is trained (or ``encoder``).
        valid: validation set, in any of these forms; none is held out then.
        labels: class of each example of ``data``, (N,) integers or strings; or the name of the column of a table that
            holds them. Labels color the figures; no recipe trains on them.
        targets: what is to be reconstructed from each example of ``data``, such as the clean images of noisy ones.
        epochs: passes over the training set; the recipe's own by default.
        seed: seed of the split, the weights, the batches and all sampling; 0, or that of the run it starts from.
        options: changes to the recipe by path, such as ``{"latent.size": 2}``; for an objective, those of ``training``
            and ``data``.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        callbacks: called after every epoch (functions) or also after every step (:class:`isthmus.Callback`), with the
            losses by name; they may stop the run. :class:`isthmus.LivePlot` draws the training curves.
        out: folder for the run; nothing is written without one.
        overwrite: replace an existing run.
        progress: show a progress bar on standard error.
        tensorboard: also write TensorBoard events into ``out/tensorboard``.
        resume: continue the unfinished run in ``out``, bit-identically to an uninterrupted one; start it if there is
            none, and load it if it is finished.
        allow_different_results: with ``resume``, allow another torch version, another CPU or another number of
            processes than the run was started with; results may differ.
        strategy: how several processes, launched by torchrun or Slurm, hold the model: ``ddp`` (replicated) or
            ``fsdp`` (sharded). Each batch is divided among all of them; the first process writes and prints.

    Returns:
        The trained run.

    Raises:
        IsthmusError: parts, options and data that are incompatible, before any training.
        Diverged: the loss is no longer finite; with ``out``, the best weights before that are saved.

    >>> from sklearn.datasets import load_digits
    >>> run = fit("vae", load_digits().images[:200] / 16, epochs=1)
    >>> run.encode(load_digits().images[:3] / 16).shape
    (3, 16)
    """
    start = what if start is None and isinstance(what, Run) else start
    begin = None if start is None else start_of(start)
    what, made_by = resolve(what.recipe if isinstance(what, Run) else what)
    recipe = resolve_recipe(what, epochs, options)
    data = data_or_that_of(begin, data)
    seed = (0 if begin is None else begin.run.metadata.seed) if seed is None else seed
    check_seed(seed)
    check_seed_of_start(begin, seed, source_name(data))
    check_choice("strategy", strategy, STRATEGIES)
    _check_out(out, tensorboard=tensorboard, resume=resume)
    listeners = checked(callbacks)
    first = processes.number() == 0
    with reserved(out if first else None, overwrite=overwrite, resume=resume) as folder:
        prepared, recipe = prepare_data(data, valid, labels, targets, recipe, seed)
        sources = (source_name(data), "" if valid is None else source_name(valid) or "array")
        plan = Planned(what, made_by, recipe, prepared, sources, seed, begin)
        run, engine, tasks = _planned(plan, strategy, device)
        done = folder is not None and resume and (folder / RECORD).is_file() and unfinished_folder(folder) is None
        with processes.lost_process_errors():
            if engine.processes.any(bool(done))[0]:
                return finished(run, folder) if folder is not None else run
            work = _started(run, engine, folder, resume=resume, allow_different_results=allow_different_results)
        before: dict[str, Any] = {} if begin is None else {BEFORE: cost_of(begin.run)}
        shown = {"progress": progress and first, "tensorboard": tensorboard and first}
        return _trained(run, engine, folder, work, tasks, listeners, before, **shown)


class Planned(NamedTuple):
    """What is to be trained: recipe, data, seed, the names of the data and of its validation set, and the start."""

    what: Trainable
    made_by: str
    recipe: Recipe
    data: PreparedData
    sources: tuple[str, str]
    seed: int
    start: Start | None


def _planned(plan: Planned, strategy: str, device: str) -> tuple[Run, Engine, list[LayerTask]]:
    """The run before training, its training loop, and the layers to pretrain."""
    recipe, seed, start = plan.recipe, plan.seed, plan.start
    objective, prepared = built(plan.what, recipe, plan.data, seed)
    if start is not None:
        take_over(objective, start, recipe.training)
    tasks = plan_pretraining(objective, recipe.pretraining, recipe)
    check_data_fits(recipe, prepared, strategy, started=start is not None)
    engine = engine_for(objective, recipe, prepared, seed, strategy, device)
    recipe = decided(recipe, engine, prepared)
    metadata = replace(
        metadata_of(prepared, seed, plan.sources[0]),
        by_hand=not isinstance(plan.what, Recipe | str),
        made_by=plan.made_by,
        validation=plan.sources[1],
        start={} if start is None else start.to_dict(),
    )
    return Run(recipe, objective, metadata, data=prepared), engine, tasks


def _check_out(out: object, *, tensorboard: bool, resume: bool) -> None:
    """Refuse options that need a folder if none is given."""
    for name, wanted in (("tensorboard=True", tensorboard), ("resume=True", resume)):
        if wanted and out is None:
            raise BadOption(f"{name} needs out=..., the folder of the run. Pass a folder.")


def finished(run: Run, folder: Path) -> Run:
    """The run in ``folder``, which is already finished; ``run`` is the requested one.

    Raises:
        BadRun: the two were started with different settings.
    """
    loaded = load_run(folder, run.objective if run.metadata.by_hand else None)
    old = replace(loaded, metadata=replace(loaded.metadata, outcome={}, machine={}), data=run.data)
    check_same(plan_of(old, {}), plan_of(run, {}), f"The run in {str(folder)!r}")
    warnings.warn(f"The run in {str(folder)!r} is already finished, so it is loaded.", stacklevel=3)
    loaded.data = run.data
    return loaded


def _started(
    run: Run, engine: Engine, folder: Path | None, *, resume: bool, allow_different_results: bool
) -> Path | None:
    """The working folder, with the plan of the run; a resumed run is restored from its newest checkpoint.

    Only the first process reads the folder, and broadcasts its content.

    Raises:
        BadRun: the folder cannot be used, or holds a run that was started with other settings.
    """
    work, settings, found = None, engine.settings(), None
    if folder is not None:
        plan = plan_of(run, settings)
        place = unfinished_folder(folder) if resume else None
        if place is not None:
            # checked before anything is moved
            old = check_resumable(place, plan, allow_different_results=allow_different_results)
            settings = old["settings"]
        work = open_working_folder(folder, place)
        if place is None:
            write_plan(work, plan)
        engine.checkpoints = CheckpointStore(work / CHECKPOINTS, run.recipe.training.checkpoint_interval, say=_warn)
        found = engine.checkpoints.read() if resume else None
    settings = json.loads(engine.processes.broadcast(json.dumps(settings).encode()))
    engine.use(settings)
    if engine.processes.world > 1:
        found = checkpoint_from_bytes(engine.processes.broadcast(checkpoint_to_bytes(found)))
    if found is not None:
        engine.resume_from(found)
    return work


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)


def _trained(
    run: Run,
    engine: Engine,
    folder: Path | None,
    work: Path | None,
    tasks: list[LayerTask],
    callbacks: Sequence[Callback],
    before: dict[str, Any],
    *,
    progress: bool,
    tensorboard: bool,
) -> Run:
    """Train in ``work``, and move the result to ``folder``.

    After a divergence or an interrupt the result holds the best weights so far; after any other exception ``work``
    stays unchanged, so that the run can be resumed. If no weights were kept, ``work`` is removed and ``folder`` stays.
    """
    outcome: dict[str, Any] = {}
    layers: list[LayerRecord] = []
    try:
        with contextlib.ExitStack() as stack:
            if tasks:
                layers = _pretrained(run, engine, work, tasks, progress=progress)
            if progress:
                stack.enter_context(shown_training(engine, data=run.data))
            stack.enter_context(logging_to(engine, work, tensorboard))
            stack.enter_context(calling(engine, callbacks))
            if run.data is not None:
                learn_features(engine, run.data, run.metadata.seed)
            try:
                outcome = _outcome(engine.run()) | ({"pretraining": layers} if layers else {}) | before
            except (Diverged, KeyboardInterrupt) as error:
                stopped = str(error) or f"interrupted in epoch {len(engine.history) + 1}"
                outcome = {"stopped": stopped, "kept_epoch": "the best", "finished": isinstance(error, Diverged)}
                raise
            finally:
                run.objective = engine.objective
                _record(run, engine, outcome)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interrupted(run, engine, folder, work)) from None
    finally:
        if work is not None and folder is not None:
            _move(run, engine, work, folder, good=bool(run.history) and bool(outcome))
    return run


def _record(run: Run, engine: Engine, outcome: dict[str, Any]) -> None:
    """Record history, outcome, machine, and the invalid examples found by all processes."""
    run.history = [record.to_dict() for record in engine.history]
    machine = {"isthmus": __version__, **describe(), "source_signature": signature(run.metadata.source)}
    run.metadata = replace(run.metadata, outcome=outcome, machine=machine)
    if run.data is None:
        return
    bad = run.data.bad_examples
    if outcome and engine.processes.world > 1:
        # all processes take part: each read another portion of a streamed data set
        bad.merge_states([json.loads(state) for state in engine.processes.exchange(json.dumps(bad.state()).encode())])
    run.metadata = replace(run.metadata, bad_data=bad.to_dict())


def _pretrained(
    run: Run, engine: Engine, work: Path | None, tasks: list[LayerTask], *, progress: bool
) -> list[LayerRecord]:
    """Layer-wise pretraining; afterwards all processes have the weights of the first."""
    assert run.data is not None
    keep = None if work is None else work / PRETRAINED
    if engine.step:
        return finished_layers(tasks, keep)
    broadcast, seed, x = engine.processes.broadcast, run.metadata.seed, run.data.train.tensor
    with shown_pretraining() if progress else contextlib.nullcontext() as callback, threads(engine.threads):
        try:
            done = pretrain(tasks, x, seed=seed, keep=keep, callback=callback, broadcast=broadcast)
        except Diverged as error:
            raise Diverged(
                f"Pretraining diverged: {str(error).partition('. ')[0]}. Lower pretraining.learning_rate, or set one "
                "per layer, such as pretraining.learning_rate=0.05,0.05,0.001, and start again with overwrite=True."
            ) from error
    model = engine.objective.model
    model.load_state_dict(load_bytes(broadcast(save_bytes(model.state_dict()))))
    engine.best_weights.weights = copy_weights(engine.objective)
    return done


def _interrupted(run: Run, engine: Engine, folder: Path | None, work: Path | None) -> str:
    """What an interrupted run has saved, and how to resume it."""
    kept = f" The best weights so far are in {str(folder)!r}." if folder and run.history else ""
    where = f"during epoch {len(run.history) + 1}" if engine.step else "before the first step"
    remedy = " Resume with the same call and resume=True." if _can_resume(engine, work) else ""
    return f"Interrupted {where}.{kept}{remedy}" + (" Nothing was saved." if not kept + remedy else "")


def _can_resume(engine: Engine, work: Path | None) -> bool:
    """Whether there is a checkpoint or a pretrained layer."""
    kept = engine.checkpoints is not None and bool(engine.checkpoints.saved())
    return kept or (work is not None and any((work / PRETRAINED).glob("layer-*")))


def _move(run: Run, engine: Engine, work: Path, folder: Path, *, good: bool) -> None:
    """Move a good run to its folder, leave another one where it can be resumed, or remove the working folder."""
    assert engine.checkpoints is not None
    if good:
        run.save(work)
        if run.metadata.outcome.get("finished"):
            (work / PLAN).unlink(missing_ok=True)
            shutil.rmtree(work / PRETRAINED, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        work.replace(folder)
        run.folder = folder
    elif not _can_resume(engine, work):
        shutil.rmtree(work, ignore_errors=True)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(outcome).items() if name != "history"}
    return kept | {"resumed_at": list(outcome.resumed_at), "finished": True}
