"""Shared by the tests of runs: the signing key lies in a cache folder of its own."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder outside of the folder of the test, which some tests compare as a whole."""
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path_factory.mktemp("cache")))
