"""Preparation of data in memory: check for invalid examples, split, fit the scaling to the training set, and scale.

Tables become (N, D) and images (N, C, H, W), contiguous float32.
"""

from dataclasses import replace

import numpy as np

from isthmus.data.base import Dataset, Examples, Location
from isthmus.data.preparing.prepared import PreparedData, PreparedSplit
from isthmus.data.transforms.bad_examples import BadExamples, find_nonfinite
from isthmus.data.transforms.checks import (
    PIECE,
    SPLITS,
    apply_scaling,
    channels_first,
    check_finite,
    check_unit,
    draw_bernoulli,
)
from isthmus.data.transforms.scaling import Scaling, measure
from isthmus.data.transforms.splits import Splits, split
from isthmus.options import DataOptions


def prepare_in_memory(dataset: Dataset, options: DataOptions, seed: int) -> PreparedData:
    """A data set as model inputs, split by ``seed``; invalid examples are left out if they are to be skipped.

    Raises:
        BadData: invalid examples that are not to be skipped, or too few valid ones.
    """
    bad_examples = BadExamples(options.on_bad_data, sum(map(len, _splits(dataset).values())) + len(dataset.undecodable))
    if options.on_bad_data == "skip":
        for location, why in dataset.undecodable:
            bad_examples.add(None, location, why)
        kept = {
            name: _valid_examples(split, _file(dataset, name), bad_examples) for name, split in _splits(dataset).items()
        }
        train = kept["train"]
        dataset = replace(dataset, train=train, valid=kept.get("valid"), test=kept.get("test"))
    return replace(prepare_splits(split(dataset, options, seed), dataset, options, seed), bad_examples=bad_examples)


def prepare_splits(splits: Splits, dataset: Dataset, options: DataOptions, seed: int) -> PreparedData:
    """The tensors of the splits of ``dataset``; ``seed`` is that of binary pixels.

    Raises:
        BadData: values that are not finite, or outside [0, 1] where they are to be binarized.
    """
    # in the order of the source, so that the row in a message is that of the file
    for name in SPLITS:
        source: Examples | None = getattr(dataset, name)
        if source is not None:
            check_finite(source.x, f"The {name} split of {dataset.name!r}")
    first = channels_first(splits.train.x, dataset.images)
    scaling = measure(first, options.scale, images=dataset.images, pixels=dataset.pixels)
    made = {name: _prepare_split(name, getattr(splits, name), dataset, scaling, options, seed) for name in SPLITS}
    train = made["train"]
    assert train is not None
    return PreparedData(
        train,
        made["valid"],
        made["test"],
        shape=tuple(train.x.shape[1:]),
        scaling=scaling,
        images=dataset.images,
        dynamic=options.binarize == "dynamic",
        name=dataset.name,
        provenance=dataset.provenance,
        held_out=splits.held_out,
        label_names=dataset.label_names,
    )


def _prepare_split(
    name: str, examples: Examples | None, dataset: Dataset, scaling: Scaling, options: DataOptions, seed: int
) -> PreparedSplit | None:
    """One split, scaled and binarized as the options say."""
    if examples is None:
        return None
    what = f"The {name} split of {dataset.name!r}"
    x = apply_scaling(channels_first(examples.x, dataset.images), scaling, what)
    if options.binarize != "none":
        check_unit(x, what, options)
        if options.binarize == "static" or name != "train":
            x = draw_bernoulli(x, seed, SPLITS.index(name))
    rows, file = examples.source_rows, dataset.name
    return PreparedSplit(x, examples.labels, locate=lambda index: Location(file, int(rows[index])))


def _splits(dataset: Dataset) -> dict[str, Examples]:
    return {name: split for name in SPLITS if (split := getattr(dataset, name)) is not None}


def _file(dataset: Dataset, split: str) -> str:
    """The file of a split in the locations of its invalid examples."""
    return dataset.name if split == "train" else f"{dataset.name} ({split} split)"


def _valid_examples(examples: Examples, file: str, bad_examples: BadExamples) -> Examples:
    """The valid examples of a split, with their rows."""
    step = max(1, PIECE // max(1, examples.x[:1].size))
    bad: list[int] = []
    for start in range(0, len(examples), step):
        for index, why in find_nonfinite(examples.x[start : start + step]).items():
            bad_examples.add(None, Location(file, int(examples.source_rows[start + index])), why)
            bad.append(start + index)
    return examples.take(np.delete(np.arange(len(examples)), bad)) if bad else examples
