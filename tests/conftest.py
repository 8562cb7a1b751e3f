"""What every test shares: one thread's worth of noise, a quiet place for runs, and the real data where it is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# toy sizes gain nothing from a second thread, and threads that wait for each other stall on a busy machine
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache, which holds the key that signs runs, is not touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Each test starts from the same seed, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def isthmus_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real data sets; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("ISTHMUS_DATA") or SHARED)
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}; set ISTHMUS_DATA to their folder")
    monkeypatch.setenv("ISTHMUS_DATA", str(folder))
    return folder
