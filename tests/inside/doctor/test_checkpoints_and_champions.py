"""Weights, models and journals that are missing or damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import cut_short, flip_byte, tear_last_page, tear_pages
from doctored import CODE, Said, history_of, kinds, launch, outcome
from handmade import contents
from scripted import ScriptedExecutor, describe, run_study, save_made_up_model

from search_spaces import StoreError
from studies.doctor import diagnose
from studies.exporting import export_optuna
from tracking.history import StudyHistory
from tracking.store import Store


class TestCheckpoints:
    def damaged(self, store: Store, damage: Callable[[Path], object]) -> tuple[Path, int]:
        history = history_of(store)
        assert history.best is not None
        path = history.checkpoint(history.best)
        assert path is not None
        damage(path)
        return path, history.best.number

    @pytest.mark.parametrize(
        "damage", [Path.unlink, cut_short, lambda path: flip_byte(path, b'"attempt": ')]
    )
    def test_is_said_with_the_command_that_makes_it_again(
        self, store: Store, damage: Callable[[Path], object]
    ) -> None:
        path, number = self.damaged(store, damage)
        (finding,) = diagnose(store.root).left
        assert (finding.kind, finding.trial) == ("checkpoint", number)
        assert finding.path == str(path)
        assert f"kerastudy reproduce scripted --trial {number}" in finding.how

    @pytest.mark.exhaustive
    def test_of_a_study_that_cannot_be_loaded_is_left_as_it_is(self, store: Store) -> None:
        self.damaged(store, cut_short)
        before = contents(store.root)
        (finding,) = diagnose(store.root, fix=True).left
        assert "kerastudy reproduce" in finding.how
        assert "(that failed: The study file '/gone/study.py' does not parse, line 1" in finding.how
        assert contents(store.root).keys() >= before.keys()

    def test_of_the_best_trial_is_trained_again_by_another_worker_if_one_dies(
        self, store: Store
    ) -> None:
        path, number = self.damaged(store, Path.unlink)
        executor = ScriptedExecutor(describe(trials=6, code=CODE), lost=[number, number])
        said = Said()
        run_study(executor, store=store.root, progress=said)
        assert executor.ran == [(number, 1)] * 3
        assert len([line for line in said.lines if "ended by signal 9" in line]) == 2
        assert path.is_file()

    @pytest.mark.parametrize("damage", [Path.unlink, cut_short])
    def test_of_the_best_trial_is_trained_again_for_the_champion(
        self, store: Store, damage: Callable[[Path], object]
    ) -> None:
        whole = contents(store.root)
        path, number = self.damaged(store, damage)
        saved: list[bytes] = []

        class Saving(ScriptedExecutor):
            def save_champion(self, spec: Any, checkpoint: Path, *rest: Any) -> Any:
                saved.append(checkpoint.read_bytes())
                return super().save_champion(spec, checkpoint, *rest)

        executor = Saving(describe(trials=6, code=CODE))
        said = Said()
        run_study(executor, store=store.root, progress=said)
        assert executor.ran == [(number, 1)]
        assert [
            line for line in said.lines if f"trial {number}" in line and "can't be used" in line
        ]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == whole[str(path.relative_to(store.root))]
        assert saved == [path.read_bytes()]
        assert diagnose(store.root).findings == ()

    def test_of_a_trial_that_comes_to_something_else_gives_way_to_the_next_best(
        self, store: Store
    ) -> None:
        path, number = self.damaged(store, cut_short)
        damaged = path.read_bytes()
        saved: list[Path] = []

        class Other(ScriptedExecutor):
            def _train(self, task: Any, handler: Any) -> Any:
                result = super()._train(task, handler)
                return dataclasses.replace(result, weights_sha256="0" * 64)

            def save_champion(self, spec: Any, checkpoint: Path, *rest: Any) -> Any:
                saved.append(checkpoint)
                return super().save_champion(spec, checkpoint, *rest)

        said = Said()
        executor = Other(describe(trials=6, code=CODE))
        history = run_study(executor, store=store.root, progress=said)
        second = history.top(2)[1]
        assert executor.ran == [(number, 1)]
        assert saved == [history.checkpoint(second)]
        assert f"the champion is the next best, trial {second.number}" in said.lines
        assert path.read_bytes() == damaged, "what can't be made again is not written over"

    def test_no_more_are_missed_than_were_ever_kept(self, store: Store) -> None:
        """A launch that keeps more than the ones before can't bring back what they dropped."""
        launch(store.root, trials=6, keep=5)
        assert diagnose(store.root).findings == ()

    def test_of_records_without_a_digest_what_cannot_be_read_is_said(self, store: Store) -> None:
        history = history_of(store)
        with contextlib.closing(sqlite3.connect(history.folder / "journal.db")) as database:
            database.execute(
                "UPDATE trials SET result = json_set(result, '$.checkpoint_sha256', '')"
            )
            database.commit()
        assert diagnose(store.root).findings == ()
        self.damaged(store, cut_short)
        assert kinds(diagnose(store.root)) == ["checkpoint"]


class TestChampion:
    @pytest.fixture
    def champion(self, store: Store) -> Path:
        history = launch(store.root, trials=6)
        self.register(store)
        assert diagnose(store.root).findings == ()
        (folder,) = (store.root / "scripted" / "champion").iterdir()
        assert history.best is not None
        return folder

    class Saving(ScriptedExecutor):
        def save_champion(self, spec: Any, checkpoint: Path, space: Any, folder: Path) -> Any:
            return save_made_up_model(folder, checkpoint)

    def register(self, store: Store, said: Said | None = None) -> StudyHistory:
        executor = self.Saving(describe(trials=6, code=CODE))
        return run_study(executor, store=store.root, progress=said or Said())

    @pytest.mark.parametrize("damage", [shutil.rmtree, lambda folder: flip_byte(
        folder / "data" / "model.keras", b'"attempt": ')])  # fmt: skip
    def test_that_is_damaged_is_said_and_registered_anew_by_a_launch(
        self, store: Store, champion: Path, damage: Callable[[Path], object]
    ) -> None:
        damage(champion)
        told = diagnose(store.root, fix=True)
        assert kinds(told) == ["champion"] and "launch" in told.left[0].how
        said = Said()
        history = self.register(store, said)
        assert [line for line in said.lines if "registered again" in line]
        assert history.best is not None and history.model_uri(history.best)
        assert diagnose(store.root).findings == ()


@pytest.mark.parametrize("damage", [tear_pages, tear_last_page, cut_short])
def test_a_damaged_record_is_left_as_it_is(store: Store, damage: Callable[[Path], None]) -> None:
    """And the other studies are checked all the same."""
    launch(store.root, name="other", trials=2)
    damage(store.root / "scripted" / "journal.db")
    orphan = store.root / "other" / "checkpoints" / "optuna-tpe" / "trial-00077.weights.h5"
    orphan.write_bytes(b"of trial 77")
    before = contents(store.root / "scripted")
    told = diagnose(store.root, fix=True)
    assert kinds(told) == ["journal", "orphan"]
    (finding,) = told.left
    assert (finding.kind, finding.study) == ("journal", "scripted") and "backup" in finding.how
    with pytest.raises(StoreError, match="kerastudy doctor"):
        launch(store.root, trials=9)
    assert contents(store.root / "scripted").items() >= before.items()


def test_a_journal_of_a_newer_version_is_left_as_it_is(store: Store) -> None:
    path = store.root / "scripted" / "journal.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    before = contents(store.root)
    (finding,) = diagnose(store.root, fix=True).left
    assert finding.kind == "journal" and "newer kerastudy" in finding.what
    with pytest.raises(StoreError, match="newer kerastudy"):
        launch(store.root, trials=9)
    assert contents(store.root).items() >= before.items()


def test_code_whose_text_is_damaged_is_said(store: Store) -> None:
    path = store.root / "scripted" / "journal.db"
    for text, told in (("other text", "damaged"), (None, "missing")):
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            if text is None:
                database.execute("DELETE FROM code")
            else:
                database.execute("UPDATE code SET content = ?", (text,))
        (finding,) = diagnose(store.root, fix=True).left
        assert finding.kind == "code" and told in finding.what and CODE.digest[:16] in finding.what


def test_two_studies_of_one_name_are_said(store: Store) -> None:
    shutil.copytree(store.root / "scripted", store.root / "a copy")
    (finding,) = diagnose(store.root, fix=True).left
    assert finding.kind == "name" and str(store.root / "a copy") in finding.what


def test_an_export_is_left_alone(store: Store, undisturbed: list[tuple]) -> None:
    """Damaged or not: neither a launch nor the doctor reads it."""
    export_optuna(history_of(store))
    tear_pages(store.root / "optuna.db")
    before = (store.root / "optuna.db").read_bytes()
    assert diagnose(store.root, fix=True).findings == ()
    assert outcome(launch(store.root, trials=9)) == undisturbed
    assert (store.root / "optuna.db").read_bytes() == before
