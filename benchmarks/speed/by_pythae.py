"""pythae's own trainer with its defaults; its plain autoencoder is given the cross-entropy that the others minimize."""

import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from networks import pair
from pythae.data.datasets import BaseDataset
from pythae.models import AE, VAE, AEConfig, BaseAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from rows import Row
from torch import Tensor, nn
from turns import Turns


class Encoder(BaseEncoder):
    """A network in pythae's wrapping."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> ModelOutput:
        """The code."""
        return ModelOutput(embedding=self.net(x))


class Decoder(BaseDecoder):
    """A network in pythae's wrapping."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> ModelOutput:
        """Logits of the pixels."""
        return ModelOutput(reconstruction=self.net(z))


class CrossEntropyAE(AE):  # type: ignore[misc]
    """pythae's autoencoder, which supports squared error only, with the cross-entropy on logits."""

    def loss_function(self, recon_x: Tensor, x: Tensor) -> Tensor:
        """Nats per example."""
        return F.binary_cross_entropy_with_logits(recon_x, x, reduction="none").flatten(1).sum(1).mean()


class Turntaker(TrainingCallback):  # type: ignore[misc]
    """Waits before each epoch, and reports it when the next one begins, so that all bookkeeping counts."""

    def __init__(self, turns: Turns, images: int) -> None:
        self.turns, self.images, self.loss = turns, images, float("nan")

    def on_epoch_begin(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        """The boundary between two turns."""
        if kwargs["epoch"] != 1:
            self.turns.done(self.images, self.loss)
        self.turns.wait()

    def on_log(self, training_config: BaseTrainerConfig, logs: dict[str, float], **kwargs: object) -> None:
        """Note the epoch's loss."""
        self.loss = logs["train_epoch_loss"]


def model(net: str, seed: int) -> BaseAE:
    """The VAE with pythae's own networks, or its autoencoder around ours."""
    if net == "vae":
        vae = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce"))
        encoder, decoder = pair(net, seed)
        first, code, *rest = (layer for part in (encoder, decoder) for layer in part if isinstance(layer, nn.Linear))
        # mean and log variance are layers of their own here
        mean, spread = (nn.utils.skip_init(nn.Linear, 512, 16) for _ in range(2))
        for name in ("weight", "bias"):
            for half, part in zip((mean, spread), getattr(code, name).detach().chunk(2), strict=True):
                getattr(half, name).data.copy_(part)
        theirs = [m for part in (vae.encoder, vae.decoder) for m in part.modules() if isinstance(m, nn.Linear)]
        for layer, ours in zip(theirs, (first, mean, spread, *rest), strict=True):
            layer.load_state_dict(ours.state_dict())
        return vae
    encoder, decoder = pair(net, seed)
    return CrossEntropyAE(AEConfig(input_dim=(1, 28, 28), latent_dim=16), Encoder(encoder), Decoder(decoder))


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another."""
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10**6,
            learning_rate=row.rate,
            per_device_train_batch_size=row.batch,
            no_cuda=True,
            seed=row.seed,
        )
        callbacks = [Turntaker(turns, len(x))]
        BaseTrainer(model(row.net, row.seed), BaseDataset(x, torch.ones(len(x))), None, config, callbacks).train()
