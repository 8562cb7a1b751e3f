"""What a person sees during long work: a bar on a terminal, lines now and then elsewhere."""

import io

import pytest
from rich.console import Console

from isthmus.cli import progress


def test_a_terminal_shows_a_bar_that_goes_away() -> None:
    out = io.StringIO()
    with progress.shown("draws", Console(file=out, force_terminal=True, width=80)) as callback:
        callback(0.25)
        callback(1.0)
    assert "draws" in out.getvalue()
    assert "100%" in out.getvalue()


def test_elsewhere_lines_come_after_a_while_and_not_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 3.0, 11.0, 11.0, 15.0, 22.0, 22.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    out = io.StringIO()
    with progress.shown("draws", Console(file=out, force_terminal=False)) as callback:
        for share in (0.1, 0.25, 0.5, 0.75):
            callback(share)
    assert out.getvalue().splitlines() == ["draws: 25%", "draws: 75%"]
