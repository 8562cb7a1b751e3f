"""Suggestions for commands and options that do not exist: what people type who come from other tools."""

import difflib
from collections.abc import Iterable

COMMANDS = {
    "compress": "encode",
    "detect": "score",
    "diagnose": "doctor",
    "draw": "plot",
    "eval": "evaluate",
    "generate": "sample",
    "list": "recipes",
    "models": "recipes",
    "datasets": "data",
    "predict": "reconstruct",
    "restore": "denoise",
    "run": "fit",
    "test": "evaluate",
    "train": "fit",
    "transform": "encode",
    "visualize": "plot",
    "help": "--help",
}
"""Words of other tools for a command."""
OPTIONS = {
    "cpu": "--device cpu",
    "cuda": "--device cuda",
    "dataset": "--data",
    "epoch": "--epochs",
    "gpu": "--device cuda",
    "gpus": "--devices",
    "input": "--data",
    "model": "the name of a recipe as the first argument",
    "num-samples": "--number",
    "output": "--out",
    "output-dir": "--out",
    "path": "--data",
}
"""Words of other tools for a flag, and what to use."""
FLAGS = {"training.batch_size": "--batch-size", "training.learning_rate": "--lr", "training.epochs": "--epochs"}
"""Options of a recipe that have a flag."""
EXAMPLES = {"latent.size": "N", "net.widths": "512,256"}
"""What stands for the value of an option; VALUE for others."""


def command_like(word: str, known: Iterable[str]) -> str | None:
    """The command meant by ``word``, if it is one of another tool or close to one of ours.

    >>> command_like("train", ["fit", "plot"]), command_like("encod", ["encode"]), command_like("qqq", ["fit"])
    ('fit', 'encode', None)
    """
    names = list(known)
    found = COMMANDS.get(word.lower())
    if found is not None and (found in names or found.startswith("--")):
        return found
    return next(iter(difflib.get_close_matches(word.lower(), names, 1)), None)


def option_like(word: str, known: Iterable[str]) -> str | None:
    """What to use in place of an unknown option: another option, or ``--set`` with the path of a recipe's option.

    >>> option_like("--batch_size", ["--batch-size", "--help"]), option_like("--gpu", ["--device", "--out"])
    ('--batch-size', '--device cuda')
    >>> option_like("--patience", ["--data"]), option_like("--latent-dim", ["--data"])
    ('--set training.patience=VALUE', '--set latent.size=N')
    """
    names = [name for name in known if name.startswith("--") and name != "--help"]
    name = word.lstrip("-").lower().replace("_", "-")
    if f"--{name}" in names:
        return f"--{name}"
    found = OPTIONS.get(name)
    if found is not None and (not found.startswith("--") or found.split()[0] in names):
        return found
    path = _path_of(name.replace("-", "_"))
    if path is not None:
        flag = FLAGS.get(path)
        return flag if flag in names else f"--set {path}={EXAMPLES.get(path, 'VALUE')}"
    return next(iter(difflib.get_close_matches(f"--{name}", names, 1, 0.7)), None)


def _path_of(name: str) -> str | None:
    """The path of the option called ``name``, here in the training or data options or in another library."""
    from isthmus.models.near_options import SYNONYMS
    from isthmus.options import DataOptions, TrainingOptions

    if name in SYNONYMS:
        return SYNONYMS[name]
    for group, options in (("training", TrainingOptions), ("data", DataOptions)):
        if name in options.model_fields:
            return f"{group}.{name}"
    return None
