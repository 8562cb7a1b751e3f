"""The verbs that use a trained model: encode, decode, reconstruct, sample, interpolate."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.options import Data, Input, Output, RunFolder, Sample, Seed


def encode(folder: RunFolder, source: Input, out: Output, sample: Sample = False, seed: Seed = 0) -> None:
    """Write the code of each example (.npy, .npz or .csv)."""
    from isthmus import using
    from isthmus.run import load

    _said(using.encode(load(folder), source, out, sample=sample, seed=seed))


def decode(
    folder: RunFolder,
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="Codes, as encode wrote them (.npy, .npz, .csv).")],
    out: Output,
) -> None:
    """Write what codes stand for (.npy, .npz, .csv or .png)."""
    from isthmus import using
    from isthmus.run import load

    _said(using.decode(load(folder), codes, out))


def reconstruct(folder: RunFolder, source: Input, out: Output, sample: Sample = False, seed: Seed = 0) -> None:
    """Write what is left of each example behind the code (.npy, .npz, .csv or .png)."""
    from isthmus import using
    from isthmus.run import load

    _said(using.reconstruct(load(folder), source, out, sample=sample, seed=seed))


def sample(
    folder: RunFolder,
    out: Output,
    number: Annotated[int, typer.Option("-n", "--number", help="How many.")] = 64,
    seed: Seed = 0,
) -> None:
    """Write new examples, drawn from the prior (.npy, .npz, .csv or .png)."""
    from isthmus import using
    from isthmus.run import load

    _said(using.sample(load(folder), out, number=number, seed=seed))


def interpolate(
    folder: RunFolder,
    out: Output,
    data: Data = None,
    rows: Annotated[int, typer.Option(help="Pairs of examples.")] = 6,
    steps: Annotated[int, typer.Option(help="Points on each line, both ends included.")] = 11,
) -> None:
    """Write the decoded lines between the codes of pairs of examples (.npy, .npz, .csv or .png)."""
    from isthmus import using
    from isthmus.run import load

    _said(using.interpolate(load(folder), out, data=data, rows=rows, steps=steps))


def _said(written: tuple[Path, tuple[int, ...]]) -> None:
    path, shape = written
    typer.echo(f"{path}  ({' x '.join(map(str, shape))})")
