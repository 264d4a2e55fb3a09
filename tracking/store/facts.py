"""The store's own file, ``store.json``: its format, its owner, and its last place."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from search_spaces.errors import StoreError
from tracking.store.atomic import write_atomically
from tracking.store.trust import kept_facts, maker_facts

STORE_FORMAT = 2


def read_facts(root: Path) -> dict[str, Any] | None:
    """Returns what ``store.json`` says; None if there is none.

    Raises:
        StoreError: If it is damaged, or was made by another version of kerastudy.
    """
    path = root / "store.json"
    fault = facts_fault(root)
    if fault == "damaged":
        raise StoreError(
            f"{str(path)!r} is damaged. It should read like "
            f'{{"format": {STORE_FORMAT}, "path": "{root.as_posix()}"}}. Mend it with: '
            f"kerastudy doctor --fix --store {shlex.quote(str(root))}"
        )
    return None if fault else _parsed(path)


def is_store(root: Path) -> bool:
    """Returns whether a folder is a store, or the rest of one."""
    return (root / "store.json").exists() or (root / "mlflow.db").exists()


def facts_fault(root: Path) -> str:
    """Returns whether ``store.json`` is ``"missing"`` or ``"damaged"``; empty if neither.

    Raises:
        StoreError: If it was made by another version of kerastudy.
    """
    path = root / "store.json"
    if not path.exists():
        return "missing"
    try:
        found = int(_parsed(path)["format"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return "damaged"
    if found < STORE_FORMAT:
        raise StoreError(
            f"The store {str(root)!r} was made by an earlier kerastudy (store format {found}; this "
            f"version reads {STORE_FORMAT}). Give another folder with --store, and launch its "
            "studies there."
        )
    if found > STORE_FORMAT:
        raise StoreError(
            f"The store {str(root)!r} was made by a newer kerastudy (store format {found}; this "
            f"version reads {STORE_FORMAT}). Upgrade with: pip install -U kerastudy"
        )
    return ""


def write_facts(root: Path, stood: Path | None = None, *, new: bool = False) -> None:
    """Writes a store's format, owner and last place.

    Args:
        root: The folder.
        stood: Its last place; None: where it is.
        new: Whether this user is making it.
    """
    users = maker_facts() if new else kept_facts(root)
    facts = {"format": STORE_FORMAT, "path": str(stood or root), **users}
    write_atomically(root / "store.json", json.dumps(facts) + "\n")


def _parsed(path: Path) -> dict[str, Any]:
    facts = json.loads(path.read_text(encoding="utf-8"))
    Path(facts["path"])
    return dict(facts)
