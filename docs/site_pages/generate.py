"""All generated pages, and their writing into the source folder of the site.

python docs/site_pages/generate.py      # write them, to look at
"""

import sys
from pathlib import Path

FOLDERS = ("recipes", "parts", "reference", "project")
"""Folders of ``docs`` that hold generated pages only; git ignores them."""
DOCS = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """All generated pages by file name."""
    from site_pages import api, command, documents, parts, recipes

    return recipes.pages() | parts.pages() | command.pages() | api.pages() | documents.pages()


def write(docs: Path = DOCS) -> list[Path]:
    """Write the pages that changed, remove those that are no longer made, and return all their paths."""
    made = {docs / name: text for name, text in pages().items()}
    for folder in FOLDERS:
        for old in (docs / folder).rglob("*.md"):
            if old not in made:
                old.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # an unchanged page keeps its time, so that Sphinx does not read it again
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return list(made)


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS))
    sys.stdout.write("\n".join(map(str, write())) + "\n")
