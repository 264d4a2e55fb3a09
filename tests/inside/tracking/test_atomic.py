"""Files that are written whole or not at all, and what takes their place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from studies.exporting import check_free, file_for, written
from tracking.store import replacing, write_atomically


def test_a_file_stays_as_it_was_if_writing_fails(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_atomically(file, "before")
    with pytest.raises(OSError, match="full"), replacing(file) as partial:
        partial.write_text("half")
        raise OSError("the disk is full")
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        check_free(pipe, force=False)
        write_atomically(pipe, "a line")
        assert os.read(reader, 100) == b"a line"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_a_user_writes_into_a_link_goes_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "trials.csv", tmp_path / "latest.csv"
    target.write_text("before")
    link.symlink_to(target)
    assert file_for(link, "", force=True) == target.resolve()
    with written(link, "", force=True) as (_, partial):
        partial.write_text("after")
    assert link.is_symlink() and target.read_text() == "after"
