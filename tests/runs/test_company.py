"""Runs in the company of others: fits in several threads, and processes that are forked or spawned."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

import isthmus
from isthmus import Run, fit, zoo

X = np.random.default_rng(4).random((240, 12)).astype(np.float32)
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def in_threads(*work: Callable[[], Any]) -> list[Any]:
    found: list[Any] = [None] * len(work)

    def run(number: int) -> None:
        found[number] = work[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    return found


@pytest.mark.parametrize("name", ["vae", "denoising", "deep", "wae_mmd"])
def test_fits_in_two_threads_have_the_bits_that_each_has_alone(name: str) -> None:
    options = {"training.batch_size": 16}
    alone = [weights(fit(name, X, epochs=6, seed=seed, options=options)) for seed in (1, 2)]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    found = in_threads(*(lambda s=seed: weights(fit(name, X, epochs=6, seed=s, options=options)) for seed in (1, 2)))
    assert same(alone[0], found[0])
    assert same(alone[1], found[1])
    assert torch.equal(before, torch.get_rng_state())


def test_a_callback_may_draw_and_keeps_its_own_numbers() -> None:
    alone, drawn = weights(fit("vae", X, epochs=3)), []
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run = fit("vae", X, epochs=3, callbacks=[lambda _state: drawn.append(torch.rand(1))])
    assert same(alone, weights(run))
    assert torch.equal(torch.cat(drawn), expected)


def test_a_callback_may_wait_for_a_fit_in_another_thread() -> None:
    inner: list[Run] = []

    def call(_state: object) -> None:
        if not inner:
            inner.extend(in_threads(lambda: fit("vae", X, epochs=1, seed=2)))

    outer = in_threads(lambda: fit("vae", X, epochs=2, seed=1, callbacks=[call]))[0]
    assert same(weights(inner[0]), weights(fit("vae", X, epochs=1, seed=2)))
    assert same(weights(outer), weights(fit("vae", X, epochs=2, seed=1)))


def test_samples_in_another_thread_do_not_disturb_a_fit() -> None:
    run = fit("vae", X, epochs=1)
    alone = weights(fit("vae", X, epochs=8, seed=3))
    over = threading.Event()

    def sample() -> int:
        count = 0
        while not over.is_set():
            run.sample(3)
            run.score(X[:20], seed=1)
            count += 1
        return count

    def train() -> dict[str, torch.Tensor]:
        try:
            return weights(fit("vae", X, epochs=8, seed=3))
        finally:
            over.set()

    found, count = in_threads(train, sample)
    assert same(alone, found)
    assert count > 3


CHILD = """
import multiprocessing as mp, sys, time
import numpy as np, torch
import isthmus as it
from isthmus.training import shared_cores
torch.set_num_threads(2)
x = np.random.default_rng(0).random((400, 64))
crowd = "crowded" in sys.argv
if crowd:
    shared_cores.ready_threads = lambda: 50
inside = []
def call(state):
    if state.epoch == 2:
        time.sleep(1 if crowd else 0)
        inside.append(asked())
def asked():
    with mp.get_context("fork").Pool(2) as pool:
        return pool.map_async(work, range(2)).get(timeout=60)
def work(k):
    fitted = it.fit("vae", x, epochs=1, seed=k)
    return run.encode(x), torch.get_num_threads(), len(fitted.history)
run = it.fit("vae", x, epochs=2)
if "inside" in sys.argv:
    it.fit("vae", x, epochs=3, callbacks=[call])
z = run.encode(x)
for answer, threads, epochs in sum(inside, asked()):
    assert np.allclose(answer, z, rtol=1e-5, atol=1e-6)
    assert threads == 1 and epochs == 1
print("answered")
"""


@forking
@pytest.mark.parametrize("how", ["free", "crowded", "inside crowded"])
def test_forked_workers_encode_and_fit_after_the_parent_did(how: str, tmp_path: Path) -> None:
    # in a process of its own, whose threads are killed with it if they hang
    output = tmp_path / "output"
    with output.open("w") as stream:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *how.split()], stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            child.wait(90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    assert output.read_text().strip() == "answered"


def test_the_package_alone_loads_no_torch_for_its_forks() -> None:
    code = "import isthmus, sys; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def by_joblib(run: Run, path: Path) -> Run:
    joblib.dump(run, path)
    found: Run = joblib.load(path)
    return found


def by_torch(run: Run, path: Path) -> Run:
    torch.save(run, path)
    found: Run = torch.load(path, weights_only=False)
    return found


def by_pickle(run: Run, path: Path) -> Run:
    path.write_bytes(pickle.dumps(run))
    found: Run = pickle.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("way", [by_pickle, by_joblib, by_torch])
@pytest.mark.parametrize(("name", "images"), [("vae", False), ("conv_vae", True), ("k_sparse", False)])
def test_a_run_is_pickled_without_its_data_and_gives_the_same_bits(
    way: Callable[[Run, Path], Run], name: str, images: bool, tmp_path: Path
) -> None:
    x = X[:60].reshape(60, 3, 4).repeat(4, 1).repeat(4, 2) if images else X
    run = fit(name, x, epochs=1, out=tmp_path / "run")
    for original in (run, isthmus.load(tmp_path / "run")):
        found = way(original, tmp_path / "file")
        assert original is not run or run.data is not None
        assert found.data is None
        np.testing.assert_array_equal(found.encode(x), original.encode(x))
        np.testing.assert_array_equal(found.reconstruct(x), original.reconstruct(x))
        assert (found.recipe, found.metadata, found.history) == (run.recipe, run.metadata, run.history)
        assert found.folder == tmp_path / "run"


def test_spawned_workers_encode_with_a_run() -> None:
    run = fit("vae", X, epochs=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.map_async(run.encode, [X]).get(timeout=120)
    np.testing.assert_allclose(found, run.encode(X), rtol=1e-5, atol=1e-6)


def test_the_objective_of_every_recipe_is_pickled() -> None:
    for name in zoo.RECIPES:
        recipe, shape = zoo.recipe(name), (1, 8, 8)
        objective = recipe.build(shape)
        found = pickle.loads(pickle.dumps(objective)).eval()
        x = torch.rand(4, *shape)
        assert torch.equal(found.model.encode(x), objective.eval().model.encode(x)), name
