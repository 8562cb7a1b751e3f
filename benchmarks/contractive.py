"""Speed and exactness of the contractive penalty, forward and backward, beside plain autograd in the same process.

Two encoders at MNIST's size, batch 100, sigmoid layers with fresh weights: one layer 784-1000, and 784-500-250-30. The
competitors take turns in rotation (A B A B ...); the first turn of each is warm-up and dropped; ratios are of medians.
`vmap(jacrev)` and `batched autograd` (one call with `is_grads_batched`) are what one would write by hand. Errors are
relative, to `batched autograd` for the deep encoder and to the closed form in float64 for one layer: of the value, and
of the whole gradient in norm. Hutchinson's are the root mean square over draws.

    python benchmarks/contractive.py [--turns 9] [--slow-turns 3] [--threads N]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from isthmus import latents, likelihoods, nets
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.hardware import describe, has_bf16, tune_allocator
from isthmus.parts.penalties import Contractive
from isthmus.parts.protocols import Trace

RESULT = Path(__file__).parent / "results" / "contractive.json"
BATCH, DRAWS = 100, 20
Penalty = Callable[[Autoencoder, Trace], Tensor]
Run = tuple[float, float, Tensor]
"""Seconds, value, and the gradient of all encoder weights in one vector."""


def model(size: int, activation: str, *widths: int) -> Autoencoder:
    """An autoencoder of MNIST's size with sigmoid layers."""
    torch.manual_seed(0)
    latent, likelihood = latents.Deterministic(activation), likelihoods.Bernoulli()
    pair = nets.mlp((784,), size, latent, likelihood, widths=widths, activation="sigmoid")
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(784,))


def by_jacrev(model: Autoencoder, trace: Trace) -> Tensor:
    """The squared norm through one Jacobian per example."""

    def code(x: Tensor) -> Tensor:
        features = functional_call(model.encoder, dict(model.encoder.named_parameters()), (x[None],))
        z: Tensor = model.latent(features).mean[0]
        return z

    return vmap(jacrev(code))(trace.x_in).square().sum((1, 2))


def by_batched_autograd(model: Autoencoder, trace: Trace) -> Tensor:
    """The squared norm through one vectorized call of autograd."""
    x = trace.x_in.detach().requires_grad_()
    z = model.mean_code(x)
    units = torch.eye(z.shape[1])[:, None].expand(-1, *z.shape)
    (rows,) = torch.autograd.grad(z, x, units, create_graph=True, is_grads_batched=True)
    return rows.square().sum((0, 2))


def run(penalty: Penalty, model: Autoencoder, trace: Trace) -> Run:
    """One value and its gradient."""
    parameters = list(model.encoder.parameters())
    for p in parameters:
        p.grad = None
    started = time.perf_counter()
    value = penalty(model, trace).mean()
    value.backward()
    seconds = time.perf_counter() - started
    # a bias that only shifts the code has no gradient
    gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    return seconds, value.item(), gradient.double()


def rotate(penalties: dict[str, Penalty], model: Autoencoder, trace: Trace, turns: int) -> dict[str, list[Run]]:
    """Turns of each competitor, the warm-up left out."""
    runs: dict[str, list[Run]] = {name: [] for name in penalties}
    for _ in range(turns + 1):
        for name, penalty in penalties.items():
            runs[name].append(run(penalty, model, trace))
    return {name: done[1:] for name, done in runs.items()}


def errors(runs: list[Run], exact: Run) -> tuple[float, float]:
    """Root mean square of the relative errors of value and gradient."""
    values = [(value / exact[1] - 1) ** 2 for _, value, _ in runs]
    gradients = [((gradient - exact[2]).norm() / exact[2].norm()).item() ** 2 for *_, gradient in runs]
    return statistics.fmean(values) ** 0.5, statistics.fmean(gradients) ** 0.5


def table(title: str, runs: dict[str, list[Run]], exact: Run, against: str, noisy: dict[str, list[Run]]) -> dict:
    """Print one encoder's figures, and give them as plain data."""
    print(f"{title}: ms, median [min, max]; ratio to {against}; relative error of value and gradient")
    base = statistics.median(seconds for seconds, *_ in runs[against])
    rows = {}
    for name, done in runs.items():
        ms = sorted(1e3 * seconds for seconds, *_ in done)
        middle = statistics.median(ms)
        value, gradient = errors(noisy.get(name, done), exact)
        ratio = 1e3 * base / middle
        rows[name] = {"ms": ms, "median_ms": middle, "ratio": ratio, "value_error": value, "gradient_error": gradient}
        print(
            f"  {name:26} {middle:9.2f} [{ms[0]:.2f}, {ms[-1]:.2f}]  {ratio:8.2f}x  "
            f"value {value:.1e}  gradient {gradient:.1e}",
            flush=True,
        )
    return rows


def one_layer(turns: int) -> dict:
    """The closed form of one layer against vmap(jacrev)."""
    layer = model(1000, "sigmoid")
    trace = layer(torch.rand(BATCH, 784))
    penalties: dict[str, Penalty] = {"vmap(jacrev)": by_jacrev, "closed form": Contractive()}
    runs = rotate(penalties, layer, trace, turns)
    # three orders of magnitude faster, so its median can afford more turns
    runs["closed form"] += rotate({"closed form": Contractive()}, layer, trace, 10 * turns)["closed form"]
    double = layer.double()
    exact = run(Contractive(), double, double(trace.x.double()))
    return table("784-1000", runs, exact, "vmap(jacrev)", {})


def deep(turns: int) -> dict:
    """All methods on 784-500-250-30."""
    stack = model(30, "linear", 500, 250)
    trace = stack(torch.rand(BATCH, 784))
    guesses = {f"hutchinson, {k} probe{'s' * (k > 1)}": Contractive("hutchinson", probes=k) for k in (1, 4, 16)}
    penalties: dict[str, nn.Module | Penalty] = {
        "batched autograd": by_batched_autograd,
        "vmap(jacrev)": by_jacrev,
        "isthmus vjp": Contractive("vjp"),
        "isthmus product": Contractive(),
        "isthmus product, bf16": Contractive(precision="bf16"),
        **guesses,
    }
    runs = rotate(penalties, stack, trace, turns)
    noisy = {name: rotate({name: penalty}, stack, trace, DRAWS)[name] for name, penalty in guesses.items()}
    double = stack.double()
    exact = run(Contractive(), double, double(trace.x.double()))
    return table("784-500-250-30", runs, exact, "batched autograd", noisy)


def main() -> None:
    """Measure, print one table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--slow-turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tune_allocator()
    record = {
        "date": date.today().isoformat(),
        "machine": describe() | {"bf16": has_bf16(torch.device("cpu"))},
        "batch": BATCH,
        "784-1000": one_layer(options.slow_turns),
        "784-500-250-30": deep(options.turns),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
