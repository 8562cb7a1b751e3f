"""Averages of weights: their closed form, in validation and in what is kept, and through an interruption."""

import os
import signal

import pytest
import torch
from torch import Tensor, nn

import isthmus as it
from isthmus.errors import BadOption
from isthmus.training.averaging import AveragedWeights


def data(n: int = 60) -> Tensor:
    return torch.rand(n, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_an_average_is_that_of_the_weights_after_each_step(decay):
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double()
    average, seen = AveragedWeights(module, decay), []
    for step in range(7):
        with torch.no_grad():
            for value in (*module.parameters(), *module.buffers()):
                value.add_(step + torch.rand_like(value)) if value.is_floating_point() else value.add_(1)
        seen.append({name: v.clone() for name, v in module.state_dict().items()})
        average.update()
    factors = torch.tensor([decay ** (6 - s) for s in range(7)], dtype=torch.float64)
    with average.in_place():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                expected = sum(f * w[name] for f, w in zip(factors, seen, strict=True)) / factors.sum()
                torch.testing.assert_close(value, expected)
            else:
                assert value.equal(seen[-1][name])
    assert all(v.equal(seen[-1][name]) for name, v in module.state_dict().items())
    average.keep()
    assert not module.state_dict()["0.weight"].equal(seen[-1]["0.weight"])


def test_without_a_decay_nothing_is_kept():
    average = AveragedWeights(nn.Linear(2, 2), 0.0)
    average.update()
    assert average.tensors() == {}


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_run_keeps_the_average_and_validates_it(keep, tmp_path):
    options = {"training.ema_decay": 0.9, "training.keep": keep, "training.compile": "off"}
    weights: list[Tensor] = []

    class Watch(it.Callback):
        def on_step_end(self, state):
            weights.append(next(state.model.parameters()).detach().clone())

    run = it.fit("deep", data().numpy(), epochs=3, options=options, callbacks=[Watch()])
    kept = run.metadata.outcome["kept_epoch"] * len(weights) // 3
    factors = torch.tensor([0.9 ** (kept - 1 - s) for s in range(kept)])
    expected = sum(f * w for f, w in zip(factors, weights, strict=False)) / factors.sum()
    torch.testing.assert_close(next(run.model.parameters()), expected)
    # the validation loss of the last epoch is that of the averaged weights
    assert run.data is not None
    if keep == "last":
        from isthmus.metrics.losses import losses
        from isthmus.models.seeding import derive_seed

        again = losses(run.objective, run.data.valid.tensor, seed=derive_seed(0, "validation"))
        assert run.history[-1]["valid"]["loss"] == pytest.approx(again["loss"], rel=1e-5)


def test_an_interrupted_run_goes_on_with_the_same_average(tmp_path):
    options = {"training.ema_decay": 0.9, "training.keep": "last", "training.checkpoint_interval": 0}
    whole = it.fit("vae", data().numpy(), epochs=4, options=options)

    class Interrupt(it.Callback):
        def on_step_end(self, state):
            if state.step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        it.fit("vae", data().numpy(), epochs=4, options=options, out=tmp_path / "run", callbacks=[Interrupt()])
    again = it.fit("vae", data().numpy(), epochs=4, options=options, out=tmp_path / "run", resume=True)
    assert all(v.equal(again.model.state_dict()[name]) for name, v in whole.model.state_dict().items())


def test_a_decay_of_one_is_refused():
    with pytest.raises(BadOption, match=r"training\.ema_decay"):
        it.fit("vae", data().numpy(), epochs=1, options={"training.ema_decay": 1.0})
