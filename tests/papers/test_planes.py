"""Three maps of the same test images, each judged by its neighbors."""

import numpy as np
import torch

from isthmus.data.preparing import prepare
from isthmus.papers import hinton2006, planes
from isthmus.papers.reproduction import reproduce
from isthmus.zoo import pca


def test_the_sheet_at_toy_size_has_three_maps_and_the_grid(shrunken):
    results = reproduce(planes.PAPER, shrunken(planes))
    assert set(results["pictures"]) == {"planes.png", "manifold.png"}
    names = [row["what"] for row in results["rows"]]
    assert [name.rpartition(", ")[2] for name in names] == ["PCA", "784-1000-500-250-2", "VAE"]


def test_the_accuracy_is_that_of_the_nearest_training_codes_by_hand():
    data = prepare("digits", pca(2).data, 0)

    class Known:
        class model:  # noqa: N801
            @staticmethod
            def encode(x: torch.Tensor) -> torch.Tensor:
                return x.flatten(1)[:, 20:23]

    z, accuracy = hinton2006.embedded(Known, data)
    train = data.train.tensor.flatten(1)[:, 20:23].numpy()
    labels, right = np.asarray(data.train.labels), 0
    for code, label in zip(z, data.test.labels, strict=True):
        order = ((train - code) ** 2).sum(1).argsort(kind="stable")[: hinton2006.NEIGHBORS]
        right += np.bincount(labels[order], minlength=10).argmax() == label
    # equal distances are ordered in another way by the classifier
    assert abs(accuracy - right / len(z)) < 0.03
    assert 0.2 < accuracy < 0.9
