"""The metrics on MNIST that the README states, by the commands it names; each is reported on the test set once.

ISTHMUS_DATA=... python benchmarks/mnist_figures.py [--folder runs/figures]
"""

import argparse
import contextlib
import io
import json
import math
from datetime import date
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier

from isthmus import load
from isthmus.cli.app import main as isthmus
from isthmus.models.hardware import describe
from isthmus.reports import figures
from isthmus.runs.data import data_for

RESULTS = Path(__file__).parent / "results" / "mnist_figures.json"
PIXELS = 784
TARGETS: dict[str, tuple[list[str], str, float]] = {
    "simple": (["simple", "--epochs", "20"], "cross_entropy", 0.0935 * PIXELS),
    "deep": (["deep", "--epochs", "20"], "cross_entropy", 0.083 * PIXELS),
    "conv": (["conv", "--epochs", "30"], "cross_entropy", 0.095 * PIXELS),
    "linear": (["linear", "--set", "latent.size=30"], "squared_error", 13.87 * 1.01),
    "plane": (["vae", "--set", "latent.size=2", "--epochs", "20"], "elbo", float("nan")),
    "vae": (["vae", "--epochs", "20"], "elbo", float("nan")),
}


def answer(arguments: list[str]) -> dict[str, object]:
    """The JSON output of a command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = isthmus([*arguments, "--json"])
    assert code == 0, arguments
    content: dict[str, object] = json.loads(out.getvalue())
    return content


def classes_on_the_plane(folder: Path) -> list[int]:
    """Predicted class counts of the 400 decoded grid images, by a classifier trained on real digits."""
    run = load(folder)
    data = data_for(run)
    codes, _, _ = figures.grid(run, data.train)
    pictures = run.model.decode(codes).flatten(1).numpy()
    judge = MLPClassifier((256,), max_iter=40, early_stopping=True, random_state=0, batch_size=256)
    judge.fit(data.train.tensor.flatten(1).numpy(), data.train.labels)
    counts: list[int] = np.bincount(judge.predict(pictures), minlength=10).tolist()
    return counts


def main() -> None:
    """Run every command, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("runs/figures"))
    folder: Path = parser.parse_args().folder
    record: dict[str, object] = {"date": date.today().isoformat(), "machine": describe()}
    for name, (arguments, metric, target) in TARGETS.items():
        command = ["fit", *arguments, "--data", "mnist", "--out", str(folder / name), "--overwrite"]
        content = answer(command)
        metrics, outcome = content["metrics"], content["outcome"]
        assert isinstance(metrics, dict)
        assert isinstance(outcome, dict)
        record[name] = {
            "command": " ".join(["isthmus fit", *arguments, "--data mnist"]),
            "metrics": metrics,
            "seconds": outcome["seconds"],
            "target": None if math.isnan(target) else target,
        }
        value, seconds = metrics[metric], outcome["seconds"]
        print(f"{name:8} {metric} {value:9.3f}  target {target:8.3f}  {seconds:6.1f} s", flush=True)
    data = data_for(load(folder / "linear"))
    train, test = (part.tensor.flatten(1).numpy() for part in (data.train, data.test or data.train))
    pca = PCA(30, svd_solver="full").fit(train)
    left = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).sum(1).mean()
    record["pca_30"] = {"squared_error": float(left), "command": "sklearn.decomposition.PCA(30), the same parts"}
    record["plane_classes"] = classes_on_the_plane(folder / "plane")
    print(f"PCA-30 squared error {left:.3f};  grid pictures by class {record['plane_classes']}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
