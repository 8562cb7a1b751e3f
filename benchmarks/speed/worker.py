"""One competitor in a separate process; started by the rotation: ``worker.py COMPETITOR ROW IMAGES.npy``."""

import importlib
import sys

import numpy as np
from rows import COMPETITORS, ROWS
from turns import Turns


def main() -> None:
    """Compete until the rotation ends."""
    who, name, path = sys.argv[1:]
    competitor = COMPETITORS[who]
    images = np.load(path)
    importlib.import_module(competitor.module).compete(ROWS[name], images, Turns(), competitor.variant)


if __name__ == "__main__":
    main()
