"""Lightning's Trainer, in bf16-mixed where the processor has bfloat16, with a DataLoader, fused Adam, a logged loss and
its progress bar.
"""

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from networks import pair
from precision import dtype_of
from rows import Row
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from turns import Turns


class Module(lightning.LightningModule):
    """The networks of a row and their loss."""

    def __init__(self, row: Row, turns: Turns, images: int) -> None:
        super().__init__()
        self.row, self.turns, self.images = row, turns, images
        self.encoder, self.decoder = pair(row.net, row.seed)

    def training_step(self, batch: list[Tensor], _number: int) -> Tensor:
        """Nats per example."""
        (x,) = batch
        h, is_divergence = self.encoder(x).float(), torch.zeros(())
        if self.row.net == "vae":
            loc, log_scale = h.chunk(2, 1)
            scale = log_scale.exp()
            h = loc + scale * torch.randn_like(loc)
            is_divergence = (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum()
        error = F.binary_cross_entropy_with_logits(self.decoder(h).float(), x, reduction="sum")
        loss = (error + is_divergence) / len(x)
        self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(x))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Fused Adam."""
        return torch.optim.Adam(self.parameters(), self.row.rate, fused=True)

    def on_train_epoch_start(self) -> None:
        """The boundary between two turns."""
        if self.current_epoch:
            self.turns.done(self.images, self.trainer.callback_metrics["loss"].item())
        self.turns.wait()


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another."""
    torch.manual_seed(row.seed)
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    loader = DataLoader(TensorDataset(x), row.batch, shuffle=True)
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if dtype_of(row.precision) == torch.bfloat16 else "32-true",
        max_epochs=10**6,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(row, turns, len(x)), loader)
