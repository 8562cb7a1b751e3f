"""The verbs that use a trained model: encode, decode, reconstruct, denoise, sample, interpolate, score."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import Data, Input, Json, OnBad, Output, RunFolder, Sample, Seed, print_json, print_table

if TYPE_CHECKING:
    from isthmus.run import Run

Draws = Annotated[
    int,
    typer.Option(
        "--importance-samples",
        metavar="K",
        help="Estimate -log p(x) from K codes for each example; 5000 is usual, 0 for none.",
    ),
]


def loaded(folder: Path, on_bad: str | None) -> "Run":
    """A run, with another policy for bad examples where one is given."""
    from isthmus.run import load

    run = load(folder)
    if on_bad is not None:
        run.recipe = run.recipe.with_options({"data.on_bad": on_bad})
    return run


def encode(
    folder: RunFolder,
    source: Input,
    out: Output,
    sample: Sample = False,
    precision: Annotated[
        str, typer.Option(help="Of the products: 32, bf16 (four times as fast, codes off by 0.3 %), or auto.")
    ] = "32",
    on_bad: OnBad = None,
    seed: Seed = 0,
) -> None:
    """Write the code of each example (.npy, .npz or .csv); NaN for a bad one that is skipped."""
    from isthmus import using

    _said(using.encode(loaded(folder, on_bad), source, out, sample=sample, seed=seed, precision=precision))


def decode(
    folder: RunFolder,
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="Codes, as encode wrote them (.npy, .npz, .csv).")],
    out: Output,
) -> None:
    """Write what codes stand for (.npy, .npz, .csv or .png)."""
    from isthmus import using
    from isthmus.run import load

    _said(using.decode(load(folder), codes, out))


def reconstruct(
    folder: RunFolder, source: Input, out: Output, sample: Sample = False, on_bad: OnBad = None, seed: Seed = 0
) -> None:
    """Write what is left of each example behind the code (.npy, .npz, .csv or .png)."""
    from isthmus import using

    _said(using.reconstruct(loaded(folder, on_bad), source, out, sample=sample, seed=seed))


def denoise(
    folder: RunFolder,
    source: Input,
    out: Output,
    corrupt: Annotated[
        bool, typer.Option("--corrupt", help="Put the run's own corruption on clean examples first.")
    ] = False,
    on_bad: OnBad = None,
    seed: Seed = 0,
) -> None:
    """Write what is restored from noisy examples, taken as they are (.npy, .npz, .csv or .png).

    Any run may be asked; one that was trained with a corruption was made for it.
    """
    from isthmus import using

    _said(using.denoise(loaded(folder, on_bad), source, out, corrupt=corrupt, seed=seed))


def score(
    folder: RunFolder,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="File to write (.npy, .npz or .csv).", show_default=False)
    ] = None,
    data: Data = None,
    importance_samples: Draws = 0,
    on_bad: OnBad = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Tell how unusual each example is: its negative log-likelihood, higher for the more anomalous.

    Without --data the run's own test or held-out part is scored; with it every example, all parts in order.
    """
    from isthmus import using
    from isthmus.metrics.progress import shown
    from isthmus.output import check_ending

    if out is not None:
        check_ending(out)
    with shown("importance samples") if importance_samples else nullcontext() as listener:
        scored = using.score(
            loaded(folder, on_bad), data, seed=seed, importance_samples=importance_samples, listener=listener
        )
    written = None if out is None else using.write_scores(scored, out)
    highest = scored.highest()
    if as_json:
        content = {"run": str(folder), "part": scored.part, "meaning": scored.meaning, **scored.summary()}
        print_json(content | {"highest": highest, "written": None if written is None else str(written[0])})
        return
    rows = [
        (name, f"{value:,}" if isinstance(value, int) else f"{value:.5g}") for name, value in scored.summary().items()
    ]
    typer.echo(f"Scores of {scored.part}:")
    print_table({"score": "left", scored.meaning: "right"}, rows)
    typer.echo(f"Highest, counted from 0: {', '.join(map(str, highest))}")
    if written is not None:
        _said(written)


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
