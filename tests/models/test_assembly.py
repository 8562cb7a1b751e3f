"""Own networks: any encoder and decoder with the parts of the library, saved and loaded by an import path."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import isthmus as it
from isthmus.cli.app import main
from isthmus.errors import BadOption, BadRun, IsthmusError, ShapeError, UnknownName
from isthmus.models.imported import import_maker, is_import_path, path_of

X = np.random.default_rng(0).random((40, 6, 6), dtype=np.float32)
MODULE = """
import isthmus as it
from torch import nn

def build(shape):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(3, 36), nn.Unflatten(1, shape))
    return it.autoencoder(encoder, decoder, latent="gaussian", size=3)

def wrong():
    return 3

value = 3
"""


def nets() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU())
    return encoder, nn.Sequential(nn.Linear(3, 36), nn.Unflatten(1, (1, 6, 6)))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the current folder, as a user has it."""
    name = "models_of_a_user"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield name
    sys.modules.pop(name, None)


def test_own_networks_with_a_size_get_a_linear_layer_to_the_code() -> None:
    run = it.fit(it.autoencoder(*nets(), latent=3), X, epochs=2)
    assert run.encode(X).shape == (40, 3)
    assert run.reconstruct(X).shape == X.shape
    assert run.metadata.by_hand
    assert run.metadata.made_by == ""


def test_a_stochastic_latent_has_the_kl_divergence_unless_penalties_are_given() -> None:
    assert list(it.autoencoder(*nets(), latent="gaussian", size=3).penalties) == ["kl"]
    assert list(it.autoencoder(*nets(), latent="gaussian", size=3, penalties={}).penalties) == []
    assert list(it.autoencoder(*nets(), latent=3).penalties) == []
    several = it.autoencoder(*nets(), latent="gaussian", size=3, penalties={"kl": 2.0, it.penalties.L1(): 0.1})
    assert {name: schedule.value for name, schedule in several.schedules.items()} == {"kl": 2.0, "l1": 0.1}
    assert list(it.autoencoder(*nets(), latent="gaussian", size=3, fidelity="importance").penalties) == []


def test_parts_by_name_and_as_objects_make_the_same_model() -> None:
    torch.manual_seed(1)
    by_name = it.autoencoder(*nets(), latent="gaussian", size=3, likelihood="gaussian", shape=(1, 6, 6))
    torch.manual_seed(1)
    as_objects = it.autoencoder(
        *nets(),
        latent=it.latents.Gaussian(),
        size=3,
        likelihood=it.likelihoods.Gaussian(),
        penalties={it.penalties.KL(it.priors.StandardNormal()): 1.0},
        shape=(1, 6, 6),
    )
    x = torch.rand(4, 1, 6, 6)
    torch.manual_seed(2)
    first = by_name(x).total
    torch.manual_seed(2)
    assert torch.equal(first, as_objects(x).total)


def test_lazy_layers_depend_on_the_seed_of_the_run() -> None:
    def code(seed: int) -> np.ndarray:
        torch.manual_seed(0)
        run = it.fit(it.autoencoder(*nets(), latent=3), X, epochs=1, seed=seed)
        return run.model.encoder[2].weight.detach().numpy().copy()

    np.testing.assert_array_equal(code(1), code(1))
    assert np.abs(code(1) - code(2)).max() > 0.01


def test_a_misfit_is_found_before_training() -> None:
    encoder, _ = nets()
    with pytest.raises(ShapeError, match="decoder"):
        it.fit(it.autoencoder(encoder, nn.Linear(3, 35), latent=3), X, epochs=1)
    with pytest.raises(ShapeError, match="encoder"):
        it.autoencoder(nn.Linear(7, 3), nn.Linear(3, 36), latent=3, shape=(1, 6, 6))
    with pytest.raises(UnknownName, match="no latent of kind 'normal'"):
        it.autoencoder(*nets(), latent="normal")
    with pytest.raises(BadOption, match="A prior must be the name of a kind or a module, but is 3"):
        it.autoencoder(*nets(), latent=3, prior=3)  # type: ignore[arg-type]


def test_a_module_is_no_objective_and_the_error_says_how_to_make_one() -> None:
    with pytest.raises(BadOption, match=r"such as isthmus\.autoencoder\(encoder, decoder, latent=16\)"):
        it.fit(nn.Linear(3, 3), X)  # type: ignore[arg-type]


def test_a_run_of_a_function_is_loaded_by_its_import_path_if_that_is_permitted(module: str, tmp_path: Path) -> None:
    made = it.fit(f"{module}:build", X, epochs=1, out=tmp_path / "run")
    assert made.metadata.made_by == f"{module}:build"
    sys.modules.pop(module)
    with pytest.raises(BadRun, match=r"loading it runs the code of that module\. Pass allow_import=True"):
        it.load(tmp_path / "run")
    assert module not in sys.modules
    again = it.load(tmp_path / "run", allow_import=True)
    np.testing.assert_array_equal(again.encode(X), made.encode(X))


def test_a_function_that_can_be_imported_is_recorded_by_its_path(module: str, tmp_path: Path) -> None:
    build = import_maker(f"{module}:build")
    made = it.fit(build, X, epochs=1, out=tmp_path / "run")
    assert made.metadata.made_by == f"{module}:build"
    np.testing.assert_array_equal(it.load(tmp_path / "run", build).encode(X), made.encode(X))
    assert it.fit(lambda: it.autoencoder(*nets(), latent=3), X, epochs=1).metadata.made_by == ""


def test_the_command_trains_and_reloads_own_networks(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", X)
    assert main(["fit", f"{module}:build", "x.npy", "--epochs", "1", "--json"]) == 0
    folder = "runs/build-x"
    assert main(["encode", folder, "x.npy", "z.npy"]) == 2
    assert capsys.readouterr().err.endswith("Pass --allow-import if you trust it.\n")
    assert main(["encode", folder, "x.npy", "z.npy", "--allow-import"]) == 0
    assert np.load("z.npy").shape == (40, 3)
    assert main(["evaluate", folder, "--allow-import", "--json"]) == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:build", "No module named 'no_such_module'"),
        ("{module}:other", "has no attribute 'other'"),
        ("{module}:value", "is a int, not a function"),
        ("{module}:wrong", r"wrong must return an isthmus\.Objective, but returned a int"),
    ],
)
def test_a_wrong_import_path_is_refused_in_one_sentence(path: str, message: str, module: str) -> None:
    with pytest.raises(BadOption, match=message) as caught:
        it.fit(path.format(module=module), X, epochs=1)
    assert "\n" not in str(caught.value)


def test_an_untrusted_run_cannot_name_code_that_is_no_import_path(module: str, tmp_path: Path) -> None:
    it.fit(f"{module}:build", X, epochs=1, out=tmp_path / "run")
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace(f"{module}:build", "os;system:x"))
    with pytest.raises(IsthmusError, match="made from parts by hand"):
        it.load(tmp_path / "run", allow_import=True)


def test_import_paths_are_told_from_recipes_and_files() -> None:
    assert is_import_path("package.models:Factory.build")
    assert not any(map(is_import_path, ["vae", "encoder:8", "C:\\x.json", "a b:c", "a:", ":b", "a:b()"]))
    assert path_of(import_maker("isthmus.models.imported:path_of")) == "isthmus.models.imported:path_of"
