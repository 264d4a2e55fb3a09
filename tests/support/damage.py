"""Damages the files of a store, as disks, kills and people do."""

import sqlite3
from contextlib import closing
from pathlib import Path


def settle(database: Path) -> None:
    """Writes a database's write-ahead log into the database file."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def tear_pages(database: Path, *, last: bool = False) -> None:
    """Overwrites half of each page but the first, or of the `last` one, as a torn write does."""
    settle(database)
    content = bytearray(database.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    for start in range(size, len(content), size)[-1 if last else 0 :]:
        content[start : start + size // 2] = b"\xa5" * (size // 2)
    database.write_bytes(content)


def cut_short(path: Path, share: float = 0.6) -> None:
    """Cuts off a file's end. `share` of the file stays."""
    if path.suffix == ".db":
        settle(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip_byte(path: Path, marked: bytes) -> None:
    """Changes the byte after the last occurrence of `marked` in a file."""
    content = bytearray(path.read_bytes())
    place = content.rindex(marked) + len(marked)
    content[place] ^= 0xFF
    path.write_bytes(content)
