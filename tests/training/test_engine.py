"""The engine: means by count, same seed same bits, best weights, early stops, and divergence with an address."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from isthmus import fit, latents, likelihoods, nets, penalties, priors, zoo
from isthmus.errors import BadData, BadOption, Diverged, ShapeError
from isthmus.metrics.losses import losses
from isthmus.models import hardware
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.parts.schedules import Schedule
from isthmus.training.engine import Engine
from isthmus.training.history import Epoch
from isthmus.training.optimizers import run_length

X = torch.rand(70, 6, generator=torch.Generator().manual_seed(1))


def objective(size: int = 2, weight: float | Schedule = 1.0, **options: object) -> Objective:
    torch.manual_seed(0)
    latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    encoder, decoder, _ = nets.mlp((6,), size, latent, likelihood, widths=(8,), **options)  # type: ignore[arg-type]
    model = Autoencoder(encoder, decoder, latent, likelihood, shape=(6,))
    return Objective(model, {penalties.KL(priors.StandardNormal()): weight})


def trained(options: dict[str, object], **more: object) -> tuple[Objective, Engine, list[Epoch]]:
    made = objective()
    defaults = {"batch_size": 16, "epochs": 3, "precision": "32"}
    engine = Engine(made, TrainingOptions.model_validate(defaults | options), X[:50], X[50:], **more)  # type: ignore[arg-type]
    return made, engine, engine.run().history


def test_training_lowers_the_loss() -> None:
    _, _, history = trained({"epochs": 20, "learning_rate": 1e-2})
    assert history[-1].train["loss"] < history[0].train["loss"] - 0.1
    assert history[-1].valid is not None
    assert history[0].valid is not None
    assert history[-1].valid["loss"] < history[0].valid["loss"]


def test_the_loss_of_an_epoch_is_the_mean_over_examples_not_over_batches() -> None:
    """With a rate so small that nothing moves, the epoch's KL is that of all examples, whatever the batches are."""
    made, _, history = trained({"epochs": 1, "learning_rate": 1e-12, "batch_size": 48, "keep": "last"})
    trace = made.model(X[:50])
    expected = made.penalties["kl"](made.model, trace).mean().item()
    assert history[0].train["kl"] == pytest.approx(expected, rel=1e-5)


def test_validation_is_the_mean_over_examples_with_final_weights() -> None:
    made = objective(weight=Schedule(3.0, "linear", fraction=1.0))
    found = losses(made, X, seed=4)
    assert found["loss"] == pytest.approx(found["reconstruction"] + 3.0 * found["kl"], rel=1e-6)
    assert found == losses(made, X, seed=4)
    assert found["loss"] != losses(made, X, seed=5)["loss"]


def test_losses_leave_the_global_generator_as_it_was() -> None:
    made = objective()
    before = torch.random.get_rng_state()
    losses(made, X)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("options", [{}, {"optimizer": "muon"}, {"precision": "bf16"}, {"gradient_clip": 0.5}])
def test_the_same_seed_gives_the_same_bits(options: dict[str, object]) -> None:
    first, second = (trained(options, seed=7)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = trained(options, seed=8)[0].state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_bf16_touches_the_networks_only_and_stays_near_float32() -> None:
    """bf16 keeps 8 bits, a relative error of 2^-8 in each product; over three epochs the loss stays within 2 %."""
    made, engine, low = trained({"precision": "bf16"})
    _, _, full = trained({"precision": "32"})
    assert engine.precision is torch.bfloat16
    assert made.model.autocast is None
    assert all(p.dtype == torch.float32 for p in made.parameters())
    assert low[-1].train["loss"] == pytest.approx(full[-1].train["loss"], rel=0.02)
    assert low[-1].train["loss"] != full[-1].train["loss"]


def test_heads_and_losses_see_float32_when_networks_run_in_bf16() -> None:
    made = objective()
    made.model.autocast = torch.bfloat16
    trace = made.model(X)
    assert trace.z.dtype == torch.float32
    assert trace.p.mean.dtype == torch.float32
    assert made(X).total.dtype == torch.float32


def test_steps_win_over_epochs_and_stop_inside_an_epoch() -> None:
    _, engine, history = trained({"steps": 5, "epochs": 9})
    assert engine.step == 5
    assert [record.step for record in history] == [4, 5]
    assert run_length(TrainingOptions(steps=5), 4) == (5, 2)


@pytest.mark.parametrize(("batches", "epochs"), [(1, 1000), (15, 200), (150, 20), (550, 20)])
def test_small_data_is_seen_more_often(batches: int, epochs: int) -> None:
    assert run_length(TrainingOptions(), batches) == (epochs * batches, epochs)


def test_the_best_weights_are_kept_and_the_last_on_demand() -> None:
    options = {"epochs": 30, "learning_rate": 0.3, "optimizer": "adam"}
    made, _, history = trained(options)
    best = min(history, key=lambda record: record.valid["loss"])  # type: ignore[index]
    assert best.epoch < 30, "the run must get worse for this test to mean anything"
    assert best.valid is not None
    assert losses(made, X[50:])["loss"] == pytest.approx(best.valid["loss"], abs=1e-6)
    made, _, history = trained(options | {"keep": "last"})
    assert history[-1].valid is not None
    assert losses(made, X[50:])["loss"] == pytest.approx(history[-1].valid["loss"], abs=1e-6)


def test_an_early_stop_waits_for_its_patience_and_says_why() -> None:
    made = objective()
    options = TrainingOptions(batch_size=16, epochs=200, learning_rate=0.3, patience=4, precision="32")
    outcome = Engine(made, options, X[:50], X[50:]).run()
    assert len(outcome.history) == outcome.kept_epoch + 4 < 200
    assert outcome.stopped.startswith("early, as the validation loss has not improved on")
    assert f"(epoch {outcome.kept_epoch}) for 4 epochs" in outcome.stopped


def test_no_early_stop_inside_a_warm_up() -> None:
    made = objective(weight=Schedule(1.0, "linear", fraction=0.5))
    options = TrainingOptions(batch_size=16, epochs=40, learning_rate=0.5, patience=2, precision="32")
    outcome = Engine(made, options, X[:50], X[50:]).run()
    assert len(outcome.history) >= 20


def test_weights_of_penalties_follow_their_schedule() -> None:
    made = objective(weight=Schedule(2.0, "linear", start=0.0, steps=8))
    options = TrainingOptions(batch_size=16, epochs=4, precision="32", keep="last")
    history = Engine(made, options, X[:50]).run().history
    # the last steps of the epochs, counted from 0, are 3, 7, 11 and 15; the rise takes 8
    assert [record.weights["kl"] for record in history] == pytest.approx([0.75, 1.75, 2.0, 2.0])


def test_a_warm_up_that_cannot_finish_is_a_warning() -> None:
    made = objective(weight=Schedule(1.0, "linear", steps=100))
    with pytest.warns(UserWarning, match=r"takes 100 steps, but the run has 4: its weight ends at 0\.03 of 1"):
        Engine(made, TrainingOptions(batch_size=16, epochs=1, precision="32"), X[:50]).run()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = objective(weight=Schedule(1.0, "linear", steps=4))
        Engine(done, TrainingOptions(batch_size=16, epochs=1, precision="32"), X[:50]).run()


def test_clipping_bounds_the_step_of_plain_descent() -> None:
    made = objective()
    before = nn.utils.parameters_to_vector(made.parameters()).detach().clone()
    options = TrainingOptions(
        batch_size=50,
        epochs=1,
        optimizer="sgd",
        learning_rate=1.0,
        gradient_clip=0.01,
        momentum=0.0,
        precision="32",
        keep="last",
    )
    Engine(made, options, X[:50]).run()
    moved = (nn.utils.parameters_to_vector(made.parameters()) - before).norm().item()
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_a_last_batch_of_one_does_not_break_batch_normalization() -> None:
    made = objective(norm="batch")
    history = Engine(made, TrainingOptions(batch_size=7, epochs=1, precision="32"), X[:50]).run().history
    assert history[0].train["loss"] > 0


class Poison(nn.Module):
    """A layer that gives NaN for any batch that holds a marked example."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.where((h[:, :1] > 0.999).any(), h * torch.nan, h)


def test_a_divergence_names_batch_part_and_layer_and_keeps_good_weights() -> None:
    made = objective()
    made.model.encoder.insert(1, Poison())  # type: ignore[operator]
    x = X[:50].clamp(max=0.9)
    poisoned = x.clone()
    engine = Engine(made, TrainingOptions(batch_size=16, epochs=3, precision="32"), x)
    engine.callback = lambda kind, what: engine.train.copy_(poisoned.fill_(1.0)) if kind == "epoch" else None
    with pytest.raises(Diverged, match=r"epoch 2, batch 1 of 4: the term .*nan, first in layer encoder\.1 \(Poison\)"):
        engine.run()
    assert all(bool(torch.isfinite(p).all()) for p in made.parameters())


def test_weights_that_overflow_are_named() -> None:
    options = {"optimizer": "sgd", "learning_rate": 1e300, "momentum": 0.0}
    with pytest.raises(Diverged, match=r"the weights model\.[a-z]+coder\.\d\.(weight|bias) are no longer finite"):
        trained(options)


def test_a_divergence_in_the_first_epoch_gives_the_first_weights_back() -> None:
    made = objective()
    first = {name: value.clone() for name, value in made.state_dict().items()}
    options = TrainingOptions(batch_size=16, epochs=3, precision="32", optimizer="sgd", learning_rate=1e38)
    with pytest.raises(Diverged):
        Engine(made, options, X[:50]).run()
    assert all(torch.equal(first[name], value) for name, value in made.state_dict().items())


def test_convolutions_train_with_channels_last_weights() -> None:
    run = fit("transposed_conv", torch.rand(40, 1, 9, 7), epochs=1, options={"net.channels": [4, 4], "data.test": 0})
    conv = next(m for m in run.model.modules() if isinstance(m, nn.Conv2d))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert run.model.reconstruct(torch.rand(3, 1, 9, 7)).shape == (3, 1, 9, 7)


def test_auto_precision_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    answers: dict[bool, torch.dtype | None] = {True: torch.bfloat16, False: None}
    for fast, expected in answers.items():
        monkeypatch.setattr(hardware, "has_bf16", lambda _device, fast=fast: fast)
        assert hardware.network_precision("auto", cpu) is expected
        assert hardware.network_precision("32", cpu) is None
        assert hardware.network_precision("bf16", cpu) is torch.bfloat16


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: fit("vae", X * 3), BadData, r"requires values in \[0, 1\]"),
    (lambda: fit("vae", X[:1]), BadData, "example"),
    (lambda: fit("vae", {"x": 1}), BadData, r"must be a table .* has shape \(\)"),
    (lambda: fit("vae", object()), BadData, "The data of type object is not supported"),
    (lambda: fit("vae", X, seed=-1), BadOption, "seed must be at least 0"),
    (lambda: fit("vae", X, tensorboard=True), BadOption, r"tensorboard=True needs out="),
    (
        lambda: fit(objective(), X, options={"latent.size": 2}),
        BadOption,
        "cannot be set on an objective, only training",
    ),
    (lambda: fit(objective(), torch.rand(40, 9)), ShapeError, r"do not match their input of shape \(B, 9\)"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_misfits_are_refused_before_work_starts(case: int) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_parts_made_by_hand_train_like_a_recipe() -> None:
    run = fit(objective(), X, epochs=2, options={"training.batch_size": 16, "data.validation": 0.2})
    assert run.metadata.counts == {"train": 50, "valid": 13, "test": 7}
    assert run.model.sample(5).shape == (5, 6)
    assert zoo.recipe("vae").name != run.recipe.name == "by-hand"
