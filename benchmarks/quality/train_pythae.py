"""pythae's own trainer with its defaults, until a figure is reached."""

import contextlib
import tempfile

import numpy as np
import torch
import torch._dynamo  # loaded by the first optimizer; imports do not count for anyone
from by_pythae import model
from figures import Coder
from judge import Judge
from pythae.data.datasets import BaseDataset
from pythae.models import BaseAE
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from tasks import TASKS, Spec
from torch import Tensor


class Reached(Exception):
    """Ends a training, for which pythae has no other way."""


class Look(TrainingCallback):  # type: ignore[misc]
    """Asks the judge after every epoch and its bookkeeping."""

    def __init__(self, judge: Judge, coder: Coder) -> None:
        self.judge, self.coder = judge, coder

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        """End training where the judge says so."""
        if self.judge.ends(self.coder):
            raise Reached


def coder_of(trained: BaseAE, net: str) -> Coder:
    """The networks of a model; the VAE's own decoder gives pixels, ours gives logits."""

    def encode(x: Tensor) -> Tensor:
        h = trained.encoder(x)
        return torch.cat([h.embedding, h.log_covariance / 2], 1) if net == "vae" else h.embedding

    def decode(z: Tensor) -> Tensor:
        pixels: Tensor = trained.decoder(z).reconstruction
        return pixels if net == "vae" else pixels.sigmoid()

    return Coder(encode, decode)


def train(spec: Spec, images: np.ndarray, judge: Judge) -> Coder:
    """Train until the judge ends it."""
    net, settings = TASKS[spec["task"]].net, spec["settings"]
    judge.start()
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    trained = model(net, spec["seed"])
    coder = coder_of(trained, net)
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10**6,
            learning_rate=1e-3,
            per_device_train_batch_size=settings["training.batch_size"],
            no_cuda=True,
            seed=spec["seed"],
        )
        trainer = BaseTrainer(trained, BaseDataset(x, torch.ones(len(x))), None, config, [Look(judge, coder)])
        with contextlib.suppress(Reached):
            trainer.train()
    return coder
