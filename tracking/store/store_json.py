"""The store's file ``store.json``: the store's format, and the users who trust it.

Commands may run the code that is recorded in a store. So ``store.json`` has a fingerprint of the
user who made the store, and of the users who have trusted the store since. A fingerprint is a
digest of user, machine and a random salt. For other users, commands refuse to run the store's code.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import platform
import shlex
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.errors import StoreError, StudyError
from tracking.journal import FILE_NAME
from tracking.store.atomic_writing import write_atomically
from tracking.store.study_locks import locked_store

STORE_FORMAT = 3


class DamagedStoreError(StoreError):
    """A store's ``store.json`` is damaged. `kerastudy doctor --fix` writes it again."""


def read_facts(root: Path) -> dict[str, Any] | None:
    """Returns the content of ``store.json``, or None if there is no such file.

    Raises DamagedStoreError if the file is damaged, and StoreError if it has the format of another
    version of kerastudy.
    """
    if not (root / "store.json").exists():
        return None
    facts = _facts(root)
    try:
        version = int(facts["format"])
    except (ValueError, KeyError, TypeError, OverflowError):
        raise DamagedStoreError(
            f"{str(root / 'store.json')!r} is damaged. It should read like "
            f'{{"format": {STORE_FORMAT}}}. Mend it with: '
            f"kerastudy doctor --fix --store {shlex.quote(str(root))}"
        ) from None
    if version < STORE_FORMAT:
        raise StoreError(
            f"The store {str(root)!r} was made by an earlier kerastudy (store format {version}; "
            f"this version reads {STORE_FORMAT}). Give another folder with --store, and launch its "
            "studies there."
        )
    if version > STORE_FORMAT:
        raise StoreError(
            f"The store {str(root)!r} was made by a newer kerastudy (store format {version}; this "
            f"version reads {STORE_FORMAT}). Upgrade with: pip install -U kerastudy"
        )
    return facts


def is_store(root: Path) -> bool:
    """Returns whether a folder is a store: it has ``store.json``, or at least one study."""
    return (root / "store.json").exists() or any(root.glob(f"*/{FILE_NAME}"))


def write_facts(root: Path, *, new: bool = False) -> None:
    """Writes ``store.json`` in the present format.

    With `new`, the present user is the maker and the only trusted user. Otherwise the users of the
    old file stay.
    """
    if new:
        salt = uuid.uuid4().hex
        maker = f"{_user()} on {platform.node() or 'a machine'}"
        users: Mapping[str, Any] = {"salt": salt, "users": [_fingerprint(salt)], "made_by": maker}
    else:
        facts = _facts(root)
        users = {key: facts[key] for key in ("salt", "users", "made_by") if key in facts}
    _write(root, {"format": STORE_FORMAT, **users})


def stranger(root: Path) -> str:
    """Returns an empty text if this user trusts the store.

    Otherwise returns who made the store, e.g. ``"was made by 'ann on desk'"``.
    """
    facts = _facts(root)
    users = facts.get("users")
    if not isinstance(users, list) or not users:
        return "does not say who made it"
    if _fingerprint(str(facts.get("salt", ""))) in users:
        return ""
    return f"was made by {str(facts.get('made_by', 'somebody else'))[:80]!r}"


def check_trust(root: Path, trusted: bool) -> None:
    """Raises StudyError unless this user trusts the store, or `trusted` is set."""
    owner = "" if trusted else stranger(root)
    if owner:
        raise StudyError(
            f"The store {str(root)!r} {owner}, and this call runs the code in the store. If you "
            "trust the store, pass trust=True."
        )


def trust(root: Path) -> None:
    """Adds this user's fingerprint to a store. Raises OSError if the store can't be written."""
    with locked_store(root):
        facts = _facts(root)
        salt = str(facts.get("salt") or uuid.uuid4().hex)
        users = facts.get("users")
        fingerprints = users if isinstance(users, list) else []
        if facts:
            _write(root, {**facts, "salt": salt, "users": [*fingerprints, _fingerprint(salt)]})


def _facts(root: Path) -> dict[str, Any]:
    """Returns the content of ``store.json``. Empty if the file is missing or damaged."""
    try:
        facts = json.loads((root / "store.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(root: Path, facts: Mapping[str, Any]) -> None:
    write_atomically(root / "store.json", json.dumps(facts) + "\n")


def _fingerprint(salt: str) -> str:
    user = os.getuid() if hasattr(os, "getuid") else _user()
    return hashlib.sha256(f"{salt} {user} {_machine()}".encode()).hexdigest()[:32]


def _user() -> str:
    # In a container, the user may have no name.
    with contextlib.suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "a user"


def _machine() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text:
            return text
    return platform.node()
