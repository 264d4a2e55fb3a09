"""Weights and models that are missing or damaged."""

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
from damage import cut_short, flip_byte
from doctored import CODE, Said, history_of, kinds, launch
from handmade import contents
from scripted import ScriptedExecutor, describe, run_study, save_made_up_model

from studies.doctor import diagnose
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
