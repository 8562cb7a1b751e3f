"""One run of one competitor in a process of its own: ``one_run.py SPEC RESULT.json``."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
from figures import FIGURES, part
from judge import Judge
from tasks import COMPETITORS, TASKS


def main() -> None:
    """Train, and write the time, and the figures of validation and test images at its end."""
    spec, result = json.loads(sys.argv[1]), Path(sys.argv[2])
    task, trainer = TASKS[spec["task"]], importlib.import_module(COMPETITORS[spec["who"]].module)
    with np.load(spec["data"]) as data:
        images, valid, test = data["train"], *(part(data[n], data.get(f"{n}_noisy")) for n in ("valid", "test"))
    judge = Judge(task, spec["goal"], spec["limit"], valid)
    coder = trainer.train(spec, images, judge)
    found = {
        "reached": judge.reached,
        "seconds": judge.seconds,
        "epochs": len(judge.track),
        "valid": judge.track[-1][1],
        "track": judge.track,
        "step": judge.step,
        "settings": spec["settings"],
    }
    if spec["test"]:
        found["test"] = FIGURES[task.figure](coder, test)
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
