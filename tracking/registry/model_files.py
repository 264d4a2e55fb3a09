"""The files of registered models, in a store."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from search_spaces.errors import StoreError
from tracking.store.folder import Store, local_path

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def model_version_fault(store: Store, version: ModelVersion) -> str:
    """Returns what is wrong with the files of a version of a model; empty if nothing is."""
    try:
        return _fault_in(local_model(store, version.source))
    except StoreError as error:
        return str(error)


def local_model(store: Store, location: str) -> Path:
    """Returns the folder of a model that is in a store.

    Raises:
        StoreError: If the record names one that is not.
    """
    return store.inside(local_path(location))


def location_fault(location: str) -> str:
    """Returns what is wrong with the files of a model in MLflow; empty if nothing is."""
    # A server's model is complete once it is READY, and the server keeps it.
    local = urlsplit(location).scheme in ("", "file")
    return _fault_in(local_path(location)) if local else ""


def _fault_in(folder: Path) -> str:
    saved = sorted(folder.rglob("*.keras"))
    if not (folder / "MLmodel").is_file() or not saved:
        return f"the model in {str(folder)!r} is gone, or a part of it"
    for path in saved:
        try:
            with zipfile.ZipFile(path) as archive:
                # By the archive's own checksums.
                damaged = archive.testzip()
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            damaged = str(error)
        if damaged:
            return f"{str(path)!r} is damaged ({damaged})"
    return ""
