"""Check a built site: internal links, anchors and images exist, and no page loads anything from the network.

python docs/check_links.py build/docs

External links are not followed: the site is checked without a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "audio": "src", "video": "src"}
"""Attributes whose addresses a browser loads by itself."""
IN_LINK = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest"}
"""Relations of a ``link`` element that a browser loads; others, such as ``canonical``, are only statements."""


class Page(HTMLParser):
    """The anchors, links and loaded resources of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record what an element defines, links or loads."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and IN_LINK & set(given.get("rel", "").split()):
            self.loaded.append(given.get("href", ""))
        if tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])


def check(site: Path) -> list[str]:
    """What is wrong with the site in this folder, one sentence each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site} holds no page"]
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name} links to {link}, {wrong}" for link in page.links if (wrong := _broken(link, path, pages))]
        for address in page.loaded:
            if _external(address):
                found.append(f"{name} loads {address} from the network")
            elif wrong := _broken(address, path, pages):
                found.append(f"{name} loads {address}, {wrong}")
    return found + _styles(site)


def _external(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https", "ftp") or bool(parts.netloc)


def _broken(link: str, origin: Path, pages: dict[Path, Page]) -> str:
    """What is wrong with an internal link, or nothing."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = (origin.parent / unquote(parts.path)).resolve() if parts.path else origin
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "which does not exist"
    fragment = unquote(parts.fragment)
    if fragment and target in pages and fragment not in pages[target].anchors:
        return f"but {target.name} has no anchor {fragment}"
    return ""


def _styles(site: Path) -> list[str]:
    """Style sheets that load something from the network."""
    found = []
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8").replace(" ", "").replace("'", "").replace('"', "")
        if "url(http" in text or "url(//" in text or "@importhttp" in text:
            found.append(f"{path.relative_to(site)} loads an address from the network")
    return found


def main(site: Path) -> int:
    """Print what is wrong; returns 1 if something is."""
    found = check(site)
    for sentence in found:
        print(sentence)
    pages = len(list(site.rglob("*.html")))
    print(f"{pages} pages, {len(found)} broken links or external resources")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
