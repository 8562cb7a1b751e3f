"""Options of a run as plain data: preprocessing, training and pretraining.

They are pydantic models, so the values of a recipe file or of ``options=...`` are validated when they are read.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from isthmus.errors import BadOption


def _listed(value: object) -> object:
    """A single number as a list of length 1; other values unchanged."""
    return [value] if isinstance(value, int | float) else value


def _names(value: object) -> object:
    """A single name as a tuple of length 1, and integers, which name columns too, as strings; others unchanged."""
    if isinstance(value, list | tuple):
        return tuple(str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in value)
    return (str(value),) if isinstance(value, str | int) else value


def _side(value: object) -> object:
    """A size of pictures as height and width: 64, "64x48" or (64, 48)."""
    if isinstance(value, str) and (sides := value.lower().replace("x", " ").split()) and len(sides) <= 2:
        value = [int(side) if side.isdecimal() else side for side in sides]
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value,)
    return [*value] * (2 // len(value)) if isinstance(value, list | tuple) and len(value) in (1, 2) else value


RowAxis = Annotated[int, Field(ge=1)]
EpochsEach = Annotated[
    tuple[Annotated[int, Field(ge=1, le=100_000)], ...], Field(min_length=1, max_length=64), BeforeValidator(_listed)
]
RateEach = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=64), BeforeValidator(_listed)
]
RowShape = Annotated[tuple[RowAxis, ...], Field(min_length=1), BeforeValidator(_listed)]
AXES = "NDTFHWC"
"""Letters of the axes of arrays: examples, features, time steps, frames, height, width, channels."""
Side = Annotated[int, Field(ge=1, le=65_536)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_side)]
Name = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]
Names = Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=1000), BeforeValidator(_names)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Sentinels = Annotated[tuple[Finite, ...], Field(max_length=64), BeforeValidator(_listed)]


def refuse_truth(name: str, value: object) -> None:
    """Refuse booleans, which Python accepts as numbers.

    Raises:
        BadOption: ``value`` is a boolean.
    """
    if isinstance(value, bool):
        raise BadOption(f"{name} cannot be {str(value).lower()}: a number or a string is expected.")


class Options(BaseModel):
    """Base class of option groups: frozen, without unknown names, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_types(cls, data: Any) -> Any:
        """Refuse booleans as numbers, and convert an integer to a string where a string is expected."""
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
    """Preprocessing and splitting of the data, and where it is held.

    Args:
        scale: {"auto", "none", "pixels", "minmax", "standard"}, default "auto". ``auto`` divides pixels by full
            brightness (255 for 8 bits, 65,535 for 16-bit images, or what the format of pictures states) and leaves all
            other values; ``none`` leaves all values; ``pixels`` divides all values by that, or by 255; ``minmax`` maps
            each feature of a table and each channel (all pixels of gray and of color pictures together) to [0, 1];
            ``standard`` maps it to mean 0 and variance 1. The last two are fitted to the training set only. With
            ``minmax`` and a likelihood of values in [0, 1], later values outside the training range are clipped to it,
            except in anomaly scores, which count how far outside they are.
        binarize: {"none", "static", "dynamic"}, default "none". ``static`` samples each pixel once from Bernoulli(x);
            ``dynamic`` samples the training pixels anew at every read, the same sample for input and target, and the
            others once.
        random_shift: int in [0, 64], default 0. Each training image or sequence is shifted at every read by up to
            this many pixels or steps along each axis, the same shift for input and target.
        shift_edges: {"zero", "reflect", "wrap"}, default "zero". What is shifted in at the edges: zeros; the mirror
            image of the values behind the edge; or the values that leave at the opposite edge.
        random_flip: bool, default False. Each training image is mirrored left to right at every read with probability
            1/2, input and target alike.
        random_rotation: float in [0, 180], default 0. Each training image is rotated at every read by up to this many
            degrees about its center, with bicubic interpolation and mirrored edges. Of pairs it is left out, since
            interpolation would change the noise of the inputs.
        random_scale: float in [0, 0.5], default 0. Each training image is enlarged or reduced at every read by up to
            this fraction, in the same way.
        shape: tuple of 1 to 3 ints, default None. Shape of each row of a table: D, (H, W) or (H, W, C), such as
            ``28,28``.
        layout: str, default "auto". Meaning of the axes of an array, in its order: N examples, D features, T time
            steps, H height, W width, C channels, F frames; such as ``NTC``, ``NT``, ``NHWC``, ``NCHW``, ``HWCN``.
        window: int >= 2, default None. Number of consecutive rows (time steps of a recording, frames of a video) that
            make an example.
        stride: int >= 1, default None. Rows from the start of a window to that of the next; the same as ``window`` if
            None.
        key: str, default None. Array of a file that holds several, such as ``x`` or ``/scans/raw``.
        labels: str, default None. Column of a table, or array of a file of several, that holds the labels; it is
            excluded from x.
        index: str, default "auto". Column of a table that names its rows; it is excluded from x. ``auto`` finds an
            unnamed or ``id`` column that counts up by one, an ``id`` column of unique strings and a column of dates;
            ``none`` keeps such numbers in x.
        exclude: str or tuple of str, default (). Columns of a table that are left out.
        missing: float or tuple of floats, default (). Values that mean a missing value, such as ``-9999``.
        delimiter: str, default "auto". What separates the cells of a text table: a character, ``tab`` or ``space``
            (any white space); ``auto`` decides by the first rows, as for the following five options.
        decimal: {"auto", ".", ","}, default "auto". Decimal mark of the numbers of a text table.
        thousands: str, default "auto". Character between groups of three digits, or ``none``.
        encoding: str, default "auto". Encoding of a text table, such as ``utf-8`` or ``cp1252``.
        comment: str, default "auto". What a line that is not part of the table starts with, or ``none``.
        header: {"auto", "first", "none"}, default "auto". Whether the first row of a text table holds the names of
            its columns.
        size: int or (int, int), default None. Height and width to which pictures are brought, such as ``64`` or
            ``64x48``.
        resize: {"pad", "crop", "stretch"}, default None. How pictures of another shape are brought to ``size``: ``pad``
            fits them into it and fills the rest with ``background``, ``crop`` fills it and cuts off what is beyond, and
            ``stretch`` changes height and width separately.
        background: str, default "white". Color behind transparent pictures and around padded ones: a name or
            ``#rrggbb``.
        pages: {"auto", "first", "all", "channels"}, default "auto". Frames of a GIF and pages of a TIFF that are
            examples; ``auto`` takes all of a single file, and the first of each file in a folder; ``channels`` makes
            all pages of a file the channels of one picture.
        label_level: int in [0, 16], default 1. Which folder above a file is its label: 1 is the first one below the
            data, 2 the one below that; 0 takes no labels.
        patch_size: int in [4, 512], default 32. Side of the square patches cropped from photographs, in pixels.
        patches_per_image: int in [1, 10000], default 100. Number of patches cropped from each photograph.
        validation: float in [0, 1), default 0.1. Fraction of the training set used as validation set, at most 5,000
            examples; ignored where the data has a validation set.
        test: float in [0, 1), default 0.1. Fraction of the examples held out for testing; ignored where the data has a
            test set.
        memory: {"auto", "whole", "stream"}, default "auto". ``whole`` reads all data into memory; ``stream`` leaves
            ``.npy`` and ``.parquet`` files, folders of them, folders of images and HDF5, Zarr and other files of arrays
            on disk; ``auto`` streams data that as 32-bit numbers would take more than a quarter of the machine's
            memory, or more than 8 GiB.
        on_bad_data: {"stop", "skip"}, default "stop". What to do with an example that cannot be decoded, holds NaN or
            infinity, or lies outside the support of the likelihood: ``stop`` raises an error, ``skip`` leaves it out,
            counts and lists it.
    """

    scale: Literal["auto", "none", "pixels", "minmax", "standard"] = "auto"
    binarize: Literal["none", "static", "dynamic"] = "none"
    random_shift: int = Field(
        default=0, ge=0, le=64, description="largest shift of a training image or sequence at every read, in pixels"
    )
    shift_edges: Literal["zero", "reflect", "wrap"] = Field(default="zero", description="what a random shift brings in")
    random_flip: bool = Field(default=False, description="mirror half of the training images at every read")
    random_rotation: float = Field(
        default=0.0, ge=0, le=180, description="largest rotation of a training image at every read, in degrees"
    )
    random_scale: float = Field(
        default=0.0, ge=0, le=0.5, description="largest fraction by which a training image is enlarged or reduced"
    )
    shape: RowShape | None = Field(default=None, description="shape of each row, such as 28,28 or 32,32,3")
    layout: str = Field(default="auto", description="axes of an array, such as NTC")
    window: int | None = Field(default=None, ge=2, le=2**24, description="consecutive rows that make an example")
    stride: int | None = Field(default=None, ge=1, le=2**24, description="rows from one window to the next")
    key: str | None = Field(default=None, max_length=1000, description="array of a file that holds several")
    labels: str | None = Field(default=None, description="column or array that holds labels, excluded from x")
    index: Name = Field(default="auto", max_length=1000, description="column that names the rows, excluded from x")
    exclude: Names = Field(default=(), description="columns of a table that are left out")
    missing: Sentinels = Field(default=(), description="values that mean a missing value, such as -9999")
    delimiter: str = Field(default="auto", max_length=8, description="between the cells of a text table")
    decimal: Literal["auto", ".", ","] = Field(default="auto", description="decimal mark of a text table")
    thousands: str = Field(default="auto", max_length=8, description="between groups of three digits, or none")
    encoding: str = Field(default="auto", max_length=40, description="encoding of a text table")
    comment: str = Field(default="auto", max_length=8, description="what a comment line starts with, or none")
    header: Literal["auto", "first", "none"] = Field(default="auto", description="whether the first row holds names")
    size: Size | None = Field(default=None, description="height and width of pictures, such as 64 or 64x48")
    resize: Literal["pad", "crop", "stretch"] | None = Field(default=None, description="how pictures get that size")
    background: str = Field(default="white", max_length=40, description="color behind transparent or padded pictures")
    pages: Literal["auto", "first", "all", "channels"] = Field(
        default="auto", description="frames or pages that are examples"
    )
    label_level: int = Field(default=1, ge=0, le=16, description="folder that is the label, counted from the data")
    patch_size: int = Field(default=32, ge=4, le=512, description="side of the square patches, in pixels")
    patches_per_image: int = Field(default=100, ge=1, le=10_000, description="patches cropped from each photograph")
    validation: float = Field(default=0.1, ge=0, lt=1, description="fraction of the training set, 5,000 at most")
    test: float = Field(default=0.1, ge=0, lt=1, description="fraction held out where the data has no test set")
    memory: Literal["auto", "whole", "stream"] = Field(default="auto", description="where the data is held")
    on_bad_data: Literal["stop", "skip"] = Field(default="stop", description="what to do with an invalid example")

    @field_validator("layout", mode="before")
    @classmethod
    def _letters(cls, value: object) -> object:
        """Letters of axes in upper case, with or without separators, such as ``(n, t, c)``."""
        if not isinstance(value, str) or value == "auto":
            return value
        letters = "".join(letter for letter in value.upper() if letter.isalnum())
        if not 1 <= len(letters) <= len(AXES) or set(letters) - set(AXES):
            raise ValueError("it should be one letter per axis (N, D, T, F, H, W, C), such as NTC, or auto")
        return letters


class TrainingOptions(Options):
    """Optimization of the weights.

    Args:
        epochs: int >= 1, default None. Passes over the training set. If neither ``epochs`` nor ``steps`` is set, a run
            takes as many epochs as make about 3,000 steps, between 20 and 1,000; with ``muon`` half of them.
        steps: int >= 1, default None. Number of optimizer steps; takes precedence over ``epochs``.
        batch_size: int >= 1, default 128. Examples per step.
        optimizer: {"adam", "adamw", "sgd", "nesterov", "muon", "cg", "lbfgs", "exact"}, default "adam". ``cg``
            (nonlinear conjugate gradients) and ``lbfgs`` use line searches and no learning rate; use batches of 1,000
            examples or more. ``exact`` sets the weights in closed form where one is known (:mod:`isthmus.exact`).
        learning_rate: float > 0, default 1e-3. Peak learning rate.
        width_scaling: int >= 1, default 1024. Layers with more inputs learn at ``learning_rate * width_scaling /
            inputs``: Adam changes every weight by about the learning rate, so the output of a layer changes in
            proportion to its number of inputs, and layers over large images or dictionaries would diverge at rates
            that suit others. None trains all layers with the same rate.
        schedule: {"constant", "cosine"}, default "constant". Learning rate after the warmup: constant, or half a
            cosine down to 0.
        warmup: float in [0, 1), default 0. Fraction of the run over which the learning rate rises linearly from 0.
        momentum: float in [0, 1), default 0.9. Momentum of ``sgd`` and ``nesterov``.
        momentum_stage: int >= 0, default 0. Steps per stage of the momentum schedule of Sutskever et al. (2013), in
            which the momentum rises from 0.5 to ``momentum``; 0 keeps the momentum constant.
        line_searches: int in [1, 1000], default 3. Line searches of ``cg`` and ``lbfgs`` per batch.
        weight_decay: float >= 0, default 0. Weight decay: decoupled with ``adamw`` and ``muon``, an L2 penalty
            otherwise.
        gradient_clip: float > 0, default None. Largest norm of the gradient; None does not clip.
        patience: int >= 1, default None. Early stopping after this many epochs without improvement of the validation
            loss (the training loss where there is no validation set); None never stops early.
        keep: {"best", "last"}, default "best". Which weights are kept: those with the lowest such loss, or those of
            the last epoch.
        ema_decay: float in [0, 1), default 0. Decay of an exponential moving average of the weights, which takes their
            place in validation and in what is kept; 0 averages nothing.
        stage: {"all", "encoder", "decoder"}, default "all". Which network is trained. With ``decoder`` the weights of
            encoder, latent and prior do not change, with ``encoder`` those of decoder and likelihood; critics are
            trained with both. For runs that start from the weights of another one (``isthmus fit --from RUN``).
        checkpoint_interval: float >= 0, default 60. Seconds between two checkpoints.
        precision: {"auto", "32", "bf16"}, default "auto". Precision of the networks: float32, bfloat16, or bfloat16
            only on devices where it is fast.
        compile: {"auto", "on", "off"}, default "auto". Whether a step (forward and backward pass, and the update of
            the weights) is one compiled function: usually 1.2 to 2.5 times as fast, after a wait of some seconds.
            ``auto`` compiles where the steps of the run save more than that wait.

    References:
        On the importance of initialization and momentum in deep learning (Sutskever et al., 2013)
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=128, ge=1)
    optimizer: Literal["adam", "adamw", "sgd", "nesterov", "muon", "cg", "lbfgs", "exact"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate")
    width_scaling: int | None = Field(default=1024, ge=1, description="inputs above which a layer learns more slowly")
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1, description="fraction of the run over which the learning rate rises")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd and nesterov")
    momentum_stage: int = Field(default=0, ge=0, description="steps per stage of the momentum schedule; 0: constant")
    line_searches: int = Field(default=3, ge=1, le=1000, description="line searches of cg and lbfgs per batch")
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled with adamw and muon, else L2")
    gradient_clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient")
    patience: int | None = Field(default=None, ge=1, description="epochs without improvement before early stopping")
    keep: Literal["best", "last"] = "best"
    ema_decay: float = Field(default=0.0, ge=0, lt=1, description="decay of an average of the weights; 0: none")
    stage: Literal["all", "encoder", "decoder"] = Field(default="all", description="which network is trained")
    checkpoint_interval: float = Field(default=60, ge=0, description="seconds between two checkpoints")
    precision: Literal["auto", "32", "bf16"] = "auto"
    compile: Literal["auto", "on", "off"] = Field(default="auto", description="a training step as a compiled function")


class PretrainingOptions(Options):
    """Greedy layer-wise pretraining of a deep network: each layer is trained on the codes of the layer below.

    Layers are trained on the examples without augmentation: ``data.random_shift`` and ``data.binarize=dynamic`` apply
    to the training of the whole network only.

    Args:
        kind: str, default "none". ``none``, ``rbm`` (restricted Boltzmann machines), or the name of a recipe with one
            layer, such as ``denoising``, by which each layer is trained as a shallow autoencoder.
        epochs: int or tuple of ints in [1, 100000], default 10. Epochs per layer, from the data inward; the last value
            holds for all further layers.
        batch_size: int >= 1, default 100. Examples per step.
        learning_rate: float or tuple of floats > 0, default None. Learning rate per layer, in the order of ``epochs``;
            None uses the default of ``kind``.
        weight_decay: float >= 0, default 2e-4. L2 penalty on the weights of a Boltzmann machine.
        changes: dict, default {}. Options of the recipe named by ``kind``, by their path; at most 64.
    """

    kind: str = Field(default="none", max_length=80)
    epochs: EpochsEach = Field(default=(10,), description="per layer")
    batch_size: int = Field(default=100, ge=1)
    learning_rate: RateEach | None = Field(default=None, description="per layer; by default that of the kind")
    weight_decay: float = Field(default=2e-4, ge=0, description="L2 penalty on a Boltzmann machine's weights")
    changes: dict[str, float | bool | str] = Field(default_factory=dict, max_length=64)
