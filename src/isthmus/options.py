"""Options of a run as plain data: what to do with the data, and how to train.

They are pydantic models, so a recipe file or a ``--set`` is checked at the door; nothing here does any work.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from isthmus.errors import BadOption


def _listed(value: object) -> object:
    """A single number as a list of one."""
    return [value] if isinstance(value, int | float) else value


RowAxis = Annotated[int, Field(ge=1)]
EpochsEach = Annotated[
    tuple[Annotated[int, Field(ge=1, le=100_000)], ...], Field(min_length=1, max_length=64), BeforeValidator(_listed)
]
RateEach = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=64), BeforeValidator(_listed)
]
RowShape = Annotated[tuple[RowAxis, ...], Field(min_length=1), BeforeValidator(_listed)]


def refuse_truth(name: str, value: object) -> None:
    """True and false are no numbers, though Python counts with them.

    Raises:
        BadOption: ``value`` is one of the two.
    """
    if isinstance(value, bool):
        raise BadOption(f"{name} cannot be {str(value).lower()}: it should be a number or a word.")


class Options(BaseModel):
    """A frozen group of options that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_types(cls, data: Any) -> Any:
        """True is no number; a number where words are asked for is the word a person typed."""
        if not isinstance(data, dict):
            return data
        checked = dict(data)
        for name, field in cls.model_fields.items():
            value, kind = data.get(name), str(field.annotation)
            if "bool" not in kind:
                refuse_truth(name, value)
            if isinstance(value, int) and "bool" not in kind and ("Literal" in kind or kind.startswith("str")):
                checked[name] = str(value)
        return checked


class DataOptions(Options):
    """How raw data becomes what a model sees.

    ``scale``: ``auto`` divides 8-bit pixels by 255 and leaves the rest; ``none`` leaves all; ``minmax`` maps each
    feature of a table (all pixels of images together) to [0, 1]; ``standard`` to mean 0 and variance 1. Both are
    measured on the training part alone. ``binarise``: ``static`` draws each pixel once as Bernoulli(x); ``dynamic``
    draws afresh at every read, input and target alike. ``shift`` moves each training image at every read, input and
    target alike. ``memory``: ``whole`` reads all data into memory; ``stream`` leaves ``.npy`` and ``.parquet``
    files, folders of them and folders of images on the disk; ``auto`` streams what would take more than a quarter
    of the machine's memory, or 8 GiB, as 32-bit numbers. ``on_bad``: what to do about an example that cannot be
    decoded, holds NaN or infinity, or that the likelihood cannot describe: ``stop``, or ``skip`` it, count it and
    list it.
    """

    scale: Literal["auto", "none", "minmax", "standard"] = "auto"
    binarise: Literal["none", "static", "dynamic"] = "none"
    shift: int = Field(default=0, ge=0, le=64, description="pixels by which training images are moved at every read")
    shape: RowShape | None = Field(default=None, description="reshape each row, such as 28,28 or 32,32,3")
    labels: str | None = Field(default=None, description="column of a table that holds labels, kept out of x")
    patch: int = Field(default=32, ge=4, le=512, description="side of the square patches cut from photographs")
    patches: int = Field(default=100, ge=1, le=10_000, description="patches cut from each photograph")
    validation: float = Field(default=0.1, ge=0, lt=1, description="share of the training part, 5,000 at most")
    test: float = Field(default=0.1, ge=0, lt=1, description="share held out where the data has no test part")
    memory: Literal["auto", "whole", "stream"] = Field(default="auto", description="where the data is held")
    on_bad: Literal["stop", "skip"] = Field(default="stop", description="at an example that cannot be used")


class TrainingOptions(Options):
    """How the weights are found.

    ``steps`` wins over ``epochs`` where it is given. With neither, a run takes as many epochs as make about 3,000
    steps, between 20 and 1,000: small data is seen more often. ``cg`` and ``lbfgs`` search along lines and take no
    rate; give them batches of 1,000 and more. ``exact`` puts the weights there in closed form where one is known
    (:mod:`isthmus.exact`). With ``momentum_stage`` the momentum starts at a half and rises to ``momentum`` in stages of
    so many updates.
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch: int = Field(default=128, ge=1)
    optimiser: Literal["adam", "adamw", "sgd", "nesterov", "muon", "cg", "lbfgs", "exact"] = "adam"
    rate: float = Field(default=1e-3, gt=0, description="peak learning rate")
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1, description="share of the run over which the rate rises")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd and nesterov")
    momentum_stage: int = Field(default=0, ge=0, description="updates in a stage of its rise; 0: none")
    searches: int = Field(default=3, ge=1, le=1000, description="line searches of cg and lbfgs on each batch")
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled with adamw and muon, else L2")
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient")
    patience: int | None = Field(default=None, ge=1, description="epochs without improvement before stopping")
    keep: Literal["best", "last"] = "best"
    checkpoint: float = Field(default=60, ge=0, description="seconds between two checkpoints")
    precision: Literal["auto", "32", "bf16"] = "auto"


class PretrainingOptions(Options):
    """What is done before training: each level of a deep net on its own, on the codes of the level below.

    ``kind``: ``none``, ``rbm`` (restricted Boltzmann machines), or the name of a recipe with one layer of which every
    level becomes a shallow autoencoder, such as ``denoising``. ``epochs`` are those of each level, from the data
    inwards, as ``rate`` is; the last number holds for all further ones. ``changes`` are options of that recipe by their
    path. Levels see examples as they are: ``data.shift`` and dynamic draws begin with the training of the whole.
    """

    kind: str = Field(default="none", max_length=80)
    epochs: EpochsEach = Field(default=(10,), description="of each level")
    batch: int = Field(default=100, ge=1)
    rate: RateEach | None = Field(default=None, description="of each level; the usual one of the kind by default")
    weight_cost: float = Field(default=2e-4, ge=0, description="L2 cost of a Boltzmann machine's weights")
    changes: dict[str, float | bool | str] = Field(default_factory=dict, max_length=64)
