"""Push a puck to where a picture shows it: the framework of Finn et al. (2016) with feature points as the state.

1. A blind controller collects episodes. 2. A spatial autoencoder is trained on their pictures. 3. Points that follow
the puck are chosen, and their positions calibrated by contact with the arm. 4. A model of arm and puck is fitted to the
same episodes. 5. A planner brings the puck to where goal pictures show it. The same is done with other states.

Unsupervised states see pictures and what the arm feels. A read-out is a linear function that was fitted to true
positions of the puck. Choices were made on other goals (``--tuning``) than those that are reported.

    python examples/control [--seeds 0 1 2] [--goals 100] [--out runs/control]
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import isthmus
from attempts import Outcome, TruePlace, attempt
from environment import Array, Push
from episodes import Episodes, collect, goals
from isthmus import Run, plots
from isthmus.plots import Animation
from planner import fitted
from states import Components, PuckPoints, ReadOut, State, encoded

EPISODES, ENCODED, HELD_OUT = 500, 200, 60
"""Blind episodes, those whose pictures train encoders, and others for the error of the positions."""
SEEDS = {"train": 0, "held": 5, "tuning": 10, "report": 20}
SHOWN = 10
CODE = 32
COMMON = {"latent.size": CODE, "training.keep": "last", "data.validation": 0.05, "training.steps": 1000}
WINDOWS = {"data.window": 3, "data.stride": 3, "training.batch_size": 21}
SLOW = {"penalties.slowness.kind": "slowness", "penalties.slowness.weight": 1.0}
ENCODERS = {
    "points": ("spatial_mlp", COMMON | WINDOWS | SLOW),
    "untrained points": ("spatial_mlp", COMMON | {"training.steps": 1, "training.learning_rate": 1e-9}),
    "convolutional code": (
        "conv",
        COMMON | {"training.batch_size": 64, "likelihood.kind": "gaussian", "likelihood.scale": 1.0},
    ),
}


def kept(path: Path, make: Callable[[], Episodes]) -> Episodes:
    """Episodes that are made once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **asdict(make()))
    with np.load(path) as arrays:
        return Episodes(**arrays)


def encoder(name: str, train: Episodes, seed: int, out: Path) -> Run:
    """An encoder that is trained once."""
    folder = out / f"{name.replace(' ', '-')}-{seed}"
    if (folder / "done").exists():
        return isthmus.load(folder)
    recipe, options = ENCODERS[name]
    frames = train.frames[:ENCODED]
    given = frames if "data.window" in options else frames.reshape(-1, *frames.shape[2:])
    run = isthmus.fit(recipe, given, options=options, seed=seed, out=folder, overwrite=True)
    (folder / "done").touch()
    return run


def states(train: Episodes, seed: int, out: Path) -> Iterator[State]:
    """All states of a seed."""
    yield TruePlace()
    for name in ENCODERS:
        run = encoder(name, train, seed, out)
        codes = encoded(run, train.frames)
        if "points" in name:
            yield PuckPoints(run, f"{name}, unsupervised").fit(train, codes)
        if name == "points":
            yield PuckPoints(run, "points, unsupervised, Kalman filter", filtered=True).fit(train, codes)
        yield Components(run, f"{name}, two components, unsupervised").fit(train, codes)
        yield ReadOut(run, f"{name}, read-out (supervised)").fit(train.take(slice(ENCODED)), codes[:ENCODED])


def accuracy(state: State, held: Episodes) -> dict[str, float]:
    """How well a state knows the puck's place: variance explained and mean error in mm, up to a constant."""
    if isinstance(state, TruePlace):
        return {}
    found = state.of(held.frames, held.arm)
    error = found - held.puck
    left = error - error.mean((0, 1))
    r2 = 1 - (left**2).sum() / ((held.puck - held.puck.mean((0, 1))) ** 2).sum()
    # where the puck rests
    still = np.linalg.norm(np.diff(held.puck, axis=1), axis=-1) < 1e-5
    jitter = np.linalg.norm(np.diff(found, axis=1), axis=-1)[still]
    return {
        "r2": round(float(r2), 4),
        "error_mm": round(1000 * float(np.linalg.norm(left, axis=-1).mean()), 1),
        "jitter_mm": round(1000 * float(jitter.mean()), 2),
    }


@dataclass(frozen=True)
class Experiment:
    """What all attempts share: episodes to learn from, others, goals and the simulation."""

    train: Episodes
    held: Episodes
    aims: Episodes
    env: Push

    def attempt(self, state: State | None, seed: int) -> tuple[dict[str, object], Outcome]:
        """Attempts with a state, or without vision: what is reported, and the outcome."""
        train = self.train
        seen = train.puck if state is None or isinstance(state, TruePlace) else state.of(train.frames, train.arm)
        model = fitted(train, seen, seed, weighted=False)
        outcome = attempt(self.env, self.aims, state, model, seed)
        name = "no vision (the tip's place in the goal)" if state is None else state.name
        known = {} if state is None else accuracy(state, self.held)
        measures = {"mm": round(1000 * float(outcome.last.mean()), 1), "success": float(outcome.success.mean())}
        print(f"seed {seed}  {name:48} {outcome}  {known}", flush=True)
        return {"state": name, "seed": seed, **measures, **known}, outcome


def video(state: PuckPoints, outcome: Outcome, aims: Episodes) -> Animation:
    """Ten attempts side by side, with the mean of the chosen points and, as a ring, where it is in the goal picture."""
    frames = outcome.frames[:SHOWN]
    points, goal = state.in_pictures(frames), state.in_pictures(aims.frames[:SHOWN, -1:])
    tiles = []
    for own, here, there in zip(frames, points, goal, strict=True):
        xy = np.stack([np.broadcast_to(there, here.shape), here], 1)
        present = np.broadcast_to([False, True], xy.shape[:2])
        drawn = plots.trails(own.transpose(0, 3, 1, 2) / 255, xy, present).frames[:, ::2, ::2]
        tiles.append(np.pad(drawn, ((0, 0), (0, 4), (0, 4), (0, 0)), constant_values=255))
    rows = [np.concatenate(tiles[k : k + SHOWN // 2], 2) for k in (0, SHOWN // 2)]
    return Animation(np.concatenate(rows, 1), rate=12.0)


def summary(rows: list[dict[str, object]], first: float) -> str:
    """The table over seeds."""
    lines = [f"Mean final distance (start: {first:.0f} mm) and success, mean of seeds [each]:"]
    for name in dict.fromkeys(str(r["state"]) for r in rows):
        own = [r for r in rows if r["state"] == name]
        rates = ", ".join(f"{r['success']:.2f}" for r in own)
        known = f"  R2 {np.mean([r['r2'] for r in own]):.3f}" if "r2" in own[0] else ""
        mean = np.mean([r["success"] for r in own])
        lines.append(f"  {name:48} {np.mean([r['mm'] for r in own]):4.0f} mm  {mean:.2f} [{rates}]{known}")
    return "\n".join(lines)


def main() -> None:
    """Collect, train, attempt, and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--goals", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/control"))
    parser.add_argument("--tuning", action="store_true", help="attempt the goals for choices")
    given = parser.parse_args()
    torch.set_num_threads(1)
    env = Push()
    which = "tuning" if given.tuning else "report"
    aims = kept(given.out / f"{which}-{given.goals}.npz", lambda: goals(given.goals, SEEDS[which], env))
    train = kept(given.out / "train.npz", lambda: collect(EPISODES, SEEDS["train"], env))
    held = kept(given.out / "held.npz", lambda: collect(HELD_OUT, SEEDS["held"], env))
    experiment, rows = Experiment(train, held, aims, env), []
    for seed in given.seeds:
        rows.append(experiment.attempt(None, seed)[0])
        for state in states(train, seed, given.out):
            found, outcome = experiment.attempt(state, seed)
            rows.append(found)
            if state.name == "points, unsupervised":
                video(state, outcome, aims).save(given.out / f"attempts-{seed}.gif")
    env.close()
    first: Array = np.linalg.norm(aims.puck[:, 0] - aims.puck[:, -1], axis=1)
    print(summary(rows, 1000 * float(first.mean())))
    content = {"goals": given.goals, "which": which, "rows": rows}
    (given.out / f"results-{which}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
