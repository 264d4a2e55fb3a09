"""Notes the SQL statements for a journal, and finds those that read whole tables."""

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

# These tables have a few rows, however long a study runs.
_SHORT = {"study", "confirmations", "evaluations", "champions", "c", "json_each"}


@contextlib.contextmanager
def noting_statements() -> Iterator[list[str]]:
    """Notes the statements of all connections to journals that are opened in the context."""
    statements: list[str] = []
    connect = sqlite3.connect

    def connect_noting(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(database, *arguments, **options)
        if "journal.db" in str(database):
            connection.set_trace_callback(statements.append)
        return connection

    with patch.object(sqlite3, "connect", connect_noting):
        yield statements


def read_whole(folder: Path, statements: Iterable[str]) -> list[str]:
    """Returns the queries that read all trials, fits or epochs, with SQLite's plans for them."""
    queries = []
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as database:
        for statement in {statement for statement in statements if statement.startswith("SELECT")}:
            plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scans = [re.match(r"SCAN (\w+)|.* AUTOMATIC ", step) for step in plan]
            if any(scan is not None and scan[1] not in _SHORT for scan in scans):
                queries.append(f"{statement}: {'; '.join(plan)}")
    return queries
