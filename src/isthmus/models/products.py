"""Products of float32 matrices by the faster of torch's two libraries.

On a CPU torch multiplies float32 matrices with MKL, which on processors by AMD does not use AVX-512. oneDNN does, and
torch uses it if float32 products may be computed with bfloat16. Without hardware for products of bfloat16 tiles (AMX)
oneDNN ignores that permission and computes in float32, up to 2.2 times as fast as MKL. It is therefore given only on
such processors, and only after the error of a small product was compared with float32's.
"""

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from isthmus.errors import check_choice

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
    setting = {"onednn": "bf16", "mkl": "ieee"}[library or float32_library()]
    matmul: Any = getattr(torch.backends.mkldnn, "matmul")  # noqa: B009  torch's annotations lack it
    with _LOCK:
        if not _Blocks.open:
            _Blocks.before = matmul.fp32_precision
        _Blocks.open += 1
        outer, matmul.fp32_precision = matmul.fp32_precision, setting
    try:
        yield
    finally:
        with _LOCK:
            _Blocks.open -= 1
            matmul.fp32_precision = outer if _Blocks.open else _Blocks.before


class _Blocks:
    """The blocks of this process that are open, and torch's setting before the first."""

    open = 0
    before = "none"


_LOCK = threading.Lock()


def _onednn_is_faster() -> bool:
    """Whether this is a processor by AMD with instructions that torch requires to use oneDNN for float32."""
    capabilities = torch.cpu.get_capabilities()
    if not capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
        return False
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


@functools.cache
def _onednn_is_exact() -> bool:
    """Whether oneDNN's products with the permission to use bfloat16 have the error of float32."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    with float32_products("onednn"):
        found = a @ b
    exact = a.double() @ b.double()
    return bool((found - exact).norm() <= MOST_ERROR * exact.norm())
