"""Capabilities of the hardware, and settings that depend on them."""

import ctypes
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from isthmus.errors import BadOption, check_choice

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's two allocator settings (malloc.h)."""


def tune_allocator() -> bool:
    """Let glibc keep freed memory instead of returning it to the kernel at every step.

    With the default thresholds a convolutional step spends half its time on page faults. The setting increases resident
    memory. Returns whether it was made (Linux with glibc only).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        done = libc.mallopt(M_MMAP_THRESHOLD, 2**25) and libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):
        return False
    return bool(done)


DEVICES = ("auto", "cpu", "cuda", "mps")


def parse_device(device: str) -> tuple[str, int | None]:
    """The kind of a device and its index, if one is given.

    Raises:
        BadOption: an unknown device, or one that this machine does not have.

    >>> parse_device("cpu"), parse_device("auto")
    (('cpu', None), ('auto', None))
    """
    kind, colon, index = device.partition(":")
    check_choice("device", kind, DEVICES)
    if colon and not (kind == "cuda" and index.isdecimal()):
        raise BadOption(f"device cannot be {device!r}. Use {', '.join(DEVICES)}, or cuda:N with the number of a GPU.")
    gpus = torch.cuda.device_count() if kind == "cuda" else 0
    if (kind == "cuda" and not gpus) or (kind == "mps" and not torch.backends.mps.is_available()):
        raise BadOption(f"device={device!r} is not available on this machine. Use device='auto', or leave it out.")
    if colon and int(index) >= gpus:
        raise BadOption(f"device={device!r} is not available: this machine has {gpus} GPUs, counted from 0.")
    return kind, int(index) if colon else None


def torch_device(device: str) -> torch.device:
    """A device by name; ``auto`` is a GPU if this machine has one.

    Raises:
        BadOption: an unknown device, or one that this machine does not have.
    """
    kind, index = parse_device(device)
    if kind == "auto":
        kind = next((name for name, module in GPUS.items() if module.is_available()), "cpu")
    return torch.device(kind) if index is None else torch.device(kind, index)


GPUS = {"cuda": torch.cuda, "mps": torch.backends.mps}
"""Kinds of GPUs, the preferred one first, with the module that says whether one is available."""


def has_bf16(device: torch.device) -> bool:
    """Whether this device supports bfloat16 products in hardware, not by emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def network_precision(choice: str, device: torch.device) -> torch.dtype | None:
    """The precision of the networks: ``None`` for full precision, or bfloat16 if requested, or if fast with ``auto``.

    Raises:
        BadOption: an unknown choice, or bf16 on a device that does not support it.
    """
    check_choice("The precision", choice, ("auto", "32", "bf16"))
    if choice == "32" or (choice == "auto" and not has_bf16(device)):
        return None
    if choice == "bf16" and device.type == "mps":
        raise BadOption("Precision bf16 is not supported on this device (mps). Use 32 or auto.")
    return torch.bfloat16


def channels_last(module: nn.Module) -> bool:
    """Store convolution weights with channels last; returns whether there are any."""
    has_conv = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in module.modules())
    if has_conv:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return has_conv


class _Process:
    """What is known about this process."""

    forked = False


def _after_fork() -> None:
    """Compute with one thread in a forked process, which would wait forever for the others: it does not have them."""
    _Process.forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Use ``number`` threads inside the block, or one in a forked process.

    The bits of convolutions and sums depend on the number.
    """
    number = 1 if _Process.forked else number
    before = torch.get_num_threads()
    if number != before:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


CPUINFO = Path("/proc/cpuinfo")
"""What Linux states about the processor, one block for each core."""
VECTORS = {"avx512_f": "AVX-512", "avx2": "AVX2"}
"""Vector instructions by torch's name of the capability, the widest first."""


def processor() -> str:
    """The processor in words, as far as it is known: name, family and model, widest vectors, AMX, bfloat16."""
    try:
        core = CPUINFO.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        core = ""
    stated = dict(re.findall(r"^([\w ]+?)\s*: (.+)$", core, re.MULTILINE))
    # the blocks of ARM processors have no name
    name = stated.get("model name") or platform.processor() or platform.machine()
    family = f"family {stated['cpu family']} model {stated.get('model')}" if "cpu family" in stated else ""
    capabilities = torch.cpu.get_capabilities()
    computes = [name for flag, name in VECTORS.items() if capabilities.get(flag)][:1]
    if capabilities.get("amx_tile"):
        computes.append("AMX")
    bf16 = " with bf16" if has_bf16(torch.device("cpu")) else ""
    return ", ".join(part for part in (name, family, " and ".join(computes) + bf16) if part)


def describe() -> dict[str, str | int]:
    """Hardware and versions, for the metadata of a run."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count() or 0,
    }
