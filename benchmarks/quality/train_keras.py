"""Keras 3 on JAX through ``Model.fit``, compiled by default, until a figure is reached."""

import keras
import numpy as np
import torch
from by_keras import Sampling, cross_entropy, network
from figures import Coder
from judge import Judge
from tasks import TASKS, Spec
from torch import Tensor


class Look(keras.callbacks.Callback):
    """Asks the judge after every epoch."""

    def __init__(self, judge: Judge, coder: Coder) -> None:
        super().__init__()
        self.judge, self.coder = judge, coder

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """End training where the judge says so."""
        if self.judge.ends(self.coder):
            self.model.stop_training = True


def coder_of(model: keras.Model) -> Coder:
    """The layers before and after the code is sampled; the whole network decodes where it is not."""
    kinds = [isinstance(layer, Sampling) for layer in model.layers]
    before = model.layers[: kinds.index(True)] if any(kinds) else []
    after = model.layers[len(before) + any(kinds) :]

    def encode(x: Tensor) -> Tensor:
        return _through(before, x.permute(0, 2, 3, 1)) if before else x.permute(0, 2, 3, 1)

    return Coder(encode, lambda z: _through(after, z).sigmoid())


def _through(chain: list[keras.layers.Layer], x: Tensor) -> Tensor:
    h = x.numpy()
    for layer in chain:
        h = layer(h)
    return torch.from_numpy(np.array(h))


def train(spec: Spec, images: np.ndarray, judge: Judge) -> Coder:
    """Train until the judge ends it."""
    judge.start()
    keras.utils.set_random_seed(spec["seed"])
    x = images[..., None].astype(np.float32) / 255
    model = network(TASKS[spec["task"]].net)
    coder = coder_of(model)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=cross_entropy)
    batch = spec["settings"]["training.batch_size"]
    look = Look(judge, coder)
    model.fit(x, x.reshape(len(x), -1), batch_size=batch, epochs=10**6, verbose=2, callbacks=[look])
    return coder
