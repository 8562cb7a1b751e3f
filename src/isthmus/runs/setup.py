"""What happens before training: recipe, data and objective are joined and checked, and the loop is made."""

from collections.abc import Mapping

from torch import nn

from isthmus import zoo
from isthmus.data.base import Array
from isthmus.data.opening import Data
from isthmus.data.prepared import PreparedData, screened
from isthmus.data.preparing import prepare, with_validation
from isthmus.errors import BadData, BadOption, IncompatibleParts
from isthmus.models.imported import Maker, import_maker, is_import_path, make_objective, path_of
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import derive_seed, seeded
from isthmus.options import PretrainingOptions
from isthmus.training.augmentation import augmentation
from isthmus.training.checks import check_kind_of_data
from isthmus.training.distributed import processes
from isthmus.training.engine import Engine

INITIAL_EXAMPLES = 10_000
"""Examples of a streamed training set from which parts are initialized."""

Trainable = Recipe | Objective | Maker | str
"""What ``fit`` trains: a recipe or its name, an objective, or a function that returns one or its import path."""


def resolve(what: Trainable) -> tuple[Trainable, str]:
    """A function given by its import path, and the path of a function; other choices unchanged."""
    if isinstance(what, str) and is_import_path(what):
        return import_maker(what), what
    if isinstance(what, Recipe | Objective | str):
        return what, ""
    if not callable(what) or isinstance(what, nn.Module):
        raise BadOption(
            f"A {type(what).__name__} cannot be trained as it is. Pass a recipe, the name of one, or an objective such "
            "as isthmus.autoencoder(encoder, decoder, latent=16)."
        )
    return what, path_of(what)


def resolve_recipe(what: Trainable, epochs: int | None, options: Mapping[str, object] | None) -> Recipe:
    """The recipe with all changes applied; for an objective, a recipe with training and data options only."""
    if not isinstance(what, Recipe | str):
        recipe = Recipe(name="by-hand")
        for path in options or {}:
            if not path.startswith(("training.", "data.")):
                raise BadOption(
                    f"Option {path!r} cannot be set on an objective, only training.* and data.* options can. Change "
                    "the parts of the objective."
                )
    else:
        recipe = zoo.recipe(what) if isinstance(what, str) else what
    changes = dict(options or {})
    if epochs is not None:
        changes |= {"training.epochs": epochs, "training.steps": None}
    return recipe.with_options(changes) if changes else recipe


def prepare_data(
    data: Data | PreparedData,
    valid: Data | None,
    labels: Array | str | None,
    targets: Data | None,
    recipe: Recipe,
    seed: int,
) -> tuple[PreparedData, Recipe]:
    """The data as model inputs, and the recipe with the data options that follow from the arguments of ``fit``."""
    changes: dict[str, object] = {}
    if isinstance(labels, str):
        changes["data.labels"], labels = labels, None
    if valid is not None:
        # also when the data is read again for a loaded run
        changes["data.validation"] = 0
    recipe = recipe.with_options(changes) if changes else recipe
    if isinstance(data, PreparedData):
        return data, recipe
    prepared = prepare(data, recipe.data, seed, labels=labels, targets=targets, training=recipe.training)
    if prepared.train.inputs is not None:
        # the given inputs are corrupted already, and interpolation between their pixels would change their noise
        recipe = recipe.with_options({"corruption.kind": "identity", "data.random_rotation": 0, "data.random_scale": 0})
    return (prepared if valid is None else with_validation(prepared, valid, recipe.data, seed)), recipe


def built(what: Trainable, recipe: Recipe, data: PreparedData, seed: int) -> tuple[Objective, PreparedData]:
    """The objective, built for the data and initialized from it; and the data, screened by the likelihood."""
    with seeded(derive_seed(seed, "weights")):
        if isinstance(what, Objective):
            objective = what
        elif isinstance(what, Recipe | str):
            objective = recipe.build(data.shape)
        else:
            objective = make_objective(what, data.shape)
        objective.model.materialize(data.shape)
    objective.dry_run(data.shape)
    if data.missing:
        _accept_missing(objective, recipe, data)
    data = screened(data, objective.model)
    # the examples as one tensor may take much memory, which most models do not need
    if objective.initialized_from_data():
        with seeded(derive_seed(seed, "weights", "data")):
            sample = data.train.subsample(INITIAL_EXAMPLES, seed)
            objective.init_from_data(sample.tensor, sample.inputs)
    return objective, data


def _accept_missing(objective: Objective, recipe: Recipe, data: PreparedData) -> None:
    """Let the objective leave out missing cells.

    Raises:
        IncompatibleParts: a part cannot; the message also says which cells are missing.
    """
    try:
        with seeded(0):
            objective.accept_missing(data.contract.fill_tensor())
        check_kind_of_data(recipe.training, recipe.pretraining, missing=True)
    except (IncompatibleParts, BadOption) as error:
        raise type(error)(f"The data has {data.missing}, the first in {data.missing.first}. {error}") from error


def engine_for(
    objective: Objective, recipe: Recipe, data: PreparedData, seed: int, strategy: str, device: str
) -> Engine:
    """The training loop for the data, in all launched processes."""
    valid = None if data.valid is None else data.valid.tensor
    with processes.lost_process_errors():
        return Engine(
            objective,
            recipe.training,
            data.train.x,
            valid,
            inputs=data.train.inputs,
            valid_inputs=None if data.valid is None else data.valid.inputs,
            seed=seed,
            dynamic=data.dynamic,
            augment=augmentation(recipe.data),
            strategy=strategy,
            device=device,
        )


def decided(recipe: Recipe, engine: Engine, data: PreparedData) -> Recipe:
    """The recipe with what was left open: the number of epochs, the size of the code, and where the data is held."""
    changes: dict[str, object] = {"training.epochs": engine.epochs}
    size = recipe.latent.width(data.shape)
    if recipe.latent.default_size is not None and size is not None:
        changes["latent.size"] = size
    if data.streamed:
        # on a machine with more memory the splits must stay the same
        changes["data.memory"] = "stream"
    return recipe.with_options(changes)


def check_data_fits(recipe: Recipe, data: PreparedData, strategy: str, *, started: bool = False) -> None:
    """Refuse options that are incompatible with the data, with the distributed strategy or with a start from a run.

    Raises:
        BadData: pretraining on streamed data, or random changes of a table.
        BadOption: pretraining, a closed form or averages of weights with sharded layers; pretraining options without
            pretraining; pretraining, or a closed form, of a run that starts from another one.
    """
    _check_start(recipe, started)
    if recipe.training.ema_decay and strategy == "fsdp":
        raise BadOption(
            "training.ema_decay needs unsharded layers, but strategy='fsdp' shards them. Use strategy='ddp', or set it "
            "to 0."
        )
    for option in ("random_shift", "random_flip", "random_rotation", "random_scale"):
        if (value := getattr(recipe.data, option)) and data.kind == "table":
            raise BadData(f"data.{option} is {value}, but the data is a table, not images or sequences. Leave it out.")
    if data.train.inputs is not None:
        check_kind_of_data(recipe.training, recipe.pretraining, pairs=True)
    if recipe.training.optimizer == "exact" and strategy == "fsdp":
        raise BadOption(
            "training.optimizer=exact needs unsharded layers, but strategy='fsdp' shards them. Use strategy='ddp'."
        )
    if recipe.pretraining.kind == "none":
        usual = PretrainingOptions()
        unused = [name for name, value in recipe.pretraining if value != getattr(usual, name)]
        if unused:
            raise BadOption(
                f"pretraining.{unused[0]} is set, but pretraining.kind is none, so there is no pretraining. Set "
                "pretraining.kind=rbm or the name of a recipe such as denoising, or leave it out."
            )
        return
    if data.streamed:
        raise BadData("Pretraining needs the data in memory, but it is streamed. Set data.memory=whole.")
    if strategy == "fsdp":
        raise BadOption("Pretraining needs unsharded layers, but strategy='fsdp' shards them. Use strategy='ddp'.")


def _check_start(recipe: Recipe, started: bool) -> None:
    """Refuse what replaces the weights that a run starts with, and a stage for a network that was not trained before.

    Raises:
        BadOption: there is such an option.
    """
    training = recipe.training
    if training.stage != "all" and not started:
        raise BadOption(
            f"training.stage={training.stage} fixes weights that were not trained yet. Start from a run: fit with "
            "start=RUN, or set training.stage=all."
        )
    replacing = {
        f"pretraining.kind={recipe.pretraining.kind}": recipe.pretraining.kind != "none",
        "training.optimizer=exact": training.optimizer == "exact",
    }
    for option, given in replacing.items():
        if started and given:
            raise BadOption(f"{option} replaces the weights of the run to start from. Leave out one of the two.")
