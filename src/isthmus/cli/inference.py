"""Commands that use a trained model: encode, decode, reconstruct, denoise, score, sample, interpolate."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.shared import (
    AllowImport,
    DataOption,
    Device,
    ImportanceSamples,
    Input,
    Json,
    OnBadData,
    OutOption,
    Output,
    OwnInput,
    RunFolder,
    Sample,
    Seed,
    number,
    places,
    print_json,
    print_table,
    search_current_folder,
)
from isthmus.errors import BadOption

if TYPE_CHECKING:
    from isthmus.runs.run import Run


def loaded(folder: Path, on_bad_data: str | None = None, device: str = "auto", *, allow_import: bool = False) -> "Run":
    """A run on a device, with ``on_bad_data`` as its policy for invalid examples unless that is ``None``."""
    from isthmus.runs.loading import load

    if allow_import:
        search_current_folder()
    run = load(folder, device=device, allow_import=allow_import)
    if on_bad_data is not None:
        run.recipe = run.recipe.with_options({"data.on_bad_data": on_bad_data})
    return run


def both(verb: str, source: str | None, out: str | None, data: str | None, to: Path | None) -> tuple[str, Path]:
    """INPUT and OUTPUT of a command that needs both."""
    found, target = places(f"{verb} RUN INPUT OUTPUT", source, out, data, to)
    assert found is not None
    assert target is not None
    return found, target


def encode(
    folder: RunFolder,
    source: Input = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    sample: Sample = False,
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of matrix products: 32, bf16 (four times as fast, codes differ by 0.3 %), or auto."
        ),
    ] = "32",
    on_bad_data: OnBadData = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
    seed: Seed = 0,
) -> None:
    """Write latent codes (.npy, .npz or .csv).

    Rows of skipped invalid examples are NaN.
    """
    from isthmus.runs import writing

    given, target = both("encode", source, out, data, to)
    run = loaded(folder, on_bad_data, device, allow_import=allow_import)
    say_written(writing.encode(run, given, target, sample=sample, seed=seed, precision=precision))


def decode(
    folder: RunFolder,
    codes: Annotated[
        str | None,
        typer.Argument(metavar="INPUT", help="Codes as written by encode (.npy, .npz, .csv).", show_default=False),
    ] = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
) -> None:
    """Decode latent codes (.npy, .npz, .csv or .png)."""
    from isthmus.runs import writing

    given, target = both("decode", codes, out, data, to)
    say_written(writing.decode(loaded(folder, device=device, allow_import=allow_import), Path(given), target))


def reconstruct(
    folder: RunFolder,
    source: Input = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    sample: Sample = False,
    on_bad_data: OnBadData = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
    seed: Seed = 0,
) -> None:
    """Write reconstructions (.npy, .npz, .csv or .png)."""
    from isthmus.runs import writing

    given, target = both("reconstruct", source, out, data, to)
    say_written(
        writing.reconstruct(
            loaded(folder, on_bad_data, device, allow_import=allow_import), given, target, sample=sample, seed=seed
        )
    )


def denoise(
    folder: RunFolder,
    source: Input = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    corrupt: Annotated[
        bool, typer.Option("--corrupt", help="Apply the corruption of the run to clean examples first.")
    ] = False,
    noise_level: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the noise, of 1 for full brightness; estimated from each example by default."
        ),
    ] = None,
    on_bad_data: OnBadData = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
    seed: Seed = 0,
) -> None:
    """Denoise examples (.npy, .npz, .csv or .png), or pictures of any size.

    Works best with a run that was trained with a corruption. Where INPUT is a picture or a folder of pictures and
    OUTPUT a picture (.png) or a folder, each picture is written in its own size; a run of the recipe denoiser takes
    pictures of any size.
    """
    from isthmus.cli.progress import shown
    from isthmus.runs import restoration, writing

    given, target = both("denoise", source, out, data, to)
    run = loaded(folder, on_bad_data, device, allow_import=allow_import)
    if restoration.are_pictures_wanted(given, target) and not corrupt:
        with shown("pictures") as progress:
            written = restoration.denoise_pictures(run, Path(given), target, noise_level=noise_level, progress=progress)
        few = "" if len(written) == 1 else f"  ({len(written):,} pictures)"
        typer.echo(f"{target}{few}")
        return
    say_written(writing.denoise(run, given, target, corrupt=corrupt, seed=seed, noise_level=noise_level))


def score(
    folder: RunFolder,
    source: OwnInput = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    importance_samples: ImportanceSamples = 0,
    on_bad_data: OnBadData = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compute anomaly scores (.npy, .npz, .csv or .parquet).

    Scores are negative log-likelihoods; higher is more anomalous. Without INPUT the test set of the run is scored;
    with it all examples of the data, in order.
    """
    from isthmus.cli.progress import shown
    from isthmus.data.storage.remote import is_address
    from isthmus.runs import inference, writing
    from isthmus.runs.outputs import EXTENSIONS, check_extension

    given, target = places("score RUN [INPUT] [OUTPUT]", source, out, data, to)
    if target is not None:
        check_extension(target)
    elif (
        given is not None
        and not is_address(given)
        and Path(given).suffix.lower() in EXTENSIONS
        and not Path(given).exists()
    ):
        raise BadOption(f"There is no file {given!r} to score. Use --out {given} to write the scores of the test set.")
    run = loaded(folder, on_bad_data, device, allow_import=allow_import)
    with shown("importance samples") if importance_samples else nullcontext() as callback:
        scored = inference.score(run, given, seed=seed, importance_samples=importance_samples, callback=callback)
    written = None if target is None else writing.write_scores(scored, target)
    if as_json:
        content = {"run": str(folder), "split": scored.split, "meaning": scored.meaning, **scored.summary()}
        highest = {"highest": scored.highest(), "highest_names": scored.named(scored.highest())}
        print_json(content | highest | {"written": None if written is None else str(written[0])})
        return
    typer.echo(f"Anomaly scores of {scored.split}:")
    rows = [(name, number(value)) for name, value in scored.summary().items()]
    print_table({"score": "left", scored.meaning: "right"}, rows)
    title = scored.inputs.row_title if scored.inputs.names is not None else ""
    typer.echo(f"Highest scores ({title or 'rows, counted from 0'}): {', '.join(scored.named(scored.highest()))}")
    if written is not None:
        say_written(written)


def sample(
    folder: RunFolder,
    out: Output = None,
    to: OutOption = None,
    number: Annotated[
        int | None, typer.Option("-n", "--number", help="Number of samples.", show_default="64; with --near 8 of each")
    ] = None,
    near: Annotated[
        str | None,
        typer.Option(
            metavar="INPUT", help="Sample near these examples: name of a data set, or a path.", show_default=False
        ),
    ] = None,
    distance: Annotated[
        float,
        typer.Option(help="How far from them: 0 (their reconstructions) to 1 (as different as any two examples)."),
    ] = 0.3,
    density: Annotated[
        str | None,
        typer.Option(
            metavar="prior|auto|gaussian|gmm|kde|flow|categorical",
            help="What codes are sampled from: the prior, or a density fitted to the codes of the training data and "
            "kept in RUN; auto takes the one under which held-out codes are most likely.  [default: prior; auto for a "
            "run without one]",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Factor of the density's standard deviations; below 1: more typical, less varied.")
    ] = 1.0,
    decoder: Annotated[str, typer.Option(metavar="mean|sample", help="Mean of p(x|z), or a sample from it.")] = "mean",
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Data to whose codes the density is fitted; by default that of RUN.", show_default=False
        ),
    ] = None,
    device: Device = "auto",
    allow_import: AllowImport = False,
    seed: Seed = 0,
) -> None:
    """Sample new examples (.npy, .npz, .csv or .png).

    A run without a prior, such as a plain autoencoder, is sampled too: from a density of its codes.
    """
    from isthmus.runs import writing

    _, target = places("sample RUN OUTPUT", out, None, None, to)
    assert target is not None
    run = loaded(folder, device=device, allow_import=allow_import)
    if near is not None:
        if density is not None or temperature != 1 or decoder != "mean":
            raise BadOption(
                "--near decodes codes around those of examples. Leave out --density, --temperature, --decoder."
            )
        say_written(
            writing.neighborhood(
                run, near, target, number=8 if number is None else number, distance=distance, seed=seed, data=data
            )
        )
        return
    written = writing.sample(
        run,
        target,
        number=64 if number is None else number,
        seed=seed,
        density=density,
        temperature=temperature,
        outputs=decoder,
        data=data,
        progress=say_doing,
    )
    for found in run.densities.values():
        typer.echo(f"density {found}", err=True)
    say_written(written)


def interpolate(
    folder: RunFolder,
    source: OwnInput = None,
    out: Output = None,
    data: DataOption = None,
    to: OutOption = None,
    rows: Annotated[int, typer.Option(help="Pairs of examples.")] = 6,
    steps: Annotated[int, typer.Option(help="Points per interpolation, both ends included.")] = 11,
    path: Annotated[
        str, typer.Option(metavar="linear|spherical", help="Path between two codes.", show_default=True)
    ] = "linear",
    device: Device = "auto",
    allow_import: AllowImport = False,
) -> None:
    """Interpolate between examples (.npy, .npz, .csv or .png).

    Decodes points on the lines between the codes of pairs of examples.
    """
    from isthmus.runs import writing

    given, target = places("interpolate RUN [INPUT] OUTPUT", source, out, data, to)
    assert target is not None
    say_written(
        writing.interpolate(
            loaded(folder, device=device, allow_import=allow_import),
            target,
            data=given,
            rows=rows,
            steps=steps,
            path=path,
        )
    )


def say_doing(what: str) -> None:
    """Print what takes a while, on standard error."""
    typer.echo(f"{what} ...", err=True)


def say_written(written: tuple[Path, tuple[int, ...]]) -> None:
    """Print the path and the shape of what was written."""
    path, shape = written
    typer.echo(f"{path}  ({' x '.join(map(str, shape))})")
