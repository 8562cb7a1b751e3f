"""Compilation of a graph by TorchInductor, which writes C++ and needs a C++ compiler on a CPU."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.fx import GraphModule

from isthmus.files.cache import cache_folder
from isthmus.training.steps.refusal import CannotCapture

Function = Callable[..., Sequence[Tensor]]
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
CHOSEN = os.environ.get(VARIABLE)
"""The folder for compiled code that the user has chosen; read before torch sets the variable itself."""


def compiler() -> str | None:
    """The C++ compiler that TorchInductor would use; ``None`` if there is none."""
    return next((name for name in (os.environ.get("CXX"), "g++", "clang++") if name and shutil.which(name)), None)


def compile_graph(graph: GraphModule, arguments: Sequence[Tensor]) -> Function:
    """A compiled function of a graph, from the cache if the same graph was compiled before.

    Raises:
        CannotCapture: the graph cannot be compiled.
    """
    try:
        with _own_cache():
            from torch._inductor import compile as compile_fx

            function: Function = compile_fx(graph, list(arguments), _options())
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotCapture(f"the compiler failed ({type(error).__name__}: {lines[0]:.200})") from error
    return function


def _options() -> dict[str, object]:
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    return {
        "size_asserts": False,
        # kernels contain the number of threads and the width of vectors, but the key of the cache does not: code for
        # one kind of processor, built for another one, gives NaN or corrupts memory
        "cpp.threads": torch.get_num_threads(),
        "cpp.simdlen": pick_vec_isa().bit_width() or None,
        "compile_threads": 1,
    }


@contextmanager
def _own_cache() -> Iterator[None]:
    """Keep compiled code in the user's cache folder, not where torch keeps it, in a folder for all users."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = CHOSEN or str(cache_folder() / "compiled" / torch.backends.cpu.get_cpu_capability())
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before
