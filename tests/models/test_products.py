"""Products of float32 matrices: the faster library where it is exact, and torch's setting as it was afterwards."""

import threading

import pytest
import torch
from torch import Tensor, nn

from isthmus import fit
from isthmus.errors import BadOption
from isthmus.models import products
from isthmus.models.products import float32_library, float32_products

MATMUL = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


def setting() -> str:
    return str(MATMUL.fp32_precision)


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTHMUS_FLOAT32", raising=False)


def test_the_setting_holds_inside_a_block_only() -> None:
    before = setting()
    with float32_products("onednn"):
        assert setting() == "bf16"
        with float32_products("mkl"):
            assert setting() == "ieee"
        assert setting() == "bf16"
    assert setting() == before


def test_the_setting_is_restored_when_the_last_of_several_threads_is_done() -> None:
    before, entered, leave = setting(), threading.Event(), threading.Event()

    def other() -> None:
        with float32_products("onednn"):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with float32_products("onednn"):
        thread.start()
        entered.wait()
    assert setting() == "bf16"
    leave.set()
    thread.join()
    assert setting() == before


def test_products_keep_the_error_of_float32() -> None:
    a, b = torch.randn(300, 200), torch.randn(200, 100)
    with float32_products():
        found = a @ b
    exact = a.double() @ b.double()
    assert (found - exact).norm() < 2e-6 * exact.norm()


@pytest.mark.parametrize(
    ("faster", "exact", "library"), [(True, True, "onednn"), (True, False, "mkl"), (False, True, "mkl")]
)
def test_onednn_is_taken_where_it_is_faster_and_exact(
    monkeypatch: pytest.MonkeyPatch, faster: bool, exact: bool, library: str
) -> None:
    monkeypatch.setattr(products, "_onednn_is_faster", lambda: faster)
    monkeypatch.setattr(products, "_onednn_is_exact", lambda: exact)
    assert float32_library() == library


def test_a_product_that_is_rounded_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounded(a: Tensor, b: Tensor) -> Tensor:
        return (a.bfloat16() @ b.bfloat16()).float()

    assert products.within_float32(torch.matmul)
    assert not products.within_float32(rounded)


def test_hardware_that_multiplies_tiles_of_bfloat16_is_left_to_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": True})
    assert not products._onednn_is_faster.__wrapped__()


def test_the_variable_chooses_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mkl", "onednn"):
        monkeypatch.setenv("ISTHMUS_FLOAT32", name)
        assert float32_library() == name
    monkeypatch.setenv("ISTHMUS_FLOAT32", "fast")
    with pytest.raises(BadOption, match=r"ISTHMUS_FLOAT32.*'fast'.*mkl"):
        float32_library()


class Notes(nn.Module):
    """Notes the setting of each forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, str]] = []

    def forward(self, h: Tensor) -> Tensor:
        self.seen.append((self.training, setting()))
        return h


def test_training_and_inference_compute_with_the_chosen_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_FLOAT32", "onednn")
    before = setting()
    run = fit("simple", torch.rand(40, 6).numpy(), options={"training.steps": 3}, progress=False)
    run.objective.model.encoder.append(notes := Notes())
    run.encode(torch.rand(4, 6).numpy())
    assert {used for _, used in notes.seen} == {"bf16"}
    assert setting() == before
