"""Studies that were killed, or run now; damages, and how they are mended."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damages import (
    facts_damaged,
    facts_gone,
    half_deleted,
    left_running,
    orphans,
    pieces,
    state_before_damaged,
    state_before_of_no_trial,
    state_damaged,
)
from doctored import CODE, Said, history_of, kinds, launch, outcome
from handmade import contents
from study_record import left_behind
from suite import exhaustive_but

from studies.doctor import diagnose
from tracking.store import Store


# What it leaves behind, `test_killed_and_running` makes by hand.
@pytest.mark.exhaustive
def test_a_killed_study_is_said_mended_and_goes_on(store: Store, undisturbed: list[tuple]) -> None:
    script = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parents[2] / "support")]!r}
from scripted import ScriptedExecutor, describe
from scripted import run_study
from studies.progress import NoProgress
from tracking.records import CodeDescription

def before(spec):
    if spec.number == 7:
        os.kill(os.getpid(), signal.SIGKILL)

description = describe(trials=9, code=CodeDescription(*{dataclasses.astuple(CODE)[:4]!r}))
run_study(ScriptedExecutor(description, before), store={str(store.root)!r}, progress=NoProgress())
"""
    killed = subprocess.run([sys.executable, "-c", script])
    assert killed.returncode == -signal.SIGKILL
    told = diagnose(store.root)
    assert kinds(told) == ["running"] and "with 1 trials" in told.findings[0].what
    assert diagnose(store.root, fix=True).left == []
    assert diagnose(store.root).findings == ()
    assert left_behind(store.root) == []
    assert outcome(launch(store.root, trials=9)) == undisturbed


KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from studies.doctor import diagnose

def killing(function, calls):
    left = [calls]
    def called(*arguments, **options):
        answer = function(*arguments, **options)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return called

{what} = killing({what}, {calls})
diagnose({store!r}, fix=True)
"""


class StoppedError(BaseException):
    """Raised where the process would be killed."""


def test_stopped_while_it_mends_it_is_done_again(
    store: Store, undisturbed: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    orphans(store)
    damaged = set(contents(store.root).values())
    rename, left = os.rename, [2]

    def stopping(*arguments: Any, **options: Any) -> None:
        rename(*arguments, **options)
        left[0] -= 1
        if not left[0]:
            raise StoppedError

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(os, "rename", stopping)
        diagnose(store.root, fix=True)
    mend_all(store)
    assert damaged <= set(contents(store.root).values()), "all of it is somewhere"
    assert outcome(launch(store.root, trials=9)) == undisturbed


def mend_all(store: Store) -> None:
    assert diagnose(store.root).findings
    assert diagnose(store.root, fix=True).left == []
    assert diagnose(store.root).findings == ()


# As the test above, whose process goes on.
@pytest.mark.exhaustive
def test_killed_while_it_mends_it_is_done_again(store: Store, undisturbed: list[tuple]) -> None:
    orphans(store)
    path = [str(Path(__file__).parents[2] / "support")]
    script = KILLED.format(path=path, what="os.rename", calls=2, store=str(store.root))
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    mend_all(store)
    assert outcome(launch(store.root, trials=9)) == undisturbed


def test_a_study_that_runs_is_left_alone(store: Store) -> None:
    left_running(store)
    before = contents(store.root / "scripted" / "checkpoints")
    script = (
        "import sys; from tracking.store import open_store\n"
        f"store = open_store({str(store.root)!r})\n"
        "with store.lock_study(store.root / 'scripted', 'scripted'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    for fix in (False, True):
        told = diagnose(store.root, fix=fix)
        assert list(told.at_work) == ["scripted"]
        assert f"process {process.pid}" in told.at_work["scripted"]
        assert told.findings == ()
    assert contents(store.root / "scripted" / "checkpoints") == before
    assert history_of(store).status == "RUNNING"
    assert launch(store.root, name="another", trials=2).counts()["complete"] == 2
    process.kill()
    process.communicate()
    assert diagnose(store.root, fix=True).left == []


def test_of_a_sound_store_nothing_is_said_and_nothing_is_changed(store: Store) -> None:
    before = contents(store.root)
    assert diagnose(store.root).findings == ()
    assert contents(store.root) == before
    diagnosis = diagnose(store.root, fix=True)
    assert diagnosis.findings == () and diagnosis.at_work == {}


DAMAGES = [
    facts_gone, facts_damaged, left_running, half_deleted, state_damaged, state_before_damaged,
    state_before_of_no_trial, pieces, orphans,
]  # fmt: skip


# The others are damages of the same kinds.
KEPT = [facts_damaged, left_running, half_deleted, state_damaged]


@pytest.mark.parametrize(
    "damage", exhaustive_but(KEPT, DAMAGES), ids=lambda damage: damage.__name__
)
def test_what_is_damaged_is_said_and_mended(
    store: Store, undisturbed: list[tuple], damage: Callable[[Store], str]
) -> None:
    kind = damage(store)
    damaged = contents(store.root)
    told = diagnose(store.root)
    assert kinds(told) == [kind]
    assert len(told.left) == len(told.findings)
    assert contents(store.root) == damaged, "looking changes nothing"
    mended = diagnose(store.root, fix=True)
    assert kinds(mended) == [kind]
    assert mended.left == []
    assert diagnose(store.root, fix=True).findings == ()
    kept = set(contents(store.root).values())
    # In the journal it is noted that the study has ended.
    lost = {name for name, digest in damaged.items() if digest not in kept} - {"store.json"}
    wanted = {"scripted/journal.db"} if damage is left_running else set()
    assert {name for name in lost if "partial-" not in name and "deleted-" not in name} <= wanted
    said = Said()
    assert outcome(launch(store.root, said, trials=9)) == undisturbed
    assert not [line for line in said.lines if "damaged" in line]
    assert diagnose(store.root).findings == ()


def test_a_moved_store_without_its_facts_is_found_again(
    store: Store, undisturbed: list[tuple]
) -> None:
    facts_gone(store)
    moved = store.root.rename(store.root.parent / "moved")
    assert kinds(diagnose(moved)) == ["store"]
    assert diagnose(moved, fix=True).left == []
    assert outcome(launch(moved, trials=9)) == undisturbed
