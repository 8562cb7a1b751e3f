"""Isthmus as a user calls it: ``isthmus.fit`` with metrics, finite checks, kept weights and a progress bar."""

from typing import Any

import numpy as np
from networks import CHANNELS, CODE, KERNEL, WIDTHS, same_start
from rows import Row
from turns import Turns

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "vae": ("vae", {"latent.size": CODE["vae"], "net.widths": [512]}),
    "deep": ("deep", {"latent.size": CODE["deep"], "net.widths": list(WIDTHS)}),
    "conv28": ("conv", {}),
    "conv64": (
        "transposed_conv",
        {"latent.size": CODE["conv64"], "net.channels": list(CHANNELS), "net.kernel_size": KERNEL},
    ),
}
"""The recipe of each net, and what is changed in it."""


def options(row: Row) -> dict[str, Any]:
    """All changes to the recipe of a row."""
    common = {
        "training.learning_rate": row.rate,
        "training.batch_size": row.batch,
        "training.schedule": "constant",
        "training.optimizer": row.optimizer,
        "training.precision": row.precision,
        "data.validation": 0,  # no opponent has one
        "data.test": 0,
    }
    return OPTIONS[row.net][1] | common


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another: an epoch ends by waiting for the next turn."""
    from isthmus import fit
    from isthmus.training.engine import Engine
    from isthmus.training.history import Epoch

    run = Engine.run

    def in_turns(engine: Engine, *arguments: Any, **more: Any) -> Any:
        callback = engine.callback

        def listen(kind: str, what: Any) -> None:
            callback(kind, what)
            if isinstance(what, Epoch):
                turns.done(len(images), what.train["loss"])
                turns.wait()

        engine.callback = listen
        same_start(row.net, row.seed, engine.objective.model.encoder, engine.objective.model.decoder)
        turns.wait()
        return run(engine, *arguments, **more)

    Engine.run = in_turns  # type: ignore[method-assign]
    fit(OPTIONS[row.net][0], images, epochs=10**6, seed=row.seed, options=options(row), progress=True)
