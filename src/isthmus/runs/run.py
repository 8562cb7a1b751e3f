"""A run: a recipe, the trained model, its metadata and history, and inference with them.

The methods of :class:`Run` are the verbs of the command. Each calls a function of ``runs`` or ``reports``, which are
imported when a method is called, because they import this module.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.prepared import PreparedData
from isthmus.data.transforms.axes import CANONICAL
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.scaling import Scaling
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.hardware import network_precision
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.runs.folder import RunMetadata, write_run
from isthmus.runs.kept_densities import RunDensity, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isthmus.reports.diagnosis import Finding
    from isthmus.runs.data import NewData
    from isthmus.runs.directions import Direction
    from isthmus.runs.points import FeaturePoints


@dataclass(repr=False)
class Run:
    """A trained model with everything needed to use it again and to trace its origin.

    Methods take data in any form that ``fit`` takes, in its units, and answer in the kind that came: a data frame with
    the same index for a data frame, a tensor for a tensor, else a NumPy array. ``model`` is a PyTorch module that works
    in the units of its inputs.

    A run can be pickled, and so be sent to other processes: with everything but the data it was trained on. To keep a
    run, :meth:`save` it: a pickle depends on the versions of Python, torch and Isthmus, and loading one runs code.

    Attributes:
        recipe: the recipe, complete.
        objective: the objective with the trained model.
        metadata: the content of run.json: data, seed, outcome, versions.
        history: the rows of metrics.jsonl, one per epoch.
        folder: the run folder; ``None`` until the run is saved.
        data: the data it was trained on, if still in memory; ``None`` for a loaded or unpickled run.
        densities: the densities of its codes that were fitted or read, by kind (:meth:`density`).
    """

    recipe: Recipe
    objective: Objective
    metadata: RunMetadata
    history: list[dict[str, Any]] = field(default_factory=list)
    folder: Path | None = None
    data: PreparedData | None = None
    densities: dict[str, RunDensity] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Recipe, data, epoch of the weights and folder."""
        kept = self.metadata.outcome.get("kept_epoch", "?")
        place = f", saved in {str(self.folder)!r}" if self.folder else ""
        return f"<Run {self.recipe.name} on {self.metadata.data}, weights of epoch {kept}{place}>"

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled or copied: all attributes, with ``data`` as ``None``."""
        return self.__dict__ | {"data": None}

    @property
    def model(self) -> Autoencoder:
        """The trained autoencoder."""
        return self.objective.model

    @property
    def scaling(self) -> Scaling:
        """The affine map from raw values to model inputs."""
        return Scaling.from_dict(self.metadata.scaling)

    @property
    def contract(self) -> DataContract:
        """What was decided on the training data, and is applied to all other data."""
        return self.metadata.data_contract

    def encode(self, x: "NewData", *, sample: bool = False, seed: int | None = None, precision: str = "32") -> Any:
        """Codes of examples, (N, *code): the mean of q(z | x), or a sample from it.

        Args:
            x: examples in the units of the training data, (N, D), (N, H, W) or (N, H, W, C), in any form that
                :func:`isthmus.fit` takes; the name of a data set; or a path. The columns of a table are matched by
                name. Of a data set with several splits, all examples are taken in order.
            sample: sample from q(z | x) instead of taking its mean.
            seed: seed of the samples.
            precision: precision of the encoder's matrix products: ``32``, ``bf16`` (about four times as fast if the
                hardware supports it; codes of a trained network differ by about 0.3 % in norm), or ``auto``, which is
                bf16 where it is fast.

        Raises:
            IsthmusError: examples of another shape, values that are not finite, or an unknown precision.
        """
        from isthmus.runs import inference

        return inference.encode(self, x, sample=sample, precision=precision).answer(x, "z", seed)

    def points(self, x: "NewData") -> "FeaturePoints":
        """Feature points of every frame of videos: positions, presence and tracks, of a run with net.kind=spatial."""
        from isthmus.runs import points

        return points.feature_points(self, x)

    def decode(self, z: "NewData") -> Any:
        """Decoded latent codes (N, *code), in the units of the data."""
        from isthmus.runs import inference

        return inference.decode(self, z)

    def reconstruct(self, x: "NewData", *, sample: bool = False, seed: int | None = None) -> Any:
        """Reconstructions of examples (as for :meth:`encode`), of the shape and in the units of the data."""
        from isthmus.runs import inference

        return inference.reconstruct(self, x, sample=sample).answer(x, "x", seed)

    def denoise(
        self, x: "NewData", *, corrupt: bool = False, seed: int | None = None, noise_level: float | None = None
    ) -> Any:
        """Denoised examples: reconstructions of noisy ones, whose values may lie outside the range of clean data.

        Args:
            x: noisy examples, as for :meth:`encode`.
            corrupt: the examples are clean; apply the corruption of the run to them first.
            seed: seed of the corruption.
            noise_level: standard deviation of the noise, in units of the results (pictures: of 1 for full brightness),
                for a network that sees it, as that of the recipe ``denoiser``; estimated from each example if ``None``.

        Raises:
            IsthmusError: examples of another shape, or ``corrupt`` for a run without a corruption.
        """
        from isthmus.runs import inference

        return inference.denoise(self, x, corrupt=corrupt, noise_level=noise_level).answer(x, "x", seed)

    def score(self, x: "NewData | None" = None, *, seed: int = 0, importance_samples: int = 0) -> Any:
        """Anomaly scores (N,), in nats; higher is more anomalous (:func:`isthmus.metrics.scores.scores`).

        Args:
            x: examples, as for :meth:`encode`; the test set of the run by default.
            seed: seed of the samples.
            importance_samples: estimate -log p(x) from this many samples of z per example; 0 for the evidence lower
                bound, or the reconstruction error of a model without one.
        """
        from isthmus.runs import inference

        return inference.score(self, x, seed=seed, importance_samples=importance_samples).answer(x)

    def sample(
        self,
        n: int,
        *,
        density: str | None = None,
        temperature: float = 1.0,
        outputs: str = "mean",
        seed: int | None = None,
        data: "NewData | None" = None,
    ) -> Array:
        """``n`` new examples, decoded from sampled codes, in the units of the data.

        Codes of a trained model rarely follow its prior, and those of many models have none: samples are better from a
        density that was fitted to the codes of the training examples.

        Args:
            n: number of examples.
            density: what codes are sampled from: ``prior``; ``gaussian``, ``gmm`` (mixture of Gaussians), ``kde``
                (kernel density) or ``flow``, fitted when they are first asked for and kept in the run; ``categorical``
                for discrete codes; or ``auto``, the one under which held-out codes are most likely. By default the
                prior, or ``auto`` for a model without one.
            temperature: factor of the standard deviations of the density; below 1 samples are more typical and less
                varied.
            outputs: ``mean`` or ``sample`` of p(x | z).
            seed: seed of the samples.
            data: examples to whose codes the density is fitted; by default the training data, which is read again.

        Raises:
            IsthmusError: an unknown density, or one that the codes do not have.
        """
        from isthmus.runs import densities

        return self.to_array(
            densities.sample(self, n, density=density, temperature=temperature, outputs=outputs, seed=seed, data=data)
        )

    def density(self, kind: str | None = None, data: "NewData | None" = None) -> RunDensity:
        """The density of codes that :meth:`sample` uses, with the log-likelihood of held-out codes under it.

        Args:
            kind: as for :meth:`sample`.
            data: examples to whose codes it is fitted again; by default one that is kept is returned.
        """
        from isthmus.runs import densities

        return densities.density_of(self, kind, data)

    def interpolate(
        self,
        start: "NewData | None" = None,
        end: "NewData | None" = None,
        *,
        rows: int = 6,
        steps: int = 11,
        path: str = "linear",
    ) -> Array:
        """Decoded points on lines between the codes of pairs of examples, (rows, steps, ...).

        Args:
            start: examples, as for :meth:`encode`; the test set of the run by default.
            end: examples, one for each of ``start``. Without them ``rows`` pairs are chosen among ``start``.
            rows: number of pairs that are chosen.
            steps: points per line, both ends included.
            path: ``linear``, or ``spherical``, along which the length of codes changes evenly too: between codes of a
                standard normal in many dimensions a straight line passes through the middle, where no codes are.

        Raises:
            IncompatibleParts: the code is discrete.
        """
        from isthmus.runs import inference

        return self.to_lines(inference.interpolate(self, start, end, rows=rows, steps=steps, path=path))

    def direction(self, toward: object = None, **options: Any) -> "Direction":
        """The direction in latent space from one class to another, or along pairs of examples.

        Args:
            toward: the class that it leads to, by its name or number.
            options: ``away``, the class that it starts from (default: all others); ``data`` and ``labels``, the labeled
                examples (default: the training data), where ``labels`` is an array (N,) or the name of a column or
                array; ``method``, ``means`` or ``logistic``; or ``before`` and ``after``, pairs of examples
                (:func:`isthmus.runs.directions.direction_of`).

        Raises:
            IsthmusError: a discrete code, no labels, or no such class.
        """
        from isthmus.runs import directions

        return directions.direction_of(self, toward, **options)

    def alter(
        self, x: "NewData", toward: object = None, *, strength: float = 1.0, residual: bool = False, **options: Any
    ) -> Any:
        """Examples with their codes moved along a direction, of the shape and in the units of the data.

        Args:
            x: examples, as for :meth:`encode`.
            toward: a direction, or a class.
            strength: 1 is the whole way from one class to the other; below 0 leads away from it.
            residual: keep what the reconstruction of each example lacks: :math:`x + D(z + s v) - D(z)`.
            options: the options of :meth:`direction`.

        Raises:
            IsthmusError: as for :meth:`direction`, or a direction of another run.
        """
        from isthmus.runs import directions

        return directions.alter(self, x, toward, strength=strength, residual=residual, **options).answer(x, "x")

    def neighborhood(
        self, x: "NewData", n: int = 8, *, distance: float = 0.3, seed: int = 0, data: "NewData | None" = None
    ) -> Array:
        """``n`` new examples near each of ``x``, (N, n, ...): decoded codes around its own.

        Args:
            x: examples, as for :meth:`encode`.
            n: number of new examples for each.
            distance: from 0, the reconstruction, to 1, as different as any two examples are.
            seed: seed of the codes.
            data: examples whose codes say what is far; by default the training data.
        """
        from isthmus.runs import directions

        return directions.neighborhood(self, x, n, distance=distance, data=data).array(seed)

    def evaluate(
        self, x: "NewData | None" = None, *, seed: int | None = None, importance_samples: int = 0
    ) -> dict[str, float]:
        """Metrics by name; for meanings and units see :data:`isthmus.metrics.evaluation.MEANINGS`.

        Args:
            x: examples, as for :meth:`encode`; the test set of the run by default.
            seed: seed of all samples; that of the run by default.
            importance_samples: if K > 0, also compute ``nll`` from K samples of z per example.
        """
        from isthmus.runs import inference

        return inference.evaluate(self, x, seed=seed, importance_samples=importance_samples)

    def plot(self, name: str | None = None, data: "NewData | None" = None) -> "Figure | dict[str, Figure]":
        """The figure called ``name``, such as ``samples``, or by default all figures of the run by name.

        Args:
            name: name of a figure; which ones a run has depends on its parts.
            data: examples, as for :meth:`encode`; the test set of the run by default.

        Raises:
            UnknownName: the run has no such figure.
        """
        from isthmus.reports import figures

        return figures.plot(self, name, data)

    def doctor(self, data: "NewData | None" = None) -> "list[Finding]":
        """Likely problems of the run, each with the option to change; empty if none was found."""
        from isthmus.reports import diagnosis
        from isthmus.runs.data import data_for

        return diagnosis.diagnose(self, data_for(self, data))

    def report(self, folder: Path | str | None = None, data: "NewData | None" = None) -> Path:
        """Write ``report.html`` with the metrics and figures of the run; returns its path.

        Args:
            folder: folder of the report and its figures; the folder of the run by default.
            data: examples, as for :meth:`encode`; the test set of the run by default.

        Raises:
            BadRun: no ``folder`` is given, and the run was not saved.
        """
        from isthmus.reports import report

        return report.make(self, folder, data).path

    def network_dtype(self, precision: str) -> torch.dtype | None:
        """The dtype of matrix products for a precision (``auto``, ``32``, ``bf16``); ``None`` is float32.

        Raises:
            BadOption: an unknown precision, or one that the device does not support.
        """
        return network_precision(precision, self.model.like.device)

    def to_tensor(self, x: "NewData") -> Tensor:
        """Model inputs (N, *shape) of raw examples, transformed as the training data was.

        Raises:
            IsthmusError: another shape, or infinite values.
        """
        from isthmus.runs import data

        return data.model_inputs(self, x)

    def to_plot(self, x: Tensor) -> Array:
        """Model inputs or outputs (..., *shape) for plots: channels first, in the units of the data."""
        x = x.detach().cpu()
        if not self._rescaled or self.metadata.kind == "table":
            return x.numpy()
        return self.scaling.invert(x.reshape(-1, *self.metadata.shape)).reshape(x.shape).numpy()

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of sequences, such as those of the columns of a recording; empty if unknown."""
        schema = self.contract.schema
        names = () if schema is None else tuple(map(str, schema.features))
        return names if self.metadata.kind == "sequences" and len(names) == self.metadata.shape[0] else ()

    @property
    def _rescaled(self) -> bool:
        """Whether examples are not plain numbers, nor pictures that were scaled from bytes to [0, 1]."""
        scaling, pictures = self.scaling, self.metadata.kind in ("images", "frames")
        return not pictures or scaling.kind not in ("auto", "none") or any(scaling.offset)

    @property
    def unit(self) -> float:
        """What a difference of 1 between model inputs is in the results; the mean of several features."""
        return sum(self.scaling.scale) / len(self.scaling.scale) if self._rescaled else 1.0

    def to_array(self, x: Tensor) -> Array:
        """Model outputs as arrays in the units of the data, channels last; pictures scaled from bytes in [0, 1]."""
        x = x.detach().cpu()
        x = self.scaling.invert(x) if self._rescaled else x
        axes = CANONICAL[self.metadata.kind]
        if "C" not in axes:
            return x.numpy()
        # counted from the end, since single frames have no axis of time
        channels = axes.find("C") - len(axes)
        # an axis of one channel is left out, as in gray images (N, H, W)
        last = x.squeeze(channels) if x.shape[channels] == 1 else x.movedim(channels, -1)
        return last.contiguous().numpy()

    def to_lines(self, x: Tensor) -> Array:
        """Model outputs (rows, steps, *shape) as arrays like those of :meth:`to_array`, (rows, steps, ...)."""
        outputs = self.to_array(x.flatten(0, 1))
        return outputs.reshape(*x.shape[:2], *outputs.shape[1:])

    def save(self, folder: Path | str) -> Path:
        """Write the run into ``folder``; each file is written atomically."""
        self.folder = Path(folder)
        write_run(self.folder, self.recipe.to_dict(), self.objective, self.metadata, self.history)
        for found in self.densities.values():
            write(found, self.folder)
        return self.folder
