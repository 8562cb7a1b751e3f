"""The description of the hardware that is kept with results."""

from pathlib import Path

import pytest
import torch

from isthmus.models import hardware

AMD = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
power management:

processor\t: 1
cpu family\t: 99
model name\t: another
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("cpuinfo", "capabilities", "expected"),
    [
        (AMD, {"avx512_f", "avx2", "avx512_bf16"}, "AMD EPYC, family 25 model 17, AVX-512 with bf16"),
        (AMD, {"avx512_f", "avx2"}, "AMD EPYC, family 25 model 17, AVX-512"),
        (AMD, {"avx2"}, "AMD EPYC, family 25 model 17, AVX2"),
        (AMD, {"avx512_f", "avx2", "amx_tile", "amx_bf16"}, "AMD EPYC, family 25 model 17, AVX-512 and AMX with bf16"),
        (ARM, set(), "aarch64"),
        (None, {"avx2"}, "aarch64, AVX2"),
    ],
)
def test_the_processor_is_described_by_name_and_by_what_it_computes(
    cpuinfo: str | None,
    capabilities: set[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware.platform, "processor", lambda: "")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(capabilities, True))
    assert hardware.processor() == expected


def test_the_description_names_the_processor() -> None:
    assert hardware.describe()["processor"] == hardware.processor()
    assert hardware.processor()
