"""A head in the decoder's place: a linear probe is logistic or linear regression, and only what is to move moves."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor

from isthmus import zoo
from isthmus.errors import IsthmusError
from isthmus.models.autoencoder import Autoencoder
from isthmus.options import TrainingOptions
from isthmus.training.supervised import Classes, Predictor, predictor, supervise

SEARCH = TrainingOptions(optimizer="lbfgs", batch_size=1000, epochs=4, line_searches=200, keep="last")


def source(name: str = "deep", shape: tuple[int, ...] = (6,)) -> Autoencoder:
    return zoo.recipe(name).with_options({"latent.size": 3} if name != "conv" else {}).build(shape).model


def labeled(n: int = 200) -> tuple[Tensor, Tensor]:
    """Examples of three classes, and labels of which one in four is of another: no map separates them."""
    y = torch.arange(n) % 3
    centers = torch.tensor([[1.0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1]])
    x = (0.5 * centers[y] + 0.6 * torch.rand(n, 6)).clamp(0, 1)
    return x, torch.where(torch.arange(n) % 4 == 0, (y + 1) % 3, y)


def weights(model: torch.nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_a_linear_probe_is_logistic_regression_on_the_codes() -> None:
    x, y = labeled()
    auto = source()
    model = supervise(auto, x, y, head=SEARCH)
    codes = auto.encode(x).numpy()
    theirs = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-8).fit(codes, y.numpy())
    logits = model.decoder(model.encode(x)).detach().numpy()
    expected = codes @ theirs.coef_.T + theirs.intercept_
    # logits are known up to what all classes share
    np.testing.assert_allclose(logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True),
                               atol=0.03)  # fmt: skip
    assert (model.predict(x).numpy() == theirs.predict(codes)).mean() > 0.99


def test_a_probe_of_numbers_is_linear_regression_on_the_codes() -> None:
    x, _ = labeled()
    y = torch.stack([x.sum(1), x[:, 0] * x[:, 1]], 1)
    auto = source()
    model = supervise(auto, x, y, head=SEARCH)
    theirs = LinearRegression().fit(auto.encode(x).numpy(), y.numpy()).predict(auto.encode(x).numpy())
    np.testing.assert_allclose(model.predict(x).numpy(), theirs, atol=2e-3)


@pytest.mark.parametrize("name", ["deep", "vae", "contractive", "conv"])
def test_a_frozen_encoder_stays_and_a_free_one_moves_and_the_source_never_does(name: str) -> None:
    shape = (1, 8, 8) if name == "conv" else (6,)
    auto = source(name, shape)
    x = torch.rand(40, *shape)
    y = torch.arange(40) % 2
    before = weights(auto)
    few = TrainingOptions(steps=3, batch_size=20)
    probe = supervise(auto, x, y, head=few)
    assert all(torch.equal(a, b) for a, b in zip(weights(probe.encoder), weights(auto.encoder), strict=True))
    assert any(bool((p != 0).any()) for p in probe.decoder.parameters())
    whole = supervise(auto, x, y, head=few, fine_tuning=few)
    assert any(not torch.equal(a, b) for a, b in zip(weights(whole.encoder), weights(auto.encoder), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(weights(auto), before, strict=True))


def test_all_is_learned_where_the_codes_are_not_enough() -> None:
    x = torch.rand(400, 6)
    y = ((x[:, 0] > 0.5) ^ (x[:, 1] > 0.5)).long()
    few = TrainingOptions(steps=600, batch_size=100, learning_rate=5e-3)
    probe = supervise(source(), x, y, head=few)
    whole = supervise(source(), x, y, fine_tuning=few)
    errors = [(model.predict(x) != y).float().mean().item() for model in (probe, whole)]
    assert errors[0] > 0.3
    assert errors[1] < 0.1


def test_a_fresh_head_finds_all_classes_equally_probable() -> None:
    x, y = labeled()
    model = predictor(source(), y, classes=5)
    trace = model(model.rows(x, y))
    torch.testing.assert_close(-trace.p.log_prob(trace.x), torch.full((len(x),), 5.0).log())


def test_corruption_acts_only_where_it_is_asked_for_and_never_in_prediction() -> None:
    x, y = labeled()
    auto = zoo.denoising(8).build((6,)).model
    for corrupt in (False, True):
        model = predictor(auto, y, corrupt=corrupt).train()
        assert torch.equal(model(model.rows(x, y)).x_in, x) is not corrupt
        assert torch.equal(model.encode(x), model.encode(x))


def test_validation_chooses_the_weights() -> None:
    x, y = labeled(60)
    wrong = (y + 1) % 3
    long = TrainingOptions(epochs=20, batch_size=20, learning_rate=1e-2)

    def loss(model: Predictor) -> float:
        trace = model(model.rows(x, wrong))
        return -trace.p.log_prob(trace.x).mean().item()

    held, free = (supervise(source(), x, y, fine_tuning=long, valid=valid) for valid in ((x, wrong), None))
    assert loss(held) < loss(free) - 0.5


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (torch.zeros(3, dtype=torch.long), None, "There are 4 examples but 3 labels"),
        (torch.tensor([0, 1, 2, 3]), 3, "integers from 0 to 2"),
        (torch.tensor([-1, 0, 1, 0]), None, "integers from 0 to 1"),
        (torch.zeros(4), 3, "classes=3 requires integer labels, but they have type torch.float32"),
        (torch.zeros(4, 1, dtype=torch.long), None, r"must have shape \(N,\), but have \(4, 1\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y: Tensor, classes: int | None, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        supervise(source(), torch.rand(4, 6), y, fine_tuning=TrainingOptions(steps=1), classes=classes)


def test_one_class_is_no_choice() -> None:
    with pytest.raises(IsthmusError, match="at least 2"):
        Classes(1)


def test_something_is_to_be_trained() -> None:
    x, y = labeled()
    with pytest.raises(IsthmusError, match="Neither head nor fine_tuning is given"):
        supervise(source(), x, y)


def test_a_predictor_encodes_inputs() -> None:
    x, y = labeled()
    auto = source()
    assert torch.equal(predictor(auto, y).encode(x), auto.encode(x))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32])
def test_arrays_are_learned_from_as_tensors_are(kind: type) -> None:
    x, y = labeled(60)
    options = TrainingOptions(steps=30, keep="last")
    auto = source()
    by_tensor = supervise(auto, x, y.float() if kind is np.float32 else y, head=options, fine_tuning=options)
    given = (x.double().numpy(), y.numpy().astype(kind))
    by_array = supervise(auto, *given, head=options, fine_tuning=options, valid=given)
    assert isinstance(by_array.likelihood, Classes) is (kind is not np.float32)
    assert by_array.error(*given) == pytest.approx(by_tensor.error(x, y), abs=1e-6)
    assert torch.equal(by_array.predict(given[0]).float(), by_array.predict(x).float())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((4, 5)), [0, 1, 0, 1], r"shape \(N, 6\), but was given \(4, 5\)"),
        (np.zeros((0, 6)), [], r"but was given \(0, 6\)"),
        (np.zeros((2, 6)), ["cat", "dog"], "Labels must be numbers, but are of type <U3"),
    ],
)
def test_examples_and_labels_that_are_none_are_refused(x: object, y: list[object], message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        supervise(source(), x, np.asarray(y), head=TrainingOptions(steps=1))  # type: ignore[arg-type]


def test_the_error_is_over_as_many_labels_as_examples() -> None:
    x, y = labeled(30)
    model = predictor(source(), y)
    with pytest.raises(IsthmusError, match="30 examples but 1 labels"):
        model.error(x, y[:1])
