"""scikit-learn's MLPRegressor from the images to themselves, with the row's widths; it supports squared error only."""

import numpy as np
from networks import CODE, WIDTHS
from rows import Row
from sklearn.neural_network import MLPRegressor
from turns import Turns


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another."""
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    widths = (*WIDTHS, CODE["deep"], *reversed(WIDTHS))
    net = MLPRegressor(
        hidden_layer_sizes=widths, alpha=0.0, batch_size=row.batch, learning_rate_init=row.rate, random_state=row.seed
    )
    while True:
        turns.wait()
        net.partial_fit(x, x)
        turns.done(len(x), float("nan"))
