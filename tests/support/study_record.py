"""Reads the record of a study by SQL and JSON alone, independently of the product's code.

The record must be the same however often processes were killed. It has no times, uuids and numbers
of attempts, which differ between launches.
"""

import contextlib
import hashlib
import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_FINISHED = ("complete", "pruned", "infeasible")
# These fields of a trial depend on the machine's load, or on the number of attempts.
_DIFFERENT = ("seconds", "attempt", "uuid")

Rows = list[dict[str, Any]]


def read_record(root: Path, name: str) -> dict[str, Any]:
    """Returns the record of a study as JSON."""
    folder = folder_of(root, name)
    with _database(folder) as database:
        (study,) = _rows(database, "SELECT * FROM study")
        record = {
            "study": _study(database, study),
            "definition": _definition(study),
            "trials": _trials(database),
            "champion": _champion(database, folder),
            "files": _files(folder / "checkpoints"),
        }
    return json.loads(json.dumps(record))


def folder_of(root: Path, name: str) -> Path:
    """Returns the folder of a study."""
    for journal in root.glob("*/journal.db"):
        with _database(journal.parent) as database:
            if _rows(database, "SELECT name FROM study")[0]["name"] == name:
                return journal.parent
    raise AssertionError(f"there is no study {name!r} in {root}")


def left_behind(root: Path) -> list[str]:
    """Returns running trials, partial files and locks, which finished studies must not leave."""
    leftovers = []
    for journal in root.glob("*/journal.db"):
        with _database(journal.parent) as database:
            for table in ("trials", "fits", "confirmations"):
                running = _rows(database, f"SELECT uuid FROM {table} WHERE state = 'running'")
                leftovers += [f"{table}: {row['uuid']} is running" for row in running]
            running = _rows(database, "SELECT name FROM study WHERE status = 'RUNNING'")
            leftovers += [f"the study {row['name']} is RUNNING" for row in running]
            lost = "SELECT id FROM epochs WHERE fit NOT IN (SELECT id FROM fits)"
            leftovers += [f"an epoch of no fit: {row['id']}" for row in _rows(database, lost)]
            named = {row["folder"] for row in _rows(database, "SELECT folder FROM champions")}
        models = journal.parent.glob("champion/*")
        leftovers += [
            f"a model of no champion: {m.name}" for m in models if f"champion/{m.name}" not in named
        ]
    for path in root.rglob("*"):
        relative = path.relative_to(root).as_posix()
        if path.name.startswith(("partial-", "deleted-")):
            leftovers.append(f"a piece of a file: {relative}")
        if path.name == "lock.json":
            leftovers.append(f"a lock's holder: {relative}")
    return leftovers


def differences(expected: Any, actual: Any, where: str = "") -> Iterator[str]:
    """Yields a text for each difference between two records."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted({*expected, *actual}):
            place = f"{where}/{key}"
            if key not in actual:
                yield f"{place} is missing, expected {expected[key]!r:.300}"
            elif key not in expected:
                yield f"{place} is not expected: {actual[key]!r:.300}"
            else:
                yield from differences(expected[key], actual[key], place)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for i, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(left, right, f"{where}[{i}]")
    elif expected != actual:
        yield f"{where}: expected {expected!r:.300}, found {actual!r:.300}"


def differences_of_trainings(expected: Any, actual: Any, workers: int) -> list[str]:
    """Returns the differences that timing does not explain.

    With several workers, the trial that ends first decides which others write a checkpoint.
    """
    return [
        difference
        for difference in differences(expected, actual)
        if workers == 1 or "/checkpoint_sha256:" not in difference
    ]


def weights_in(path: Path | io.BytesIO) -> dict[str, str]:
    """Returns the digests of the arrays in an HDF5 file by name."""
    digests = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            array = np.asarray(item)
            text = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
            text.update(np.ascontiguousarray(array).tobytes())
            digests[name] = text.hexdigest()

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return digests


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(folder / "journal.db", timeout=60)) as database:
        database.row_factory = sqlite3.Row
        yield database


def _rows(database: sqlite3.Connection, query: str, *values: Any) -> Rows:
    return [dict(row) for row in database.execute(query, values)]


def _study(database: sqlite3.Connection, study: dict[str, Any]) -> dict[str, Any]:
    corrected = json.loads(study["corrected"] or "null")
    if corrected is not None:
        del corrected["key"]
    return {
        "status": study["status"],
        "ended_by": study["ended_by"],
        "stopped": study["stopped"],
        "keeps": study["keeps"],
        "corrected": corrected,
        "code": sorted(row["digest"] for row in _rows(database, "SELECT digest FROM code")),
    }


def _definition(study: dict[str, Any]) -> dict[str, Any]:
    definition = json.loads(study["definition"])
    for where in ("folder", "path"):
        definition["code"].pop(where, None)
    return definition


def _trials(database: sqlite3.Connection) -> dict[str, Any]:
    trials: dict[str, Any] = {}
    for row in _rows(database, "SELECT * FROM trials ORDER BY id"):
        if row["state"] not in _FINISHED:
            # The results of an interrupted attempt do not count.
            assert row["state"] == "interrupted", row
            continue
        number = str(row["number"])
        assert number not in trials, f"trial {number} has two attempts with a result"
        trials[number] = _trial(database, row)
    return trials


def _trial(database: sqlite3.Connection, row: dict[str, Any]) -> dict[str, Any]:
    fits = [
        {**_kept(fit, "state", "spec", "result"), "epochs": _epochs(database, fit["id"])}
        for fit in _rows(database, "SELECT * FROM fits WHERE trial = ? ORDER BY id", row["uuid"])
        if fit["state"] != "interrupted"
    ]
    columns = ("state", "spec", "result", "engine_state", "whole", "code_digest")
    return {**_kept(row, *columns), "fits": fits}


def _kept(row: dict[str, Any], *columns: str) -> dict[str, Any]:
    """Returns columns of a row. JSON in a column is parsed."""
    cells = {column: row[column] for column in columns}
    return {
        column: _scrubbed(json.loads(cell) if str(cell).startswith("{") else cell)
        for column, cell in cells.items()
    }


def _scrubbed(value: Any) -> Any:
    """Returns a part of a record without the fields in `_DIFFERENT`."""
    if isinstance(value, dict):
        return {name: _scrubbed(part) for name, part in value.items() if name not in _DIFFERENT}
    return [_scrubbed(part) for part in value] if isinstance(value, list) else value


def _epochs(database: sqlite3.Connection, fit: int) -> dict[str, Any]:
    """Returns a fit's metrics by epoch. If an epoch has several rows, their metrics are joined."""
    epochs: dict[str, dict[str, Any]] = {}
    for row in _rows(database, "SELECT epoch, metrics FROM epochs WHERE fit = ? ORDER BY id", fit):
        epochs.setdefault(str(row["epoch"]), {}).update(json.loads(row["metrics"]))
    return epochs


def _champion(database: sqlite3.Connection, folder: Path) -> list[dict[str, Any]]:
    query = (
        "SELECT c.*, t.number FROM champions c JOIN trials t ON t.uuid = c.trial "
        "WHERE NOT withdrawn ORDER BY c.id"
    )
    return [
        {
            "trial": row["number"],
            "reason": row["reason"],
            "predictions": row["predictions"],
            "files": _model_files(folder / row["folder"]),
        }
        for row in _rows(database, query)
    ]


def _model_files(folder: Path) -> dict[str, Any]:
    assert folder.is_dir(), f"{folder} is gone"
    contents: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            contents[name] = None
            if path.suffix == ".keras":
                with zipfile.ZipFile(path) as archive:
                    contents[name] = weights_in(io.BytesIO(archive.read("model.weights.h5")))
    return contents


def _files(folder: Path) -> dict[str, Any]:
    files = sorted(folder.glob("*"))
    return {file.name: weights_in(file) if file.suffix == ".h5" else None for file in files}


def attempts(root: Path, name: str) -> list[str]:
    """Returns the states of all attempts at a study's trials, in order."""
    with _database(folder_of(root, name)) as database:
        return [row["state"] for row in _rows(database, "SELECT state FROM trials ORDER BY id")]
