"""Errors of the file system and of databases, as errors of the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from search_spaces.errors import KerastudyError, StoreError

_MEND = "Recorded trials are safe. Fix this, then give the command again."


@contextlib.contextmanager
def as_store_errors() -> Iterator[None]:
    """Turns errors of the file system and of databases into a `StoreError`.

    Such as a full disk, a store that went away, or a database that another program has locked.

    Raises:
        StoreError: With the system's own words.
    """
    try:
        yield
    except KerastudyError:
        raise
    except OSError as error:
        where = f": {error.filename!r}" if error.filename else ""
        raise StoreError(f"{error.strerror or error}{where}. {_MEND}") from error
    except Exception as error:
        if not _of_a_database(error):
            raise
        raise StoreError(
            f"The store's database cannot be used: {first_cause(error)}. {_MEND}"
        ) from error


def first_cause(error: BaseException) -> str:
    """Returns the database's own message, without those of the libraries around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _of_a_database(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("sqlalchemy", "mlflow", "sqlite3")
