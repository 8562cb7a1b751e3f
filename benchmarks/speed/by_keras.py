"""Keras 3 on JAX through ``Model.fit``, compiled by default."""

import keras
import numpy as np
from keras import layers, ops
from networks import CODE, WIDTHS, pair
from rows import Row
from turns import Turns


@keras.saving.register_keras_serializable()
class Sampling(layers.Layer):
    """Samples the code, and adds its divergence from the standard normal to the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = keras.random.SeedGenerator()  # its seed follows from the global one

    def call(self, h):  # noqa: ANN001, ANN201  a tensor of whichever backend
        """The sampled code."""
        loc, log_scale = ops.split(h, 2, axis=1)
        scale = ops.exp(log_scale)
        self.add_loss(ops.mean(ops.sum(0.5 * (loc**2 + scale**2 - 1) - log_scale, axis=1)))
        return loc + scale * keras.random.normal(ops.shape(loc), seed=self.noise)


def network(net: str) -> keras.Model:
    """The whole network of a row, from pixels to logits."""
    if net == "vae":
        middle = [layers.Dense(512, "relu"), layers.Dense(2 * CODE["vae"]), Sampling(), layers.Dense(512, "relu")]
        return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *middle, layers.Dense(784)])
    if net == "deep":
        inwards = [layers.Dense(width, "relu") for width in WIDTHS]
        outwards = [layers.Dense(width, "relu") for width in reversed(WIDTHS)]
        chain = [*inwards, layers.Dense(CODE["deep"]), *outwards, layers.Dense(784)]
        return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *chain])
    down = [part for width in (16, 8, 8) for part in (_maps(width), layers.MaxPooling2D(padding="same"))]
    up = [_maps(8), layers.UpSampling2D(), layers.Cropping2D(((0, 1), (0, 1))), _maps(8), layers.UpSampling2D()]
    out = [_maps(16), layers.UpSampling2D(), layers.Conv2D(1, 3, padding="same"), layers.Flatten()]
    return keras.Sequential([keras.Input((28, 28, 1)), *down, *up, *out])


def _maps(width: int) -> layers.Layer:
    return layers.Conv2D(width, 3, padding="same", activation="relu")


def cross_entropy(x, logits):  # noqa: ANN001, ANN201  tensors of whichever backend
    """Nats per example."""
    return ops.sum(ops.binary_crossentropy(x, logits, from_logits=True), axis=-1)


class Turntaker(keras.callbacks.Callback):
    """The boundary between two turns."""

    def __init__(self, turns: Turns, images: int) -> None:
        super().__init__()
        self.turns, self.images, self.loss = turns, images, float("nan")

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report the last epoch, and wait for the turn of this one."""
        if epoch:
            self.turns.done(self.images, self.loss)
        self.turns.wait()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch's loss."""
        self.loss = float((logs or {})["loss"])


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another."""
    keras.utils.set_random_seed(row.seed)
    x = images[..., None].astype(np.float32) / 255
    model = network(row.net)
    # products are the other way round here, and channels come last
    weights = [p.detach() for part in pair(row.net, row.seed) for p in part.parameters()]
    turned = [w.permute(2, 3, 1, 0) if w.ndim == 4 else w.T if w.ndim == 2 else w for w in weights]
    for theirs, ours in zip(model.trainable_weights, turned, strict=True):
        theirs.assign(ours.numpy())
    model.compile(optimizer=keras.optimizers.Adam(row.rate), loss=cross_entropy)
    model.fit(
        x,
        x.reshape(len(x), -1),
        batch_size=row.batch,
        epochs=10**6,
        verbose=2,
        callbacks=[Turntaker(turns, len(x))],
    )
