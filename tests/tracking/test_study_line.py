"""A study's description in MLflow: a line above each of its views."""

from __future__ import annotations

from handmade import ENVIRONMENT, losses, make_spec, record_trial
from scripted import describe
from tracking.runs import StudyRuns

import kerastudy as ks
from search_spaces import SearchSpace
from tracking import tags
from tracking.history import StudyHistory, describe_study, read_study, renew_note
from tracking.store import Store


def study(store: Store, name: str, engine: str, best: float) -> StudyHistory:
    described = describe(
        name=name, engine=engine, space=SearchSpace(ks.Float("rate", 0.0, 1.0)), notes="Why."
    )
    runs = StudyRuns.create(store, described, ENVIRONMENT)
    record_trial(runs, make_spec(0, values={"rate": 0.5}), losses(0.9, best, 0.8))
    store.client.log_metric(runs.parent_run_id, "study/best_val_loss", best)
    store.client.set_tag(runs.parent_run_id, tags.STOPPED, "done")
    store.client.set_terminated(runs.parent_run_id)
    history = read_study(store, name, engine)
    renew_note(history)
    return history


def description(history: StudyHistory) -> str:
    experiment = history.store.client.get_experiment(history.experiment_id)
    return str(experiment.tags[tags.NOTE])


def test_it_says_what_to_believe_and_links_to_the_views(shared_store: Store) -> None:
    history = study(shared_store, "손글씨 *1*", "optuna:tpe", 0.5)
    text = description(history)
    assert text.startswith("Reported val_loss 0.5. What to expect is unknown")
    page = f"(#/experiments/{history.experiment_id}/runs"
    assert f" [summary]{page}/{history.parent_run_id}?" in text
    assert text.count(f"{page}?workflowType=machine_learning&viewStateShareKey=kerastudy-") == 3


def test_the_engine_with_the_best_value_comes_first(shared_store: Store) -> None:
    for engine, best in (("optuna:random", 0.4), ("optuna:tpe", 0.5)):
        history = study(shared_store, "by two engines", engine, best)
    first, second = description(history).split("\n\n")
    assert first.startswith("Reported val_loss 0.4") and " (optuna:random) [summary]" in first
    assert second.startswith("Reported val_loss 0.5") and " (optuna:tpe) [summary]" in second


def test_while_it_runs_it_says_so(shared_store: Store) -> None:
    history = study(shared_store, "it runs", "optuna:tpe", 0.5)
    shared_store.client.update_run(history.parent_run_id, status="RUNNING")
    with shared_store.lock_study("it runs", history.experiment_id):
        describe_study(shared_store, history.experiment_id)
    assert description(history).startswith("It is running: its best trial so far")
    assert "Reported" not in description(history)
    describe_study(shared_store, history.experiment_id)
    assert description(history).startswith("It was killed; launch it again to resume it")


def test_a_long_verdict_leaves_room_for_the_links(shared_store: Store) -> None:
    history = study(shared_store, "confirmed", "optuna:tpe", 0.5)
    flaw = "All 9 test samples are training samples too. "
    verdict = "Reported 0.5. Trial 7 was best. Expect 0.6 (0.5 to 0.7). Better than the default."
    client = shared_store.client
    client.set_tag(history.parent_run_id, tags.NOTE, f"**Best.**\n\n{flaw}{verdict}\n\nlinks")
    describe_study(shared_store, history.experiment_id)
    said = "Reported val_loss 0.5. Trial 7 was best. Expect 0.6 (0.5 to 0.7). [summary]"
    assert description(history).startswith(flaw + said)


def test_what_a_person_wrote_stays(shared_store: Store) -> None:
    history = study(shared_store, "by hand", "optuna:tpe", 0.5)
    shared_store.client.set_experiment_tag(history.experiment_id, tags.NOTE, "Mine.")
    renew_note(history)
    assert description(history) == "Mine."
