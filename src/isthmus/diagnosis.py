r"""What may be wrong with a trained run, told from its history and from what it does with its data.

Each finding is one sentence with the number that decided, and names the option to change. A *problem* means that the
run is not what was asked for; a *hint* that it could probably be better.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from isthmus import functional as F
from isthmus.data.prepare import Prepared
from isthmus.distributions import DiagonalGaussian
from isthmus.model import inference
from isthmus.priors import StandardNormal
from isthmus.run import Run
from isthmus.trace import Offer

SEEN = 2000
"""Examples looked at."""
UNUSED = 0.01
"""Nats below which a latent carries nothing; the variance of a posterior mean below which it does not move."""
NEAR = 0.01
"""How near to its bounds a code value counts as saturated."""


@dataclass(frozen=True)
class Finding:
    """One thing that may be wrong: its name, how bad it is, what was seen, and the option to change."""

    name: str
    severity: str
    sentence: str
    option: str


def diagnose(run: Run, data: Prepared) -> list[Finding]:
    """All findings about ``run`` on the part of ``data`` that evaluation uses, problems first."""
    part = data.test or data.valid or data.train
    x = part.x[:SEEN].to(run.model.like.device, run.model.like.dtype)
    found = [*_of_history(run), *_of_posterior(run, x), *_of_code(run, x), *_of_output(run, x)]
    return sorted(found, key=lambda finding: finding.severity != "problem")


def _of_history(run: Run) -> Iterator[Finding]:
    """A rate too high, a run too short, a warm-up that did not end."""
    losses = [float(row["train"]["loss"]) for row in run.history]
    if len(losses) > 2:
        best, drop = min(losses), max(losses[0] - min(losses), 1e-12)
        warm = _warm_epochs(run)
        # while a weight rises, and in the epoch after, a rising loss means nothing
        rises = {n: after - before for n, (before, after) in enumerate(pairwise(losses), 2) if n - 2 >= warm}
        worst = max(rises, key=lambda n: rises[n], default=0)
        if worst and rises[worst] > 0.5 * drop:
            yield Finding(
                "rate too high",
                "problem",
                f"The training loss rose by {rises[worst]:.4g} nats at epoch {worst}, more than half of all "
                f"it fell ({drop:.4g}). Lower training.rate (now {run.recipe.training.rate:g}) or set training.clip=1.",
                "training.rate",
            )
        late = losses[-1 - len(losses) // 10] - losses[-1]
        if len(losses) >= 10 and losses[-1] == best and late > 0.02 * drop and len(losses) > warm + 5:
            yield Finding(
                "still improving",
                "hint",
                f"The training loss still fell by {late:.4g} nats in the last tenth of the run, {late / drop:.0%} of "
                f"all it fell. Train longer (training.epochs, now {run.recipe.training.epochs}).",
                "training.epochs",
            )
    yield from _of_warm_up(run)


def _of_warm_up(run: Run) -> Iterator[Finding]:
    """Weights that had not reached their value when the run ended."""
    total = int(run.history[-1]["step"]) if run.history else 0
    for name, schedule in run.objective.schedules.items():
        length = schedule.length(_planned(run, total))
        if total and length > total:
            reached = schedule(total - 1, _planned(run, total))
            yield Finding(
                "warm-up unfinished",
                "problem",
                f"The weight of penalty {name} ended at {reached:.3g} of {schedule.value:g}: its warm-up takes "
                f"{length:.0f} steps, the run had {total}. Set penalties.{name}.weight.fraction, or train longer.",
                f"penalties.{name}.weight",
            )


def _planned(run: Run, total: int) -> int:
    """Steps that the whole run was to have, where it ended early."""
    epochs = run.recipe.training.epochs or len(run.history)
    return max(total, round(total * epochs / max(1, len(run.history))))


def _warm_epochs(run: Run) -> float:
    """Epochs in which a weight still rises, and a rising loss means nothing."""
    total = int(run.history[-1]["step"])
    steps = max((s.length(_planned(run, total)) for s in run.objective.schedules.values()), default=0.0)
    return steps / max(1.0, total / len(run.history))


def _of_posterior(run: Run, x: Tensor) -> Iterator[Finding]:
    """Latents that the posterior does not use."""
    model = run.model
    offers: frozenset[Offer] = model.latent.offers  # type: ignore[assignment]
    if Offer.DIAGONAL not in offers or not isinstance(model.prior, StandardNormal):
        return
    with inference(model):
        q = model.posterior(x)
    assert isinstance(q, DiagonalGaussian)
    kl = F.kl_standard_normal_by_dimension(q.loc, q.scale, q.log_scale).mean(0).flatten()
    moving = F.active_units(q.loc, UNUSED).flatten() > 0
    used = int(((kl > UNUSED) & moving).sum())
    penalty = next((name for name, p in run.objective.penalties.items() if getattr(p, "divergence", False)), "")
    weight = f"penalties.{penalty}.weight" if penalty else "latent.size"
    if used == 0:
        yield Finding(
            "posterior collapse",
            "problem",
            f"None of the {kl.numel()} latents carries anything: the KL is {kl.sum():.2g} nats in all and no posterior "
            f"mean has a variance above {UNUSED}, so the code tells nothing of the example. Lower {weight}, let it "
            f"rise ({weight}.shape=linear, {weight}.fraction=0.3), or keep some nats with penalties.kl.free_bits=0.1.",
            weight,
        )
    elif used < kl.numel() / 2:
        yield Finding(
            "unused latents",
            "hint",
            f"{used} of {kl.numel()} latents are used; the others carry less than {UNUSED} nats. latent.size={used} "
            f"would do as well, or lower {weight} to use more of them.",
            "latent.size",
        )


def _of_code(run: Run, x: Tensor) -> Iterator[Finding]:
    """Dead, saturated and constant codes."""
    model = run.model
    z = model.encode(x)
    units = z.movedim(1, 0).flatten(1)
    silent = float((units == 0).all(1).float().mean())
    if silent > 0.1 and bool((units == 0).any()):
        yield Finding(
            "dead units",
            "problem" if silent > 0.5 else "hint",
            f"{silent:.0%} of the {len(units)} code units are zero for all {len(x)} examples. Lower latent.size, "
            "or training.rate, or choose another latent.activation (softplus, linear).",
            "latent.size",
        )
    activation = getattr(model.latent, "activation", None)
    if activation in ("sigmoid", "tanh"):
        low = 0.0 if activation == "sigmoid" else -1.0
        ends = float(((z - low < NEAR) | (1 - z < NEAR)).float().mean())
        if ends > 0.9:
            yield Finding(
                "saturated code",
                "hint",
                f"{ends:.0%} of the code's values lie within {NEAR} of the bounds of {activation}, where nothing is "
                "learned. Lower training.rate, or set latent.activation=linear; for a contractive run it is meant.",
                "latent.activation",
            )
    usage = getattr(model.latent, "usage", None)
    if isinstance(usage, Tensor) and usage.numel() > 1:
        # in use: more than a hundredth of an even share
        share = float((usage * usage.numel() > 0.01 * usage.sum()).float().mean())
        if share < 0.25:
            yield Finding(
                "unused codewords",
                "hint",
                f"{share:.0%} of the {usage.numel()} codewords are in use. Set latent.codes smaller.",
                "latent.codes",
            )


def _of_output(run: Run, x: Tensor) -> Iterator[Finding]:
    """Outputs that do not follow the input, or whose range or scale does not suit the data."""
    model = run.model
    with inference(model):
        y: Tensor = model.output(model.encode(x)).mean
    residual, spread = (x - y).square().mean(), (x - x.mean(0)).square().mean()
    if residual > 0.95 * spread:
        yield Finding(
            "mean output",
            "problem",
            f"The outputs explain {max(0.0, 1 - float(residual / spread)):.1%} of the variance: the model gives nearly "
            "the mean example whatever it sees. Train longer, raise training.rate, or lower the penalties' weights.",
            "training.epochs",
        )
    kind, low, high = run.recipe.likelihood.kind, float(x.min()), float(x.max())
    room = 0.05 * (high - low)
    outside = float(((y < low - room) | (y > high + room)).float().mean())
    if outside > 0.05:
        yield Finding(
            "outputs out of range",
            "hint",
            f"{outside:.0%} of the outputs leave the data's range [{low:.3g}, {high:.3g}] by over a twentieth: the "
            f"likelihood {kind} does not bound them. For data in [0, 1] set likelihood.kind=bernoulli.",
            "likelihood.kind",
        )
    scale, rms = getattr(model.likelihood, "scale", None), float(residual.sqrt())
    divergence = any(getattr(p, "divergence", False) for p in run.objective.penalties.values())
    if kind == "gaussian" and isinstance(scale, float) and divergence and not 0.4 < rms / scale < 2.5:
        yield Finding(
            "scale does not fit",
            "hint",
            f"likelihood.scale is {scale:g}, but the outputs are off by {rms:.3g} (root mean square), so the penalties "
            f"weigh {(scale / max(rms, 1e-12)) ** 2:.3g} times what they would. Set likelihood.scale={rms:.2g}, or let "
            "it be learned with likelihood.kind=shared_gaussian.",
            "likelihood.scale",
        )
