"""What the command prints of a reproduction: the figures side by side, and every target in words."""

from isthmus import papers
from isthmus.cli.app import main
from isthmus.papers.reproduction import Paper, Row


def test_published_ours_and_best_known_stand_side_by_side_in_a_hundred_columns(tmp_path, monkeypatch, capsys):
    rows = [
        Row("-log p(x), K = 50, 100 epochs", 87.79, 84.78, "78.01 (NVAE)", "nats", "within 0.5 nats", False),
        Row("active units", 23.0, "about 25", spread=0.5),
    ]
    toy = Paper("toy", "A toy, table 1", "nothing", "less", lambda _sitting: rows, budget="one epoch")
    monkeypatch.setattr(papers, "paper", lambda _name: toy)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["reproduce", "toy", "--out", str(tmp_path / "toy")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "metric published ours best known" in lines
    assert "-log p(x), K = 50, 100 epochs, nats 84.78 87.79 78.01 (NVAE)" in lines
    assert "active units about 25 23 ± 0.5 -" in lines
    assert "Target: -log p(x), K = 50, 100 epochs, nats: within 0.5 nats: not met" in lines
    assert sum(line.startswith("Target:") for line in lines) == 1


def test_every_paper_is_listed(capsys):
    assert main(["reproduce"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in papers.PAPERS)
