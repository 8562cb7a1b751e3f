r"""Judges: networks whose features stand for what a picture shows, by which samples and data are compared.

A judge is trained once for a data set and kept in the user's cache: on classes where there are labels, else to tell
examples apart. It has another architecture and another seed than the comparator of a loss
(:class:`isthmus.parts.penalties.features.Features`), since a model that was trained on a judge would win by it. Random
features, which nothing was trained on, are always measured beside it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.prepared import PreparedData, PreparedSplit
from isthmus.errors import BadOption
from isthmus.files.atomic import replacing
from isthmus.files.cache import cache_folder
from isthmus.models.seeding import seeded
from isthmus.parts.nets.comparator import FeatureNet, comparator
from isthmus.training.classifiers import train_features

CHANNELS, KERNEL, OUTPUTS = (24, 48, 96), 5, 64
"""The architecture of a judge: feature maps, size of the kernels, and length of its features."""
SEED, STEPS, EXAMPLES = 20_220, 3000, 60_000
CHUNK = 500
VERSION = 1
"""Part of the names of kept judges: another number trains all of them again."""

Progress = Callable[[str], None]
"""Called with what is being done."""


@dataclass(frozen=True)
class Judge:
    """A network and what it was trained on.

    Attributes:
        name: what its features are: ``classes``, ``exemplars`` or ``random``.
        net: the network, on the CPU.
        accuracy: fraction of held-out examples whose class it finds; ``None`` without classes.
    """

    name: str
    net: FeatureNet
    accuracy: float | None = None

    @torch.no_grad()
    def features(self, x: Float[Tensor, "N *D"]) -> Float[Tensor, "N d"]:
        """The features of examples in units of the data's model inputs, in float64."""
        found = [self.net(some.float().nan_to_num(0.0))[-1] for some in torch.split(x, CHUNK)]
        return torch.cat(found).double()

    def __str__(self) -> str:
        """Name, and accuracy if there is one."""
        return self.name if self.accuracy is None else f"{self.name} ({self.accuracy:.1%} of test examples right)"


def random_judge(data: PreparedData) -> Judge:
    """Features of a network with random weights."""
    return Judge("random", _net(data))


def judge_for(data: PreparedData, progress: Progress = lambda doing: None) -> Judge:
    """The judge of a data set: the one that is kept, else a new one; ``progress`` is called before it is trained."""
    labels = data.train.labels
    name = "exemplars" if labels is None else "classes"
    some = data.train.at_most(EXAMPLES, SEED)
    x, net = some.tensor, _net(data)
    path = _path(x, name)
    try:
        weights = load_file(path)
        net.load_state_dict({key: value for key, value in weights.items() if key != "accuracy"})
        found = weights["accuracy"].item()
    except (OSError, SafetensorError, RuntimeError, KeyError):
        progress("training the judge (once for a data set)")
        found = _trained(net, x, some.labels, data.test or data.valid)
        _keep(net, found, path)
    return Judge(name, net, None if labels is None else found)


def _net(data: PreparedData) -> FeatureNet:
    with seeded(SEED):
        return comparator(data.shape, CHANNELS, OUTPUTS, KERNEL).eval()


def _trained(net: FeatureNet, x: Tensor, classes: Array | None, other: PreparedSplit | None) -> float:
    """Train the network; the fraction of other examples whose class it finds, 0 without classes."""
    labels = None if classes is None else torch.from_numpy(classes).long()
    head = train_features(net, x, labels, seed=SEED, steps=STEPS)
    if labels is None or other is None or other.labels is None:
        return 0.0
    with torch.no_grad():
        found = torch.cat([head(net(some)[-1]).argmax(1) for some in torch.split(other.tensor, CHUNK)])
    return (found == torch.from_numpy(other.labels)).double().mean().item()


def _path(x: Tensor, name: str) -> Path:
    """The file of a judge, by the values of the examples and what it is trained on."""
    digest = hashlib.sha256(f"{VERSION} {name} {CHANNELS} {KERNEL} {OUTPUTS} {STEPS} {tuple(x.shape[1:])}".encode())
    digest.update(x.contiguous().numpy().data)
    return cache_folder() / "judges" / f"{digest.hexdigest()[:32]}.safetensors"


def _keep(net: FeatureNet, accuracy: float, path: Path) -> None:
    """Keep a judge; where nothing can be written it is trained again the next time."""
    try:
        with replacing(path) as temporary:
            save_file(net.state_dict() | {"accuracy": torch.tensor(accuracy)}, temporary)
    except (BadOption, OSError):
        return
