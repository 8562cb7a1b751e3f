"""Products of float32 matrices by the faster of torch's two libraries.

On a CPU torch multiplies float32 matrices with MKL, which on processors by AMD does not use AVX-512. oneDNN does, and
torch uses it if float32 products may be computed with bfloat16. Without hardware for products of bfloat16 tiles (AMX)
oneDNN ignores that permission and computes in float32, up to 2.2 times as fast as MKL. It is therefore given only on
such processors, and only after the error of a small product was compared with float32's.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isthmus.errors import check_choice
from isthmus.models.hardware import cpuinfo

CHOICES = ("auto", "mkl", "onednn")
VARIABLE = "ISTHMUS_FLOAT32"
"""Environment variable that sets the library: ``auto`` (the faster one), ``mkl`` (torch's default) or ``onednn``."""
MOST_ERROR = 2e-6
"""Largest relative error of a product of matrices with a few hundred rows that was computed in float32."""


def float32_library() -> str:
    """The library for float32 products on the CPU, ``mkl`` or ``onednn``.

    Raises:
        BadOption: the environment variable ``ISTHMUS_FLOAT32`` is not one of the choices.
    """
    choice = os.environ.get(VARIABLE, "auto")
    check_choice(VARIABLE, choice, CHOICES)
    if choice != "auto":
        return choice
    return "onednn" if _onednn_is_faster() and _onednn_is_exact() else "mkl"


@contextmanager
def float32_products(library: str | None = None) -> Iterator[None]:
    """Compute float32 products inside the block with ``library``, by default that of :func:`float32_library`.

    The setting applies to all threads of the process until the last such block ends.
    """
    setting = _Setting({"onednn": "bf16", "mkl": "ieee"}[library or float32_library()])
    with _LOCK:
        if not _OPEN:
            _OPEN.append(_Setting(_matmul().fp32_precision))
        _OPEN.append(setting)
        _matmul().fp32_precision = setting.value
    try:
        yield
    finally:
        with _LOCK:
            _OPEN.remove(setting)
            _matmul().fp32_precision = _OPEN[-1].value
            if len(_OPEN) == 1:
                _OPEN.clear()


@dataclass(eq=False)
class _Setting:
    """A value of torch's setting for float32 products."""

    value: str


_OPEN: list[_Setting] = []
"""The setting before the first block, and those of the blocks that are open, in all threads."""
_LOCK = threading.Lock()


def _matmul() -> Any:
    """Where torch keeps the setting, which its annotations lack."""
    return getattr(torch.backends.mkldnn, "matmul")  # noqa: B009


@functools.cache
def _onednn_is_faster() -> bool:
    """Whether this is a processor by AMD with instructions that torch requires to use oneDNN for float32."""
    capabilities = torch.cpu.get_capabilities()
    possible = capabilities.get("avx512_bf16") and not capabilities.get("amx_bf16")
    return bool(possible) and cpuinfo().get("vendor_id") == "AuthenticAMD"


@functools.cache
def _onednn_is_exact() -> bool:
    """Whether oneDNN's products with the permission to use bfloat16 have the error of float32."""
    with float32_products("onednn"):
        return within_float32(torch.matmul)


def within_float32(product: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Whether a product of two matrices has the error of float32, compared with float64.

    >>> within_float32(torch.matmul), within_float32(lambda a, b: (a.bfloat16() @ b.bfloat16()).float())
    (True, False)
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    return bool((product(a, b) - exact).norm() <= MOST_ERROR * exact.norm())
