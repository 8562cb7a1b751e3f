"""What fuzzing and reading for bombs found in recipes, runs and checkpoints, each by its name."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from fuzz.judge import judge
from fuzz.targets import CHECKPOINT, STEP, whole_checkpoint, whole_run
from isthmus import zoo
from isthmus.errors import BadOption, BadRun, IsthmusError
from isthmus.files.untrusted import misplaced, parse_json
from isthmus.models.overrides import parse_pairs
from isthmus.models.recipe import Recipe
from isthmus.runs import loading
from isthmus.training.checkpointing.files import Checkpoint, CheckpointStore
from isthmus.training.checkpointing.state import Position, checkpoint_errors, restore, set_generators


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that was saved, and that a stranger may have changed."""
    place = tmp_path / "run"
    place.mkdir()
    for name, content in whole_run().items():
        (place / name).write_bytes(content)
    return place


RUN_FILES = ("run.json", "recipe.json", "model.safetensors")


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_link_that_leads_out_of_a_run_is_not_followed(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(f"../{name}")
    refusal = judge(lambda: loading.load(folder), folder)
    assert refusal is not None
    assert f"{name}' is a link that leads out of its folder" in refusal


def test_a_link_inside_a_run_is_followed(folder: Path) -> None:
    (folder / "run.json").rename(folder / "other.json")
    (folder / "run.json").symlink_to("other.json")
    assert judge(lambda: loading.load(folder), folder) is None


def test_a_run_may_be_named_by_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to("run")
    assert judge(lambda: loading.load(folder.parent / "link"), folder) is None


def test_metrics_elsewhere_are_not_read(folder: Path) -> None:
    (folder / "metrics.jsonl").rename(folder.parent / "metrics.jsonl")
    (folder / "metrics.jsonl").symlink_to("../metrics.jsonl")
    assert loading.load(folder).history == []


@pytest.mark.parametrize("name", [*RUN_FILES, "metrics.jsonl"])
def test_a_pipe_in_a_run_does_not_hang(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refusal = judge(lambda: loading.load(folder), folder)
    assert name == "metrics.jsonl" or refusal is not None


def test_a_device_in_a_run_is_not_read_for_ever(folder: Path) -> None:
    (folder / "recipe.json").unlink()
    (folder / "recipe.json").symlink_to("/dev/zero")
    with pytest.raises(BadRun, match="leads out of its folder"):
        loading.load(folder)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_folder_of_an_impossible_name_is_no_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRun, match="is not a run"):
        loading.load(tmp_path / name)


def test_a_circle_of_links_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert misplaced(tmp_path / "a", tmp_path) == "cannot be found"
    assert misplaced(tmp_path, tmp_path) == "is not a regular file"


def test_complex_weights_are_refused(folder: Path) -> None:
    weights = load(whole_run()["model.safetensors"])
    name = "encoder.1.weight"
    (folder / "model.safetensors").write_bytes(save(weights | {name: weights[name].to(torch.complex64)}))
    with pytest.raises(BadRun, match=r"holds encoder\.1\.weight as C64, but supported are B"):
        loading.load(folder)


def test_a_run_of_a_huge_recipe_and_small_weights_takes_no_memory(folder: Path) -> None:
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["net"]["widths"] = [30_000, 30_000]
    (folder / "recipe.json").write_text(json.dumps(recipe))
    refusal = judge(lambda: loading.load(folder), folder)
    assert refusal is not None
    assert "does not belong to this recipe" in refusal


@pytest.mark.parametrize(
    "row",
    [
        {"epoch": 1, "train": {}},
        {"epoch": 1, "train": {"loss": {}}},
        {"epoch": 1, "train": {"loss": 10**400}},
        {"epoch": 1, "train": {"loss": 1.0}, "valid": 3},
        {"epoch": "x", "train": {"loss": 1.0}},
        {"train": {"loss": 1.0}},
        [],
    ],
)
def test_a_row_that_no_plot_can_draw_is_left_out(folder: Path, row: object) -> None:
    (folder / "metrics.jsonl").write_text(json.dumps(row))
    assert loading.load(folder).history == []


@pytest.mark.parametrize("text", ["[" + "[]," * 2_000_001 + "1]", "[" * 100_000, "9" * 5000])
def test_json_of_absurd_shape_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"values|deeply|digits"):
        parse_json(text)
    for name in ("run.json", "recipe.json"):
        content = (folder / name).read_text()
        (folder / name).write_text(text)
        refusal = judge(lambda: loading.load(folder), folder)
        assert refusal is not None
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": []},
        {"contract": {"fill": [0.0] * 7}},
        {"contract": {"fill": [float("nan")]}},
        {"contract": {"fill": [10**400]}},
        {"contract": {"byte": "255"}},
        {"contract": {"byte": 3}},
        {"contract": {"row": []}},
        {"contract": {"row": [3, 3]}},
        {"contract": {"row": 5}},
        {"contract": {"missing": {}}},
        {"contract": {"schema": []}},
        {"contract": {"schema": {}}},
        {"contract": {"more": 1}},
        {"scaling": {"kind": "standard", "offset": [0.0] * 3, "scale": [1.0] * 3}},
    ],
)
def test_a_contract_that_does_not_match_its_run_is_refused(folder: Path, change: dict[str, dict[str, object]]) -> None:
    content = json.loads((folder / "run.json").read_text())
    for key, value in change.items():
        content[key] = content[key] | value if key == "contract" else value
    (folder / "run.json").write_text(json.dumps(content))
    refusal = judge(lambda: loading.load(folder), folder)
    assert refusal is not None
    assert "run.json" in refusal or "damaged" in refusal


LARGE = {
    "prior": {"prior.kind": "vamp", "prior.components": 1_000_000},
    "mixture": {"prior.kind": "mixture", "prior.components": 1_000_000, "latent.size": 100_000, "net.widths": [8]},
    "codebook": {"latent.kind": "quantized", "latent.codebook_size": 1 << 20, "latent.codebook_dim": 1 << 16},
    "critic": {"penalties.factor.weight": 1, "latent.size": 60_000, "net.widths": [8]}
    | {"penalties.factor.widths": [60_000, 60_000]},
}


@pytest.mark.parametrize("name", LARGE)
def test_weights_outside_the_nets_are_counted_before_they_are_made(name: str, tmp_path: Path) -> None:
    recipe = zoo.recipe("vae").with_options(LARGE[name])
    refusal = judge(lambda: recipe.build((1, 100, 100)), tmp_path)
    assert refusal is not None
    assert refusal.startswith("The networks would have")


WIDE = {
    "samples": {"fidelity.kind": "importance", "fidelity.samples": 100_000, "penalties.kl": None, "net.widths": [9000]},
    "covariance": {"penalties.dip.weight": 1, "latent.size": 300_000, "net.widths": [8]},
    "projections": {"penalties.sliced.weight": 1, "penalties.sliced.projections": 100_000, "latent.size": 300_000}
    | {"net.widths": [8]},
    "pseudo-inputs": {"prior.kind": "vamp", "prior.components": 1_000_000, "net.widths": [9000]},
}


@pytest.mark.parametrize("name", WIDE)
def test_a_pass_that_no_machine_holds_is_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    recipe = zoo.recipe("vae").with_options(WIDE[name])
    refusal = judge(lambda: recipe.build((5,)), tmp_path)
    assert refusal is not None
    assert refusal.startswith("A forward pass of two examples would allocate a tensor of")


@pytest.mark.parametrize(
    "tree",
    [
        {"net": {"kind": "mlp", "widths": [1] * 65}},
        {"net": {"kind": "conv", "channels": [1] * 1_000}},
        {"latent": {"kind": "finite_scalar", "levels": [2] * 10_000}},
        {"penalties": {f"p{i}": {"kind": "l1"} for i in range(65)}},
    ],
)
def test_a_list_of_absurd_length_is_refused_at_the_door(tree: dict[str, object]) -> None:
    with pytest.raises(BadOption, match="at most 64"):
        Recipe.from_dict(tree)


def test_a_recipe_of_absurd_length_is_not_parsed() -> None:
    with pytest.raises(BadOption, match=r"recipe has at most 1,048,576 characters, but the text has 2,000,002"):
        Recipe.from_json("{" + " " * 2_000_000 + "}")


@pytest.mark.parametrize(
    "pair", ["x" * 10_000, "=" * 10_000, "é" * 9000, "net.norm=" + "x" * 9000, "data.labels.x=" + "x"]
)
def test_a_long_pair_makes_no_long_sentence(pair: str) -> None:
    with pytest.raises(IsthmusError) as caught:
        zoo.recipe("vae").with_options(parse_pairs([pair])).build((5,))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", [CHECKPOINT, STEP])
@pytest.mark.parametrize("how", ["link", "pipe"])
def test_a_checkpoint_of_links_and_pipes_is_damaged(tmp_path: Path, name: str, how: str) -> None:
    for file, content in whole_checkpoint().items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / name).unlink()
    if how == "link":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / name)
    refusal = judge(lambda: CheckpointStore(tmp_path, say=lambda sentence: None).read(), tmp_path)
    assert refusal is not None
    assert "All checkpoints" in refusal


SPOILED: dict[str, tuple[dict[str, object], dict[str, torch.Tensor]]] = {
    "no position": ({"position": None}, {}),
    "a step that is a word": ({"position": {"step": "x"}}, {}),
    "a step below 0": ({"position": {"step": -1}}, {}),
    "a step that is no float": ({"position": {"seconds": 10**400}}, {}),
    "an unknown number": ({"position": {"other": 1}}, {}),
    "names of other sums": ({"position": {"names": ["a", "b"]}}, {"sums.0": torch.zeros(7)}),
    "moments of nothing": ({}, {"optimizer.9.0.exp_avg": torch.zeros(2)}),
    "moments without a place": ({}, {"optimizer.x": torch.zeros(2)}),
    "weights of another kind": ({}, {"model.weight": torch.zeros(3, 3)}),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_checkpoint_of_the_wrong_content_is_refused_in_one_sentence(name: str) -> None:
    def found(record: dict[str, object], tensors: dict[str, torch.Tensor]) -> Checkpoint:
        position = record.get("position", {})
        stands = {**Position().to_dict(), **position} if isinstance(position, dict) else position
        mine = {f"model.{key}": value for key, value in module.state_dict().items()} | {"sums.0": torch.zeros(())}
        return Checkpoint(mine | tensors, {}, {"position": stands})

    module = torch.nn.Linear(2, 2)
    tools = [torch.optim.Adam(module.parameters())]
    assert restore(module, tools, found({}, {})) == Position()
    with pytest.raises(BadRun, match=r"^The checkpoint [^\n]*\.$"), checkpoint_errors():
        restore(module, tools, found(*SPOILED[name]))


def test_a_generator_of_the_wrong_kind_is_refused_in_one_sentence() -> None:
    with pytest.raises(BadRun, match="does not contain the state of a run"):
        set_generators({"generator.cpu.0": torch.zeros(3)})
