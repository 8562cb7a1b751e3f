"""What is measured: each row of the table, who competes in it, and the target ratio."""

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS, PEERS = Path(sys.executable), ROOT / ".venv-peers" / "bin" / "python"

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""The settings of glibc's allocator that Isthmus uses, as environment variables for others."""


NUMPY_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that can hold numpy's products on kernels which are older and slower than the processor's own."""


@dataclass(frozen=True)
class Competitor:
    """A module of this folder whose ``compete(row, images, turns, variant)`` trains, and the Python that runs it.

    ``without`` are variables of the environment that its process does not see.
    """

    module: str
    python: Path = OURS
    environment: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    without: tuple[str, ...] = ()


COMPETITORS = {
    "isthmus": Competitor("by_isthmus", environment={"TTY_COMPATIBLE": "1", "COLUMNS": "120"}),
    "hand": Competitor("by_hand"),
    "hand, compiled": Competitor("by_hand", variant="compiled"),
    "hand, whole step": Competitor("by_whole_step"),
    "pythae": Competitor("by_pythae", PEERS),
    "pythae, malloc": Competitor("by_pythae", PEERS, MALLOC),
    "lightning": Competitor("by_lightning", PEERS),
    "keras, jax": Competitor("by_keras", PEERS, {"KERAS_BACKEND": "jax"}),
    "pyod": Competitor("by_pyod", PEERS),
    "scikit-learn": Competitor("by_sklearn", PEERS, without=NUMPY_KERNELS),
    "encode": Competitor("by_isthmus_encoding", variant="32"),
    "encode, auto": Competitor("by_isthmus_encoding"),
    "torch": Competitor("by_torch_encoding", PEERS),
    "onnxruntime": Competitor("by_onnxruntime", PEERS),
    "torch.optim.Muon": Competitor("by_hand", variant="muon"),
}


@dataclass(frozen=True)
class Row:
    """One comparison: a network on images, and the target ratio of images per second, Isthmus to each competitor.

    ``data`` is ``mnist`` or ``olivetti``; ``images`` pass in one turn, the data repeated where it has fewer.
    ``precision`` is that of Isthmus, Lightning and the hand-written loops. ``targets`` are those in bfloat16. With
    ``bf16_only`` an opponent computes in bfloat16 whatever the processor has.
    """

    title: str
    net: str
    batch: int
    images: int
    targets: dict[str, float]
    targets_in_float32: dict[str, float] = field(default_factory=dict)
    targets_without_bf16: dict[str, float] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    ours: str = "isthmus"
    data: str = "mnist"
    rate: float = 1e-3
    optimizer: str = "adam"
    precision: str = "auto"
    seed: int = 0
    bf16_only: bool = False

    @property
    def competitors(self) -> tuple[str, ...]:
        """Isthmus first, then all competitors."""
        targets = self.targets | self.targets_in_float32 | self.targets_without_bf16
        return (self.ours, *dict.fromkeys([*targets, *self.others]))

    def targets_on(self, bf16: bool) -> dict[str, float]:
        """The target ratios on a processor with or without bfloat16."""
        if not bf16:
            return self.targets_without_bf16
        return self.targets_in_float32 if self.precision == "32" else self.targets


HAND, WHOLE = 0.95, 0.85
"""Targets relative to the hand-written autograd loops, and to the whole step as one compiled function."""
BY_HAND = {"hand": HAND, "hand, compiled": HAND, "hand, whole step": WHOLE}

ROWS = {
    "vae100": Row(
        "MLP VAE 784-512-16, batch 100",
        "vae",
        100,
        60_000,
        {"pythae": 4.5, "keras, jax": 1.6, **BY_HAND},
        targets_in_float32={"keras, jax": 1.3},
        targets_without_bf16={"keras, jax": 1.0},
        others=("lightning",),
    ),
    "vae1000": Row(
        "MLP VAE 784-512-16, batch 1000",
        "vae",
        1000,
        60_000,
        {"pythae": 4.5, "keras, jax": 1.9, **BY_HAND},
        targets_in_float32={"keras, jax": 1.2},
        targets_without_bf16={"keras, jax": 1.0},
        others=("lightning",),
    ),
    "deep100": Row(
        "deep autoencoder 784-1000-500-250-30, batch 100",
        "deep",
        100,
        20_000,
        {"pythae": 3.8, "keras, jax": 1.6, **BY_HAND},
        targets_in_float32={"keras, jax": 1.05},
        targets_without_bf16={"keras, jax": 1.0},
        others=("lightning", "pyod", "scikit-learn"),
    ),
    "deep500": Row(
        "deep autoencoder 784-1000-500-250-30, batch 500",
        "deep",
        500,
        40_000,
        {"pythae": 3.2, "keras, jax": 1.9, **BY_HAND},
        others=("lightning",),
    ),
    "conv28": Row(
        "tutorial conv net 28x28, batch 128",
        "conv28",
        128,
        12_800,
        {"pythae": 3.0, "pythae, malloc": 1.8, "hand": HAND},
        others=("lightning", "keras, jax"),
    ),
    "conv64": Row(
        "strided conv net 64x64, batch 64",
        "conv64",
        64,
        1_280,
        {"pythae": 1.8, "hand": HAND},
        others=("lightning",),
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
        bf16_only=True,
    ),
    "encode": Row(
        "encode 60,000 images, deep autoencoder",
        "deep",
        1000,
        60_000,
        {"torch": 3.8, "onnxruntime": 1.7},
        others=("encode",),
        ours="encode, auto",
    ),
}


NAMES = [name + suffix for suffix in ("", "-32", "-bf16") for name in ROWS]
"""What :func:`row_of` takes: ``vae100`` in the precision that Isthmus chooses, ``vae100-32`` always in float32."""


def row_of(name: str) -> Row:
    """A row by its name, which ends with the precision unless that is chosen automatically."""
    net, _, precision = name.partition("-")
    row = ROWS[net]
    return replace(row, precision=precision, title=f"{row.title}, precision {precision}") if precision else row


def usual_rows(bf16: bool) -> list[str]:
    """Names of the rows to measure on a processor with or without bfloat16, where float32 is the usual precision."""
    if not bf16:
        return [name for name, row in ROWS.items() if not row.bf16_only]
    return [*ROWS, *(f"{name}-32" for name, row in ROWS.items() if row.targets_in_float32)]


def environment(competitor: Competitor, compiled: Path) -> dict[str, str]:
    """The variables that a competitor's process sees, with a folder for compiled code that other runs do not use.

    torch 2.13.0 finds compiled code again without regard to the width of vectors that it was made for: after a run with
    another ``ATEN_CPU_CAPABILITY``, gradients became NaN and memory was corrupted.
    """
    seen = {name: value for name, value in os.environ.items() if name not in competitor.without}
    own = {"PYTHONDONTWRITEBYTECODE": "1", "TORCHINDUCTOR_CACHE_DIR": str(compiled)}
    return {**seen, **own, **competitor.environment}
