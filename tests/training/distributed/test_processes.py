"""Several processes that share each batch learn what one process learns."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isthmus import fit, zoo
from isthmus.errors import BadOption
from isthmus.parts.penalties.adversarial import permuted
from isthmus.training.checkpointing.files import Checkpoint, checkpoint_from_bytes, checkpoint_to_bytes
from isthmus.training.distributed.processes import Processes, launched, number

HERE = Path(__file__).parent
DRAWN_APART = {"factor_vae", "recorrupted_denoiser", "vae_gan", "deepsim", "gan"}
"""Recipes with random numbers that cannot be those of one process: each permutes codes, pairs noise, takes the gradient
penalty at some examples, or samples from the prior, of its own."""
ADAM = 'deep+training.optimizer="adam"'
UNPAIRED = "recorrupted_denoiser+corruption.antithetic=false"
CRITIC = 'vae+penalties.discriminator.kind="discriminator"'
EVERYWHERE = f"{CRITIC}+penalties.discriminator.matching=0.5+penalties.discriminator.r1_share=1.0"
"""A critic of outputs with its gradient penalty at all examples."""
MORE = ['vae+net.norm="batch"', ADAM, "vae+training.gradient_clip=0.1", UNPAIRED, EVERYWHERE]
SHARDED = [ADAM, "deep", "vae", "batch_top_k", "wae_mmd", "conv"]
TOLERANCE = 1e-5
"""Relative: sums of float32 are taken in another order."""
OF_MUON = 1e-4
"""Its Newton-Schulz iteration is in bfloat16, where a sum in another order may round to the next value, 2^-8 apart."""

Curves = dict[str, dict[str, Any]]


def launch(script: Path, count: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in so many processes that find each other."""
    alone = [sys.executable, str(script)]
    together = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(count),
        str(script),
    ]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [*(alone if count == 1 else together), *arguments], env=variables, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Curves]:
    """Loss curves of the recipes by number of processes and strategy; each is trained once."""
    folder = tmp_path_factory.mktemp("curves")
    known: dict[tuple[int, str], Curves] = {}

    def trained(count: int, strategy: str) -> Curves:
        if (count, strategy) not in known:
            names = SHARDED if strategy == "fsdp" else [*zoo.RECIPES, *MORE]
            out = folder / f"{count}-{strategy}.json"
            done = launch(HERE / "together.py", count, str(out), strategy, *names)
            assert done.returncode == 0, done.stderr[-3000:]
            known[count, strategy] = json.loads(out.read_text())
        return known[count, strategy]

    return trained


def check_agree(one: dict[str, Any], two: dict[str, Any], within: float = TOLERANCE) -> None:
    for first, second in zip(one["losses"], two["losses"], strict=True):
        assert second == pytest.approx(first, rel=within, abs=within)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in [*zoo.RECIPES, *MORE] if name not in DRAWN_APART])
def test_two_processes_have_the_loss_curve_of_one(name: str, curves: Callable[[int, str], Curves]) -> None:
    """Every part of the loss, over two epochs with uneven batches: statistics over a batch run over all of it."""
    check_agree(curves(1, "ddp")[name], curves(2, "ddp")[name])


@pytest.mark.parametrize("name", SHARDED)
def test_a_model_that_is_cut_into_parts_has_the_loss_curve_of_a_whole_one(
    name: str, curves: Callable[[int, str], Curves]
) -> None:
    one, two = curves(1, "ddp")[name], curves(2, "fsdp")[name]
    within = OF_MUON if name == "deep" else TOLERANCE
    check_agree(one, two, within)
    # it comes out whole
    assert two["norms"] == pytest.approx(one["norms"], rel=100 * within, abs=within)


class Recorder(nn.Module):
    """A critic that records the codes that it is given: those of the batch, then the permuted ones."""

    def forward(self, z: Tensor) -> Tensor:
        self.codes, self.permuted = z.split(len(z) // 2)
        return z.sum(1, keepdim=True)


def test_the_critic_of_factor_vae_permutes_the_batch_of_all_processes() -> None:
    model = (objective := zoo.factor_vae(latent=3, hidden=(8,)).build((6,))).model
    penalty: Any = objective.penalties["factor"]
    penalty.critic = Recorder()
    others = 100 + torch.rand(20, 3)
    trace = model(torch.rand(10, 6), gather=lambda values: torch.cat([others, values]))
    torch.manual_seed(1)
    penalty.critic_loss(model, trace)
    torch.manual_seed(1)
    assert penalty.critic.permuted.equal(permuted(torch.cat([others, trace.z]))[:10])
    assert penalty.critic.codes.equal(trace.z)
    # 20 of the 30 codes belong to the other processes
    assert bool((penalty.critic.permuted > 50).any(0).all())


def test_on_one_process_the_critic_of_factor_vae_permutes_as_ever() -> None:
    model = (objective := zoo.factor_vae(latent=3, hidden=(8,)).build((6,))).model
    penalty: Any = objective.penalties["factor"]
    penalty.critic = Recorder()
    trace = model(torch.rand(10, 6))
    torch.manual_seed(1)
    penalty.critic_loss(model, trace)
    torch.manual_seed(1)
    assert penalty.critic.permuted.equal(trace.z.gather(0, torch.rand_like(trace.z).argsort(0)))


def test_a_process_alone_gathers_and_sums_nothing() -> None:
    alone = Processes()
    x = torch.rand(3, 2)
    assert alone.gather(x) is x
    assert alone.total(x) is x
    assert alone.any(True, False) == (True, False)
    assert alone.broadcast(b"word") == b"word"
    assert alone.first


@pytest.mark.parametrize(
    ("variables", "rank", "world"),
    [
        ({}, 0, 1),
        ({"RANK": "3", "WORLD_SIZE": "8"}, 3, 8),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train"}, 2, 4),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "bash"}, 0, 1),
    ],
)
def test_the_environment_says_who_was_launched(
    variables: dict[str, str], rank: int, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (number(), launched()) == (rank, world)


def test_a_checkpoint_travels_as_bytes() -> None:
    found = Checkpoint({"a": torch.rand(3), "b": torch.tensor(1)}, {"c": torch.rand(2, 2)}, {"x": [1.5]})
    back = checkpoint_from_bytes(checkpoint_to_bytes(found))
    assert back is not None
    assert back.record == found.record
    assert all(torch.equal(value, back.tensors[name]) for name, value in found.tensors.items())
    assert torch.equal(back.best["c"], found.best["c"])
    assert checkpoint_from_bytes(checkpoint_to_bytes(None)) is None


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(BadOption, match=r"strategy cannot be 'dp'; did you mean 'ddp'\? Allowed: ddp, fsdp"):
        fit("vae", torch.rand(40, 4), strategy="dp")
