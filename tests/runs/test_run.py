"""A run is saved and loaded whole; what was tampered with is refused, and nothing in it is executed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from isthmus import fit, latents, likelihoods, load, nets
from isthmus.errors import BadOption, BadRun, IsthmusError
from isthmus.files.atomic import replacing, write_text
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.runs.run import Run

X = torch.rand(60, 5, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(
        "vae", X, epochs=1, options={"net.widths": [8], "latent.size": 2}, out=tmp_path_factory.mktemp("r") / "run"
    )


def test_a_loaded_run_gives_equal_outputs(run: Run) -> None:
    again = load(run.folder or "")
    assert again.recipe == run.recipe
    assert again.metadata == run.metadata
    assert again.history == run.history
    assert torch.equal(again.model.reconstruct(X), run.model.reconstruct(X))
    assert torch.equal(again.model.sample(4, seed=1), run.model.sample(4, seed=1))


def test_codes_are_float32_unless_other_products_are_asked_for(run: Run) -> None:
    x = X.numpy()
    full, low = run.encode(x), run.encode(x, precision="bf16")
    np.testing.assert_array_equal(full, run.encode(x, precision="32"))
    assert not np.array_equal(full, low)
    # 2^-9 for each rounding: inputs, weights and outputs of two layers
    np.testing.assert_allclose(low, full, atol=6 * 2**-9 * float(np.abs(full).max() + 1))
    with pytest.raises(BadOption, match=r"The precision cannot be 'half'\. Allowed: 32, auto, bf16\."):
        run.encode(x, precision="half")


def test_a_run_records_data_seed_and_versions(run: Run) -> None:
    record = json.loads((Path(run.folder or "") / "run.json").read_text())
    assert record["shape"] == [5]
    assert record["counts"] == {"train": 49, "valid": 5, "test": 6}
    assert record["machine"]["torch"] == torch.__version__
    assert record["outcome"]["kept_epoch"] == 1


def test_the_folder_holds_json_and_safetensors_only(run: Run) -> None:
    names = {path.name for path in Path(run.folder or "").iterdir()}
    assert names == {"recipe.json", "model.safetensors", "metrics.jsonl", "run.json"}


def test_a_run_by_hand_needs_its_objective(tmp_path: Path) -> None:
    def objective() -> Objective:
        latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
        encoder, decoder, _ = nets.linear((5,), 2, latent, likelihood)
        return Objective(Autoencoder(encoder, decoder, latent, likelihood))

    made = fit(objective(), X, epochs=1, out=tmp_path / "run")
    with pytest.raises(BadRun, match="made from parts by hand"):
        load(tmp_path / "run")
    again = load(tmp_path / "run", objective())
    assert torch.equal(again.model.encode(X), made.model.encode(X))


def copied(run: Run, folder: Path) -> Path:
    for path in Path(run.folder or "").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_weights_that_lack_a_tensor_or_have_one_too_many_are_refused(run: Run, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    weights = {name: value.clone() for name, value in run.model.state_dict().items()}
    save_file(weights | {"extra": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(BadRun, match="has an unknown weight 'extra'"):
        load(folder)
    name = sorted(weights)[0]
    save_file({k: v for k, v in weights.items() if k != name}, folder / "model.safetensors")
    with pytest.raises(BadRun, match=f"lacks weight '{name}'"):
        load(folder)


@pytest.mark.parametrize("name", ["run.json", "recipe.json"])
@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", '{"format": 1}', "[" * 5000, '{"format": 1, "shape": "abc"}', "\x00\xff"]
)
def test_spoiled_json_is_refused_in_one_line(run: Run, tmp_path: Path, name: str, content: str) -> None:
    folder = copied(run, tmp_path)
    (folder / name).write_bytes(content.encode("latin-1"))
    if (name, content) == ("recipe.json", "{}"):
        pytest.skip("an empty object is a recipe of defaults; its weights are then refused")
    with pytest.raises(IsthmusError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_run_of_the_first_format_is_refused_in_one_sentence_with_a_remedy(run: Run, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    record = json.loads((folder / "run.json").read_text())
    assert record["format"] == 2
    (folder / "run.json").write_text(json.dumps(record | {"format": 1}))
    with pytest.raises(BadRun) as caught:
        load(folder)
    assert str(caught.value) == (
        f"The run in {str(folder)!r} has format 1, but this version of Isthmus reads format 2. Train it again, or use "
        "the version that wrote it."
    )


def test_a_json_file_of_absurd_size_is_not_read(run: Run, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    with (folder / "run.json").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(BadRun, match="larger than 64 MiB"):
        load(folder)


def test_spoiled_metrics_do_not_stop_a_run_from_loading(run: Run, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / "metrics.jsonl").write_text("{")
    assert load(folder).history == []


def test_images_come_back_as_they_were_read() -> None:
    gray = fit("simple", np.random.default_rng(0).random((40, 6, 4)), epochs=1)
    assert gray.to_array(torch.rand(3, 1, 6, 4)).shape == (3, 6, 4)
    color = fit("simple", np.random.default_rng(0).random((40, 6, 4, 3)), epochs=1)
    x = torch.rand(2, 3, 6, 4)
    assert np.array_equal(color.to_array(x), x.permute(0, 2, 3, 1).numpy())


def test_scaled_tables_come_back_in_their_own_units() -> None:
    table = X.numpy() * 50 + 7
    run = fit("linear", table, epochs=1, options={"data.scale": "standard", "latent.size": 2})
    back = run.to_array(run.to_tensor(table))
    np.testing.assert_allclose(back, table, rtol=1e-5)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "x.txt"
    write_text(target, "old")

    def half() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IsthmusError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.txt", "")
    with pytest.raises(IsthmusError, match="is a folder"):
        write_text(tmp_path, "")
