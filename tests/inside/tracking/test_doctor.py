"""The doctor reports damage and leftovers in a store, and mends them."""

import contextlib
import dataclasses
import hashlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import cut_short, flip_byte, tear_pages
from doctored import CODE, Said, history_of, kinds, launch, outcome
from handmade import contents
from scripted import ScriptedExecutor, describe, run_study, save_made_up_model
from stores import held_by_a_process, store_at

from search_spaces import StoreError
from tracking.store import Store
from tracking.store_doctor import examine_store


@pytest.fixture(scope="module")
def launched_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of six trials."""
    folder = tmp_path_factory.mktemp("made") / "store"
    launch(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(launched_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """The record of the study with nine trials."""
    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    shutil.copytree(launched_store, folder)
    return outcome(launch(folder, trials=9))


@pytest.fixture
def store(launched_store: Path, tmp_path: Path) -> Store:
    shutil.copytree(launched_store, tmp_path / "store")
    return store_at(tmp_path / "store")


def facts_damaged(store: Store) -> str:
    (store.root / "store.json").write_text("{")
    return "store"


def left_running(store: Store) -> str:
    """Leaves a study and a trial running, as a killed process does."""
    history = history_of(store)
    path, uuid = history.folder / "journal.db", history.top(6)[-1].uuid
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE study SET status = 'RUNNING'")
        changes = "state = 'running', result = NULL, ended = 0"
        database.execute(f"UPDATE trials SET {changes} WHERE uuid = ?", (uuid,))
        database.execute("UPDATE fits SET state = 'running' WHERE uuid = ?", (uuid,))
    return "running"


def half_deleted(store: Store) -> str:
    """Deletes a study like a process that is killed between the two renames."""
    folder = store.root / "another"
    shutil.copytree(history_of(store).folder, folder)
    (folder / "journal.db").rename(folder / "deleted.db")
    return "leftover"


def pieces(store: Store) -> str:
    folder = history_of(store).files.folder
    (folder / "partial-1-trial-00001.weights.h5").write_bytes(b"half")
    (store.root / "partial-1-store.json").write_bytes(b"{")
    return "leftover"


@pytest.mark.parametrize(
    "damage",
    [facts_damaged, left_running, half_deleted, pieces],
    ids=lambda damage: damage.__name__,
)
def test_what_is_damaged_is_said_and_mended(
    store: Store, undisturbed: list[tuple], damage: Callable[[Store], str]
) -> None:
    sound = contents(store.root)
    kind = damage(store)
    damaged = contents(store.root)
    checkup = examine_store(store.root)
    assert kinds(checkup) == [kind]
    assert len(checkup.open_faults) == len(checkup.faults)
    assert contents(store.root) == damaged, "looking changes nothing"
    mended = examine_store(store.root, fix=True)
    assert kinds(mended) == [kind] and mended.open_faults == []
    assert examine_store(store.root, fix=True).faults == ()
    # The journal has a note that the study has ended.
    changed = {"store.json", *(["scripted/journal.db"] if damage is left_running else [])}
    files = contents(store.root)
    assert {name for name in sound if files.get(name) != sound[name]} <= changed
    progress = Said()
    assert outcome(launch(store.root, progress, trials=9)) == undisturbed
    assert not [line for line in progress.lines if "damaged" in line]
    assert examine_store(store.root).faults == ()


def test_a_users_file_is_no_piece(store: Store) -> None:
    for folder in (store.root, history_of(store).folder):
        (folder / "partial-2nd-try.csv").write_text("mine")
    assert examine_store(store.root, fix=True).faults == ()
    launch(store.root, trials=9)
    assert len(list(store.root.rglob("partial-2nd-try.csv"))) == 2


def test_a_folder_with_a_copied_study_is_sound(store: Store, tmp_path: Path) -> None:
    shutil.copytree(history_of(store).folder, tmp_path / "sent" / "scripted")
    assert examine_store(tmp_path / "sent").faults == ()


KILLED = """
import os, pathlib, signal, sys
unlink = pathlib.Path.unlink

def unlink_and_die(path, *arguments, **options):
    unlink(path, *arguments, **options)
    if path.name.startswith("partial-"):
        os.kill(os.getpid(), signal.SIGKILL)

pathlib.Path.unlink = unlink_and_die
from tracking.store_doctor import examine_store
examine_store(sys.argv[1], fix=True)
"""


def test_killed_while_it_mends_it_is_done_again(store: Store, undisturbed: list[tuple]) -> None:
    pieces(store)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.root)])
    assert killed.returncode == -signal.SIGKILL
    assert len(examine_store(store.root, fix=True).faults) == 1
    assert examine_store(store.root).faults == ()
    assert outcome(launch(store.root, trials=9)) == undisturbed


def test_a_study_that_runs_is_left_alone(store: Store) -> None:
    left_running(store)
    before = contents(store.root / "scripted" / "checkpoints")
    with held_by_a_process(store.root / "scripted") as process:
        for fix in (False, True):
            checkup = examine_store(store.root, fix=fix)
            assert list(checkup.running) == ["scripted"] and checkup.faults == ()
            assert f"process {process}" in checkup.running["scripted"]
        assert contents(store.root / "scripted" / "checkpoints") == before
        assert history_of(store).status == "RUNNING"
    assert kinds(examine_store(store.root, fix=True)) == ["running"]


def damage_best(store: Store, damage: Callable[[Path], object]) -> tuple[Path, int]:
    """Damages the best trial's checkpoint; returns its path and the trial's number."""
    history = history_of(store)
    path = history.checkpoint(history.best)
    damage(path)
    return path, history.best.number


class Saving(ScriptedExecutor):
    """Saves a made-up model, and notes its checkpoint."""

    saved: Path

    def save_champion(self, spec: Any, checkpoint: Path, space: Any, folder: Path) -> Any:
        self.saved = checkpoint
        return save_made_up_model(folder, checkpoint)


@pytest.mark.parametrize("fix", [False, True])
def test_all_else_is_checked_where_the_store_is_damaged(store: Store, fix: bool) -> None:
    facts_damaged(store)
    pieces(store)
    damage_best(store, Path.unlink)
    checkup = examine_store(store.root, fix=fix)
    assert kinds(checkup) == ["checkpoint", "leftover", "store"] and len(checkup.faults) == 4
    assert {fault.kind for fault in checkup.open_faults} == set(kinds(checkup)[: 1 if fix else 3])


DESCRIPTION = describe(trials=6, code=CODE)


def launch_saving(store: Store, executor: Saving) -> tuple[Any, list[str]]:
    progress = Said()
    return run_study(executor, store=store.root, progress=progress), progress.lines


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: flip_byte(path, b'"attempt": ')])
def test_a_damaged_checkpoint_is_made_again(store: Store, damage: Callable[[Path], object]) -> None:
    whole = contents(store.root)
    path, number = damage_best(store, damage)
    (finding,) = examine_store(store.root).open_faults
    assert (finding.kind, finding.trial, finding.path) == ("checkpoint", number, str(path))
    assert f"kerastudy reproduce scripted --trial {number}" in finding.how
    executor = Saving(DESCRIPTION)
    _, lines = launch_saving(store, executor)
    assert executor.ran == [(number, 1)] and executor.saved == path
    assert [line for line in lines if f"trial {number}" in line and "can't be used" in line]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == whole[str(path.relative_to(store.root))]
    assert examine_store(store.root).faults == ()


def test_a_checkpoint_that_comes_to_something_else_gives_way_to_the_next_best(store: Store) -> None:
    path, number = damage_best(store, cut_short)
    damaged = path.read_bytes()

    class Other(Saving):
        def _train(self, task: Any, handler: Any) -> Any:
            result = super()._train(task, handler)
            return dataclasses.replace(result, weights_sha256="0" * 64)

    executor = Other(DESCRIPTION)
    history, lines = launch_saving(store, executor)
    second = history.top(2)[1]
    assert executor.ran == [(number, 1)]
    assert executor.saved == history.checkpoint(second)
    assert f"the champion is the next best, trial {second.number}" in lines
    assert path.read_bytes() == damaged, "what can't be made again is not written over"


def test_no_more_checkpoints_are_missed_than_were_ever_kept(store: Store) -> None:
    """A launch that keeps more than the ones before can't bring back what they dropped."""
    launch(store.root, trials=6, keep=5)
    assert examine_store(store.root).faults == ()


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda folder: flip_byte(
    folder / "data" / "model.keras", b'"attempt": ')])  # fmt: skip
def test_a_damaged_champion_is_made_anew(store: Store, damage: Callable[[Path], object]) -> None:
    launch_saving(store, Saving(DESCRIPTION))
    assert examine_store(store.root).faults == ()
    (champion,) = (store.root / "scripted" / "champion").iterdir()
    damage(champion)
    checkup = examine_store(store.root, fix=True)
    assert kinds(checkup) == ["champion"] and "launch" in checkup.open_faults[0].how
    history, lines = launch_saving(store, Saving(DESCRIPTION))
    assert [line for line in lines if "registered again" in line]
    assert history.best is not None and history.model_uri(history.best)
    assert examine_store(store.root).faults == ()


def test_an_unusable_journal_stays(store: Store) -> None:
    """The other studies are checked nevertheless."""
    launch(store.root, name="other", trials=2)
    tear_pages(store.root / "scripted" / "journal.db", last=True)
    files = store.root / "other" / "checkpoints"
    (files / "partial-1-trial-00001.weights.h5").write_bytes(b"half")
    before = contents(store.root / "scripted")
    checked = examine_store(store.root, fix=True)
    assert kinds(checked) == ["journal", "leftover"]
    (finding,) = checked.open_faults
    assert finding.kind == "journal" and "damaged" in finding.what
    with pytest.raises(StoreError, match="damaged"):
        launch(store.root, trials=9)
    assert contents(store.root / "scripted").items() >= before.items()


def test_two_studies_of_one_name_are_said(store: Store) -> None:
    shutil.copytree(store.root / "scripted", store.root / "a copy")
    (finding,) = examine_store(store.root, fix=True).open_faults
    assert finding.kind == "name" and str(store.root / "a copy") in finding.what
