"""Usage errors: the base class, of which no release of Typer exports the name, and what the messages say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from isthmus import load
from isthmus.cli.app import main
from isthmus.cli.shared import complete_data, complete_recipe
from isthmus.cli.usage import UsageError


def test_the_base_of_usage_errors_is_found_and_explains_itself():
    assert issubclass(typer.BadParameter, UsageError)
    assert not issubclass(typer.Exit, UsageError)
    assert UsageError.__name__ == "ClickException"
    assert typer.BadParameter("no such thing").format_message()


WRONG = {
    "train vae": "No such command: 'train'. Did you mean isthmus fit? Try isthmus --help.",
    "frobnicate": "No such command: 'frobnicate'. Try isthmus --help.",
    "help": "No such command: 'help'. Did you mean isthmus --help? Try isthmus --help.",
    "predict runs/first": "Did you mean isthmus reconstruct?",
    "evaluat runs/first": "Did you mean isthmus evaluate?",
    "fit vae --epoch 3": "No such option: --epoch. Did you mean --epochs? Try isthmus fit --help.",
    "fit vae --batch_size 3": "No such option: --batch_size. Did you mean --batch-size? Try isthmus fit --help.",
    "fit vae --gpu": "No such option: --gpu. Did you mean --device cuda? Try isthmus fit --help.",
    "fit vae --latent-dim 3": "Did you mean --set latent.size=N?",
    "fit vae --patience 3": "Did you mean --set training.patience=VALUE?",
    "sample runs/first --num-samples 3": "Did you mean --number? Try isthmus sample --help.",
    "fit autoencoder --lr": "Option '--lr' requires an argument. Try isthmus fit --help.",
    "fit vae latent.size=2": "There is no data called latent.size=2. Use --set latent.size=2.",
    "fit vae digits latent.size=2": "unexpected extra argument(s) (latent.size=2). Use --set latent.size=2.",
    "fit vae my.csv": "There is no file or folder 'my.csv'.",
    "fit vae digits --data digits": "DATA is given twice, as 'digits' and as 'digits'. Use isthmus fit RECIPE [DATA].",
    "fit vae --set latent=2": "latent is a part, not a number. Use --set latent.size=2 for the size of the code",
    "fit vae --set net=2": "net is a part, not a number. Set one of its options, or net.kind.",
    "fit vae --set latent_size=2": "did you mean 'latent.size'",
    "fit vae --set lr=0.1": "did you mean 'training.learning_rate'",
    "fit vae --set epochs=2": "did you mean 'training.epochs'",
    "fit vae --set beta=4": "did you mean 'penalties.kl.weight'",
    "fit vae --set training.rate=1e-3": "did you mean 'training.learning_rate'",
    "fit vae --set penalties.kl=4": "penalties.kl is a penalty, not a value. Use --set penalties.kl.weight=4, or one",
    "fit vae --set penalties.l1=0.1": "Use --set penalties.l1.weight=0.1 to add a penalty",
    "fit vae --set latent.kind=deterministic": "or --set penalties.kl=null to remove it.",
    "fit vea": "There is no recipe 'vea'; did you mean 'vae'?",
    "evaluate nothing": "'nothing' is not a run folder: it does not exist.",
    "evaluate .": "'.' is not a run folder: it has no run.json.",
    "sample runs/first": "OUTPUT is missing, the file to write. Use isthmus sample RUN OUTPUT.",
    "sample runs/first a.png --out b.png": "OUTPUT is given twice. Use isthmus sample RUN OUTPUT.",
    "interpolate runs/first": "OUTPUT is missing, the file to write. Use isthmus interpolate RUN [INPUT] OUTPUT.",
    "encode runs/first": "INPUT is missing, the data. Use isthmus encode RUN INPUT OUTPUT.",
    "encode runs/first digits": "OUTPUT is missing, the file to write. Use isthmus encode RUN INPUT OUTPUT.",
    "encode runs/first digits z.npy --data digits": "INPUT is given twice. Use isthmus encode RUN INPUT OUTPUT.",
    "evaluate runs/first digits --data digits": "INPUT is given twice, as 'digits' and as 'digits'.",
    "score runs/first scores.csv": "There is no file 'scores.csv' to score. Use --out scores.csv to write the scores",
}
"""What a hurried person types, and the answer."""


@pytest.mark.parametrize("line", WRONG)
def test_a_usage_error_names_what_to_type(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert WRONG[line] in err
    assert err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_the_command_alone_prints_its_help(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert {"fit", "encode", "evaluate", "recipes"} <= set(out.split())
    assert len(out.splitlines()) > 20
    for flag in ("-h", "--help"):
        assert main([flag]) == 0
        assert capsys.readouterr().out.split() == out.split()


def test_completion_offers_recipes_and_data_sets():
    assert complete_recipe("vae_p") == ["vae_perceptual"]
    assert {"beta_vae", "beta_tc_vae"} <= set(complete_recipe("beta"))
    assert complete_data("fash") == ["fashion_mnist"]


def written(*arguments: str) -> Path:
    assert main(list(arguments)) == 0
    return Path("out.npy")


def test_input_and_output_may_be_given_by_position_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    line = "fit vae digits --epochs 1 --set latent.size=2 --set net.widths=16 --out run --json"
    assert main(line.split()) == 0
    ways = [
        "encode run digits out.npy",
        "encode run digits --out out.npy",
        "encode run out.npy --data digits",
        "encode run --out out.npy --data digits",
    ]
    codes = [np.load(written(*line.split())) for line in ways]
    assert all(np.array_equal(codes[0], other) for other in codes[1:])
    for line in ("interpolate run digits out.npy", "interpolate run out.npy --data digits"):
        assert np.load(written(*line.split())).shape == (6, 11, 8, 8)
    own = np.load(written("interpolate", "run", "out.npy"))
    assert own.shape == (6, 11, 8, 8)
    for line in (
        "score run digits out.npy",
        "score run --data digits --out out.npy",
        "score run out.npy --data digits",
    ):
        assert np.load(written(*line.split())).shape == (1797,)
    assert np.load(written("score", "run", "--out", "out.npy")).shape == (180,)
    assert np.load(written("sample", "run", "--out", "out.npy")).shape == (64, 8, 8)


def test_the_answer_to_a_table_of_real_values_is_a_command_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    table = np.random.default_rng(0).normal(10, 3, (80, 4))
    np.savetxt("mine.csv", table, delimiter=",", header="a,b,c,d", comments="")
    assert main(["fit", "vae", "mine.csv", "--epochs", "1"]) == 2
    answer = capsys.readouterr().err
    advised = "--set likelihood.kind=gaussian and --set data.scale=standard"
    assert f"For real values use {advised}; for values" in answer
    assert main(["fit", "vae", "mine.csv", "--epochs", "1", *advised.replace(" and", "").split(), "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_flags_of_fit_set_the_options_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--batch-size", "50", "--lr", "0.01", "--device", "cpu", "--epochs", "1", "--out", "run", "--json"]
    assert main(["fit", "ae", "digits", *flags]) == 0
    training = load("run").recipe.training
    assert (training.batch_size, training.learning_rate, training.epochs) == (50, 0.01, 1)
    assert load("run").recipe.name == "deep"


def test_a_full_disk_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    program = [sys.executable, "-m", "isthmus", "recipes"]
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr == "isthmus: The output cannot be written: No space left on device.\n"
