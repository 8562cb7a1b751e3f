"""Every test of data runs with an empty cache and no address; real files only where they are at hand."""

import functools
import http.server
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

FOUND = os.environ.get("ISTHMUS_DATA") or str(Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    monkeypatch.delenv("ISTHMUS_MIRROR", raising=False)
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def real_data(alone: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not Path(FOUND).is_dir():
        pytest.skip(f"the real data sets are not at {FOUND}; set ISTHMUS_DATA to their folder")
    monkeypatch.setenv("ISTHMUS_DATA", FOUND)
    return Path(FOUND)


@pytest.fixture
def idx_bytes() -> Callable[[np.ndarray], bytes]:
    def encode(values: np.ndarray) -> bytes:
        head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        return head + values.astype(np.uint8).tobytes()

    return encode


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(alone: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder that a local server offers as $ISTHMUS_MIRROR."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("ISTHMUS_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()
