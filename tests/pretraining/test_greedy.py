"""Greedy pretraining: the unrolled net is the stack, layers are trained on clean codes, finished layers are kept."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from isthmus import zoo
from isthmus.errors import BadOption, Diverged, IsthmusError
from isthmus.models.objective import Objective
from isthmus.models.recipe import Recipe
from isthmus.pretraining import greedy
from isthmus.runs.fit import PRETRAINED, fit
from isthmus.runs.resume import working_folder

SHAPE = (12,)


def recipe(kind: str = "rbm", **changes: object) -> Recipe:
    options: dict[str, object] = {
        "net.widths": [8, 6], "net.activation": "sigmoid", "latent.size": 3, "training.epochs": 1,
        "pretraining.kind": kind, "pretraining.epochs": 2, "pretraining.batch_size": 10,
    }  # fmt: skip
    return zoo.deep().with_options(options | changes)


def made(chosen: Recipe) -> tuple[Objective, list[greedy.LayerTask]]:
    objective = chosen.build(SHAPE)
    return objective, greedy.plan_pretraining(objective, chosen.pretraining, chosen)


def test_missing_values_are_refused() -> None:
    chosen = recipe()
    objective = chosen.build(SHAPE)
    objective.accept_missing(torch.full((1, *SHAPE), 0.5))
    with pytest.raises(BadOption, match=r"^pretraining\.kind=rbm does not support missing values"):
        greedy.plan_pretraining(objective, chosen.pretraining, chosen)


def kept_in(folder: Path, tasks: list[greedy.LayerTask]) -> list[dict[str, Tensor]]:
    """The saved weights of all layers."""
    found = [greedy._parsed(greedy._read(greedy._file_of(folder, n)), t.layer) for n, t in enumerate(tasks)]
    return [dict(zip(greedy.NAMES, layer[0], strict=True)) for layer in found if layer is not None]


def through(x: Tensor, kept: list[dict[str, Tensor]], code: str) -> tuple[Tensor, Tensor]:
    """Code and output logits of a stack of saved layers, computed from their weights."""
    acts = ["sigmoid"] * (len(kept) - 1) + [code]
    act = {"sigmoid": torch.sigmoid, "linear": lambda h: h}
    h = x
    for layer, name in zip(kept, acts, strict=True):
        h = act[name](h @ layer["weight"].T + layer["bias"])
    z = h
    for layer in reversed(kept[1:]):
        h = torch.sigmoid(h @ layer["back"].T + layer["back_bias"])
    return z, h @ kept[0]["back"].T + kept[0]["back_bias"]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["rbm", "denoising", "sparse"])
@pytest.mark.parametrize("code", ["linear", "sigmoid"])
def test_the_unrolled_net_equals_the_stack_at_step_0(tmp_path: Path, kind: str, tied: bool, code: str) -> None:
    x = torch.rand(40, *SHAPE)
    objective, tasks = made(recipe(kind, **{"net.tied": tied, "latent.activation": code}))
    rows = greedy.pretrain(tasks, x, seed=3, keep=tmp_path)
    kept = kept_in(tmp_path, tasks)
    assert [tuple(layer["weight"].shape) for layer in kept] == [(8, 12), (6, 8), (3, 6)]
    if tied and kind == "sparse":
        # this recipe's own decoders are untied, so the deep net takes the transposes of its encoders
        kept = [layer | {"back": layer["weight"].T} for layer in kept]
    z, logits = through(x, kept, code)
    torch.testing.assert_close(objective.model.encode(x), z, rtol=0, atol=1e-5)
    torch.testing.assert_close(objective.model.reconstruct(x), logits.sigmoid(), rtol=0, atol=1e-5)
    assert [row["units"] for row in rows] == [8, 6, 3]
    before = recipe(kind, **{"net.tied": tied, "latent.activation": code}).build(SHAPE)
    assert not torch.equal(before.model.encode(x), z)


@pytest.mark.parametrize("kind", ["rbm", "denoising"])
def test_a_machine_or_tied_level_starts_the_decoder_as_the_transpose_which_is_then_free(kind: str) -> None:
    objective, tasks = made(recipe(kind))
    greedy.pretrain(tasks, torch.rand(40, *SHAPE))
    down = [m for m in objective.model.encoder if isinstance(m, nn.Linear)]
    up = [m for m in objective.model.decoder if isinstance(m, nn.Linear)]
    for a, b in zip(down, reversed(up), strict=True):
        assert torch.equal(a.weight, b.weight.T)
        assert a.weight.data_ptr() != b.weight.data_ptr()
        assert b.weight.requires_grad


def test_the_code_of_a_variational_net_gets_the_level_as_its_mean_and_a_scale_of_one() -> None:
    chosen = zoo.vae(3, (8,)).with_options({"net.activation": "sigmoid", "pretraining.kind": "rbm"})
    objective, tasks = made(chosen)
    greedy.pretrain(tasks, torch.rand(40, *SHAPE))
    q = objective.model.posterior(torch.rand(5, *SHAPE))
    assert torch.equal(q.stddev, torch.ones(5, 3))
    assert q.mean.std() > 0


def test_every_level_learns_from_the_clean_codes_of_the_one_below(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    engine = greedy.Engine

    def monitored(objective: Objective, options: object, train: Tensor, **more: object) -> object:
        seen.append(train)
        return engine(objective, options, train, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(greedy, "Engine", monitored)
    x = torch.rand(40, *SHAPE)
    chosen = recipe("denoising", **{"pretraining.changes": {"corruption.fraction": 0.5}})
    objective, tasks = made(chosen)
    greedy.pretrain(tasks, x)
    first, second, third = seen
    assert torch.equal(first, x)
    torch.testing.assert_close(second, torch.sigmoid(objective.model.encoder[1](x)))
    torch.testing.assert_close(third, torch.sigmoid(objective.model.encoder[3](second)))


def test_options_of_the_levels_reach_them() -> None:
    chosen = recipe("denoising", **{"pretraining.changes.corruption.fraction": "0.5", "pretraining.epochs": [3, 1]})
    assert chosen.pretraining.changes == {"corruption.fraction": 0.5}
    _, tasks = made(chosen)
    rows = greedy.pretrain(tasks, torch.rand(40, *SHAPE))
    assert [row["epochs"] for row in rows] == [3, 1, 1]
    plain = greedy.pretrain(made(recipe("denoising", **{"pretraining.epochs": [3, 1]}))[1], torch.rand(40, *SHAPE))
    assert plain[0]["loss"] != rows[0]["loss"]


def test_units_follow_data_and_activations() -> None:
    words = [task.description for task in made(recipe())[1]]
    assert words == [
        "bernoulli-bernoulli Boltzmann machine 12-8", "bernoulli-bernoulli Boltzmann machine 8-6",
        "bernoulli-gaussian Boltzmann machine 6-3",
    ]  # fmt: skip
    gaussian = [
        task.description for task in made(recipe(**{"likelihood.kind": "gaussian", "latent.activation": "sigmoid"}))[1]
    ]
    assert gaussian[0].startswith("gaussian-bernoulli")
    assert gaussian[2].startswith("bernoulli-bernoulli")


def test_a_penalty_acts_on_every_level_that_can_have_it_and_the_others_say_that_they_have_none() -> None:
    words = [task.description for task in made(recipe("sparse"))[1]]
    assert words == [
        *("sparse_kl autoencoder 12-8", "sparse_kl autoencoder 8-6"),
        "sparse_kl autoencoder 6-3 without kl_sparsity",
    ]
    rectified = [task.description for task in made(recipe("sparse", **{"net.activation": "relu"}))[1]]
    assert rectified == [f"sparse_l1 autoencoder {sizes}" for sizes in ("12-8", "8-6", "6-3")]


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_weight_of_a_sparse_penalty_changes_what_the_levels_learn(activation: str) -> None:
    x, penalty = torch.rand(40, *SHAPE), "kl_sparsity" if activation == "sigmoid" else "l1"

    def losses(weight: float) -> list[float]:
        changes = {f"penalties.{penalty}.weight.value": weight}
        chosen = recipe("sparse", **{"net.activation": activation, "pretraining.changes": changes})
        return [row["loss"] for row in greedy.pretrain(made(chosen)[1], x)]

    assert losses(1e-3)[0] != losses(1.0)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretraining.kind": "rmb"}, "There is no pretraining.kind 'rmb'; did you mean 'rbm'"),
        ({"net.activation": "relu"}, "sigmoid or linear hidden units, but the net has relu"),
        ({"net.norm": "layer"}, "without normalization"),
        ({"latent.kind": "top_k", "latent.k": 2}, "deterministic or gaussian code"),
        ({"likelihood.kind": "laplace"}, "Bernoulli or Gaussian visible units"),
        (
            {"likelihood.kind": "pixel_gaussian"},
            "requires 12 decoder outputs, one per value, but the likelihood uses 24",
        ),
        ({"pretraining.kind": "vae"}, "latent gaussian"),
        ({"pretraining.kind": "pca"}, "pretraining.kind=pca is a closed form for linear units"),
        ({"pretraining.epochs": [1, 1, 1, 1]}, "pretraining.epochs has 4 values, but the net has 3 layers"),
        ({"pretraining.learning_rate": "0.1,0.1,0.1,0.1"}, "pretraining.learning_rate has 4 values"),
        ({"pretraining.kind": "dropout"}, "has no net.dropout"),
        ({"pretraining.kind": "denoising", "pretraining.changes": {"net.norm": "layer"}}, "has no net.norm"),
        (
            {"pretraining.kind": "sparse_kl", "net.activation": "relu"},
            "No layer supports the penalties of recipe 'sparse_kl' .kl_sparsity., because its codes are relu, linear",
        ),
        (
            {"pretraining.kind": "denoising", "pretraining.changes": {"net.tied": False, "net.unit_norm": True}},
            "UnitLinear",
        ),
        ({"pretraining.kind": "conv"}, "net conv"),
        ({"pretraining.changes": {"corruption.fraction": 0.5}}, "but pretraining.kind is rbm"),
        ({"pretraining.kind": "denoising", "pretraining.changes": {"corruption.size": 1}}, "corruption.size"),
        ({"data.memory": "stream"}, "Pretraining needs the examples in memory|cannot be streamed|streamed"),
        (
            {"net.kind": "linear", "training.optimizer": "exact", "likelihood.kind": "gaussian"},
            "does not use pretraining",
        ),
    ],
)
def test_what_cannot_be_pretrained_is_refused_before_any_work(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = tmp_path / "x.npy"
    import numpy as np

    np.save(path, np.random.default_rng(0).random((40, 12)).astype(np.float32))
    with pytest.raises(IsthmusError, match=message):
        fit(recipe().with_options(changes), path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not working_folder(tmp_path / "run").exists()


def test_a_run_stopped_between_two_levels_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.rand(60, *SHAPE)
    whole = fit(recipe(), x, out=tmp_path / "whole")
    assert not (tmp_path / "whole" / PRETRAINED).exists()
    learn, calls = greedy.learn, []

    def stopping(*what: object, **more: object) -> object:
        calls.append(what)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(*what, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(greedy, "learn", stopping)
    with pytest.raises(KeyboardInterrupt, match="Resume with the same call and resume=True"):
        fit(recipe(), x, out=tmp_path / "run")
    assert [p.name for p in (working_folder(tmp_path / "run") / PRETRAINED).iterdir()] == ["layer-1.sealed"]
    again = fit(recipe(), x, out=tmp_path / "run", resume=True)
    assert len(calls) == 4, "the first layer is not trained again"
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert [row["layer"] for row in again.metadata.outcome["pretraining"]] == [1, 2, 3]


def test_a_spoiled_level_is_trained_again(tmp_path: Path) -> None:
    x = torch.rand(40, *SHAPE)
    objective, tasks = made(recipe())
    greedy.pretrain(tasks, x, keep=tmp_path)
    first = {name: value.clone() for name, value in objective.state_dict().items()}
    path = tmp_path / "layer-2.sealed"
    good = path.read_bytes()
    for spoiled in (b"", b"spoiled", good[:-1], good[:-1] + bytes([good[-1] ^ 1])):
        path.write_bytes(spoiled)
        greedy.pretrain(tasks, x, keep=tmp_path)
        assert all(torch.equal(value, first[name]) for name, value in objective.state_dict().items())
        assert greedy._read(path), "it is undamaged again"


def test_what_the_deep_net_decides_cannot_be_changed_level_by_level() -> None:
    for path in ("training.epochs", "latent.size", "likelihood.kind", "net.widths", "data.random_shift"):
        with pytest.raises(IsthmusError, match=f"pretraining.changes.{path} cannot be set, because the deep model"):
            made(recipe("denoising", **{"pretraining.changes": {path: 3}}))


def test_a_rate_for_each_level_and_the_precision_of_the_run_reach_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    learn = greedy.learn

    def monitored(machine: object, x: Tensor, options: object, **more: object) -> object:
        seen.append(options)
        return learn(machine, x, options, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(greedy, "learn", monitored)
    changes = {"pretraining.learning_rate": [0.05, 0.01], "training.precision": "32"}
    greedy.pretrain(made(recipe(**changes))[1], torch.rand(40, *SHAPE))
    assert [(o.learning_rate, o.precision) for o in seen] == [(0.05, "32"), (0.01, "32"), (0.01, "32")]  # type: ignore[attr-defined]


def test_the_mean_that_a_likelihood_adds_is_no_part_of_the_unrolled_decoder() -> None:
    x = torch.rand(40, *SHAPE)
    plain, tasks = made(recipe())
    greedy.pretrain(tasks, x)
    shifted, tasks = made(recipe(**{"likelihood.from_mean": True}))
    shifted.init_from_data(x)
    greedy.pretrain(tasks, x)
    torch.testing.assert_close(shifted.model.reconstruct(x), plain.model.reconstruct(x), rtol=0, atol=1e-5)


def test_a_diverged_level_says_which_option_to_change(tmp_path: Path) -> None:
    changes = {"pretraining.learning_rate": 1e30, "training.precision": "32"}
    with pytest.raises(Diverged, match=r"^Pretraining diverged: .* Lower pretraining\.learning_rate"):
        fit(recipe(**changes), torch.rand(40, *SHAPE), out=tmp_path / "run")
