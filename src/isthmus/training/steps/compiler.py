"""Compilation of a graph by TorchInductor, which writes C++ and needs a C++ compiler on a CPU."""

import os
import shutil
import warnings
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
        with _own_cache(), _known_vectors(), warnings.catch_warnings():
            # the compiler's own modules give warnings that say nothing to a user
            warnings.simplefilter("ignore")
            from torch._guards import TracingContext, tracing
            from torch._inductor import compile as compile_fx
            from torch._subclasses.fake_tensor import FakeTensorMode
            from torch.fx.experimental.symbolic_shapes import ShapeEnv

            # compiled graphs are kept only where the shapes have an environment; all of them are constant
            shapes = FakeTensorMode(shape_env=ShapeEnv())
            examples = (shapes.from_tensor(tensor, static_shapes=True) for tensor in arguments)
            with tracing(TracingContext(shapes)):
                function: Function = compile_fx(graph, list(examples), _options())
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotCapture(f"the compiler failed ({type(error).__name__}: {lines[0]:.200})") from error
    return function


def _options() -> dict[str, object]:
    from torch._inductor.cpu_vec_isa import pick_vec_isa
    from torch.utils._triton import has_triton_package

    return {
        "size_asserts": False,
        # kernels contain the number of threads and the width of vectors, but the key of the cache does not: code for
        # one kind of processor, built for another one, gives NaN or corrupts memory
        "cpp.threads": torch.get_num_threads(),
        "cpp.simdlen": pick_vec_isa().bit_width() or None,
        # threads that wait for compilers; with Triton torch would start processes instead
        "compile_threads": 1 if has_triton_package() else torch.get_num_threads(),
    }


@contextmanager
def _known_vectors() -> Iterator[None]:
    """Compile for the vectors that torch's own kernels use on this processor.

    TorchInductor finds them by compiling and loading one program for each set of instructions: 8 s the first time, and
    3 s in each process.
    """
    from torch._inductor import cpu_vec_isa

    kinds = {"AVX512": "VecAVX512", "AVX2": "VecAVX2"}
    kind = getattr(cpu_vec_isa, kinds.get(torch.backends.cpu.get_cpu_capability(), ""), None)
    before = getattr(cpu_vec_isa, "valid_vec_isa_list", None)
    if kind is not None and before is not None:
        known = type(kind.__name__, (kind,), {"__bool__": lambda _self: True, "__hash__": kind.__hash__})()
        setattr(cpu_vec_isa, "valid_vec_isa_list", lambda: [known])  # noqa: B010  a name that mypy does not know as one
    try:
        yield
    finally:
        if before is not None:
            cpu_vec_isa.valid_vec_isa_list = before


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
