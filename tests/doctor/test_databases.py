"""Damaged databases: the record is left as it is, its copy is made anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from damage import cut_short, tear_last_page, tear_pages
from damages import optuna_cut, optuna_empty, optuna_gone, optuna_torn
from doctored import ENGINE, Said, copy_of, history_of, kinds, launch, outcome
from handmade import contents
from scripted import describe, run_study

from search_spaces.errors import StoreError
from studies.doctor.diagnosis import diagnose
from tracking.store import Store


@pytest.mark.parametrize("damage", [tear_pages, tear_last_page, cut_short, Path.unlink])
def test_a_damaged_record_is_left_as_it_is(store: Store, damage: Callable[[Path], None]) -> None:
    damage(store.root / "mlflow.db")
    before = contents(store.root)
    for fix in (False, True):
        told = diagnose(store.root, fix=fix)
        assert kinds(told) == ["database"] and told.left
        assert "backup" in told.findings[0].how and told.unread
    with pytest.raises(StoreError, match="kerastudy doctor"):
        launch(store.root, trials=9)
    assert contents(store.root) == before


@pytest.mark.parametrize("damage", [optuna_torn, optuna_cut, optuna_gone, optuna_empty])
def test_a_launch_makes_a_damaged_copy_anew_and_says_so(
    store: Store, undisturbed: list[tuple], damage: Callable[[Store], str]
) -> None:
    there = (store.root / "optuna.db").exists()
    damage(store)
    said = Said()
    assert outcome(launch(store.root, said, trials=9)) == undisturbed
    (line,) = [line for line in said.lines if "optuna.db" in line]
    assert "doctor" in line and "\n" not in line
    assert [t.user_attrs["mlflow_run"] for t in copy_of(store).trials] == [
        t.run_id for t in history_of(store).trials
    ]
    assert there and diagnose(store.root).findings == ()


def test_a_copy_that_the_record_lacks_is_kept(store: Store) -> None:
    """It may be all that is left of a study."""
    optuna.create_study(study_name=f"lost ({ENGINE})", storage=store.optuna_uri)
    optuna.create_study(study_name="somebody's own", storage=store.optuna_uri)
    (finding,) = diagnose(store.root, fix=True).left
    assert (finding.kind, finding.study) == ("copy", "lost")
    names = {s.study_name for s in optuna.get_all_study_summaries(storage=store.optuna_uri)}
    assert {f"lost ({ENGINE})", "somebody's own"} < names


def test_with_several_workers_the_copy_agrees(tmp_path: Path) -> None:
    """Trials are stored there in the order in which they end."""
    from simulated_workers import SimulatedWorkers

    description = describe(trials=8)
    history = run_study(
        SimulatedWorkers(description, workers=3, seed=4), store=tmp_path / "store", progress=Said()
    )
    stored = [t.user_attrs["mlflow_run"] for t in copy_of(history.store).trials]
    assert stored != [t.run_id for t in history.trials], "else this shows nothing"
    assert diagnose(tmp_path / "store").findings == ()
