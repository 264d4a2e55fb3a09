"""Finds the store, the study and the data that a command's arguments name."""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from search_spaces.errors import StoreError, StudyError
from studies.progress import waiting
from tracking.history.study_history import StudyHistory, existing_store, read_study
from tracking.store import store_json
from tracking.store.store_folder import real_folder


def history_of(study: str, store: Path) -> StudyHistory:
    """Reads the study that a command names, as `read_study` does."""
    opened = existing_store(store)
    with waiting(f"reading the store {str(opened.root)!r}"):
        return read_study(opened, unicodedata.normalize("NFC", study))


def check_trusted(store: Path, trust: bool) -> None:
    """Asks the user whether to run the code in a store of another user. Records a yes."""
    root = real_folder(store)
    # This raises StoreError if another version of kerastudy made the store. Then no question about
    # trust is asked.
    store_json.read_facts(root)
    reason = store_json.stranger(root) if store_json.is_store(root) else ""
    if not reason:
        return
    text = f"The store {str(root)!r} {reason}, and this command runs the code recorded in it."
    if not trust:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise StoreError(f"{text} If you trust it, give --trust.")
        if not click.confirm(f"{text} Do you trust it?", err=True):
            raise StoreError("Nothing was run.")
    # If the answer can't be recorded, the next command asks again.
    with contextlib.suppress(OSError):
        store_json.trust(root)


def data_to_use(data: Path | None, column: str | None, hint: str = "") -> str:
    """Returns ``--data`` and ``--target`` as one text, such as "/data/houses.csv?target=price".

    The text is empty without ``--data``. `hint` is added to the message of an error.
    """
    # Imported here, as it loads numpy, which most commands don't need.
    from studies.data import is_table, spelled

    if column is not None and (data is None or not is_table(str(data))):
        raise StudyError(
            f"--target {column!r} names the column to predict in a csv or parquet file: name this "
            f"file by --data.{hint}"
        )
    return "" if data is None else spelled(str(data.expanduser().absolute()), column or "")


def is_data_target(target: str, data: Path | None, of_table: Mapping[str, Any]) -> bool:
    """Returns whether TARGET is a data file or folder, not a study.

    A name of the catalog is a study, even if there is a folder of that name. TARGET is also a study
    if the user gave `data`, a file that replaces the study's own data. The options `of_table` are
    for data files: if the user gave one for a study, this raises UsageError.
    """
    from studies.data import is_data
    from studies.user_code import catalog_names

    is_study = data is not None or target in catalog_names()
    if not is_study and is_data(str(Path(target).expanduser())):
        return True
    if of_table:
        raise click.UsageError(
            "--drop, --missing, --dates and --time are for a table as TARGET. A study has these "
            "choices in its file: change them there."
        )
    return False
