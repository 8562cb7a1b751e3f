"""What is relied on of torch's private interfaces, checked against the version of torch that it was verified with.

An upgrade of torch fails here first. Look at what changed, see that the tests below still hold, then add the version.
"""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from isthmus.training.distributed.batch_norm import synchronize_batch_norm
from isthmus.training.fused_adam import Adam

VERIFIED = {"2.13"}
"""Releases of torch that these interfaces were verified with."""


def test_this_version_of_torch_is_one_that_the_private_interfaces_were_verified_with():
    assert ".".join(torch.__version__.split(".")[:2]) in VERIFIED


def test_the_fused_kernels_take_the_arguments_that_the_step_passes():
    for kernel in (torch._fused_adam_, torch._fused_adamw_):
        p, grad, first, second = (torch.ones(3) for _ in range(4))
        kernel(
            [p], [grad], [first], [second], [], [torch.ones(())],
            lr=0.1, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip
        assert not p.equal(torch.ones(3))


def test_the_step_of_adam_is_not_wrapped_in_a_range_of_the_profiler():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = Adam([parameter], 0.1, fused=True)
    # torch wraps the class's step when an optimizer is made, unless it carries the mark of a wrapped one
    assert type(optimizer).step is Adam.step
    assert Adam.step.hooked
    assert "record_function" not in inspect.getsource(inspect.unwrap(Adam.step))


def test_a_replaced_forward_pass_of_batch_normalization_is_the_one_that_is_called():
    layer = nn.BatchNorm1d(2)
    assert isinstance(layer, _BatchNorm)
    before = layer.forward
    synchronize_batch_norm(nn.Sequential(layer), lambda values: values)
    assert layer.forward is not before
    x = torch.randn(16, 2)
    torch.testing.assert_close(layer(x), nn.BatchNorm1d(2)(x), rtol=1e-5, atol=1e-6)


def test_the_memory_behind_a_tensor_is_told_by_the_address_of_its_storage():
    x = torch.empty(4, 5, device="meta")
    assert x.untyped_storage()._cdata == x.T.untyped_storage()._cdata
    assert x.untyped_storage()._cdata != torch.empty(4, 5, device="meta").untyped_storage()._cdata


SPINNING = """
import os, resource, statistics, time
import torch
from isthmus.training.shared_cores import IdleTeam
torch.set_num_threads(2)
x = torch.randn(1000, 1000)
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
def spun():
    times = []
    for _ in range(20):
        x.add(1)
        before = used()
        time.sleep(0.02)
        times.append(used() - before)
    return statistics.mean(times)
alone = spun()
team = IdleTeam(len(os.sched_getaffinity(0)) + 1)
time.sleep(0.1)
beside = spun()
team.disband()
print(alone, beside, spun())
"""


def test_threads_of_openmp_spin_less_while_there_is_an_idle_team():
    if not any("libgomp" in line for line in Path("/proc/self/maps").read_text().splitlines()):
        pytest.skip("torch does not use GNU's OpenMP here")
    answer = subprocess.run([sys.executable, "-c", SPINNING], capture_output=True, text=True, check=True)
    alone, beside, afterwards = map(float, answer.stdout.split())
    assert beside < alone / 3
    assert beside < afterwards / 3
