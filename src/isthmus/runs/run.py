"""A run: a recipe, the trained model, its metadata and history, and inference with them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.formats.arrays import is_8bit, standardize_layout
from isthmus.data.preparing.new_data import lazy_like_training, transform_like_training
from isthmus.data.preparing.prepared import PreparedData
from isthmus.data.streaming.choice import source_if_streamed
from isthmus.data.streaming.lazy import StoredTensor
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadRun
from isthmus.metrics.evaluation import evaluate
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.hardware import network_precision
from isthmus.models.inputs import chunks
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.options import DataOptions
from isthmus.runs.folder import (
    METRICS,
    RECIPE,
    RECORD,
    WEIGHTS,
    RunMetadata,
    check_weights,
    plain_file,
    read_history,
    read_json,
    read_metadata,
    read_weights,
    write_run,
)


@dataclass(repr=False)
class Run:
    """A trained model with everything needed to use it again and to trace its origin.

    ``encode``, ``decode``, ``reconstruct`` and ``sample`` take and return data in the units of the data passed to
    ``fit``; the methods of ``model`` work in the units of its inputs.

    Attributes:
        recipe: the recipe, complete.
        objective: the objective with the trained model.
        metadata: the content of run.json: data, seed, outcome, versions.
        history: the rows of metrics.jsonl, one per epoch.
        folder: the run folder; ``None`` until the run is saved.
        data: the data it was trained on, if still in memory.
    """

    recipe: Recipe
    objective: Objective
    metadata: RunMetadata
    history: list[dict[str, Any]] = field(default_factory=list)
    folder: Path | None = None
    data: PreparedData | None = None

    def __repr__(self) -> str:
        """Recipe, data, epoch of the weights and folder."""
        kept = self.metadata.outcome.get("kept_epoch", "?")
        place = f", saved in {str(self.folder)!r}" if self.folder else ""
        return f"<Run {self.recipe.name} on {self.metadata.data}, weights of epoch {kept}{place}>"

    @property
    def model(self) -> Autoencoder:
        """The trained autoencoder."""
        return self.objective.model

    @property
    def scaling(self) -> Scaling:
        """The affine map from raw values to model inputs."""
        return Scaling.from_dict(self.metadata.scaling)

    def encode(self, x: Array, *, sample: bool = False, precision: str = "32") -> Array:
        """Codes of examples, (N, *code): the mean of q(z | x), or a sample from it.

        Args:
            x: examples in the units of the training data, (N, D), (N, H, W) or (N, H, W, C).
            sample: sample from q(z | x) instead of taking its mean.
            precision: precision of the encoder's matrix products: ``32``, ``bf16`` (about four times as fast if the
                hardware supports it; codes of a trained network differ by about 0.3 % in norm), or ``auto``, which is
                bf16 where it is fast.

        Raises:
            IsthmusError: examples of another shape, values that are not finite, or an unknown precision.
        """
        dtype = self.network_dtype(precision)
        codes = (self.model.encode(c, sample=sample, precision=dtype) for c in chunks(self.inputs(x)))
        return np.concatenate([z.cpu().numpy() for z in codes])

    def network_dtype(self, precision: str) -> torch.dtype | None:
        """The dtype of matrix products for a precision (``auto``, ``32``, ``bf16``); ``None`` is float32.

        Raises:
            BadOption: an unknown precision, or one that the device does not support.
        """
        return network_precision(precision, self.model.like.device)

    def decode(self, z: Array) -> Array:
        """Decoded latent codes (N, *code), in the units of the data."""
        return self.to_array(self.model.decode(torch.as_tensor(np.asarray(z, np.float32))))

    def reconstruct(self, x: Array, *, sample: bool = False) -> Array:
        """Reconstructions of examples, of the shape and in the units of the data."""
        outputs = (self.model.reconstruct(chunk, sample=sample) for chunk in chunks(self.inputs(x)))
        return np.concatenate([self.to_array(y) for y in outputs])

    def sample(self, n: int, *, seed: int | None = None) -> Array:
        """``n`` new examples, decoded from samples of the prior, in the units of the data."""
        return self.to_array(self.model.sample(n, seed=seed))

    def evaluate(self, x: Array, *, seed: int = 0) -> dict[str, float]:
        """Metrics of the run on raw examples; for units see :data:`isthmus.metrics.evaluation.MEANINGS`."""
        inputs = self.inputs(x)
        if isinstance(inputs, StoredTensor):
            inputs.add_check(self.model.likelihood.check)
        return evaluate(self.objective, inputs, seed=seed)

    def inputs(self, x: Array) -> Tensor | StoredTensor:
        """Model inputs of raw examples; large data, such as a memory-mapped file, is read chunk by chunk."""
        source = source_if_streamed(x, DataOptions())
        if source is None:
            return self.to_tensor(x)
        return lazy_like_training(source, self.metadata.shape, self.scaling, DataOptions(), self.metadata.seed)

    def to_tensor(self, x: Array, *, pixels: bool | None = None) -> Tensor:
        """Model inputs (N, D) or (N, C, H, W) of raw examples, transformed as the training data was.

        ``pixels`` is whether 8-bit values are pixel intensities; by default they are, unless all are 0 or 1.

        Raises:
            IsthmusError: another shape, or values that are not finite.
        """
        x = standardize_layout(np.asarray(x), None, "The array")
        brightness = is_8bit([x]) if pixels is None else pixels
        return transform_like_training(x, self.metadata.shape, self.scaling, self.metadata.images, brightness)

    def to_plot(self, x: Tensor) -> Array:
        """Model inputs or outputs for plots: images channels first, in the units of the data."""
        x = x.detach().cpu()
        return (self.scaling.invert(x) if self.metadata.images and self._rescaled else x).numpy()

    @property
    def _rescaled(self) -> bool:
        """Whether images were scaled in another way than from bytes to [0, 1]."""
        return self.scaling.kind not in ("auto", "none")

    def to_array(self, x: Tensor) -> Array:
        """Model outputs as arrays: images with channels last and pixels in [0, 1], tables in their original units."""
        x = x.detach().cpu()
        if not self.metadata.images:
            return self.scaling.invert(x).numpy()
        images = self.scaling.invert(x) if self._rescaled else x
        return (images[:, 0] if images.shape[1] == 1 else images.movedim(1, -1)).contiguous().numpy()

    def save(self, folder: Path | str) -> Path:
        """Write the run into ``folder``; each file is written atomically."""
        self.folder = Path(folder)
        write_run(self.folder, self.recipe.to_dict(), self.model, self.metadata, self.history)
        return self.folder


def load(folder: Path | str, objective: Objective | None = None) -> Run:
    """Load a saved run. A run made from parts by hand needs its ``objective``, built again in the same way.

    Raises:
        BadRun: the folder is missing or damaged, or of another format.
    """
    folder = Path(folder)
    _check_is_run(folder)
    metadata = read_metadata(folder)
    recipe = Recipe.from_dict(read_json(folder / RECIPE))
    weights = plain_file(folder / WEIGHTS)
    if objective is None:
        if metadata.by_hand:
            raise BadRun(
                f"The run in {str(folder)!r} was made from parts by hand, which its files do not describe. Build the "
                "same objective again and pass it to isthmus.load(folder, objective)."
            )
        # a small recipe may describe a model of gibibytes: it is built only if the file holds its weights
        check_weights(recipe.draft(metadata.shape).model, weights)
        objective = recipe.build(metadata.shape)
    objective.dry_run(metadata.shape)
    check_weights(objective.model, weights)
    objective.model.load_state_dict(read_weights(weights))
    objective.eval()
    return Run(recipe, objective, metadata, read_history(folder / METRICS), folder)


def _check_is_run(folder: Path) -> None:
    """Refuse a path that is not a run folder."""
    try:
        exists, is_run = folder.is_dir(), (folder / RECORD).exists()
    except OSError:
        # an invalid file name
        exists = is_run = False
    if not is_run:
        what = "has no run.json" if exists else "does not exist"
        raise BadRun(
            f"{str(folder)!r} is not a run folder: it {what}. Train a run first, for example with "
            "isthmus.fit('vae', 'digits', out='RUN')."
        )
