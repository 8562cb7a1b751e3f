"""Isthmus: a PyTorch library and command-line tool for autoencoders.

    import isthmus as it
    run = it.fit(it.zoo.vae(latent=16), x, epochs=20)
    run.encode(x), run.reconstruct(x), run.sample(64)

Names are imported when first used, so that importing the package, and the command's help, cost next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus import boltzmann, errors, functional, zoo
    from isthmus.models import exact
    from isthmus.models.assembly import autoencoder
    from isthmus.models.autoencoder import Autoencoder
    from isthmus.models.objective import Objective
    from isthmus.models.recipe import Recipe
    from isthmus.parts import corruptions, fidelities, latents, likelihoods, nets, penalties, priors
    from isthmus.parts.schedules import Schedule
    from isthmus.runs.fit import fit
    from isthmus.runs.inference import evaluate
    from isthmus.runs.loading import load
    from isthmus.runs.run import Run
    from isthmus.training import supervised
    from isthmus.training.callbacks import Callback, LivePlot

_CLASSES_AND_FUNCTIONS = {
    "Autoencoder": "models.autoencoder",
    "Callback": "training.callbacks",
    "LivePlot": "training.callbacks",
    "Objective": "models.objective",
    "Recipe": "models.recipe",
    "Run": "runs.run",
    "Schedule": "parts.schedules",
    "autoencoder": "models.assembly",
    "evaluate": "runs.inference",
    "fit": "runs.fit",
    "load": "runs.loading",
}
_MODULES = {
    "boltzmann": "boltzmann",
    "corruptions": "parts.corruptions",
    "errors": "errors",
    "exact": "models.exact",
    "fidelities": "parts.fidelities",
    "functional": "functional",
    "latents": "parts.latents",
    "likelihoods": "parts.likelihoods",
    "nets": "parts.nets",
    "penalties": "parts.penalties",
    "priors": "parts.priors",
    "supervised": "training.supervised",
    "zoo": "zoo",
}

__all__ = [
    "Autoencoder",
    "Callback",
    "LivePlot",
    "Objective",
    "Recipe",
    "Run",
    "Schedule",
    "autoencoder",
    "boltzmann",
    "corruptions",
    "errors",
    "evaluate",
    "exact",
    "fidelities",
    "fit",
    "functional",
    "latents",
    "likelihoods",
    "load",
    "nets",
    "penalties",
    "priors",
    "supervised",
    "zoo",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name == "__version__":
        return _version()
    if name in _CLASSES_AND_FUNCTIONS:
        return getattr(importlib.import_module(f"isthmus.{_CLASSES_AND_FUNCTIONS[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"isthmus.{_MODULES[name]}")
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


def _version() -> str:
    # importing it takes almost as long as all else that the command's help needs
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("isthmus")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
