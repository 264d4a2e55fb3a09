"""Asks before running code from a store of somebody else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def trust_option(command: _Command) -> _Command:
    """Adds ``--trust``."""
    return click.option(
        "--trust", is_flag=True, help="Run the code recorded in a store that is not yours."
    )(command)


def check_trusted(store: Path | None, trust: bool) -> None:
    """Asks, once, whether to run the code in a store that this user did not make.

    Args:
        store: The store's folder, or None for the default.
        trust: Whether the user trusts it already, by `--trust`.

    Raises:
        StoreError: If the user says no, or can't be asked.
    """
    from search_spaces.errors import StoreError
    from tracking.store import trust as trusting
    from tracking.store.folder import default_store_path, real_folder
    from tracking.store.trust import facts_fault, is_store

    root = real_folder(store if store is not None else default_store_path())
    # One of a newer version is refused first.
    facts_fault(root)
    told = trusting.stranger(root) if is_store(root) else ""
    if not told:
        return
    text = f"The store {str(root)!r} {told}, and this command runs the code recorded in it."
    if not trust:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise StoreError(f"{text} If you trust it, give --trust.")
        if not click.confirm(f"{text} Do you trust it?", err=True):
            raise StoreError("Nothing was run.")
    # If it can't be written, the next command asks again.
    with contextlib.suppress(OSError):
        trusting.trust(root)
