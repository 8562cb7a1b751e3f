"""Commands that use a trained model: encode, decode, reconstruct, denoise, score, sample, interpolate."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.shared import (
    Data,
    ImportanceSamples,
    Input,
    Json,
    OnBadData,
    Output,
    RunFolder,
    Sample,
    Seed,
    number,
    print_json,
    print_table,
)
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.runs.run import Run


def loaded(folder: Path, on_bad_data: str | None) -> "Run":
    """A run, with ``on_bad_data`` as its policy for invalid examples unless that is ``None``."""
    from isthmus.runs.run import load

    run = load(folder)
    if on_bad_data is not None:
        run.recipe = run.recipe.with_options({"data.on_bad_data": on_bad_data})
    return run


def encode(
    folder: RunFolder,
    source: Input,
    out: Output,
    sample: Sample = False,
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of matrix products: 32, bf16 (four times as fast, codes differ by 0.3 %), or auto."
        ),
    ] = "32",
    on_bad_data: OnBadData = None,
    seed: Seed = 0,
) -> None:
    """Write latent codes (.npy, .npz or .csv).

    Rows of skipped invalid examples are NaN.
    """
    from isthmus.runs import inference

    _say_written(
        inference.encode(loaded(folder, on_bad_data), source, out, sample=sample, seed=seed, precision=precision)
    )


def decode(
    folder: RunFolder,
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="Codes as written by encode (.npy, .npz, .csv).")],
    out: Output,
) -> None:
    """Decode latent codes (.npy, .npz, .csv or .png)."""
    from isthmus.runs import inference
    from isthmus.runs.run import load

    _say_written(inference.decode(load(folder), codes, out))


def reconstruct(
    folder: RunFolder, source: Input, out: Output, sample: Sample = False, on_bad_data: OnBadData = None, seed: Seed = 0
) -> None:
    """Write reconstructions (.npy, .npz, .csv or .png)."""
    from isthmus.runs import inference

    _say_written(inference.reconstruct(loaded(folder, on_bad_data), source, out, sample=sample, seed=seed))


def denoise(
    folder: RunFolder,
    source: Input,
    out: Output,
    corrupt: Annotated[
        bool, typer.Option("--corrupt", help="Apply the corruption of the run to clean examples first.")
    ] = False,
    on_bad_data: OnBadData = None,
    seed: Seed = 0,
) -> None:
    """Denoise examples (.npy, .npz, .csv or .png).

    Works best with a run that was trained with a corruption.
    """
    from isthmus.runs import inference

    _say_written(inference.denoise(loaded(folder, on_bad_data), source, out, corrupt=corrupt, seed=seed))


def score(
    folder: RunFolder,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="File to write (.npy, .npz or .csv).", show_default=False)
    ] = None,
    data: Data = None,
    importance_samples: ImportanceSamples = 0,
    on_bad_data: OnBadData = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compute anomaly scores (.npy, .npz or .csv).

    Scores are negative log-likelihoods; higher is more anomalous. Without --data the test set of the run is scored;
    with it all examples of the data, in order.
    """
    from isthmus.cli.progress import shown
    from isthmus.runs import inference
    from isthmus.runs.outputs import check_extension

    if out is not None:
        if data is None and not out.suffix:
            raise BadOption(f"OUT is {str(out)!r}, which has no extension. To score a data set, use --data {out}.")
        check_extension(out)
    run = loaded(folder, on_bad_data)
    with shown("importance samples") if importance_samples else nullcontext() as callback:
        scored = inference.score(run, data, seed=seed, importance_samples=importance_samples, callback=callback)
    written = None if out is None else inference.write_scores(scored, out)
    if as_json:
        content = {"run": str(folder), "split": scored.split, "meaning": scored.meaning, **scored.summary()}
        print_json(content | {"highest": scored.highest(), "written": None if written is None else str(written[0])})
        return
    typer.echo(f"Anomaly scores of {scored.split}:")
    rows = [(name, number(value)) for name, value in scored.summary().items()]
    print_table({"score": "left", scored.meaning: "right"}, rows)
    typer.echo(f"Rows with the highest scores, counted from 0: {', '.join(map(str, scored.highest()))}")
    if written is not None:
        _say_written(written)


def sample(
    folder: RunFolder,
    out: Output,
    number: Annotated[int, typer.Option("-n", "--number", help="Number of samples.")] = 64,
    seed: Seed = 0,
) -> None:
    """Sample new examples (.npy, .npz, .csv or .png)."""
    from isthmus.runs import inference
    from isthmus.runs.run import load

    _say_written(inference.sample(load(folder), out, number=number, seed=seed))


def interpolate(
    folder: RunFolder,
    out: Output,
    data: Data = None,
    rows: Annotated[int, typer.Option(help="Pairs of examples.")] = 6,
    steps: Annotated[int, typer.Option(help="Points per interpolation, both ends included.")] = 11,
) -> None:
    """Interpolate between examples (.npy, .npz, .csv or .png).

    Decodes points on the straight lines between the codes of pairs of examples.
    """
    from isthmus.runs import inference
    from isthmus.runs.run import load

    _say_written(inference.write_interpolations(load(folder), out, data=data, rows=rows, steps=steps))


def _say_written(written: tuple[Path, tuple[int, ...]]) -> None:
    path, shape = written
    typer.echo(f"{path}  ({' x '.join(map(str, shape))})")
