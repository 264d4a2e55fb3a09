"""Private parts of MLflow.

They are used here, in `run_writer`, which writes into its tables, and in `history.trials`,
which reads from them.

Each is looked up when it is first needed. A missing part turns its feature off:

- Making a database: the client makes one; experiments that others make there have their artifacts
  in MLflow's default place.
- Its checks of logged values, or a table with the known schema: the client writes runs, at five
  times the CPU.
- A column of addresses: it is not changed when a store is moved.
- Removing what is in the trash: a deleted study's record stays there, without its files.
- Its experiment "Default": it is shown, though nothing is in it.
- Named views in an experiment's tags: `kerastudy ui` opens the plain page.
- The app of its server: `kerastudy ui` serves this machine alone, without a token.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from search_spaces.library_parts import AttributePart, MissingPartError, ModulePart

# Makes a database with our own place for artifacts; the client has no option for it.
_STORE: Final = ModulePart("mlflow", "mlflow.store.tracking.sqlalchemy_store", "SqlAlchemyStore")
# Checks and cuts what is written without the client, as the client does.
_CHECK: Final = ModulePart("mlflow", "mlflow.utils.validation", "_validate_batch_log_data")

# What `mlflow gc` calls, for all that is in the trash.
_REMOVE_RUN: Final = AttributePart("mlflow", "SqlAlchemyStore", "_hard_delete_run")
_REMOVE_MODEL: Final = AttributePart("mlflow", "SqlAlchemyStore", "_hard_delete_logged_model")
_REMOVE_EXPERIMENT: Final = AttributePart("mlflow", "SqlAlchemyStore", "_hard_delete_experiment")

# They log exceptions with a traceback, the making of tables, and each model.
_TOO_LOUD: Final = {
    "mlflow.store.db.utils": logging.CRITICAL,
    "mlflow.tracking": logging.WARNING,
    "mlflow.store.model_registry": logging.WARNING,
    # It misses pip, which environments made by uv don't have.
    "mlflow.utils.environment": logging.ERROR,
}

# Where MLflow writes absolute addresses of artifacts. MLflow has no call to change
# them, and a store that was moved must still open; see docs/decisions/0003.
_ADDRESSES: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)

# What `mlflow server` runs.
_APP: Final = ModulePart("mlflow", "mlflow.server.fastapi_app", "app")

_TABLES: Final[Mapping[str, str]] = {
    "runs": "artifact_uri deleted_time end_time entry_point_name experiment_id lifecycle_stage "
    "name run_uuid*! source_name source_type source_version start_time status user_id",
    "tags": "key*! run_uuid*! value",
    "params": "key*! run_uuid*! value!",
    "metrics": "is_nan*! key*! run_uuid*! step*! timestamp*! value*!",
    "latest_metrics": "is_nan! key*! run_uuid*! step! timestamp value!",
    "inputs": "destination_id*! destination_type*! input_uuid! source_id*! source_type*! step!",
    "input_tags": "input_uuid*! name*! value!",
}
"""The exact columns of the tables that are written to: ``*`` marks the primary key, ``!`` a column
that can't be empty."""


def make_database(uri: str, artifacts_uri: str) -> None:
    """Makes MLflow's database, with all its tables.

    Experiments that others make in it have their artifacts in `artifacts_uri`.
    """
    try:
        _STORE.get()(uri, artifacts_uri).engine.dispose()
    except (MissingPartError, TypeError, AttributeError):
        from mlflow import MlflowClient

        # Its first use makes missing tables.
        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)


def purge_experiment(uri: str, artifacts_uri: str, experiment_id: str) -> None:
    """Removes an experiment that is in the trash from the database, with its runs and models."""
    from mlflow.entities import ViewType

    store = _STORE.get()(uri, artifacts_uri)
    remove_run, remove_model = _REMOVE_RUN.of(store), _REMOVE_MODEL.of(store)
    remove_experiment = _REMOVE_EXPERIMENT.of(store)
    while runs := store.search_runs([experiment_id], "", ViewType.ALL, max_results=1000):
        for run in runs:
            remove_run(run.info.run_id)
    while models := store.search_logged_models([experiment_id], max_results=50):
        for model in models:
            remove_model(model.model_id)
    remove_experiment(experiment_id)


def hide_default_experiment(database: sqlite3.Connection) -> None:
    """Marks MLflow's experiment "Default" of a new database as deleted, as its client would.

    MLflow needs it, but nothing of a study is in it.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        database.execute(
            "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 0"
        )


def knows_views() -> bool:
    """Returns whether the UI knows named views in an experiment's tags: read off its scripts."""
    return any(
        b"saved-view envelope" in script.read_bytes()
        for folder in _folders()
        for script in sorted(folder.glob("server/js/build/static/js/*.js"))
    )


def _folders() -> list[Path]:
    """Returns where MLflow is installed. It is not imported: that takes seconds."""
    found = importlib.util.find_spec("mlflow")
    return [] if found is None else [*map(Path, found.submodule_search_locations or [])]


def batch_check() -> Callable[..., tuple[Any, Any, Any]]:
    """Returns MLflow's own check of metrics, params and tags, which also cuts long texts."""
    check: Callable[..., tuple[Any, Any, Any]] = _CHECK.get()
    return check


def can_write_tables(database: Path) -> bool:
    """Returns whether rows can be written into a database's tables without MLflow's client."""
    try:
        batch_check()
        with contextlib.closing(sqlite3.connect(database)) as connection:
            triggers = connection.execute(
                "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'"
            )
            if {table for (table,) in triggers} & _TABLES.keys():
                return False
            return all(_columns(connection, table) == told for table, told in _TABLES.items())
    except (sqlite3.Error, MissingPartError):
        return False


def _columns(connection: sqlite3.Connection, table: str) -> str:
    found = connection.execute(
        'SELECT name, pk > 0, "notnull" FROM pragma_table_info(?) ORDER BY name', (table,)
    )
    return " ".join(f"{name}{'*' * key}{'!' * needed}" for name, key, needed in found)


def rewrite_addresses(database: sqlite3.Connection, before: str, after: str) -> None:
    """Moves the addresses of MLflow's artifacts to another folder."""
    for table, column in _known_addresses(database):
        # Both names come from the constant above.
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE substr({column}, 1, ?) = ?",
            (after, len(before) + 1, len(before), before),
        )


def rewrite_tag(database: sqlite3.Connection, key: str, before: str, after: str) -> None:
    """Replaces a text in all tags of a name."""
    database.execute(
        "UPDATE tags SET value = replace(value, ?, ?) WHERE key = ?", (before, after, key)
    )


def recorded_addresses(database: Path) -> list[str]:
    """Returns the addresses of all artifacts, deleted ones too."""
    with _reading(database) as connection:
        return [
            address
            for table, column in _known_addresses(connection)
            for (address,) in connection.execute(f"SELECT {column} FROM {table}")
            if address
        ]


def commonest_place(database: Path, folder: str) -> str:
    """Returns the address before ``/folder/`` that most experiments' artifacts have, or empty."""
    places: Counter[str] = Counter()
    with contextlib.suppress(sqlite3.Error), _reading(database) as connection:
        for (address,) in connection.execute("SELECT artifact_location FROM experiments"):
            before, found, _ = str(address).rpartition(f"/{folder}/")
            places[before] += bool(found)
    places += Counter()
    return places.most_common(1)[0][0] if places else ""


def quieten() -> None:
    """Keeps MLflow from also logging the exceptions that it raises, if it has that logger."""
    for name, level in _TOO_LOUD.items():
        logging.getLogger(name).setLevel(level)


def _known_addresses(database: sqlite3.Connection) -> list[tuple[str, str]]:
    return [
        (table, column)
        for table, column in _ADDRESSES
        if database.execute(
            "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)
        ).fetchone()
    ]


def _reading(database: Path) -> contextlib.closing[sqlite3.Connection]:
    uri = f"{database.as_uri()}?mode=ro"
    return contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60))


def server_app() -> Any:
    """Returns the ASGI app of MLflow's server."""
    return _APP.get()
