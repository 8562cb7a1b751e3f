r"""Restricted Boltzmann machines: two layers of units with connections between the layers only.

>>> import torch
>>> from isthmus.models.seeding import seeded
>>> x = torch.eye(4).repeat(50, 1)
>>> with seeded(0):
...     machine = BoltzmannMachine(4, 3)
>>> history = learn(machine, x, ContrastiveDivergence(epochs=40, batch_size=20, learning_rate=0.5))
>>> history[0]["squared_error"] > history[-1]["squared_error"]
True
>>> likely = log_likelihood(machine, torch.eye(4), exact_log_partition(machine)).exp()
>>> bool(likely.sum() > 0.5)  # these four of all sixteen states are the training data
True
"""

from isthmus.boltzmann.learning import ContrastiveDivergence, learn
from isthmus.boltzmann.machine import BoltzmannMachine
from isthmus.boltzmann.partition import Estimate, annealed_log_partition, exact_log_partition, log_likelihood
from isthmus.boltzmann.units import UNITS, Unit

__all__ = [
    "UNITS",
    "BoltzmannMachine",
    "ContrastiveDivergence",
    "Estimate",
    "Unit",
    "annealed_log_partition",
    "exact_log_partition",
    "learn",
    "log_likelihood",
]
