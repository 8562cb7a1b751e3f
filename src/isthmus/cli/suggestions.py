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
    "beta": "--set penalties.kl.weight=VALUE",
    "bottleneck": "--set latent.size=N",
    "bs": "--batch-size",
    "code-size": "--set latent.size=N",
    "cpu": "--device cpu",
    "cuda": "--device cuda",
    "dataset": "--data",
    "epoch": "--epochs",
    "gpu": "--device cuda",
    "gpus": "--devices",
    "hidden": "--set net.widths=512,256",
    "input": "--data",
    "latent": "--set latent.size=N",
    "latent-dim": "--set latent.size=N",
    "latent-size": "--set latent.size=N",
    "layers": "--set net.widths=512,256",
    "learning-rate": "--lr",
    "model": "the name of a recipe as the first argument",
    "num-samples": "--number",
    "output": "--out",
    "output-dir": "--out",
    "path": "--data",
    "wd": "--set training.weight_decay=VALUE",
    "z-dim": "--set latent.size=N",
}
"""Words of other tools for an option, and what to use."""


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
    if found is not None and (not found.startswith("--") or found.startswith("--set ") or found.split()[0] in names):
        return found
    path = _path_of(name.replace("-", "_"))
    if path is not None:
        return f"--set {path}=VALUE"
    return next(iter(difflib.get_close_matches(f"--{name}", names, 1, 0.7)), None)


def _path_of(name: str) -> str | None:
    """The path of a training or data option called ``name``."""
    from isthmus.options import DataOptions, TrainingOptions

    for group, options in (("training", TrainingOptions), ("data", DataOptions)):
        if name in options.model_fields:
            return f"{group}.{name}"
    return None
