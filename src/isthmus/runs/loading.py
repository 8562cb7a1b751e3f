"""Loading of a saved run."""

from pathlib import Path

from isthmus.errors import BadRun
from isthmus.models.hardware import torch_device
from isthmus.models.imported import Maker, import_maker, is_import_path, make_objective
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.runs.folder import (
    METRICS,
    PENALTIES,
    RECIPE,
    RECORD,
    WEIGHTS,
    RunMetadata,
    check_weights,
    own_networks,
    plain_file,
    read_history,
    read_json,
    read_metadata,
    read_weights,
)
from isthmus.runs.run import Run


def load(
    folder: Path | str,
    objective: Objective | Maker | None = None,
    *,
    allow_import: bool = False,
    device: str = "auto",
) -> Run:
    """Load a saved run.

    Args:
        folder: folder of the run.
        objective: for a run made from parts by hand, its objective, built again in the same way, or the function that
            returns it.
        allow_import: import the function that made the objective of the run, if its import path is known. This runs
            the code of its module, so permit it only for runs that you trust.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        BadRun: the folder is missing or damaged, or of another format.
        BadOption: a device that is not available, or a function that cannot be imported.
    """
    folder = Path(folder)
    _check_is_run(folder)
    place = torch_device(device)
    metadata = read_metadata(folder)
    recipe = Recipe.from_dict(read_json(folder / RECIPE))
    weights = plain_file(folder / WEIGHTS)
    if objective is None and metadata.by_hand:
        objective = _maker_of(folder, metadata, allow_import=allow_import)
    if objective is None:
        # a small recipe may describe a model of gibibytes: it is built only if the file holds its weights
        check_weights(recipe.draft(metadata.shape).model, weights)
        objective = recipe.build(metadata.shape)
    if not isinstance(objective, Objective):
        objective = make_objective(objective, metadata.shape)
    objective.dry_run(metadata.shape)
    check_weights(objective.model, weights)
    objective.model.load_state_dict(read_weights(weights))
    networks = own_networks(objective)
    if len(networks) and (folder / PENALTIES).exists():
        of_penalties = plain_file(folder / PENALTIES)
        check_weights(networks, of_penalties)
        networks.load_state_dict(read_weights(of_penalties))
    objective.eval().to(place)
    if metadata.missing:
        objective.accept_missing(metadata.data_contract.fill_tensor())
    return Run(recipe, objective, metadata, read_history(folder / METRICS), folder)


def _maker_of(folder: Path, metadata: RunMetadata, *, allow_import: bool) -> Maker:
    """The function that made the objective of a run, if it may be imported."""
    if not metadata.made_by or not is_import_path(metadata.made_by):
        raise BadRun(
            f"The run in {str(folder)!r} was made from parts by hand, which its files do not describe. Build the "
            "same objective again and pass it to isthmus.load(folder, objective)."
        )
    if not allow_import:
        raise BadRun(
            f"The run in {str(folder)!r} was made by {metadata.made_by!r}, and loading it runs the code of that "
            "module. Pass allow_import=True if you trust it."
        )
    return import_maker(metadata.made_by)


def _check_is_run(folder: Path) -> None:
    """Refuse a path that is not a run folder."""
    try:
        exists, is_file, is_run = folder.is_dir(), folder.is_file(), (folder / RECORD).exists()
    except OSError:
        # an invalid file name
        exists = is_file = is_run = False
    if is_file:
        raise BadRun(f"{str(folder)!r} is a file, not a run folder. Pass the folder, such as {str(folder.parent)!r}.")
    if not is_run:
        what = "has no run.json" if exists else "does not exist"
        raise BadRun(
            f"{str(folder)!r} is not a run folder: it {what}. Train a run first, for example with "
            "isthmus.fit('vae', 'digits', out='RUN')."
        )
