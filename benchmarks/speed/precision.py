"""The precision of a row on this processor: what Isthmus chooses, written out here, for its opponents stand alone."""

import torch


def has_bf16() -> bool:
    """Whether the processor computes products in bfloat16; emulated ones are a hundred times as slow as float32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def dtype_of(precision: str) -> torch.dtype:
    """The dtype of products in a precision: ``32``, ``bf16``, or with ``auto`` bfloat16 where the processor has it."""
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and has_bf16()) else torch.float32


def tune_float32() -> bool:
    """Let oneDNN compute float32 products where it is exact; returns whether it does.

    torch prefers MKL, which takes AVX2 kernels on AMD processors with AVX-512. The setting that leads to oneDNN allows
    it to round to bfloat16, which it does with AMX and not without: the error of a product decides.
    """
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    a, b = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0))
    exact = a.double() @ b.double()
    error = ((a @ b - exact).norm() / exact.norm()).item()
    # float32: 3e-7; one operand rounded to bfloat16: 2e-3
    if error > 1e-5:
        matmul.fp32_precision = before
    return matmul.fp32_precision == "bf16"
