"""The store's own files: `store.json`, its databases, and partial files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from tracking.doctor.findings import Ailment
from tracking.mlflow_parts import commonest_place
from tracking.store.atomic import is_piece
from tracking.store.databases import database_fault
from tracking.store.facts import facts_fault, write_facts
from tracking.store.folder import Store


def check_facts(root: Path) -> Iterator[Ailment]:
    """Checks ``store.json``, which can be made again if there is a database.

    Raises:
        StoreError: If it was made by a newer kerastudy.
    """
    fault = facts_fault(root)
    if not fault:
        return
    yield Ailment(
        "store",
        f"store.json is {fault}: no command finds the store",
        "--fix writes it again, from the database",
        path=str(root / "store.json"),
        mend=partial(write_facts, root, _stood(root)),
    )


def check_record(store: Store) -> Iterator[Ailment]:
    """Checks MLflow's database: it is the record, and nothing can replace it."""
    path = store.root / "mlflow.db"
    fault = database_fault(path, thorough=True)
    if fault:
        yield Ailment(
            "database",
            f"mlflow.db is damaged, and it is the record: {fault}. It is not changed",
            "stop what uses the store, copy its folder, and put mlflow.db back from a backup "
            "(without mlflow.db-wal and mlflow.db-shm); or copy what can still be read into a "
            "new file: sqlite3 mlflow.db .recover | sqlite3 recovered.db. Checkpoints and "
            "artifacts are in files of their own",
            path=str(path),
        )


def check_leftovers(folder: Path, study: str = "") -> Iterator[Ailment]:
    """Checks a folder, and those below it, for pieces of files whose process was killed.

    They never got their names, and the files themselves are made again. No process may be writing
    there.
    """
    pieces = folder.rglob("partial-*") if study else folder.glob("partial-*")
    found = [path for path in pieces if is_piece(path)]
    for path in sorted([*found, *(() if study else folder.glob("unfinished-*.db*"))]):
        yield Ailment(
            "leftover",
            f"{path.name} is a piece of a file: its process was killed while it wrote it",
            "--fix deletes it; the file itself is made again when it is needed",
            study=study,
            path=str(path),
            mend=partial(path.unlink, missing_ok=True),
        )


def _stood(root: Path) -> Path:
    """Returns a store's last place, by the addresses in its database; else where it is."""
    place = commonest_place(root / "mlflow.db", "mlartifacts")
    return Path(url2pathname(urlparse(place).path)) if place.startswith("file:") else root
