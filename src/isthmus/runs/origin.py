"""Whether a run was trained by this user, so that the data path in its run.json may be opened.

``run.json`` may have been written by anybody, and names the data of its run. A run that was trained by this user holds
a signature of that name, made with a key that stays in the user's cache folder.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from isthmus.data.catalogue.table import is_named
from isthmus.data.storage.remote import is_address
from isthmus.errors import BadOption
from isthmus.files.atomic import write_text
from isthmus.files.cache import cache_folder

KEY = "run-signing-key"
"""File of the cache folder that holds the key."""


def signature(source: str) -> str:
    """The signature of a data source by this user; empty if it is not a path, or if no key can be stored."""
    return "" if not source or is_named(source) else _sign(source, _key(create=True))


def may_open(source: str, signed: object, folder: Path | None) -> bool:
    """Whether the ``source`` of a run in ``folder`` may be opened.

    Permitted are named data sets, data that this user trained on (``signed`` is a valid signature), and files in the
    parent folder of the run, in the current folder or in ``$ISTHMUS_DATA``.
    """
    if is_named(source) or folder is None:
        return True
    own = _sign(source, _key(create=False))
    # as bytes: compare_digest raises an error for text that is not ASCII, and anybody may have written this one
    claimed = signed.encode(errors="replace") if isinstance(signed, str) else b""
    trained_here = bool(own) and hmac.compare_digest(own.encode(), claimed)
    return trained_here or _is_local(source, folder)


def _sign(source: str, key: bytes) -> str:
    return hmac.new(key, source.encode(errors="surrogateescape"), hashlib.sha256).hexdigest() if key else ""


def _is_local(source: str, folder: Path) -> bool:
    """Whether ``source`` lies in the parent folder of the run, in the current folder or in ``$ISTHMUS_DATA``.

    An address never does: a run of somebody else must not make this machine ask for one.
    """
    own = os.environ.get("ISTHMUS_DATA")
    named = [folder.resolve().parent, Path.cwd(), *([Path(own).expanduser()] if own else [])]
    # symbolic links are resolved: one beside the run may point anywhere
    return not is_address(source) and any(
        Path(os.path.realpath(source)).is_relative_to(place.resolve()) for place in named
    )


def _key(*, create: bool) -> bytes:
    """The key of the user; empty if there is none, and ``create`` is false or it cannot be written."""
    path = cache_folder() / KEY
    try:
        if create and not path.exists():
            write_text(path, secrets.token_hex(32))
            path.chmod(0o600)
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError, BadOption):
        return b""
