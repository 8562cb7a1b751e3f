"""Documents of the repository as pages of the site: links and anchors are rewritten, nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = {
    "docs/reproductions.md": "reproductions",
    "docs/scale.md": "scale",
    "docs/log.md": "log",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "VISION.md": "vision",
}
"""Documents that become pages, and their names in ``project/``."""
LINK = re.compile(r"(\]\()([^)#\s]*)(#[^)\s]*)?(\))")
ANCHOR = re.compile(r'<a id="([\w.-]+)"></a>')


def pages() -> dict[str, str]:
    """The pages by file name."""
    return {f"project/{name}.md": page(path) for path, name in PROJECT.items()}


def page(path: str) -> str:
    """A document with its links as they are on the site."""
    text = (ROOT / path).read_text(encoding="utf-8")
    text = ANCHOR.sub(r"(\1)=", text)
    text = re.sub(r"^<!--.*?-->\n", "", text, flags=re.MULTILINE)
    return LINK.sub(lambda found: _link(found, Path(path).parent), text)


def _link(found: re.Match[str], folder: Path) -> str:
    """A link of a document in ``folder``, as seen from ``project/``."""
    target, fragment = found[2], found[3] or ""
    if not target or re.match(r"[a-z]+:", target):
        return found[0]
    place = (folder / target).as_posix()
    if place in PROJECT:
        target = f"{PROJECT[place]}.md"
    elif place.startswith("docs/"):
        target = f"../{place.removeprefix('docs/')}"
    else:
        raise ValueError(f"{target} is linked, but it is no page of the site. Link a document of {sorted(PROJECT)}.")
    return f"{found[1]}{target}{fragment}{found[4]}"
