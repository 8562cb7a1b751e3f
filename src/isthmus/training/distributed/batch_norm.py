"""Batch normalization over the batches of all processes, with gradients.

The ``forward`` of each layer is replaced, because ``torch.nn.SyncBatchNorm`` supports GPUs only. The private base class
used here is checked by ``tests/training/test_private_interfaces.py``.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isthmus.parts.protocols import Gather


def synchronize_batch_norm(module: nn.Module, gather: Gather) -> None:
    """Replace batch normalization by one with statistics over the batches of all processes."""
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            setattr(layer, "forward", _normalizing(layer, gather))  # noqa: B010  an instance attribute in place of the method


def _normalizing(layer: _BatchNorm, gather: Gather) -> Callable[[Tensor], Tensor]:
    """The forward pass of batch normalization with differentiable statistics over all processes."""
    local_forward = layer.forward

    def forward(h: Tensor) -> Tensor:
        if not layer.training:
            out: Tensor = local_forward(h)
            return out
        values = h.float().transpose(0, 1).flatten(1)
        count = values.new_tensor([float(values.shape[1])])
        n, *_ = sums = gather(torch.cat([count, values.sum(1)])[None]).sum(0)
        mean = sums[1:] / n
        # of centered values, because the difference of two large sums is imprecise
        variance = gather((values - mean[:, None]).square().sum(1)[None]).sum(0) / n
        if layer.track_running_stats:
            _update_running_statistics(layer, mean.detach(), variance.detach() * n / (n - 1))
        shape = (1, -1, *(1,) * (h.ndim - 2))
        normed = (h.float() - mean.reshape(shape)) * (variance + layer.eps).rsqrt().reshape(shape)
        scaled: Tensor = normed * layer.weight.reshape(shape) + layer.bias.reshape(shape)
        return scaled.to(h.dtype)

    return forward


def _update_running_statistics(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics with those of a batch."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    momentum = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, momentum)
    layer.running_var.lerp_(variance, momentum)
