"""What is relied on of torch's private interfaces, checked against the version of torch that it was verified with.

An upgrade of torch fails here first. Look at what changed, see that the tests below still hold, then add the version.
"""

import inspect

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
