"""Densities of the codes of a run: fitted when they are first asked for, kept in its folder, and sampled."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, Normal

from isthmus.data.prepared import PreparedSplit
from isthmus.densities.base import check_temperature
from isthmus.densities.fitting import (
    DENSITIES,
    MOST_CODES,
    MOST_VALUES,
    Fitted,
    categorical,
    check_numbers,
    fit_density,
)
from isthmus.errors import IncompatibleParts, check_choice, check_range
from isthmus.models.autoencoder import inference
from isthmus.models.seeding import derive_seed, seeded
from isthmus.parts.hooks import HasActivation, HasSymbols, Idempotent
from isthmus.parts.priors import GaussianMixture as PriorMixture
from isthmus.parts.priors import code_of
from isthmus.runs.data import NewData, data_for
from isthmus.runs.kept_densities import RunDensity, path_of, read, write
from isthmus.runs.run import Run

PRIOR, AUTO, CATEGORICAL = "prior", "auto", "categorical"
KINDS = (PRIOR, AUTO, *DENSITIES, CATEGORICAL)
"""What codes can be sampled from, by name."""
TRIED = ("gaussian", "gmm", "kde")
"""What ``auto`` chooses from, beside the prior; a flow takes minutes."""
HELD_OUT = 0.1
"""Fraction of the training examples held out where there are no validation examples."""
BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, math.inf), "softplus": (0.0, math.inf)}
"""What values a code can have, by its activation."""


def sample(
    run: Run,
    n: int,
    *,
    density: str | None = None,
    temperature: float = 1.0,
    outputs: str = "mean",
    seed: int | None = None,
    data: NewData | None = None,
) -> Tensor:
    """``n`` new examples as model outputs: decoded codes from the prior or another density.

    Args:
        run: a trained run.
        n: number of examples.
        density: one of :data:`KINDS`; by default ``prior``, or ``auto`` for a run without a prior.
        temperature: factor of the standard deviations of the density, from 0 to 10.
        outputs: ``mean`` or ``sample`` of p(x | z).
        seed: seed of codes and outputs.
        data: examples to whose codes the density is fitted; by default those that the run was trained on.

    Raises:
        BadOption: an unknown density or output, or a number out of range.
        BadData: the training data cannot be read again.
    """
    check_range("The number of samples", n, 1)
    check_choice("outputs", outputs, ("mean", "sample"))
    check_temperature(temperature)
    found = density_of(run, density, data)
    with seeded(seed):
        return run.model.decode(draw(run, found, n, temperature), sample=outputs == "sample")


def draw(run: Run, found: RunDensity, n: int, temperature: float = 1.0) -> Float[Tensor, "n *code"]:
    """``n`` codes from a density, on the device of the model."""
    like = run.model.like
    with inference(run.model):
        if found.density is None:
            return _from_prior(run, n, temperature)
        drawn = found.density.sample(n, temperature=temperature)
        code = code_of(run.model)
        if isinstance(run.model.latent, HasSymbols):
            return run.model.latent.from_symbols(drawn.to(like.device), code).to(like.dtype)
        return projected(run, drawn.to(like).reshape(n, *code))


def density_of(
    run: Run, kind: str | None = None, data: NewData | None = None, progress: Callable[[str], None] = lambda doing: None
) -> RunDensity:
    """The density ``kind`` of a run: one that is kept, else fitted now.

    With ``auto`` it is the one under which held-out codes are most likely, the prior included. ``progress`` is called
    before a density is fitted.

    Raises:
        BadOption: an unknown kind.
        IncompatibleParts: the codes have no density of this kind, or the run has no prior.
    """
    if kind is None:
        kind = PRIOR if run.model.generative else AUTO
    check_choice("The density", kind, KINDS)
    if kind == PRIOR:
        run.model.prior_distribution()
        return RunDensity(PRIOR, None, math.nan)
    symbols = isinstance(run.model.latent, HasSymbols)
    if kind != AUTO and symbols != (kind == CATEGORICAL):
        what, other = ("discrete symbols", CATEGORICAL) if symbols else ("real numbers", "gmm")
        raise IncompatibleParts(
            f"Codes of latent.kind={run.recipe.latent.kind} are {what}, which the density {kind} does not describe. "
            f"Use {other}, or auto."
        )
    wanted = _tried(run) if kind == AUTO else [kind]
    missing = [name for name in wanted if data is not None or not _is_kept(run, name)]
    if missing:
        codes = _codes(run, data)
        for name in missing:
            progress(f"fitting the density {name}")
            _fit(run, name, *codes)
    best = max((_kept(run, name) for name in wanted), key=lambda each: each.held_out)
    return RunDensity(PRIOR, None, best.prior) if kind == AUTO and best.prior >= best.held_out else best


def _tried(run: Run) -> list[str]:
    """What ``auto`` chooses from, beside the prior."""
    if isinstance(run.model.latent, HasSymbols):
        return [CATEGORICAL]
    values = math.prod(code_of(run.model))
    return [name for name in TRIED if values <= MOST_VALUES[name]] or ["gaussian"]


def _fit(run: Run, kind: str, z: Tensor, other: Tensor) -> None:
    """Fit a density to codes, and keep it in the run."""
    seed = derive_seed(run.metadata.seed, "density", kind) % 2**31
    with seeded(seed):
        fitted = _fitted(run, kind, z, other, seed)
    prior = _prior_log_prob(run, other) if run.model.generative else math.nan
    run.densities[kind] = RunDensity(kind, fitted.density, fitted.held_out, fitted.choice, prior)
    if run.folder is not None:
        write(run.densities[kind], run.folder)


def _fitted(run: Run, kind: str, z: Tensor, other: Tensor, seed: int) -> Fitted:
    if kind != CATEGORICAL:
        return fit_density(kind, z.flatten(1), other.flatten(1), seed)
    latent = run.model.latent
    assert isinstance(latent, HasSymbols)
    s, others = latent.to_symbols(z).cpu(), latent.to_symbols(other).cpu()
    check_numbers(s, others)
    return categorical(s, others, seed, symbols=latent.symbols)


def _codes(run: Run, data: NewData | None) -> tuple[Tensor, Tensor]:
    """Codes of training examples, and of held-out ones: the validation set, or a tenth of the training set.

    They are means of the posterior, as those of reconstructions: samples from a density of codes that are drawn from
    the posterior instead have a Frechet distance that is larger by a sixth (docs/log.md).

    Raises:
        BadData: the training data cannot be read again.
    """
    prepared, seed = data_for(run, data), derive_seed(run.metadata.seed, "density")
    train = _of_split(run, prepared.train, seed)
    if prepared.valid is not None and len(prepared.valid):
        return train, _of_split(run, prepared.valid, seed)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed % 2**31)).to(train.device)
    some = max(1, round(HELD_OUT * len(train)))
    return train[order[some:]], train[order[:some]]


def _of_split(run: Run, split: PreparedSplit, seed: int) -> Tensor:
    some = split.at_most(MOST_CODES, seed % 2**31)
    return run.model.encode(some.tensor if some.inputs is None else some.inputs)


def _prior_log_prob(run: Run, z: Tensor) -> float:
    with inference(run.model):
        return run.model.prior_distribution().log_prob(z).double().mean().item()


def _from_prior(run: Run, n: int, temperature: float) -> Tensor:
    """Codes from the prior, whose standard deviations are multiplied by the temperature.

    Raises:
        IncompatibleParts: a temperature for a prior that is not Gaussian.
    """
    prior = run.model.prior_distribution()
    if temperature == 1:
        return prior.sample(torch.Size((n,)))
    if isinstance(prior, PriorMixture):
        log_scale = prior.log_scale + (math.log(temperature) if temperature else -math.inf)
        return PriorMixture(prior.mixture_distribution.logits, prior.loc, log_scale).sample(torch.Size((n,)))
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        return prior.mean + temperature * (prior.sample(torch.Size((n,))) - prior.mean)
    raise IncompatibleParts(
        f"A temperature needs a Gaussian prior or a fitted density, but prior.kind={run.recipe.prior.kind}. Use "
        "density=auto, or leave out the temperature."
    )


def projected(run: Run, z: Float[Tensor, "n *code"]) -> Float[Tensor, "n *code"]:
    """Codes as the latent can give them: as sparse, and within the range of its activation."""
    latent = run.model.latent
    if isinstance(latent, Idempotent) and latent.idempotent:
        mean: Tensor = latent(z).mean
        return mean
    if isinstance(latent, HasActivation) and latent.activation in BOUNDS:
        return z.clamp(*BOUNDS[latent.activation])
    return z


def _is_kept(run: Run, kind: str) -> bool:
    return kind in run.densities or (run.folder is not None and path_of(run.folder, kind).exists())


def _kept(run: Run, kind: str) -> RunDensity:
    if kind not in run.densities:
        assert run.folder is not None
        size = _symbols(run) if kind == CATEGORICAL else math.prod(code_of(run.model))
        run.densities[kind] = read(path_of(run.folder, kind), kind, size)
    return run.densities[kind]


def _symbols(run: Run) -> int:
    """The number of symbols of a code."""
    latent = run.model.latent
    assert isinstance(latent, HasSymbols)
    return latent.to_symbols(run.model.like.new_zeros(1, *code_of(run.model))).shape[1]
