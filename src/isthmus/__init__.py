"""Isthmus: every autoencoder from one formula.

    import isthmus as it
    run = it.fit(it.zoo.vae(latent=16), x, epochs=20)
    run.encode(x), run.reconstruct(x), run.sample(64)

Names are loaded when first used, so that importing the package, and the command's help, cost next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isthmus import (
        boltzmann,
        corruptions,
        errors,
        exact,
        functional,
        latents,
        likelihoods,
        nets,
        penalties,
        priors,
        supervised,
        zoo,
    )
    from isthmus.fitting import fit
    from isthmus.metrics.evaluation import evaluate
    from isthmus.model import Autoencoder
    from isthmus.objective import Objective
    from isthmus.recipe import Recipe
    from isthmus.run import Run, load
    from isthmus.schedules import Schedule

_PLACES = {
    "Autoencoder": "model",
    "Objective": "objective",
    "Recipe": "recipe",
    "Run": "run",
    "Schedule": "schedules",
    "evaluate": "metrics.evaluation",
    "fit": "fitting",
    "load": "run",
}
_MODULES = (
    "boltzmann",
    "corruptions",
    "errors",
    "exact",
    "functional",
    "latents",
    "likelihoods",
    "nets",
    "penalties",
    "priors",
    "supervised",
    "zoo",
)

__all__ = [
    "Autoencoder",
    "Objective",
    "Recipe",
    "Run",
    "Schedule",
    "boltzmann",
    "corruptions",
    "errors",
    "evaluate",
    "exact",
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
    """Load a public name when it is first asked for."""
    if name in _PLACES:
        return getattr(importlib.import_module(f"isthmus.{_PLACES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"isthmus.{name}")
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
