"""One competitor in a separate process; started by the rotation: ``worker.py COMPETITOR ROW IMAGES.npy SEED``."""

import importlib
import sys
from dataclasses import replace

import numpy as np
from rows import COMPETITORS, row_of
from turns import Turns


def main() -> None:
    """Compete until the rotation ends."""
    who, name, path, seed = sys.argv[1:]
    row = replace(row_of(name), seed=int(seed))
    competitor = COMPETITORS[who]
    images = np.load(path)
    importlib.import_module(competitor.module).compete(row, images, Turns(), competitor.variant)


if __name__ == "__main__":
    main()
