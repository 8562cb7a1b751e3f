"""The command printed in a report makes the same recipe again."""

import shlex

import pytest

from isthmus import fit, zoo
from isthmus.models.overrides import parse_pairs
from isthmus.reports.report import command_of


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vae", {}),
        ("vae", {"penalties.kl": "null", "latent.size": 3}),
        ("vae", {"penalties.kl.weight.shape": "linear", "penalties.kl.weight.fraction": 0.5}),
        ("deep", {"net.widths": [5], "net.norm": "layer", "training.gradient_clip": 1.5, "data.shape": [8, 8]}),
        ("linear", {"data.scale": "standard", "training.precision": "32"}),
    ],
)
def test_the_command_says_every_change(name: str, options: dict[str, object]) -> None:
    run = fit(name, "digits", epochs=1, options=options)
    words = shlex.split(command_of(run))
    assert words[:5] == ["isthmus", "fit", name, "--data", "digits"]
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    again = zoo.recipe(name).with_options({**parse_pairs(sets), "training.epochs": 1})
    assert again == run.recipe


def test_a_recipe_nobody_knows_is_named_by_its_file() -> None:
    run = fit(zoo.vae().model_copy(update={"name": "mine"}), "digits", epochs=1)
    assert command_of(run).startswith("isthmus fit RUN/recipe.json --data digits")


def test_data_in_memory_and_parts_by_hand_have_no_command() -> None:
    from sklearn.datasets import load_digits

    assert command_of(fit("linear", load_digits().images / 16, epochs=1)) == "(trained from Python)"
