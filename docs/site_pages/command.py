"""The reference of the command, made from the Typer app, and that of the metrics."""

from collections.abc import Iterator
from typing import Any

import typer

from isthmus.cli.app import app
from isthmus.metrics.evaluation import MEANINGS
from site_pages.text import code, inline, sentence, table


def pages() -> dict[str, str]:
    """The pages by file name."""
    return {"reference/command.md": page(), "reference/metrics.md": metrics()}


def verbs() -> dict[str, Any]:
    """The commands by name, in the order of the help."""
    return dict(getattr(typer.main.get_command(app), "commands", {}))


def page() -> str:
    """All verbs with usage, arguments and options."""
    rows = [(f"[`{name}`](#isthmus-{name})", inline(summary(verb))) for name, verb in verbs().items()]
    parts = [
        "# Command",
        "`isthmus --help` lists the verbs, `isthmus VERB --help` prints what is below. An expected error is one "
        "sentence on standard error.",
        table(("verb", "what it does"), rows),
        "## Exit codes",
        table(
            ("code", "meaning"),
            [
                ("0", "Success."),
                ("1", "The loss diverged; the best weights before that are saved."),
                ("2", "A wrong argument, option or file."),
                ("130", "Interrupted (Ctrl-C)."),
            ],
        ),
    ]
    for name, verb in verbs().items():
        parts += section(name, verb)
    return "\n\n".join(parts) + "\n"


def summary(verb: Any) -> str:
    """The first line of the help of a verb."""
    return (verb.help or "").strip().splitlines()[0]


def section(name: str, verb: Any) -> Iterator[str]:
    """The section of a verb."""
    arguments = [p for p in verb.params if p.param_type_name == "argument"]
    options = [p for p in verb.params if p.param_type_name == "option"]
    yield f"## isthmus {name}"
    yield from (inline(paragraph.replace("\b", "")) for paragraph in (verb.help or "").split("\n\n"))
    yield code(" ".join(["isthmus", name, *(_metavar(p) for p in arguments), "[OPTIONS]"]), "console")
    if arguments:
        yield table(("argument", "meaning"), [(f"`{_metavar(p)}`", described(p)) for p in arguments])
    panels: dict[str, list[Any]] = {}
    for option in options:
        panels.setdefault(getattr(option, "rich_help_panel", None) or "", []).append(option)
    for title, group in panels.items():
        if title and title != "Options":
            yield f"**{title}**"
        rows = [(f"`{spelling(verb, p)}`", _default(p), described(p)) for p in group]
        yield table(("option", "default", "meaning"), rows)


def spelling(verb: Any, option: Any) -> str:
    """The spellings of an option with the name of its value, as in the help."""
    context = verb.context_class(verb, info_name=verb.name)
    return " ".join(option.get_help_record(context)[0].split())


def described(parameter: Any) -> str:
    """The help of a parameter as a sentence."""
    return inline(sentence(getattr(parameter, "help", None) or ""))


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _default(option: Any) -> str:
    """The default of an option; empty for flags and for options without one."""
    if isinstance(option.show_default, str):
        return option.show_default
    if option.is_flag or option.default in (None, (), []):
        return ""
    return f"`{option.default}`"


def metrics() -> str:
    """The metrics with their units and meanings."""
    rows = [(f"`{name}`", inline(sentence(meaning))) for name, meaning in MEANINGS.items()]
    return "\n\n".join(
        [
            "# Metrics",
            "What `isthmus evaluate`, `run.evaluate` and the report show, with units. All but counts are means over "
            "examples. Losses are in nats per example: summed over features, averaged over examples. A model has those "
            "that apply to it: `elbo` and `kl` need a prior, `psnr_restored` a corruption, `l0` a sparse code.",
            "The test set is evaluated where the data has one, and otherwise the examples that were held out at "
            "random; the output names which. `elbo`, `kl` and `nll` sample from q(z | x), all others use its mean.",
            table(("metric", "meaning"), rows),
            "",
        ]
    )
