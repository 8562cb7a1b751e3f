"""Library errors in terms of the command: keyword arguments become flags, options become ``--set``.

The library speaks Python (``resume=True``, ``data.scale=minmax``) because most of its users call it from Python.
"""

import re

PHRASES = {
    "isthmus.fit('vae', 'digits', out='RUN')": "isthmus fit vae digits --out RUN",
    "the same call": "the same command",
    "start=RUN": "--from RUN",
    "data.on_bad_data=skip": "--on-bad-data skip",
}
"""Phrases of the library whose counterpart in the command is more than a flag."""
ARGUMENT = re.compile(
    r"(?<![\w.=-])(resume|overwrite|allow_different_results|allow_import|tensorboard|strategy|max_restarts|out|data|"
    r"valid|device|corrupt|importance_samples|rows|steps|seed|density|path|labels|toward|before|after|keep|smooth|threshold)=(?:True\b|\.\.\.|'([^']*)'|([^\s,;)]*[^\s,;).]))?"
)
"""An argument of the library that is an option of the command: a switch, or one with ``...`` or a value."""
NAMED = re.compile(r"^(rows|steps|strategy|device)(?= (?:must|cannot) be )")
"""An argument at the start of a message about its range."""
REMEDY = re.compile(r"\b(?:[Ss]et|[Uu]se|[Tt]ry|[Pp]ass|[Ss]uch as|(?<!but )[Ww]ith) ")
OPTION = re.compile(
    r"(?<![\w.=-])(?<!--set )((?:net|latent|likelihood|corruption|fidelity|prior|penalties|pretraining|training|data)"
    r"\.[a-z_0-9.]+=(?!=)[^\s,;)]*[^\s,;).])"
)


def as_flags(message: str) -> str:
    """A message of the library as a user of the command reads it.

    >>> as_flags("Set data.scale=minmax, or replace the run with overwrite=True.")
    'Use --set data.scale=minmax, or replace the run with --overwrite.'
    >>> as_flags("latent.kind=categorical has discrete codes. Pass data=... or strategy='ddp'.")
    'latent.kind=categorical has discrete codes. Pass --data or --strategy ddp.'
    """
    for phrase, words in PHRASES.items():
        message = message.replace(phrase, words)
    message = NAMED.sub(r"--\1", message)
    message = ARGUMENT.sub(_flag, message)
    message = " ".join(_remedy(sentence) for sentence in re.split(r"(?<=[.!?]) ", message))
    return re.sub(r"\b([Ss])et (--)", lambda m: ("Use " if m[1] == "S" else "use ") + m[2], message)


def _flag(argument: re.Match[str]) -> str:
    """The flag of an argument, with its value if it has one."""
    value = argument[2] or argument[3]
    return f"--{argument[1].replace('_', '-')}" + (f" {value}" if value else "")


def _remedy(sentence: str) -> str:
    """A sentence with ``--set`` before the options that it tells the user to set; facts about options stay."""
    start = REMEDY.search(sentence)
    return sentence if start is None else sentence[: start.end()] + OPTION.sub(r"--set \1", sentence[start.end() :])
