"""A study's journal: what is written is read back, whatever happens to its process or its file."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import handmade
import psutil
import pytest
from damage import cut_short, tear_pages
from handmade import ENVIRONMENT, VALUES, contents, losses, make_result, make_spec, record_trial
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import describe
from statements import noting_statements

from search_spaces import StoreError
from tracking.journal import (
    FORMAT,
    Journal,
    JournalReader,
    check_sound,
    database_file,
    on_network_disk,
)
from tracking.records import EpochResult, Proposal


def begin(folder: Path) -> Journal:
    return Journal.begin(folder / "scripted", describe())


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as database:
        return database.execute(query).fetchall()


def executing(statement: str, *, anew: bool = False) -> Callable[[Path], None]:
    """Returns a function that changes a database by a statement, or writes one `anew` by it."""

    def execute(path: Path) -> None:
        if anew:
            path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(statement)

    return execute


OLDER, NEWER = (executing(f"PRAGMA user_version={FORMAT + by}") for by in (-1, 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (OLDER, rf"older kerastudy \(format {FORMAT - 1}; .* another --store"),
        (NEWER, rf"newer kerastudy \(format {FORMAT + 1}; .* pip install -U kerastudy"),
        (tear_pages, "damaged: .* backup"),
        (cut_short, "damaged: .* backup"),
        (lambda path: path.write_bytes(b"this is no database " * 99), "damaged: .* backup"),
        (lambda path: path.write_bytes(b""), "damaged: .* backup"),
        (executing("CREATE TABLE mine (x)", anew=True), "not a journal of kerastudy"),
        (Path.unlink, "is gone. Restore .* backup"),
    ],
)
def test_an_unusable_journal_is_told_and_left(tmp_path: Path, damage: Any, message: str) -> None:
    journal = begin(tmp_path)
    for number in range(9):
        record_trial(journal, make_spec(number), losses(0.5))
    journal.close()
    path = journal.folder / "journal.db"
    damage(path)
    for name in ("journal.db-wal", "journal.db-shm"):
        (journal.folder / name).unlink(missing_ok=True)
    before = contents(tmp_path)
    # A launch makes this check before it writes anything.
    with pytest.raises(StoreError, match=message) as raised:
        check_sound(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    if damage is not tear_pages:
        with pytest.raises(StoreError, match=message):
            Journal(journal.folder, describe()).set_running()
    assert contents(tmp_path) == before


def test_a_commit_is_synced_where_a_trial_begins_or_ends(tmp_path: Path) -> None:
    """A power failure may take epochs, which a training's state has too, but no trial's result."""
    journal = begin(tmp_path)
    journal.close()
    spec = make_spec(0)
    with noting_statements() as statements:

        def synced() -> str:
            steps = [text for text in statements if text.startswith(("PRAGMA sync", "BEGIN"))]
            statements.clear()
            setting, begin = steps
            assert begin == "BEGIN IMMEDIATE"
            return setting.removeprefix("PRAGMA synchronous=")

        for ended in (True, False):
            trial = journal.begin_trial(spec, Proposal(0, VALUES), ENVIRONMENT)
            assert synced() == "FULL"
            journal.begin_fit(trial, spec, only=True)
            statements.clear()
            journal.log_epoch(trial, EpochResult(0, 1, {"val_loss": 0.5}, 0.1))
            journal.flush()
            assert synced() == "NORMAL"
            journal.log_epoch(trial, EpochResult(0, 2, {"val_loss": 0.4}, 0.1))
            if ended:
                journal.end_trial(trial, make_result(spec, losses(0.5, 0.4)))
            else:
                journal.lose_trial(trial, 1)
            assert synced() == "FULL"


@pytest.mark.parametrize(
    ("place", "network"),
    [
        ("here", False),
        ("home/grace/studies", True),
        ("home/local/studies", False),
        ("home/local/share/studies", True),
        ("homes", False),
        ("late/studies", True),
    ],
)
def test_a_disk_of_another_machine_is_known_by_the_mount_that_has_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, network: bool
) -> None:
    root = tmp_path.resolve()
    mounts = [
        (f"{root}/home/local/share", "cifs"),
        ("/", "ext4"),
        (f"{root}/home", "nfs4"),
        (f"{root}/home/local", "ext4"),
        # An automounter is at the same place until the folder is first used.
        (f"{root}/late", "autofs"),
        (f"{root}/late", "nfs4"),
    ]
    disks = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: disks)
    assert on_network_disk(root / place) == network


@pytest.mark.parametrize(("network", "mode"), [(False, "wal"), (True, "delete")])
def test_a_journal_is_read_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bool, mode: str
) -> None:
    """Neither waits for the other, even if a write-ahead log does not work."""
    monkeypatch.setattr(database_file, "on_network_disk", lambda folder: network)
    monkeypatch.setattr(database_file, "_SECONDS_TO_WAIT", 0.5)
    journal = begin(tmp_path)
    record_trial(journal, make_spec(0), losses(0.5))
    assert rows(journal.folder, "PRAGMA journal_mode") == [(mode,)]
    assert (journal.folder / "journal.db-wal").exists() != network
    reader = JournalReader(journal.folder)
    with reader.held_open():
        before = reader.revision()
        with journal.together():
            record_trial(journal, make_spec(1), losses(0.4))
            assert len(JournalReader(journal.folder).attempts()) == 1
        assert len(reader.attempts()) == 2
        assert len(reader.attempts(since=before)) == 1


def test_a_clock_may_go_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times in a journal don't go back."""
    now = 2_000_000_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    journal = Journal.begin(tmp_path / "scripted", describe())
    for number in range(2):
        now -= 3_600_000_000_000
        journal.set_running()
        record_trial(journal, make_spec(number), losses(0.5))
        journal.end("FINISHED", "trials", "all are done")
    times = rows(journal.folder, "SELECT started, ended FROM trials ORDER BY id")
    assert [time for pair in times for time in pair] == [2_000_000_000_000] * 4


@contextlib.contextmanager
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes a folder one that can't be written, by a mount if this user may mount."""
    mount = ["mount", "--bind", "-o", "ro", str(folder), str(folder)]
    with contextlib.suppress(OSError):
        if subprocess.run(mount, capture_output=True).returncode == 0:
            try:
                yield
            finally:
                subprocess.run(["umount", str(folder)], check=True)
            return
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode: mode != os.W_OK)
        yield


def test_a_read_only_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader also sees rows that are only in the write-ahead log."""
    journal = begin(tmp_path)
    reader = JournalReader(journal.folder)
    for trials in (1, 2):
        uuid = record_trial(journal, make_spec(trials), losses(0.5))
        before = sorted(tmp_path.rglob("*"))
        with read_only(journal.folder, monkeypatch), reader.held_open():
            for _ in range(2):
                assert len(reader.attempts()) == trials
                assert reader.curves([uuid])[uuid] == {1: {"loss": 0.25, "val_loss": 0.5}}
                assert JournalReader(journal.folder).trial_count() == trials
        assert sorted(tmp_path.rglob("*")) == before
    alone = tmp_path / "alone.db"
    alone.write_bytes((journal.folder / "journal.db").read_bytes())
    with contextlib.closing(sqlite3.connect(alone)) as database:
        assert database.execute("SELECT count(*) FROM trials").fetchone() == (0,)


def test_a_transaction_that_fails_keeps_the_epochs_that_wait(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    fit = journal.begin_trial(make_spec(0), Proposal(0, VALUES), ENVIRONMENT)
    journal.begin_fit(fit, make_spec(0), only=True)
    journal.log_epoch(fit, EpochResult(0, 1, {"val_loss": 0.5}, 0.1))
    with pytest.raises(RuntimeError), journal.together():
        lost = journal.begin_trial(make_spec(1), Proposal(1, VALUES), ENVIRONMENT)
        journal.begin_fit(lost, make_spec(1), only=True)
        journal.log_epoch(lost, EpochResult(1, 1, {"val_loss": 0.1}, 0.1))
        journal.log_epoch(fit, EpochResult(0, 2, {"val_loss": 0.4}, 0.1))
        raise RuntimeError
    journal.log_epoch(fit, EpochResult(0, 3, {"val_loss": 0.3}, 0.1))
    journal.close()
    assert rows(journal.folder, "SELECT number FROM trials") == [(0,)]
    stored = rows(journal.folder, "SELECT epoch, metrics FROM epochs ORDER BY id")
    losses_of = {epoch: json.loads(text)["val_loss"] for epoch, text in stored}
    assert losses_of == {1: 0.5, 2: 0.4, 3: 0.3} and len(stored) == 3


STEP = st.sampled_from(["begin", "epoch", "epoch", "end", "lose", "flush", "resume"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(STEP, st.integers(0, 3), st.floats()), max_size=40))
def test_any_sequence_reads_back_as_it_was_written(steps: list[tuple[str, int, float]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as root:
        journal = begin(Path(root))
        # The attempts: number, state, values by epoch.
        attempts: dict[str, list[Any]] = {}
        for step, number, value in steps:
            at_work = {a[0]: uuid for uuid, a in attempts.items() if a[1] == "running"}
            uuid = at_work.get(number, "")
            if step == "begin" and not uuid:
                attempt = 1 + sum(a[0] == number for a in attempts.values())
                spec = make_spec(number, attempt=attempt)
                uuid = journal.begin_trial(spec, Proposal(number, VALUES), ENVIRONMENT)
                journal.begin_fit(uuid, spec, only=True)
                attempts[uuid] = [number, "running", []]
            elif step == "epoch" and uuid:
                epoch = len(attempts[uuid][2]) + 1
                journal.log_epoch(uuid, EpochResult(number, epoch, {"val_loss": value}, 0.1))
                attempts[uuid][2].append(value)
            elif step == "end" and uuid:
                journal.end_trial(uuid, make_result(make_spec(number), losses(0.5), "pruned"))
                attempts[uuid][1] = "pruned"
            elif step == "lose" and uuid:
                journal.lose_trial(uuid, 1)
                attempts[uuid][1] = "interrupted"
            elif step == "flush":
                journal.flush()
            elif step == "resume":
                journal.close()
                journal = Journal(journal.folder, journal.description)
                journal.end_left_over()
                for lost_uuid in at_work.values():
                    attempts[lost_uuid][1] = "interrupted"
        journal.close()
        reader = JournalReader(journal.folder)
        read = {attempt.uuid: attempt for attempt in reader.attempts()}
        assert {u: (t.number, t.state) for u, t in read.items()} == {
            uuid: (number, state) for uuid, (number, state, _) in attempts.items()
        }
        states = dict(rows(journal.folder, "SELECT uuid, state FROM fits"))
        assert states == {uuid: state for uuid, (_, state, _) in attempts.items()}
        curves = reader.curves(attempts)
        for uuid, (_, _, values) in attempts.items():
            curve = curves.get(uuid, {})
            assert list(curve) == list(range(1, len(values) + 1))
            assert repr([metrics["val_loss"] for metrics in curve.values()]) == repr(values)


WRITER = """
import sys
from pathlib import Path
from handmade import ENVIRONMENT, VALUES, losses, make_result, make_spec
from scripted import describe
from tracking.journal import Journal
from tracking.records import EpochResult, Proposal

journal = Journal.begin(Path(sys.argv[1]), describe())
for number in range(1000):
    spec = make_spec(number)
    uuid = journal.begin_trial(spec, Proposal(number, VALUES), ENVIRONMENT)
    journal.begin_fit(uuid, spec, only=True)
    for epoch in (1, 2):
        journal.log_epoch(uuid, EpochResult(number, epoch, {"val_loss": 0.5}, 0.1))
        journal.flush()
        print(uuid, epoch, flush=True)
    journal.end_trial(uuid, make_result(spec, losses(0.5, 0.5)))
    print(uuid, "complete", flush=True)
"""


@pytest.mark.parametrize("lines", [1, 50])
def test_a_killed_writer_leaves_all_that_it_had_committed(tmp_path: Path, lines: int) -> None:
    """Plain SQLite reads it, and then the next process, which ends the running trials."""
    support = Path(handmade.__file__).parent
    path = os.pathsep.join(map(str, (support, support.parents[1])))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "scripted")],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    committed = [writer.stdout.readline().split() for _ in range(lines)]
    writer.kill()
    committed += [text.split() for text in writer.stdout if text.endswith("\n")]
    assert writer.wait() == -signal.SIGKILL
    folder = tmp_path / "scripted"
    states = dict(rows(folder, "SELECT uuid, state FROM trials"))
    epochs = set(rows(folder, "SELECT f.uuid, e.epoch FROM epochs e JOIN fits f ON f.id = e.fit"))
    for uuid, what in committed:
        assert states[uuid] == "complete" if what == "complete" else (uuid, int(what)) in epochs
    with Journal(folder, describe()) as journal:
        journal.end_left_over()
    for table in ("trials", "fits"):
        last_states = {state for (state,) in rows(folder, f"SELECT state FROM {table}")}
        assert last_states <= {"complete", "interrupted"}
    assert len(JournalReader(folder).attempts(1)) == len(states)
