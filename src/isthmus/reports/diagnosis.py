r"""Diagnosis of a trained run from its history and from its codes and outputs on its data.

Each finding states the value on which it is based and the option to change. A *problem* means that the run failed in
some respect; a *hint* that it could probably be improved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from isthmus import functional as F
from isthmus.data.prepared import PreparedData
from isthmus.distributions import DiagonalGaussian
from isthmus.metrics.variational import ACTIVE_VARIANCE, INACTIVE_NATS
from isthmus.models.autoencoder import inference
from isthmus.parts.hooks import Divergence
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Capability
from isthmus.runs.run import Run

EXAMPLES = 2000
"""Examples on which a run is diagnosed, at most."""
NEAR = 0.01
"""Distance from its bounds below which a code value counts as saturated."""


@dataclass(frozen=True)
class Finding:
    """A possible fault: its name, severity (``problem`` or ``hint``), a sentence, and the option to change."""

    name: str
    severity: str
    sentence: str
    option: str


def diagnose(run: Run, data: PreparedData) -> list[Finding]:
    """All findings about ``run`` on the split of ``data`` that is evaluated, problems first."""
    split = data.test or data.valid or data.train
    x = split.x[:EXAMPLES].to(run.model.like.device, run.model.like.dtype)
    found = [*_of_history(run), *_of_posterior(run, x), *_of_code(run, x), *_of_output(run, x)]
    return sorted(found, key=lambda finding: finding.severity != "problem")


def _of_history(run: Run) -> Iterator[Finding]:
    """A learning rate that is too high, training that is too short, a warm-up that did not finish."""
    losses = [float(row["train"]["loss"]) for row in run.history]
    if len(losses) > 2:
        best, drop = min(losses), max(losses[0] - min(losses), 1e-12)
        warm = _warm_epochs(run)
        # while a penalty weight increases, and one epoch later, an increasing loss is expected
        rises = {n: after - before for n, (before, after) in enumerate(pairwise(losses), 2) if n - 2 >= warm}
        worst = max(rises, key=lambda n: rises[n], default=0)
        if worst and rises[worst] > 0.5 * drop:
            yield Finding(
                "learning rate too high",
                "problem",
                f"The training loss increased by {rises[worst]:.4g} nats at epoch {worst}, more than half of its total "
                f"decrease ({drop:.4g}). Lower training.learning_rate (now {run.recipe.training.learning_rate:g}) or "
                "set training.gradient_clip=1.",
                "training.learning_rate",
            )
        late = losses[-1 - len(losses) // 10] - losses[-1]
        if len(losses) >= 10 and losses[-1] == best and late > 0.02 * drop and len(losses) > warm + 5:
            yield Finding(
                "still improving",
                "hint",
                f"The training loss still decreased by {late:.4g} nats in the last tenth of the run, {late / drop:.0%} "
                f"of its total decrease. Train longer (training.epochs, now {run.recipe.training.epochs}).",
                "training.epochs",
            )
    yield from _of_warm_up(run)


def _of_warm_up(run: Run) -> Iterator[Finding]:
    """Penalty weights that had not reached their final value at the end of the run."""
    total = int(run.history[-1]["step"]) if run.history else 0
    for name, schedule in run.objective.schedules.items():
        length = schedule.length(_planned(run, total))
        if total and length > total:
            reached = schedule(total - 1, _planned(run, total))
            yield Finding(
                "warm-up unfinished",
                "problem",
                f"The weight of penalty {name} reached {reached:.3g} of {schedule.value:g}: its warm-up takes "
                f"{length:.0f} steps, the run had {total}. Set penalties.{name}.weight.fraction, or train longer.",
                f"penalties.{name}.weight",
            )


def _planned(run: Run, total: int) -> int:
    """Planned number of steps of a run, which may have ended early."""
    epochs = run.recipe.training.epochs or len(run.history)
    return max(total, round(total * epochs / max(1, len(run.history))))


def _warm_epochs(run: Run) -> float:
    """Epochs of warm-up, in which an increasing loss is expected."""
    total = int(run.history[-1]["step"])
    steps = max((s.length(_planned(run, total)) for s in run.objective.schedules.values()), default=0.0)
    return steps / max(1.0, total / len(run.history))


def _of_posterior(run: Run, x: Tensor) -> Iterator[Finding]:
    """Posterior collapse and unused latents."""
    model = run.model
    provides: frozenset[Capability] = model.latent.provides
    if Capability.DIAGONAL not in provides or not isinstance(model.prior, StandardNormal):
        return
    with inference(model):
        q = model.posterior(x)
    assert isinstance(q, DiagonalGaussian)
    kl = F.kl_standard_normal_by_dimension(q.loc, q.scale, q.log_scale).mean(0).flatten()
    varying = F.active_units(q.loc, ACTIVE_VARIANCE).flatten() > 0
    used = int(((kl > INACTIVE_NATS) & varying).sum())
    penalty = next((name for name, p in run.objective.penalties.items() if _is_divergence(p)), "")
    # a bound that contains the KL has no weight to lower
    weight = f"penalties.{penalty}.weight" if penalty else ""
    if used == 0:
        yield Finding(
            "posterior collapse",
            "problem",
            f"None of the {kl.numel()} latents is active: none has a KL above {INACTIVE_NATS} nats and a posterior "
            f"mean with a variance above {ACTIVE_VARIANCE} (total KL: {kl.sum():.2g} nats). "
            + _against_collapse(weight),
            weight or "training.learning_rate",
        )
    elif used < kl.numel() / 2:
        yield Finding(
            "unused latents",
            "hint",
            f"{used} of {kl.numel()} latents are active; the others have a KL below {INACTIVE_NATS} nats. Set "
            f"latent.size={used}{f', or lower {weight} to use more of them' if weight else ''}.",
            "latent.size",
        )


def _against_collapse(weight: str) -> str:
    if not weight:
        return "Use a lower training.learning_rate."
    warmup = f"{weight}.shape=linear, {weight}.fraction=0.3"
    return f"Lower {weight}, use a warm-up ({warmup}), or free bits (penalties.kl.free_bits=0.1)."


def _is_divergence(penalty: object) -> bool:
    return isinstance(penalty, Divergence) and penalty.is_divergence


def _of_code(run: Run, x: Tensor) -> Iterator[Finding]:
    """Dead units, saturated codes and unused codewords."""
    model = run.model
    z = model.encode(x)
    units = z.movedim(1, 0).flatten(1)
    dead = float((units == 0).all(1).float().mean())
    if dead > 0.1 and bool((units == 0).any()):
        yield Finding(
            "dead units",
            "problem" if dead > 0.5 else "hint",
            f"{dead:.0%} of the {len(units)} code units are zero for all {len(x)} examples. Lower latent.size or "
            "training.learning_rate, or set another latent.activation (softplus, linear).",
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
                f"{ends:.0%} of the code values lie within {NEAR} of the bounds of {activation}, where gradients "
                "vanish. Lower training.learning_rate, or set latent.activation=linear; a contractive run saturates by "
                "design.",
                "latent.activation",
            )
    usage = getattr(model.latent, "usage", None)
    if isinstance(usage, Tensor) and usage.numel() > 1:
        # in use: more often than a hundredth of uniform usage
        used = float((usage * usage.numel() > 0.01 * usage.sum()).float().mean())
        if used < 0.25:
            yield Finding(
                "unused codewords",
                "hint",
                f"{used:.0%} of the {usage.numel()} codewords are used. Lower latent.codebook_size.",
                "latent.codebook_size",
            )


def _of_output(run: Run, x: Tensor) -> Iterator[Finding]:
    """Outputs that are nearly constant, leave the range of the data, or do not match the likelihood scale."""
    model = run.model
    with inference(model):
        y: Tensor = model.output(model.encode(x)).mean
    residual, variance = (x - y).square().mean(), (x - x.mean(0)).square().mean()
    if residual > 0.95 * variance:
        yield Finding(
            "mean output",
            "problem",
            f"The outputs explain {max(0.0, 1 - float(residual / variance)):.1%} of the variance: the output is nearly "
            "the mean example for every input. Train longer (training.epochs), raise training.learning_rate, or lower "
            "the weights of the penalties.",
            "training.epochs",
        )
    kind, low, high = run.recipe.likelihood.kind, float(x.min()), float(x.max())
    room = 0.05 * (high - low)
    outside = float(((y < low - room) | (y > high + room)).float().mean())
    if outside > 0.05:
        yield Finding(
            "outputs out of range",
            "hint",
            f"{outside:.0%} of the outputs are outside the range of the data, [{low:.3g}, {high:.3g}], by more than "
            f"5 % of its width: the likelihood {kind} does not bound them. For data in [0, 1] set "
            "likelihood.kind=bernoulli.",
            "likelihood.kind",
        )
    scale, rms = getattr(model.likelihood, "scale", None), float(residual.sqrt())
    with_kl = any(map(_is_divergence, run.objective.penalties.values()))
    if kind == "gaussian" and isinstance(scale, float) and with_kl and not 0.4 < rms / scale < 2.5:
        yield Finding(
            "likelihood scale mismatch",
            "hint",
            f"likelihood.scale is {scale:g}, but the root mean square error of the outputs is {rms:.3g}, so the "
            f"penalties have {(scale / max(rms, 1e-12)) ** 2:.3g} times the weight that they have with that scale. "
            f"Set likelihood.scale={rms:.2g}, or learn the scale with likelihood.kind=shared_gaussian.",
            "likelihood.scale",
        )
