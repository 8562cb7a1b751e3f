"""Training speed of the MLP VAE (784-512-16), beside a hand-written loop with the same settings.

Each competitor lives in a process of its own and is given turns in rotation (A B A B ...); a turn is one pass over
the images. The first turn is warm-up and dropped. Ratios are of medians. `hand` is the best plain autograd loop we
know: permutation on the device, bfloat16 autocast, fused Adam, the same allocator settings. `isthmus` is the whole
engine, with metrics, finite checks, rate schedule and listener.

    ISTHMUS_DATA=... python benchmarks/vae_step.py [--batch 100] [--turns 15] [--rotations 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESULTS = Path(__file__).parent / "results"
COMPETITORS = ("hand", "isthmus")


def images() -> Tensor:
    """The MNIST training images, or random ones of that shape where the data is absent."""
    from isthmus.errors import BadData
    from isthmus.fitting import prepared
    from isthmus.options import DataOptions

    try:
        return prepared("mnist", DataOptions(validation=0), 0).train.x
    except BadData as error:
        print(f"random images instead of MNIST: {error}", file=sys.stderr)
        return torch.rand(60_000, 1, 28, 28)


def turn() -> None:
    """Wait for one's turn."""
    if not sys.stdin.readline():
        sys.exit()


def done(count: int, started: float, loss: float) -> None:
    """Tell the rate of a turn."""
    print(json.dumps({"rate": count / (time.perf_counter() - started), "loss": loss}), flush=True)


def hand(x: Tensor, batch: int) -> None:
    """The hand-written loop."""
    from isthmus.training.hardware import tune_allocator

    tune_allocator()
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 32))
    decoder = nn.Sequential(nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, 784))
    for layer in [*encoder, *decoder]:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3, fused=True)
    x = x.flatten(1)
    while True:
        turn()
        started, total = time.perf_counter(), torch.zeros(())
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch):
            data = x[order[start : start + batch]]
            with torch.autocast("cpu", torch.bfloat16):
                h = encoder(data)
            loc, log_scale = h.float().chunk(2, 1)
            scale = log_scale.exp()
            z = loc + scale * torch.randn_like(loc)
            with torch.autocast("cpu", torch.bfloat16):
                logits = decoder(z)
            error = F.binary_cross_entropy_with_logits(logits.float(), data, reduction="sum")
            loss = (error + (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum()) / len(data)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            total += loss.detach() * len(data)
        done(len(x), started, total.item() / len(x))


def isthmus(x: Tensor, batch: int) -> None:
    """The engine."""
    from isthmus import zoo
    from isthmus.training.engine import Engine
    from isthmus.training.history import Epoch

    changes = {
        "training.rate": 1e-3,
        "training.batch": batch,
        "training.schedule": "constant",
        "training.epochs": 10**6,
    }
    recipe = zoo.vae().with_options(changes)
    torch.manual_seed(0)
    engine = Engine(recipe.build((1, 28, 28)), recipe.training, x)
    clock = [0.0]

    def listen(kind: str, what: Epoch | int) -> None:
        if isinstance(what, Epoch):
            done(len(x), clock[0], what.train["loss"])
            turn()
            clock[0] = time.perf_counter()

    engine.listener = listen
    turn()
    clock[0] = time.perf_counter()
    engine.run()


def rotate(batch: int, turns: int) -> dict[str, list[dict[str, float]]]:
    """One rotation: each competitor's turns, the warm-up left out."""
    workers = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--worker", name, "--batch", str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in COMPETITORS
    }
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in COMPETITORS}
    for _ in range(turns + 1):
        for name, worker in workers.items():
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            figures[name].append(json.loads(worker.stdout.readline()))
    for worker in workers.values():
        worker.kill()
        worker.wait()
    return {name: rows[1:] for name, rows in figures.items()}


def main() -> None:
    """Measure, print one table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--worker", choices=COMPETITORS)
    options = parser.parse_args()
    if options.worker:
        {"hand": hand, "isthmus": isthmus}[options.worker](images(), options.batch)
        return
    rotations = []
    print(f"MLP VAE 784-512-16, batch {options.batch}: images/s, median [min, max] of {options.turns} turns")
    for number in range(options.rotations):
        figures = rotate(options.batch, options.turns)
        rates = {name: sorted(row["rate"] for row in rows) for name, rows in figures.items()}
        medians = {name: statistics.median(values) for name, values in rates.items()}
        ratio = medians["isthmus"] / medians["hand"]
        losses = {name: rows[-1]["loss"] for name, rows in figures.items()}
        rotations.append({"rates": rates, "ratio": ratio, "last_loss": losses})
        for name, values in rates.items():
            print(
                f"  {number + 1}  {name:8} {medians[name]:9,.0f} [{values[0]:,.0f}, {values[-1]:,.0f}]  "
                f"loss {losses[name]:.2f}"
            )
        print(f"  {number + 1}  ratio    {ratio:.3f}", flush=True)
    from isthmus.training.hardware import describe

    RESULTS.mkdir(exist_ok=True)
    record = {"date": date.today().isoformat(), "batch": options.batch, "machine": describe(), "rotations": rotations}
    path = RESULTS / f"vae_step_batch{options.batch}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"kept in {path}")


if __name__ == "__main__":
    main()
