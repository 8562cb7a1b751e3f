"""What is measured: each row of the table, who competes in it, and the target ratio."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS, PEERS = Path(sys.executable), ROOT / ".venv-peers" / "bin" / "python"

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""The settings of glibc's allocator that Isthmus uses, as environment variables for others."""


@dataclass(frozen=True)
class Competitor:
    """A module of this folder whose ``compete(row, images, turns)`` trains, and the Python that runs it."""

    module: str
    python: Path = OURS
    environment: dict[str, str] = field(default_factory=dict)
    variant: str = ""


COMPETITORS = {
    "isthmus": Competitor("by_isthmus", environment={"TTY_COMPATIBLE": "1", "COLUMNS": "120"}),
    "hand": Competitor("by_hand"),
    "hand, compiled": Competitor("by_hand", variant="compiled"),
    "pythae": Competitor("by_pythae", PEERS),
    "pythae, malloc": Competitor("by_pythae", PEERS, MALLOC),
    "lightning": Competitor("by_lightning", PEERS),
    "keras, jax": Competitor("by_keras", PEERS, {"KERAS_BACKEND": "jax"}),
    "pyod": Competitor("by_pyod", PEERS),
    "scikit-learn": Competitor("by_sklearn", PEERS),
    "encode": Competitor("by_isthmus_encoding"),
    "encode, bf16": Competitor("by_isthmus_encoding", variant="bf16"),
    "torch": Competitor("by_torch_encoding", PEERS),
    "onnxruntime": Competitor("by_onnxruntime", PEERS),
    "torch.optim.Muon": Competitor("by_hand", variant="muon"),
}


@dataclass(frozen=True)
class Row:
    """One comparison: a network on images, and the target ratio of images per second, Isthmus to each competitor.

    ``data`` is ``mnist`` or ``olivetti``; ``images`` pass in one turn, the data repeated where it has fewer.
    """

    title: str
    net: str
    batch: int
    images: int
    targets: dict[str, float]
    others: tuple[str, ...] = ()
    ours: str = "isthmus"
    data: str = "mnist"
    rate: float = 1e-3
    optimizer: str = "adam"

    @property
    def competitors(self) -> tuple[str, ...]:
        """Isthmus first, then all competitors."""
        return (self.ours, *dict.fromkeys([*self.targets, *self.others]))


HAND = 0.95
"""Target relative to the hand-written autograd loops, in every training row."""

ROWS = {
    "vae100": Row(
        "MLP VAE 784-512-16, batch 100",
        "vae",
        100,
        60_000,
        {"pythae": 3.3, "keras, jax": 1.1, "hand": HAND, "hand, compiled": HAND},
        ("lightning",),
    ),
    "vae1000": Row(
        "MLP VAE 784-512-16, batch 1000",
        "vae",
        1000,
        60_000,
        {"pythae": 3.4, "keras, jax": 1.4, "hand": HAND, "hand, compiled": HAND},
        ("lightning",),
    ),
    "deep100": Row(
        "deep autoencoder 784-1000-500-250-30, batch 100",
        "deep",
        100,
        20_000,
        {"pythae": 2.2, "hand": HAND, "hand, compiled": HAND},
        ("lightning", "keras, jax", "pyod", "scikit-learn"),
    ),
    "deep500": Row(
        "deep autoencoder 784-1000-500-250-30, batch 500",
        "deep",
        500,
        40_000,
        {"pythae": 3.2, "hand": HAND, "hand, compiled": HAND},
        ("lightning", "keras, jax"),
    ),
    "conv28": Row(
        "tutorial conv net 28x28, batch 128",
        "conv28",
        128,
        12_800,
        {"pythae": 3.0, "pythae, malloc": 1.8, "hand": HAND},
        ("lightning", "keras, jax"),
    ),
    "conv64": Row(
        "strided conv net 64x64, batch 64",
        "conv64",
        64,
        1_280,
        {"pythae": 1.8, "hand": HAND},
        ("lightning",),
        data="olivetti",
    ),
    "muon500": Row(
        "deep autoencoder, Muon, batch 500",
        "deep",
        500,
        20_000,
        {"torch.optim.Muon": 2.0},
        rate=5e-3,
        optimizer="muon",
    ),
    "encode": Row(
        "encode 60,000 images, deep autoencoder",
        "deep",
        1000,
        60_000,
        {"torch": 3.8, "onnxruntime": 1.7},
        ("encode",),
        ours="encode, bf16",
    ),
}


def environment(competitor: Competitor) -> dict[str, str]:
    """The variables that a competitor's process sees."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **competitor.environment}
