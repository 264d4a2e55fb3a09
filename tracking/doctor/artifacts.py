"""Folders of artifacts that the database does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from tracking.doctor.findings import Ailment
from tracking.mlflow_parts import recorded_addresses
from tracking.store.folder import Store
from tracking.store.orphans import move_to_orphans

_RUN = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"m-[0-9a-f]{32}")


def check_artifacts(store: Store) -> Iterator[Ailment]:
    """Checks for folders of runs, models and experiments that are in no table of MLflow's.

    Deleted items are still in MLflow's tables. Other folders, such as those of traces, are ignored.
    """
    root = store.root / "mlartifacts"
    # First the folders, then the database: new items enter its tables first.
    found = sorted(_folders(root))
    known = _known(store)
    for folder in found:
        if not _unknown(folder, known):
            continue
        if any(parent in found and _unknown(parent, known) for parent in folder.parents):
            # Reported with the folder that it is in.
            continue
        if any(path.is_file() for path in folder.rglob("*")):
            yield Ailment(
                "orphan",
                "artifacts of something that is not in the record",
                f"--fix moves them to {str(store.root / 'orphans')!r}",
                path=str(folder),
                mend=partial(move_to_orphans, store, folder),
            )


def _unknown(folder: Path, known: set[Path]) -> bool:
    return not any(folder in (each, *each.parents) for each in known)


def _folders(root: Path) -> Iterator[Path]:
    for experiment in root.iterdir() if root.is_dir() else ():
        if not experiment.name.isdigit() or not experiment.is_dir():
            continue
        yield experiment
        yield from (path for path in experiment.iterdir() if _RUN.fullmatch(path.name))
        models = experiment / "models"
        if models.is_dir():
            yield from (path for path in models.iterdir() if _MODEL.fullmatch(path.name))


def _known(store: Store) -> set[Path]:
    addresses = recorded_addresses(store.root / "mlflow.db")
    return {
        Path(url2pathname(urlparse(address).path))
        for address in addresses
        if address.startswith("file:")
    }
