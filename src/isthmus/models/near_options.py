"""The option probably meant by an unknown path: names of other libraries, and paths without their group."""

import difflib
from typing import Any

SYNONYMS = {
    "activation": "net.activation",
    "beta": "penalties.kl.weight",
    "bottleneck": "latent.size",
    "bs": "training.batch_size",
    "channels": "net.channels",
    "code_size": "latent.size",
    "dropout": "net.dropout",
    "early_stopping": "training.patience",
    "hidden": "net.widths",
    "hidden_dims": "net.widths",
    "hidden_layers": "net.widths",
    "kl": "penalties.kl.weight",
    "kl_weight": "penalties.kl.weight",
    "latent": "latent.size",
    "latent_dim": "latent.size",
    "latent_size": "latent.size",
    "layers": "net.widths",
    "loss": "likelihood.kind",
    "lr": "training.learning_rate",
    "n_components": "latent.size",
    "n_epochs": "training.epochs",
    "noise": "corruption.kind",
    "scheduler": "training.schedule",
    "wd": "training.weight_decay",
    "z_dim": "latent.size",
}
"""Names of an option in other libraries."""
GROUPS = ("training", "data", "net", "latent", "likelihood", "corruption", "pretraining")
"""Groups in which an option without a group is looked for, in this order."""


def near_option(path: str, tree: dict[str, Any]) -> str | None:
    """The existing path that is probably meant by ``path``, or ``None``; a group that was misspelled comes first.

    >>> tree = {"training": {"epochs": 5, "learning_rate": 0.1}, "latent": {"size": 2}}
    >>> [near_option(path, tree) for path in ("epochs", "lr", "latent_size", "training.lr", "other")]
    ['training.epochs', 'training.learning_rate', 'latent.size', 'training.learning_rate', None]
    """
    group, _, name = path.lower().replace("-", "_").rpartition(".")
    groups = [*difflib.get_close_matches(group, GROUPS, n=1), *GROUPS]
    candidates = [SYNONYMS.get(name, "")] + [f"{group}.{name}" for group in groups]
    return next((candidate for candidate in candidates if _exists(candidate, tree)), None)


def _exists(path: str, tree: dict[str, Any]) -> bool:
    node: Any = tree
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return bool(path)
