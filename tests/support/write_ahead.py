"""SQLite's write-ahead log (https://www.sqlite.org/fileformat.html#walformat), and damage to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_HEADER, _FRAME_HEADER = 32, 24


def commits(log: Path) -> list[tuple[int, int]]:
    """Returns where each commit of a log begins and ends, in the order of the commits."""
    content = log.read_bytes()
    page = int.from_bytes(content[8:12], "big")
    salts, found, begin = content[16:24], [], _HEADER
    for frame in range(_HEADER, len(content), _FRAME_HEADER + page):
        header = content[frame : frame + _FRAME_HEADER]
        if header[8:16] != salts:
            # Left from an earlier round of the log.
            break
        if int.from_bytes(header[4:8], "big"):
            end = frame + _FRAME_HEADER + page
            found.append((begin, end))
            begin = end
    return found


def change_last_bytes(log: Path, of_commits: int) -> None:
    """Changes some bytes in the middle of each frame of the last commits; cuts nothing."""
    content = bytearray(log.read_bytes())
    page = int.from_bytes(content[8:12], "big")
    begin, end = commits(log)[-of_commits][0], commits(log)[-1][1]
    for frame in range(begin, end, _FRAME_HEADER + page):
        for place in range(frame + page // 2, frame + page // 2 + 8):
            content[place] ^= 0xA5
    log.write_bytes(content)


def dumped(database: Path) -> list[str]:
    """Returns all that a database holds."""
    with closing(sqlite3.connect(database)) as connection:
        return [*connection.iterdump()]
