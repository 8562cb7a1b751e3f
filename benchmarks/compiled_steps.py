"""Every recipe trained with the compiled step and without: do they agree, what does it save, how long does it take?

    ISTHMUS_DATA=... python benchmarks/compiled_steps.py [--recipes vae deep ...] [--steps 200] [--long 10000]

Both runs, on 2,000 images of MNIST, start from the same weights and random numbers. ``loss`` and ``weights`` are
relative differences after 20 steps: of the training loss, and of the weights, relative to how far they moved. The
results are kept in ``results/compiled_steps.json``.
"""

import argparse
import json
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isthmus import zoo
from isthmus.data import load_dataset
from isthmus.models.hardware import describe
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import seeded
from isthmus.options import DataOptions
from isthmus.training.engine import Engine
from isthmus.training.steps.compiled import CompiledStep

RESULT = Path(__file__).parent / "results" / "compiled_steps.json"
SHAPE, BATCH, COMPARED = (1, 28, 28), 100, 20
LONG = ("deep", "vae", "contractive", "wae_gan", "vq_vae", "conv")
"""A recipe of each kind of net and step, for the long runs."""


def engine(recipe: Recipe, x: Tensor, steps: int, compiled: str) -> Engine:
    """A training run of so many steps."""
    changes = {"training.steps": steps, "training.batch_size": BATCH, "training.compile": compiled}
    made = recipe.with_options({**changes, "training.keep": "last"})
    with seeded(0):
        objective = made.build(SHAPE)
        objective.init_from_data(x)
    return Engine(objective, made.training, x, seed=0)


def run(recipe: Recipe, x: Tensor, steps: int, compiled: str) -> dict[str, Any]:
    """Train; returns the losses of the epochs, the weights, milliseconds per step without the first, and the wait."""
    trained = engine(recipe, x, steps, compiled)
    times = []
    trained.callback = lambda kind, _what: times.append(time.perf_counter()) if kind == "step" else None
    started = time.perf_counter()
    start = {name: p.detach().clone() for name, p in trained.objective.named_parameters()}
    losses = [epoch.train["loss"] for epoch in trained.run().history]
    step = trained.take_step
    return {
        "loss": losses[-1],
        "start": start,
        "weights": {name: p.detach() for name, p in trained.objective.named_parameters()},
        "ms": 1000 * (times[-1] - times[1]) / (len(times) - 2),
        "wait": times[0] - started,
        "refusal": step.refusal if isinstance(step, CompiledStep) else "not asked for",
    }


def moved_apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """How far two runs' weights are from each other, relative to how far they moved."""
    apart = sum((v - other["weights"][n]).square().sum() for n, v in one["weights"].items())
    moved = sum((v - one["start"][n]).square().sum() for n, v in one["weights"].items())
    return float((apart / moved).sqrt())


def compare(name: str, x: Tensor, steps: int) -> dict[str, Any]:
    """A row of the table."""
    recipe = zoo.recipe(name)
    short, found = (run(recipe, x, COMPARED, how) for how in ("off", "on"))
    row = {"wait": found["wait"], "refusal": found["refusal"]}
    if found["refusal"] is None:
        row |= {"loss": abs(found["loss"] / short["loss"] - 1), "weights": moved_apart(short, found)}
        row |= {how: run(recipe, x, steps, how)["ms"] for how in ("off", "on")}
        row["again"] = run(recipe, x, COMPARED, "on")["wait"]
    return row


def shown(name: str, row: dict[str, Any]) -> str:
    """A row as text."""
    if row["refusal"] is not None:
        return f"{name:28} not compiled: {row['refusal']}"
    return (
        f"{name:28} loss {row['loss']:.1e}  weights {row['weights']:.1e}  {row['off']:6.2f} -> {row['on']:6.2f} ms "
        f"({row['off'] / row['on']:.2f} x)  wait {row['wait']:.1f} s, again {row['again']:.1f} s"
    )


def long_run(name: str, x: Tensor, steps: int) -> dict[str, float]:
    """Resident memory in MiB after a tenth of the steps and after all of them."""
    trained = engine(zoo.recipe(name), x, steps, "on")
    seen: list[float] = []

    def note(kind: str, what: Any) -> None:
        if kind == "step" and what in (steps // 10, steps):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen.append(pages * resource.getpagesize() / 2**20)

    trained.callback = note
    trained.run()
    return {"steps": steps, "after a tenth": seen[0], "at the end": seen[-1]}


def main() -> None:
    """Compare all recipes that are trained by gradients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--recipes", nargs="+", default=list(zoo.RECIPES))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--long", type=int, default=0, help="steps of a long run of each kind of net")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    images = load_dataset("mnist", DataOptions(), seed=0).train.x[:2000]
    x = torch.from_numpy(images.reshape(-1, *SHAPE)).float() / 255
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {"recipes": {}, "memory": {}}
    record["machine"] = describe()
    for name in options.recipes:
        if zoo.recipe(name).training.optimizer != "exact":
            record["recipes"][name] = row = compare(name, x, options.steps)
            print(shown(name, row), flush=True)
    for name in LONG if options.long else ():
        record["memory"][name] = row = long_run(name, x, options.long)
        print(f"{name:28} {row}", flush=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
