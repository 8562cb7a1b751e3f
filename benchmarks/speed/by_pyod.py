"""PyOD's autoencoder with the row's widths, without its normalization and dropout; it supports squared error only."""

import numpy as np
from networks import CODE, WIDTHS
from pyod.models.auto_encoder import AutoEncoder
from rows import Row
from turns import Turns


class Turntaker(AutoEncoder):  # type: ignore[misc]
    """Takes turns at the boundary between two epochs."""

    def take(self, turns: Turns, images: int) -> None:
        """Store the turns."""
        self.turns, self.images = turns, images

    def training_prepare(self) -> None:
        """Wait for the first turn."""
        super().training_prepare()
        self.turns.wait()

    def epoch_update(self) -> None:
        """Report an epoch, and wait for the turn of the next."""
        self.turns.done(self.images, float("nan"))
        self.turns.wait()


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another."""
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    widths = [*WIDTHS, CODE["deep"]]
    options = {"batch_norm": False, "dropout_rate": 0.0, "preprocessing": False, "optimizer_params": {}, "verbose": 0}
    detector = Turntaker(
        lr=row.rate, epoch_num=10**6, batch_size=row.batch, hidden_neuron_list=widths, device="cpu", **options
    )
    detector.take(turns, len(x))
    detector.fit(x)
