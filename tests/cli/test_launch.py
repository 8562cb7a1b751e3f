"""One command starts several processes, on one machine or on two, and survives the loss of one of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.cli import launch
from isthmus.errors import BadOption

COMMAND = [sys.executable, "-m", "isthmus", "fit", "vae", "--data", "digits", "--json"]
SMALL = ["--epochs", "12", "--set", "net.widths=64", "--set", "training.precision=32"]
HOSTS = {"isthmus-a": "10.77.0.1", "isthmus-b": "10.77.0.2"}
PORT = 29577


class Started:
    """A command at work; what it said is at hand when it fails."""

    def __init__(self, folder: Path, *more: str, inside: list[str] | None = None) -> None:
        command = [*(inside or []), *COMMAND, *SMALL, "--out", str(folder), *more]
        self.log = folder.with_name(f"{folder.name}-{time.monotonic_ns()}.log")
        with self.log.open("wb") as said:
            variables = os.environ | {"OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=variables)

    def ends_well(self) -> None:
        try:
            assert self.process.wait(240) == 0, self.log.read_text()[-3000:]
        finally:
            self.process.kill()
            self.process.wait()


def kill_process(rank: int, folder: Path) -> None:
    """Kill one of the processes that train ``folder``, when a checkpoint is there, as a full memory does."""
    checkpoints = folder.with_name(f"{folder.name}.part") / "checkpoints"
    until = time.monotonic() + 120
    while not any(checkpoints.glob("step-*.json")):
        assert time.monotonic() < until, "no checkpoint appeared"
        time.sleep(0.02)
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables, words = (place / "environ").read_bytes().split(b"\0"), (place / "cmdline").read_bytes()
        except OSError:
            continue
        if f"RANK={rank}".encode() in variables and str(folder).encode() in words:
            os.kill(int(place.name), signal.SIGKILL)
            return
    raise AssertionError(f"no process {rank} trains {folder}")


def rows(folder: Path) -> list[object]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["epoch"], line["train"], line["valid"]) for line in lines]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc, which only Linux has")
@pytest.mark.skipif(launch.available()[0] < 2, reason="two processes need two devices")
def test_a_killed_process_is_started_again_and_the_run_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    struck, whole = tmp_path / "struck", tmp_path / "whole"
    command = Started(struck, "--devices", "2", "--max-restarts", "1", "--set", "training.checkpoint_interval=0")
    kill_process(1, struck)
    command.ends_well()
    Started(whole, "--devices", "2").ends_well()
    resumed_at = json.loads((struck / "run.json").read_text())["outcome"]["resumed_at"]
    assert len(resumed_at) == 1
    assert resumed_at[0] > 0
    assert rows(struck) == rows(whole)
    assert (struck / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """Two network namespaces with a cable between them: two machines, as far as the network goes."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need the command ip and the rights of root")
    (first, second), cable = HOSTS, {"isthmus-a": "isthmus-va", "isthmus-b": "isthmus-vb"}
    steps = [["netns", "add", name] for name in HOSTS]
    steps += [["link", "add", cable[first], "type", "veth", "peer", "name", cable[second]]]
    for name, address in HOSTS.items():
        steps += [["link", "set", cable[name], "netns", name]]
        inside = ["-n", name]
        steps += [[*inside, "addr", "add", f"{address}/24", "dev", cable[name]]]
        steps += [[*inside, "link", "set", device, "up"] for device in ("lo", cable[name])]
    try:
        for step in steps:
            done = subprocess.run(["ip", *step], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"network namespaces are not permitted here: {done.stderr.strip()}")
        yield cable
    finally:
        for name in HOSTS:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.slow
def test_two_machines_train_together_and_outlive_the_loss_of_a_process(hosts: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    meet = f"{HOSTS['isthmus-a']}:{PORT}"
    more = ["--nodes", "2", "--rendezvous", meet, "--max-restarts", "2", "--set", "training.checkpoint_interval=0"]
    commands = [
        Started(folder, *more, inside=["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={cable}"])
        for name, cable in hosts.items()
    ]
    kill_process(1, folder)
    for command in commands:
        command.ends_well()
    record = json.loads((folder / "run.json").read_text())
    assert len(record["outcome"]["resumed_at"]) == 1
    assert [row[0] for row in rows(folder)] == list(range(1, 13))  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 4096}, r"--devices is 4096, but this node has \d+ (CPU core|GPU)s?\. Use at most \d+"),
        ({"nodes": 2}, r"but --rendezvous is not set\. Use the same --rendezvous HOST:PORT"),
        ({"nodes": 2, "rendezvous": "here"}, "--rendezvous is 'here', which is not HOST:PORT"),
        ({"nodes": 2, "rendezvous": "here:99999"}, "which is not HOST:PORT"),
    ],
)
def test_what_cannot_be_launched_is_refused(options: dict[str, object], message: str) -> None:
    arguments = {"devices": 1, "nodes": 1, "restarts": 0, "rendezvous": None} | options
    with pytest.raises(BadOption, match=message):
        launch.relaunch([], **arguments)  # type: ignore[arg-type]


def test_processes_that_were_launched_launch_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.wanted(2, 1)
    assert not launch.wanted(1, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not launch.wanted(2, 1)


@pytest.mark.parametrize(("joined", "expected"), [(False, "told Python shuts down\n"), (True, "told ")])
def test_a_process_that_has_joined_others_leaves_before_python_shuts_down(joined: bool, expected: str) -> None:
    # at shutdown a thread of the group may abort the process, and with it a run that has ended well
    program = (
        "import atexit, torch.distributed as dist\n"
        "from isthmus.cli import app\n"
        "app.main = lambda: print('told', end=' ') or 3\n"
        "atexit.register(print, 'Python shuts down')\n"
        f"if {joined}: dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)\n"
        "app.script()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, expected), done.stderr


@pytest.mark.parametrize(("age", "expected"), [(-5.0, False), (5.0, True)])
def test_a_run_that_was_begun_after_the_launch_is_gone_on_with(
    age: float, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "run.part"
    work.mkdir()
    assert not launch.is_restart(tmp_path / "run")
    (work / "plan.json").write_text("{}")
    monkeypatch.setenv(launch.LAUNCHED_AT, str((work / "plan.json").stat().st_mtime - age))
    assert launch.is_restart(tmp_path / "run") is expected
