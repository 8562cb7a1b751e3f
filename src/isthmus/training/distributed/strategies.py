"""Distributed training of one model: replicated (``ddp``) or sharded (``fsdp``).

With ``ddp`` every process has all weights, and gradients are averaged. With ``fsdp`` weights, gradients and moments are
sharded over the processes, and weights are gathered only where they are used.

References:
    PyTorch distributed: experiences on accelerating data parallel training (Li et al., 2020)
    PyTorch FSDP: experiences on scaling fully sharded data parallel (Zhao et al., 2023)
"""

import copy
import warnings

from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from isthmus.models.objective import Objective
from isthmus.parts.hooks import GathersBatches
from isthmus.training.distributed.batch_norm import synchronize_batch_norm
from isthmus.training.distributed.processes import Processes


def join(objective: Objective, processes: Processes, strategy: str) -> tuple[nn.Module, Objective | None]:
    """Replicate or shard ``objective``; returns the module to call for a loss, and for ``fsdp`` an unsharded copy."""
    for part in objective.modules():
        if isinstance(part, GathersBatches):
            part.gather = processes.gather
    synchronize_batch_norm(objective, processes.gather)
    if strategy == "fsdp":
        unsharded = copy.deepcopy(objective).cpu()
        mesh = init_device_mesh(processes.device.type, (processes.world,))
        for part in (objective.model.encoder, objective.model.decoder, objective):
            fully_shard(part, mesh=mesh)
        return objective, unsharded
    device_ids = None if processes.device.type == "cpu" else [processes.device]
    # statistics are computed on gathered values, so buffers agree without being broadcast
    with warnings.catch_warnings():
        # the new name of the option is not available in all supported versions of PyTorch
        warnings.filterwarnings("ignore", message=".*broadcast_buffers")
        wrapped = DistributedDataParallel(objective, device_ids, find_unused_parameters=True, broadcast_buffers=False)
    return wrapped, None
