"""Comparators of penalties are trained before the autoencoder, on its training examples."""

import torch
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes

from isthmus.data.prepared import PreparedData
from isthmus.errors import BadData
from isthmus.models.seeding import derive_seed
from isthmus.parts.hooks import ComparesFeatures
from isthmus.training.classifiers import train_features
from isthmus.training.engine import Engine
from isthmus.training.history import copy_weights

EXAMPLES = 10_000
"""Training examples that comparators see."""


def learn_features(engine: Engine, data: PreparedData, seed: int) -> None:
    """Train and calibrate the comparators of all penalties; all processes have those of the first one.

    Raises:
        BadData: a comparator is to be trained on labels, but there are none.
    """
    found = {n: p for n, p in engine.objective.penalties.items() if isinstance(p, ComparesFeatures)}
    if not found or engine.step:
        return
    some = data.train.at_most(EXAMPLES, derive_seed(seed, "features") % 2**31)
    like = engine.objective.model.like
    x = some.tensor.to(like.device, like.dtype)
    for name, penalty in found.items():
        labels = None
        if penalty.learns == "labels":
            if some.labels is None:
                raise BadData(
                    f"penalties.{name}.learns=labels needs the classes of the examples, but the data has none. Pass "
                    f"labels, or set penalties.{name}.learns=exemplars."
                )
            labels = torch.from_numpy(some.labels).long()
        if penalty.learns != "none":
            engine.callback("doing", f"training the comparator of penalties.{name}")
            train_features(penalty.comparator, x, labels, seed=derive_seed(seed, "features", name))
            engine.callback("doing", "")
        penalty.calibrate(x)
        state = {key: value.contiguous() for key, value in penalty.state_dict().items()}
        penalty.load_state_dict(load_bytes(engine.processes.broadcast(save_bytes(state))))
    engine.best_weights.weights = copy_weights(engine.objective)
