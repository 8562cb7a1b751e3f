"""Encoding with plain torch in float32, in chunks of its best size."""

import numpy as np
import torch
from networks import pair
from rows import Row
from turns import Turns


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another: the codes of all images."""
    encoder, _ = pair(row.net)
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    while True:
        turns.wait()
        with torch.inference_mode():
            z = torch.cat([encoder(chunk) for chunk in x.split(row.batch)])
        turns.done(len(z), 0.0)
