"""Densities of codes in the folder of a run.

density-KIND.safetensors   one file for each density, with how it was chosen in its header
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from isthmus.densities import CategoricalMixture, Density, Flow, GaussianMixture, KernelDensity
from isthmus.errors import BadData, BadRun, one_line
from isthmus.files.atomic import replacing
from isthmus.runs.folder import plain_file

CLASSES: dict[str, type[Density]] = {
    "gaussian": GaussianMixture,
    "gmm": GaussianMixture,
    "kde": KernelDensity,
    "flow": Flow,
    "categorical": CategoricalMixture,
}
LARGEST = 2**30
"""Bytes of the largest density that is read."""


@dataclass(frozen=True)
class RunDensity:
    """A density of the codes of a run, or its prior.

    Attributes:
        kind: ``gaussian``, ``gmm``, ``kde``, ``flow`` or ``categorical``; ``prior`` for the prior of the run.
        density: the density; ``None`` for the prior.
        held_out: mean log-likelihood of held-out codes under it, in nats; NaN where it is not known.
        choice: what was chosen by it, such as ``50 components``.
        prior: the same log-likelihood under the prior of the run; NaN without one.
    """

    kind: str
    density: Density | None
    held_out: float
    choice: str = ""
    prior: float = math.nan

    def __str__(self) -> str:
        """Kind, choice and log-likelihood."""
        nats = "" if math.isnan(self.held_out) else f", {self.held_out:.2f} nats per held-out code"
        nats += "" if math.isnan(self.prior) else f" (the prior: {self.prior:.2f})"
        return f"{self.kind}{f' ({self.choice})' if self.choice else ''}{nats}"


def path_of(folder: Path, kind: str) -> Path:
    """The file of a density in the folder of a run."""
    return folder / f"density-{kind}.safetensors"


def write(found: RunDensity, folder: Path) -> None:
    """Write a density into the folder of a run."""
    assert found.density is not None
    header = {"kind": found.kind, "choice": found.choice, "held_out": found.held_out, "prior": found.prior}
    tensors = {name: value.contiguous() for name, value in found.density.tensors().items()}
    with replacing(path_of(folder, found.kind)) as path:
        save_file(tensors, path, metadata={"density": json.dumps(header)})


def read(path: Path, kind: str, size: int) -> RunDensity:
    """A density of codes of ``size`` values or symbols from a file of a run.

    Raises:
        BadRun: it is damaged, or of other codes.
    """
    again = f"Remove it, and the density is fitted again: {path.name}."
    try:
        if plain_file(path).stat().st_size > LARGEST:
            raise BadRun(f"{str(path)!r} is larger than {LARGEST >> 20} MiB. {again}")
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {}).get("density", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        density = CLASSES[kind].from_tensors(tensors)
        held_out, prior, choice = float(header["held_out"]), float(header["prior"]), str(header["choice"])[:80]
    except (OSError, SafetensorError, BadData, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"{str(path)!r} cannot be read as a density: {one_line(error)}. {again}") from error
    if density.size != size:
        raise BadRun(
            f"{str(path)!r} describes codes of {density.size} values, but those of the run have {size}. {again}"
        )
    return RunDensity(kind, density, held_out, choice, prior)
