r"""Measures of samples and reconstructions, by the features of a judge and by pixels."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from isthmus import functional as F
from isthmus.comparison.judge import Judge
from isthmus.errors import BadData
from isthmus.metrics.reconstruction import are_pictures, as_shown

SAMPLES = 5000
"""Samples that are measured, at most; as many as there are examples to compare with, but at least 500."""
FEWEST = 500
NEIGHBOR_EXAMPLES, NEIGHBOR_SAMPLES = 10_000, 500
"""Training examples among which nearest neighbors are searched, and samples whose neighbors are."""
PER_FEATURE = 5
"""Examples that a Frechet distance needs for each feature."""

MEANINGS: dict[str, str] = {
    "frechet": "squared Frechet distance to the data in the features of the judge; lower is better",
    "kid": "kernel distance to the data (KID x 1000) in the same features; lower is better",
    "precision": "fraction of samples among the data (k = 3); higher is better",
    "recall": "fraction of the data among the samples (k = 3); higher is better",
    "sharpness": "variance of the Laplacian, as a ratio to that of the data",
    "nearest": "distance to the nearest training example, as a ratio to that of test examples; far below 1: copies",
    "psnr": "PSNR of reconstructions, in dB; higher is better",
    "frechet_random": "the Frechet distance in features of random weights",
}
"""Meaning of each measure."""


@dataclass(frozen=True)
class Reference:
    """The data that samples are compared with, and its features.

    Attributes:
        x: examples that no model was trained on, (N, *D).
        train: training examples, of which samples may be copies.
        judge: the judge.
        random: the judge with random weights.
    """

    x: Tensor
    train: Tensor
    judge: Judge
    random: Judge
    _features: dict[str, Tensor] = field(default_factory=dict)

    def features(self, judge: Judge) -> Tensor:
        """The features of ``x``."""
        if judge.name not in self._features:
            self._features[judge.name] = judge.features(self.x)
        return self._features[judge.name]

    @property
    def samples(self) -> int:
        """Number of samples to measure."""
        return min(SAMPLES, max(FEWEST, len(self.x)))


def of_samples(reference: Reference, y: Tensor) -> dict[str, float]:
    """The measures of samples (M, *D)."""
    y = as_shown(y.cpu(), reference.x)
    found = {"nearest": nearest_ratio(reference, y)}
    of_data, made = reference.features(reference.judge), reference.judge.features(y)
    if len(of_data) > 3 and len(made) > 3:
        # sets of equal size, as the balls of the larger one are smaller
        size = min(len(of_data), len(made))
        found |= F.precision_recall(of_data[:size], made[:size])._asdict()
    return found | of_images(reference, y)


def of_images(reference: Reference, y: Tensor) -> dict[str, float]:
    """The measures that samples and reconstructions share."""
    found = distances(reference, y)
    if are_pictures(y) and min(y.shape[-2:]) >= 3:
        of_data = F.sharpness(reference.x.double()).mean()
        found["sharpness"] = (F.sharpness(y.double()).mean() / of_data).item()
    return found


def distances(reference: Reference, y: Tensor) -> dict[str, float]:
    """Frechet and kernel distance in the features of the judge, and the first of them in random features."""
    found: dict[str, float] = {}
    for judge, name in ((reference.judge, "frechet"), (reference.random, "frechet_random")):
        of_data, made = reference.features(judge), judge.features(y)
        if min(len(of_data), len(made)) >= PER_FEATURE * made.shape[1]:
            pair = *F.fitted_gaussian(made), *F.fitted_gaussian(of_data)
            found[name] = F.squared_wasserstein_full(*pair).item()
        if judge is reference.judge:
            found["kid"] = 1000 * kernel_distance(of_data, made)
    return found


def kernel_distance(of_data: Tensor, made: Tensor) -> float:
    """The unbiased squared discrepancy with the polynomial kernel (KID), over features that are standardized alike.

    Features of other judges than the usual one have other scales, on which a kernel of degree 3 depends.

    Raises:
        BadData: fewer than two points.
    """
    if min(len(of_data), len(made)) < 2:
        raise BadData("A kernel distance requires at least two examples and two samples. Pass more.")
    center, scale = of_data.mean(0), of_data.std(0).clamp(min=1e-12)
    a, b = ((v - center) / scale for v in (of_data, made))
    return F.squared_mmd(a, b, "polynomial").item()


def nearest_ratio(reference: Reference, y: Tensor) -> float:
    """Mean distance of samples to the nearest training example, as a ratio to that of examples never trained on."""
    train = reference.train[:NEIGHBOR_EXAMPLES].flatten(1)
    of_samples, of_data = (F.nearest_distance(v[:NEIGHBOR_SAMPLES].flatten(1), train).mean() for v in (y, reference.x))
    return (of_samples / of_data).item() if of_data > 0 else math.nan


def of_reconstructions(reference: Reference, reconstruct: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """PSNR, and the measures of images, of the reconstructions of the data."""
    y = as_shown(reconstruct(reference.x).cpu(), reference.x)
    found: dict[str, float] = {"psnr": F.psnr(reference.x, y).mean().item()} if are_pictures(y) else {}
    return found | of_images(reference, y)
