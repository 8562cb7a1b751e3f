"""What the doctor finds: runs that are made ill on purpose in one way each, and one that is well."""

import numpy as np
import pytest
import torch
from torch import nn

from isthmus.models.recipe import Recipe
from isthmus.parts.schedules import Schedule
from isthmus.reports.diagnosis import diagnose
from isthmus.runs.fit import fit
from isthmus.runs.run import Run


def examples(n: int = 300) -> np.ndarray:
    """Rows of 12 values in (0, 1) that three factors make."""
    rng = np.random.default_rng(0)
    return (1 / (1 + np.exp(-2 * rng.normal(size=(n, 3)) @ rng.normal(size=(3, 12))))).astype(np.float32)


def trained(changes: dict[str, object], epochs: int = 60) -> Run:
    base = Recipe().with_options(
        {"net.widths": [32], "latent.size": 4, "training.learning_rate": 5e-3, "training.batch_size": 50}
    )
    return fit(base.with_options(changes), examples(), epochs=epochs, options={"training.precision": "32"})


def names(run: Run) -> list[str]:
    return [finding.name for finding in diagnose(run, run.data)]


def sentence(run: Run, name: str) -> str:
    found = [finding for finding in diagnose(run, run.data) if finding.name == name]
    assert len(found) == 1, f"{name} is not among {names(run)}"
    assert found[0].option.split(".")[0] in found[0].sentence
    assert found[0].sentence.endswith(".")
    return found[0].sentence


def last(net: nn.Module) -> nn.Linear:
    return [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]


VAE = {"latent.kind": "gaussian", "penalties.kl.kind": "kl"}


def test_a_run_that_is_well_has_no_problem():
    run = trained(VAE | {"penalties.kl.weight": 0.05})
    assert [f for f in diagnose(run, run.data) if f.severity == "problem"] == []


def test_a_collapsed_posterior_is_found_and_its_weight_named():
    text = sentence(trained(VAE | {"penalties.kl.weight": 1000.0}), "posterior collapse")
    assert text.startswith("None of the 4 latents is active")
    assert "penalties.kl.weight" in text
    assert "free_bits" in text


def test_latents_that_are_not_used_are_counted():
    run = trained(VAE | {"penalties.kl.weight": 0.05})
    with torch.no_grad():
        features = last(run.model.encoder)
        for unit in (0, 1, 2):
            for row in (unit, unit + 4):
                features.weight[row] = 0
                features.bias[row] = 0
    assert sentence(run, "unused latents").startswith("1 of 4 latents are active")
    assert "posterior collapse" not in names(run)


def test_dead_units_are_counted_and_many_are_a_problem():
    run = trained({"latent.activation": "relu", "latent.size": 10}, epochs=5)
    with torch.no_grad():
        last(run.model.encoder).bias[:] = 10
        last(run.model.encoder).bias[:3] = -1000
    assert sentence(run, "dead units").startswith("30% of the 10 code units are zero for all 30 examples")
    with torch.no_grad():
        last(run.model.encoder).bias[:8] = -1000
    found = {f.name: f.severity for f in diagnose(run, run.data)}
    assert found["dead units"] == "problem"


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_a_saturated_code_is_found_at_both_its_ends(activation):
    run = trained({"latent.activation": activation}, epochs=5)
    assert "saturated code" not in names(run)
    with torch.no_grad():
        last(run.model.encoder).weight *= 1e5
    assert f"bounds of {activation}" in sentence(run, "saturated code")


def test_codewords_that_nobody_uses_are_counted():
    run = trained({"latent.kind": "quantized", "latent.codebook_size": 10, "latent.codebook_dim": 2}, epochs=5)
    run.model.latent.usage.copy_(torch.tensor([50.0, 30.0, *[1e-4] * 8]))
    assert sentence(run, "unused codewords").startswith("20% of the 10 codewords are used")
    run.model.latent.usage.fill_(7.0)
    assert "unused codewords" not in names(run)


def test_a_model_that_gives_the_mean_is_found():
    run = trained({}, epochs=5)
    with torch.no_grad():
        layer = last(run.model.decoder)
        layer.weight.zero_()
        layer.bias.copy_(torch.logit(run.data.test.x.mean(0)))
    assert sentence(run, "mean output").startswith("The outputs explain 0.0% of the variance")


def test_outputs_that_leave_the_range_of_the_data_are_found():
    run = trained({"likelihood.kind": "gaussian"}, epochs=5)
    assert "outputs out of range" not in names(trained({}, epochs=5))
    with torch.no_grad():
        last(run.model.decoder).bias[:6] += 3
    assert sentence(run, "outputs out of range").startswith("50% of the outputs are outside the range of the data")


def test_a_scale_that_does_not_fit_the_errors_is_found_where_it_weighs_against_a_divergence():
    run = trained(VAE | {"likelihood.kind": "gaussian", "penalties.kl.weight": 0.001})
    assert "likelihood.scale is 1" in sentence(run, "likelihood scale mismatch")
    assert "likelihood scale mismatch" not in names(trained({"likelihood.kind": "gaussian"}, epochs=5))


def rows(losses: list[float]) -> list[dict[str, object]]:
    return [{"epoch": i + 1, "step": 10 * (i + 1), "train": {"loss": v}} for i, v in enumerate(losses)]


def test_a_loss_that_rises_is_a_rate_too_high():
    run = trained({}, epochs=5)
    run.history = rows([10, 6, 5, 9, 5])
    assert sentence(run, "learning rate too high").startswith("The training loss increased by 4 nats at epoch 4")
    run.history = rows([10, 6, 5, 5.5, 5])
    assert "learning rate too high" not in names(run)


def test_a_loss_that_rises_while_a_weight_does_is_no_fault_of_the_rate():
    weight = {"value": 1.0, "shape": "linear", "fraction": 0.9}
    run = trained(VAE | {"penalties.kl.weight": weight}, epochs=5)
    run.history = rows([10, 6, 9, 5, 5])
    assert "learning rate too high" not in names(run)
    run.recipe = run.recipe.with_options({"training.epochs": 5})
    run.objective.schedules["kl"] = Schedule(1.0, "linear", fraction=0.3)
    # the second epoch was half inside the warm-up, the third is measured with another weight
    assert "learning rate too high" not in names(run)
    run.history = rows([10, 6, 5, 9, 5])
    assert "learning rate too high" in names(run)


def test_a_run_that_ended_while_it_still_improved_is_told_to_go_on():
    run = trained({}, epochs=5)
    run.history = rows([float(v) for v in range(30, 10, -1)])
    assert "Train longer" in sentence(run, "still improving")
    run.history = rows([30, 20, *[11.0] * 18])
    assert "still improving" not in names(run)


@pytest.mark.filterwarnings("ignore:The warm-up of penalty kl")
def test_a_warm_up_that_did_not_end_is_a_problem():
    run = trained(VAE | {"penalties.kl.weight": {"value": 2.0, "shape": "linear", "steps": 10_000}}, epochs=5)
    text = sentence(run, "warm-up unfinished")
    assert "reached 0.0048 of 2" in text
    assert "its warm-up takes 10000 steps, the run had 25" in text


def test_problems_come_before_hints():
    run = trained(VAE | {"penalties.kl.weight": 1000.0, "likelihood.kind": "gaussian"})
    severities = [finding.severity for finding in diagnose(run, run.data)]
    assert severities == sorted(severities, key=lambda word: word != "problem")
