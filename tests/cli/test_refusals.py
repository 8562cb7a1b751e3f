"""What a person may get wrong: one line that says what to do, exit code 2, and nothing half-written left behind."""

import gzip
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.cli.app import main

Make = Callable[[Path], list[str]]


def fit(*arguments: str) -> Make:
    return lambda _vae: ["fit", *arguments, "--out", "out"]


def fit_file(name: str, write: Callable[[Path], object], recipe: str = "simple", *more: str) -> Make:
    def make(_vae: Path) -> list[str]:
        write(Path(name))
        return ["fit", recipe, "--data", name, "--out", "out", *more]

    return make


def use(verb: str, *arguments: str) -> Make:
    return lambda vae: [verb, str(vae), *arguments]


def spoiled(spoil: Callable[[Path], object]) -> Make:
    """Evaluate a copy of the run that something was done to."""

    def make(vae: Path) -> list[str]:
        shutil.copytree(vae, "copy")
        spoil(Path("copy"))
        return ["evaluate", "copy"]

    return make


def save(values: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.save(path, values)


def idx(path: Path, *, cut: int = 0) -> None:
    whole = gzip.compress(struct.pack(">BBBBIII", 0, 0, 8, 3, 50, 6, 6) + bytes(1800))
    path.write_bytes(whole[: len(whole) - cut])


def npz(**arrays: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.savez(path, allow_pickle=True, **arrays)


def images(*sizes: int) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        folder.mkdir()
        for number, size in enumerate(sizes):
            Image.new("L", (size, size)).save(folder / f"{number}.png")

    return write


def edited(name: str, **changes: object) -> Callable[[Path], object]:
    def spoil(run: Path) -> None:
        content = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(content | changes))

    return spoil


def other_size(run: Path) -> None:
    content = json.loads((run / "recipe.json").read_text())
    content["latent"]["size"] = 3
    (run / "recipe.json").write_text(json.dumps(content))


def other_run(_vae: Path) -> list[str]:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    return ["fit", "simple", "--out", "out"]


def changed_data(_vae: Path) -> list[str]:
    np.save("x.npy", np.random.default_rng(0).random((40, 5)))
    assert main(["fit", "simple", "--data", "x.npy", "--epochs", "1", "--out", "run", "--json"]) == 0
    np.save("x.npy", np.random.default_rng(1).random((40, 5)))
    return ["evaluate", "run"]


def deterministic(_vae: Path) -> list[str]:
    assert main(["fit", "simple", "--epochs", "1", "--out", "run", "--json"]) == 0
    return ["sample", "run", "new.npy", "--density", "prior"]


def wrong_codes(vae: Path) -> list[str]:
    np.save("codes.npy", np.zeros((4, 5)))
    return ["decode", str(vae), "codes.npy", "new.npy"]


def other_shape(vae: Path) -> list[str]:
    np.save("wide.npy", np.zeros((4, 9, 9)))
    return ["encode", str(vae), "wide.npy", "new.npy"]


GREY = np.random.default_rng(0).random((40, 6, 6))
INFINITE = GREY.reshape(40, 36).copy()
INFINITE[7, 3] = np.inf

CASES: dict[str, tuple[Make, str]] = {
    "unknown recipe": (fit("vea"), "There is no recipe 'vea'; did you mean 'vae'"),
    "unknown data": (fit("vae", "--data", "digitz"), "did you mean 'digits'"),
    "missing file": (fit("vae", "--data", "no/such.npy"), "no/such.npy"),
    "unknown ending": (fit_file("data.xyz", lambda p: p.write_text("")), "xyz"),
    "unknown option": (fit("vae", "--set", "latent.sise=2"), "did you mean 'latent.size'"),
    "unknown part": (fit("vae", "--set", "latnt.size=2"), "did you mean 'latent.size'"),
    "unknown kind": (fit("vae", "--set", "latent.kind=gausian"), "did you mean 'gaussian'"),
    "unknown activation": (fit("deep", "--set", "net.activation=rellu"), "did you mean 'relu'"),
    "option of the wrong type": (
        fit("vae", "--set", "training.learning_rate=fast"), "training.learning_rate cannot be 'fast'",
    ),
    "option out of range": (fit("vae", "--set", "latent.size=0"), "latent.size cannot be 0"),
    "option without value": (fit("vae", "--set", "latent.size"), "An option must have the form part.option=value"),
    "dropout of one": (fit("vae", "--set", "net.dropout=1"), "net.dropout must be"),
    "bad precision": (fit("vae", "--precision", "64"), "training.precision cannot be"),
    "nesterov without momentum": (
        fit("deep", "--set", "training.optimizer=nesterov", "--set", "training.momentum=0"),
        "nesterov requires momentum",
    ),
    "no epochs": (fit("vae", "--epochs", "0"), "training.epochs cannot be 0"),
    "negative seed": (fit("vae", "--seed", "-1"), "The seed must be at least 0"),
    "misfit penalty": (fit("simple", "--set", "penalties.kl.weight=1"), "Penalty kl requires a stochastic latent"),
    "schedule without length": (fit("vae", "--set", "penalties.kl.weight.shape=linear"), "take exactly one"),
    "too many halvings": (
        fit("conv", "--set", "net.kernel_size=4", "--set", "net.downsampling=stride"), "net.kernel_size=4 is even",
    ),
    "conv on a table": (fit_file("t.npy", save(GREY.reshape(40, 36)), "conv"), "requires images"),
    "wrong shape option": (
        fit_file("t.npy", save(GREY.reshape(40, 36)), "simple", "--set", "data.shape=5,5"), "data.shape=5,5",
    ),
    "infinity in the data": (fit_file("inf.npy", save(INFINITE)), "row 7, column 3"),
    "values outside the unit interval": (fit_file("t.npy", save(GREY * 9)), "--set data.scale=minmax"),
    "labels longer than images": (
        fit_file("l.npz", npz(x_train=GREY, y_train=np.zeros(41, int))), "one label per example",
    ),
    "text for numbers": (fit_file("t.csv", lambda p: p.write_text("a,b\n1,x\n2,y\n")), "data.labels"),
    "empty folder": (fit_file("empty", lambda p: p.mkdir()), "empty"),
    "images of two sizes": (fit_file("pictures", images(6, 6, 7)), "2.png"),
    "truncated gz": (fit_file("a-images-idx3-ubyte.gz", lambda p: idx(p, cut=9)), "a-images-idx3-ubyte.gz"),
    "a pickle in an npz": (fit_file("p.npz", npz(x_train=np.array([{}, {}], object))), "pickle"),
    "a pickle as npy": (fit_file("p.npy", lambda p: np.save(p, np.array([{}]), allow_pickle=True)), "pickle"),
    "not an npz": (fit_file("p.npz", lambda p: p.write_bytes(b"PK\x03\x04 nonsense")), "p.npz"),
    "too few examples": (fit_file("few.npy", save(GREY[:1])), "few.npy"),
    "encoder of one": (fit("simple", "--data", "encoder:1"), "encoder:<N> requires"),
    "folder that is no run": (other_run, "exists and is not a run folder"),
    "recipe file that is not JSON": (
        lambda _v: (Path("r.json").write_text("{"), ["fit", "r.json", "--out", "out"])[1], "not JSON",
    ),
    "recipe file that is not there": (fit("r.json"), "There is no recipe file"),
    "run that is not there": (lambda _v: ["evaluate", "nowhere"], "is not a run folder: it does not exist"),
    "damaged weights": (spoiled(lambda r: (r / "model.safetensors").write_bytes(b"x" * 99)), "safetensors"),
    "weights of another recipe": (spoiled(other_size), "The two files are from different runs"),
    "damaged record": (spoiled(lambda r: (r / "run.json").write_text("[")), "cannot be read as JSON"),
    "record of another format": (spoiled(edited("run.json", format=99)), "has format 99"),
    "record of an absurd shape": (spoiled(edited("run.json", shape=[99999, 99999, 9])), "has an invalid example shape"),
    "data that changed": (changed_data, "is not the file that the run was trained on"),
    "codes of another size": (wrong_codes, "takes codes of shape"),
    "examples of another shape": (other_shape, "but the model was trained on examples of shape"),
    "no prior to sample from": (deterministic, "no prior to sample codes from"),
    "unknown output format": (use("encode", "digits", "codes.txt"), "which is not supported for output"),
    "unknown precision": (use("encode", "digits", "z.npy", "--precision", "b16"), "did you mean 'bf16'"),
    "no samples": (use("sample", "new.npy", "-n", "0"), "must be at least 1"),
    "a walk of one step": (use("interpolate", "new.npy", "--steps", "1"), "--steps must be at least 2"),
    "unknown picture": (use("plot", "--only", "filtres"), "did you mean 'filters'"),
    "unknown command": (lambda _v: ["fitt", "vae"], "fitt"),
    "unknown flag": (fit("vae", "--epoch", "3"), "--epoch"),
    "missing argument": (lambda _v: ["fit"], "RECIPE"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    case: str, vae: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = CASES[case]
    arguments = make(vae)
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("isthmus: ")
    assert lines[0].endswith((".", "?"))
    assert expected in lines[0]
    assert out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_never_replaced_unasked(vae: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (vae / "model.safetensors").read_bytes()
    assert main(["fit", "vae", "--out", str(vae)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (vae / "model.safetensors").read_bytes() == before
