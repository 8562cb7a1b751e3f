"""Pairs of input and target: one order, one shift, and the encoder sees the input only."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from isthmus import latents, likelihoods, nets, penalties, priors, zoo
from isthmus.errors import BadData, BadOption, ShapeError
from isthmus.functional import squared_error
from isthmus.metrics.losses import losses
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.options import PretrainingOptions, TrainingOptions
from isthmus.parts import corruptions
from isthmus.parts.protocols import Trace
from isthmus.training.augmentation import Augmentation
from isthmus.training.batches import Pair, PairBatches, Share, TensorBatches
from isthmus.training.block_shuffle import batches_of
from isthmus.training.checkpointing.files import CheckpointStore
from isthmus.training.checks import check_kind_of_data
from isthmus.training.engine import Engine

N, D = 50, 6
CLEAN = torch.rand(N + 20, D, generator=torch.Generator().manual_seed(1))
NOISY = CLEAN + 0.5 + 0.1 * torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(2))


class Seen(nn.Module):
    """A penalty for tests that keeps the traces it was given."""

    name = "seen"
    requires = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.traces: list[Trace] = []

    def forward(self, model: Autoencoder, trace: Trace) -> Tensor:
        self.traces.append(trace)
        return trace.z.new_zeros(len(trace.z))


def objective(corruption: nn.Module | None = None, *extra: nn.Module) -> Objective:
    torch.manual_seed(0)
    latent, likelihood = latents.Gaussian(), likelihoods.Gaussian(0.3)
    encoder, decoder, _ = nets.mlp((D,), 3, latent, likelihood, widths=(16,))
    model = Autoencoder(encoder, decoder, latent, likelihood, corruption, shape=(D,))
    return Objective(model, {penalties.KL(priors.StandardNormal()): 1.0, **dict.fromkeys(extra, 1.0)})


def engine(made: Objective, *, inputs: Tensor | None = NOISY[:N], valid: bool = True, **options: object) -> Engine:
    chosen = TrainingOptions.model_validate({"batch_size": 16, "epochs": 3, "precision": "32"} | options)
    held_out = (CLEAN[N:], None if inputs is None else NOISY[N:]) if valid else (None, None)
    return Engine(made, chosen, CLEAN[:N], held_out[0], seed=3, inputs=inputs, valid_inputs=held_out[1])


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("start", [0, 2])
def test_the_rows_of_both_are_those_of_a_batch_of_examples(rank: int, world: int, start: int) -> None:
    x, share = torch.arange(11.0)[:, None], Share(rank, world)
    batches = PairBatches(x, -x, 4, seed=5, share=share)
    found = list(batches.epoch(1, start))
    plain = list(TensorBatches(x, 4, seed=5, share=share).epoch(1, start))
    assert [batch.x.tolist() for batch in found] == [batch.tolist() for batch in plain]
    assert all(torch.equal(batch.x_in, -batch.x) for batch in found)
    assert (len(batches), batches.population, batches.smallest) == (
        len(TensorBatches(x, 4, seed=5, share=share)),
        11,
        TensorBatches(x, 4, seed=5, share=share).smallest,
    )


def test_both_are_shifted_by_the_same_pixels() -> None:
    x = torch.rand(40, 2, 7, 7) + 1
    batches = batches_of(x, 16, seed=0, augment=Augmentation(shift=2), inputs=3 * x)
    for batch in batches.epoch(0):
        assert torch.equal(batch.x_in, 3 * batch.x)
    found = torch.cat([batch.x for batch in batches.epoch(0)])
    plain = torch.cat(list(batches_of(x, 16, seed=0, augment=Augmentation(shift=2)).epoch(0)))
    assert torch.equal(found, plain)
    assert not torch.equal(found.sum((1, 2, 3)).sort().values, x.sum((1, 2, 3)).sort().values)


def test_half_of_the_images_are_mirrored_and_both_of_a_pair_alike() -> None:
    x = torch.rand(400, 1, 3, 5)
    batches = batches_of(x, 400, seed=0, augment=Augmentation(flip=True), inputs=3 * x)
    (found,) = batches.epoch(0)
    assert torch.equal(found.x_in, 3 * found.x)
    both = torch.cat([x, x.flip(-1)]).flatten(1)
    which = torch.cdist(found.x.flatten(1), both).argmin(1)
    assert torch.equal(found.x.flatten(1), both[which])
    # every image once, mirrored or not; 200 +- 5 standard deviations
    assert torch.equal((which % 400).sort().values, torch.arange(400))
    assert abs(int((which >= 400).sum()) - 200) < 50
    sequences = torch.rand(40, 2, 5)
    (same,) = batches_of(sequences, 40, seed=0, augment=Augmentation(flip=True)).epoch(0)
    assert torch.equal(same.sum((1, 2)).sort().values, sequences.sum((1, 2)).sort().values)
    assert torch.equal(same[:, 0, 0].sort().values, sequences[:, 0, 0].sort().values)


def test_images_are_rotated_and_scaled_within_the_limits_and_sequences_are_not() -> None:
    # a plane that increases to the right: its slope tells the scale, and its direction the angle
    right = torch.linspace(0, 1, 33).expand(300, 1, 33, 33).contiguous()
    (found,) = batches_of(right, 300, seed=0, augment=Augmentation(rotation=10.0, scale=0.2)).epoch(0)
    across = (found[:, 0, 16, 20] - found[:, 0, 16, 12]) / 8 * 32
    down = (found[:, 0, 20, 16] - found[:, 0, 12, 16]) / 8 * 32
    angle, scale = torch.atan2(-down, across).rad2deg(), 1 / torch.hypot(across, down)
    for values, middle, most in ((angle, 0.0, 10.0), (scale, 1.0, 0.2)):
        assert (values - middle).abs().max() <= most * 1.001
        # uniform: within 5 standard errors, and of the standard deviation most / sqrt(3)
        assert abs(values.mean() - middle) < 5 * most / (3 * 300) ** 0.5
        assert values.std().item() == pytest.approx(most / 3**0.5, rel=0.15)
    sequences = torch.rand(40, 2, 5)
    (same,) = batches_of(sequences, 40, seed=0, augment=Augmentation(rotation=90.0, scale=0.5)).epoch(0)
    assert torch.equal(same.flatten(1).sum(1).sort().values, sequences.flatten(1).sum(1).sort().values)


def test_only_what_changes_examples_is_an_augmentation() -> None:
    assert not Augmentation(edges="reflect")
    assert all([Augmentation(shift=1), Augmentation(flip=True), Augmentation(rotation=1.0), Augmentation(scale=0.1)])


def test_pairs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"inputs have shape \(3, 1\) and the targets \(4, 1\)"):
        PairBatches(torch.zeros(4, 1), torch.zeros(3, 1), 2, seed=0)
    with pytest.raises(BadOption, match="binarize=dynamic samples input and target as one"):
        PairBatches(torch.zeros(4, 1), torch.zeros(4, 1), 2, seed=0, dynamic=True)
    with pytest.raises(BadData, match="must be in memory"):
        batches_of(iter(()), 2, seed=0, inputs=torch.zeros(4, 1))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="3 inputs for 4 targets"):
        losses(objective(), torch.zeros(4, D), inputs=torch.zeros(3, D))


@pytest.mark.parametrize("kind", ["missing", "pairs"])
def test_closed_forms_and_pretraining_know_neither_missing_values_nor_pairs(kind: str) -> None:
    exact, adam = (TrainingOptions(optimizer=name) for name in ("exact", "adam"))
    none, rbm = (PretrainingOptions(kind=name) for name in ("none", "rbm"))
    check_kind_of_data(adam, none, missing=True, pairs=True)
    check_kind_of_data(exact, rbm)
    with pytest.raises(BadOption, match=rf"^training\.optimizer=exact does not support {kind}"):
        check_kind_of_data(exact, none, **{kind: True})
    with pytest.raises(BadOption, match=rf"^pretraining\.kind=rbm does not support {kind}"):
        check_kind_of_data(adam, rbm, **{kind: True})
    made = zoo.recipe("pca").build((D,))
    if kind == "missing":
        made.model.fill = torch.zeros(1, D)
    with pytest.raises(BadOption, match=rf"^training\.optimizer=exact does not support {kind}"):
        Engine(made, exact, CLEAN, inputs=NOISY if kind == "pairs" else None)


def test_the_encoder_sees_the_input_and_the_loss_the_target() -> None:
    seen = Seen()
    made = objective(corruptions.GaussianNoise(0.2), seen)
    made.train()
    torch.manual_seed(4)
    loss = made(CLEAN, x_in=NOISY)
    trace = seen.traces[-1]
    assert torch.equal(trace.x, CLEAN)
    torch.manual_seed(4)
    noisier = NOISY + 0.2 * torch.randn_like(NOISY)
    torch.testing.assert_close(trace.x_in, noisier)
    torch.testing.assert_close(trace.q.mean, made.model.posterior(noisier).mean)
    torch.testing.assert_close(loss.terms["reconstruction"], -trace.p.log_prob(CLEAN).mean())
    made.eval()
    made(CLEAN, x_in=NOISY)
    assert torch.equal(seen.traces[-1].x_in, NOISY)


@pytest.mark.parametrize("name", ["contractive", "contractive_h"])
def test_a_jacobian_is_taken_at_the_input(name: str) -> None:
    latent, likelihood = latents.Deterministic("sigmoid"), likelihoods.Gaussian()
    encoder, decoder, _ = nets.mlp((D,), 3, latent, likelihood, widths=(8,))
    made = Objective(Autoencoder(encoder, decoder, latent, likelihood, shape=(D,)), {penalties.PENALTIES[name](): 1.0})
    made.eval()
    found, at_input, at_target = (
        made(x, x_in=x_in).terms[name] for x, x_in in ((CLEAN, NOISY), (NOISY, None), (CLEAN, None))
    )
    assert torch.equal(found, at_input)
    assert not torch.allclose(found, at_target)


def test_pairs_of_equal_examples_give_the_bits_of_single_examples() -> None:
    outcomes = []
    for inputs in (None, CLEAN[:N].clone()):
        made = objective(corruptions.GaussianNoise(0.1))
        outcomes.append((engine(made, inputs=inputs, valid=False).run().history[-1].train, made.state_dict()))
    (one, weights), (two, others) = outcomes
    assert one == two
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_an_autoencoder_learns_to_map_inputs_to_targets() -> None:
    made = objective()
    history = engine(made, epochs=120, learning_rate=1e-2).run().history
    assert history[-1].valid is not None
    assert history[0].valid is not None
    assert history[-1].valid["loss"] < history[0].valid["loss"] - 5
    restored = squared_error(CLEAN[N:], made.model.reconstruct(NOISY[N:])).mean()
    # the offset of 1/2 per value is gone: six quarters, and what is left is below the variance of the data
    assert restored < 0.8 < squared_error(CLEAN[N:], NOISY[N:]).mean()


def test_training_and_validation_encode_the_inputs_of_their_targets() -> None:
    made = objective()
    trained = engine(made, epochs=1, learning_rate=1e-12)
    (row,) = trained.run().history
    valid = row.valid
    assert valid is not None
    assert row.train["kl"] == pytest.approx(made(NOISY[:N]).terms["kl"].item(), rel=1e-5)
    expected = losses(made, CLEAN[N:], inputs=NOISY[N:], seed=0)
    assert valid["kl"] == pytest.approx(expected["kl"], rel=1e-5)
    assert expected["kl"] == pytest.approx(made(NOISY[N:]).terms["kl"].item(), rel=1e-5)
    assert expected["kl"] != pytest.approx(made(CLEAN[N:]).terms["kl"].item(), rel=1e-2)


def test_line_searches_learn_from_pairs() -> None:
    history = engine(objective(), optimizer="lbfgs", epochs=2).run().history
    assert history[-1].train["loss"] < history[0].train["loss"]


def test_an_interrupted_run_on_pairs_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole = objective(corruptions.GaussianNoise(0.1))
    expected = engine(whole).run()

    first = objective(corruptions.GaussianNoise(0.1))
    begun = engine(first)
    begun.checkpoints = CheckpointStore(tmp_path, every=1e9)

    def interrupt(kind: str, what: object) -> None:
        if kind == "step" and what == 6:
            begun._stop.asked = True

    begun.callback = interrupt
    with pytest.raises(KeyboardInterrupt):
        begun.run()
    found = CheckpointStore(tmp_path).read()
    assert found is not None
    again = objective(corruptions.GaussianNoise(0.1))
    resumed = engine(again)
    resumed.resume_from(found)
    outcome = resumed.run()
    assert outcome.resumed_at == (6,)
    assert [row.train for row in outcome.history] == [row.train for row in expected.history]
    assert [row.valid for row in outcome.history] == [row.valid for row in expected.history]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("dynamic", [False, True])
def test_missing_values_are_no_divergence(dynamic: bool) -> None:
    made = zoo.recipe("vae").with_options({"latent.size": 2, "net.widths": [8]}).build((D,))
    x = CLEAN.clone()
    x[torch.rand(x.shape) < 0.3] = torch.nan
    made.accept_missing(x.nanmean(0, keepdim=True))
    options = TrainingOptions(batch_size=16, epochs=4, precision="32", learning_rate=1e-2)
    history = Engine(made, options, x[:N], x[N:], dynamic=dynamic).run().history
    assert history[-1].train["loss"] < history[0].train["loss"]


def test_missing_values_stay_missing_where_others_are_sampled() -> None:
    x = torch.full((400, 2), 0.5)
    x[::3, 1] = torch.nan
    batches = batches_of(x, 50, seed=0, dynamic=True)
    batches.missing = True
    found = torch.cat(list(batches.epoch(0)))
    assert int(found.isnan().sum()) == int(x.isnan().sum())
    assert set(found[~found.isnan()].tolist()) == {0.0, 1.0}


def test_a_shift_brings_no_missing_values_in() -> None:
    x = torch.ones(60, 1, 5, 5)
    x[:, :, 0, 0] = torch.nan
    batches = batches_of(x, 60, seed=0, augment=Augmentation(shift=2))
    (found,) = batches.epoch(0)
    assert int(found.isnan().flatten(1).sum(1).max()) == 1


class Half:
    """One of two processes, for tests, which adds the sums of the other."""

    world, device = 2, torch.device("cpu")

    def __init__(self, rank: int, sums: list[Tensor]) -> None:
        self.rank, self.sums = rank, sums

    def total(self, values: Tensor) -> Tensor:
        self.sums.append(values)
        return torch.stack(self.sums).sum(0)


def test_processes_share_the_chunks_of_both() -> None:
    made, n = objective(), 2300
    x = torch.rand(n, D)
    sums: list[Tensor] = []

    def halves() -> Iterator[dict[str, float]]:
        for rank in (0, 1):
            yield losses(made, x, inputs=2 * x, seed=1, processes=Half(rank, sums))

    *_, found = halves()
    assert found == pytest.approx(losses(made, x, inputs=2 * x, seed=1), rel=1e-6)
    assert isinstance(next(iter(batches_of(x, 10, seed=0, inputs=x).epoch(0))), Pair)
