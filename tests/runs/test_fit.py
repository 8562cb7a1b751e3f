"""From a recipe and data to a run: what every part is shown, and what the one engine does with all players."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isthmus.errors import BadData, BadOption
from isthmus.metrics.losses import losses
from isthmus.models.recipe import Recipe
from isthmus.parts.protocols import Corrupted
from isthmus.runs.fit import fit

SMALL = {"net.widths": [8], "latent.size": 3, "training.batch_size": 20, "training.precision": "32"}


def examples(n: int = 60) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, size=(n, 6)).astype(np.float32)


def recipe(changes: dict[str, object]) -> Recipe:
    return Recipe().with_options(SMALL | changes)


@pytest.mark.parametrize("kind", ["adversarial", "factor"])
def test_the_engine_trains_critic_and_autoencoder_and_tells_the_loss_of_both(kind):
    chosen = recipe({f"penalties.{kind}.kind": kind})
    run = fit(chosen, examples(), epochs=1)
    row = run.history[-1]["train"]
    assert {"loss", "reconstruction", kind, f"{kind}_critic"} == set(row)
    # an epoch more from the same seed: every player has moved on
    other = fit(chosen, examples(), epochs=1, options={"training.keep": "last"})
    longer = fit(chosen, examples(), epochs=2, options={"training.keep": "last"})
    for name, p in longer.objective.named_parameters():
        assert not p.equal(dict(other.objective.named_parameters())[name]), f"{name} stands still"


def test_parts_that_start_from_the_data_are_shown_the_training_examples():
    run = fit(recipe({"likelihood.from_mean": True}), examples(), epochs=1)
    torch.testing.assert_close(run.model.likelihood.offset, torch.logit(run.data.train.x.mean(0)))


class Half(nn.Module):
    """A corruption for tests: half the input, everywhere."""

    def forward(self, x: Tensor, progress: float = 1.0) -> Corrupted:
        return Corrupted(x / 2)


def test_validation_measures_a_denoising_run_on_corrupted_inputs():
    objective = recipe({}).build((6,))
    x = torch.from_numpy(examples())
    halved = losses(objective, x / 2)["loss"]
    objective.model.corruption = Half()
    objective.eval()
    with torch.no_grad():
        target = -objective.model.output(objective.model.posterior(x / 2).mean).log_prob(x).mean().item()
    found = losses(objective, x)["loss"]
    # 60 sums of six float32 terms
    assert found == pytest.approx(target, rel=1e-5)
    assert found != pytest.approx(halved, rel=1e-3)


@pytest.mark.parametrize("option", ["random_shift", "random_flip", "random_rotation", "random_scale"])
def test_rows_of_a_table_cannot_be_moved(option):
    value = True if option == "random_flip" else 0.5 if option == "random_scale" else 1
    with pytest.raises(BadData, match=rf"data\.{option} is {value}(\.0)?, but the data is a table, not images"):
        fit("deep", torch.rand(20, 6), options={f"data.{option}": value})


def test_pairs_are_neither_corrupted_nor_rotated_once_more():
    clean = torch.rand(20, 8, 8)
    options = {"training.steps": 2, "net.channels": (4,)}
    run = fit("denoiser", (clean + 0.1 * torch.randn_like(clean), clean), options=options)
    assert run.recipe.corruption.kind == "identity"
    assert (run.recipe.data.random_rotation, run.recipe.data.random_scale) == (0, 0)
    assert run.recipe.data.random_shift > 0


@pytest.mark.parametrize(("option", "value"), [("epochs", 3), ("learning_rate", 0.1), ("weight_decay", 0.1)])
def test_pretraining_options_without_a_kind_of_pretraining_are_refused(option, value):
    with pytest.raises(
        BadOption, match=rf"^pretraining\.{option} is set, but pretraining\.kind is none, .* Set pretrai"
    ):
        fit("deep", torch.rand(20, 6), options={f"pretraining.{option}": value})


def test_closed_forms_and_pretraining_need_unsharded_layers():
    with pytest.raises(BadOption, match=r"strategy='fsdp' shards them\. Use strategy='ddp'\."):
        fit("pca", torch.rand(20, 6), options={"latent.size": 2}, strategy="fsdp")
    with pytest.raises(BadOption, match=r"^Pretraining needs unsharded layers"):
        fit(
            recipe({"net.activation": "sigmoid"}),
            torch.rand(20, 6),
            options={"pretraining.kind": "rbm"},
            strategy="fsdp",
        )


@pytest.mark.parametrize("name", ["resume", "tensorboard"])
def test_what_needs_a_folder_is_refused_without_one(name):
    with pytest.raises(BadOption, match=rf"^{name}=True needs out=\.\.\., the folder of the run\. Pass a folder\.$"):
        fit("deep", torch.rand(20, 6), **{name: True})
