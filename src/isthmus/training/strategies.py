"""How several processes hold one model: a copy each (``ddp``), or a part each (``fsdp``).

With ``ddp`` every process has all weights and gradients are averaged; with ``fsdp`` weights, gradients and moments are
cut into parts, one for each process, and brought together only where they are used.

References:
    PyTorch distributed: experiences on accelerating data parallel training (Li et al., 2020)
    PyTorch FSDP: experiences on scaling fully sharded data parallel (Zhao et al., 2023)
"""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from isthmus.objective import Objective
from isthmus.trace import Gather
from isthmus.training.processes import Processes


def join(objective: Objective, processes: Processes, strategy: str) -> tuple[nn.Module, Objective | None]:
    """Let all processes train ``objective`` together: what to call for a loss, and a whole copy where it is cut up."""
    for part in objective.modules():
        if hasattr(part, "gather"):
            part.gather = processes.gather  # type: ignore[assignment]
    _synchronise(objective, processes.gather)
    if strategy == "fsdp":
        whole = copy.deepcopy(objective).cpu()
        mesh = init_device_mesh(processes.device.type, (processes.world,))
        for part in (objective.model.encoder, objective.model.decoder, objective):
            fully_shard(part, mesh=mesh)
        return objective, whole
    places = None if processes.device.type == "cpu" else [processes.device]
    # what the parts' statistics need is gathered, so buffers agree without being sent
    with warnings.catch_warnings():
        # the option's new name is not known to all versions of torch that will do
        warnings.filterwarnings("ignore", message=".*broadcast_buffers")
        wrapped = DistributedDataParallel(objective, places, find_unused_parameters=True, broadcast_buffers=False)
    return wrapped, None


def _synchronise(module: nn.Module, gather: Gather) -> None:
    """Let batch normalisation take its statistics over the batches of all processes."""
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.forward = _normalising(layer, gather)  # type: ignore[method-assign,assignment]


def _normalising(layer: _BatchNorm, gather: Gather) -> Callable[[Tensor], Tensor]:
    """The forward pass of a batch normalisation whose statistics run over all processes, with their gradient."""
    alone = layer.forward

    def forward(h: Tensor) -> Tensor:
        if not layer.training:
            out: Tensor = alone(h)
            return out
        values = h.float().transpose(0, 1).flatten(1)
        count = values.new_tensor([float(values.shape[1])])
        n, *_ = sums = gather(torch.cat([count, values.sum(1)])[None]).sum(0)
        mean = sums[1:] / n
        # of what the mean leaves, for the difference of two large sums would lose its digits
        variance = gather((values - mean[:, None]).square().sum(1)[None]).sum(0) / n
        if layer.track_running_stats:
            _remember(layer, mean.detach(), variance.detach() * n / (n - 1))
        shape = (1, -1, *(1,) * (h.ndim - 2))
        normed = (h.float() - mean.reshape(shape)) * (variance + layer.eps).rsqrt().reshape(shape)
        scaled: Tensor = normed * layer.weight.reshape(shape) + layer.bias.reshape(shape)
        return scaled.to(h.dtype)

    return forward


def _remember(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics towards those of a batch."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, share)
    layer.running_var.lerp_(variance, share)
