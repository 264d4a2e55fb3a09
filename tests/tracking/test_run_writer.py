"""Runs written straight into MLflow's tables are those that MLflow's client would write."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from handmade import ENVIRONMENT, losses, make_spec, record_trial
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from scripted import describe

from tracking.history import read_study
from tracking.records import DataDescription, Proposal
from tracking.runs import (
    ClientWriter,
    RunWriter,
    StudyRuns,
    TableWriter,
    dataset_inputs,
    make_writer,
)
from tracking.store import Store

Writes = Callable[[RunWriter, str], None]
LONG = "한" * 7000


def metrics(*rows: tuple[str, float, int, int]) -> list[Metric]:
    return [Metric(key, value, 1_700_000_000_000 + at, step) for key, value, at, step in rows]


def nothing(writer: RunWriter, run_id: str) -> None:
    pass


def a_trial(writer: RunWriter, run_id: str) -> None:
    writer.log(run_id, metrics(("loss", 0.5, 1, 1), ("val_loss", 1.0, 1, 1), ("loss", 0.25, 2, 2)))
    writer.log(
        run_id,
        metrics(("loss", 1e-300, 9, 3), ("val_loss", 2, 9, 3), ("best_val_loss", 1.0, 9, 0)),
        [Param("joined", "0.5")],
        [RunTag("kerastudy.state", "complete"), RunTag("mlflow.runName", "#1 · loss 0.25")],
        "FINISHED",
    )


def out_of_order(writer: RunWriter, run_id: str) -> None:
    """The latest is that of the highest step, then time, then value; what is equal stays once."""
    writer.log(run_id, metrics(("a", 1.0, 5, 3), ("a", 2.0, 5, 3), ("a", 9.0, 9, 1)))
    writer.log(run_id, metrics(("a", 7.0, 9, 2), ("a", 1.0, 5, 3), ("b", 0.0, 1, 1)))
    writer.log(run_id, metrics(("a", 0.5, 6, 3), ("b", -1.0, 1, 1)), status="KILLED")


def long_texts(writer: RunWriter, run_id: str) -> None:
    params = [Param("long param", LONG)]
    writer.log(run_id, (), params, [RunTag("long tag", LONG + LONG)], "FAILED")


def not_finite(writer: RunWriter, run_id: str) -> None:
    writer.log(run_id, metrics(("a", math.nan, 1, 1), ("b", math.inf, 1, 1), ("c", 1.0, 1, 1)))


def tags_anew(writer: RunWriter, run_id: str) -> None:
    writer.log(run_id, tags=[RunTag("kind", "other"), RunTag("new", "1"), RunTag("new", "2")])


def many(writer: RunWriter, run_id: str) -> None:
    rows = [(f"m {i}", i / 7, step, step) for step in range(50) for i in range(50)]
    params = [Param(f"p {i}", str(i)) for i in range(250)]
    writer.log(run_id, metrics(*rows), params, [RunTag("last", "yes")], "FINISHED")


def interrupted(writer: RunWriter, run_id: str) -> None:
    class Interrupting(RunTag):
        @property
        def value(self) -> str:
            raise KeyboardInterrupt

    writer.log(run_id, metrics(("a", 1.0, 1, 1)), (), [Interrupting("k", "v")], "FINISHED")


@pytest.mark.parametrize(
    "writes", [nothing, a_trial, out_of_order, long_texts, not_finite, tags_anew, many]
)
def test_what_is_written_is_the_same(shared_store: Store, writes: Writes) -> None:
    description = describe(name=f"the same: {writes.__name__}")
    runs = StudyRuns.create(shared_store, description, ENVIRONMENT)
    by_client = ClientWriter(shared_store.client, runs.experiment_id)
    into_tables = make_writer(shared_store, runs.experiment_id)
    assert isinstance(into_tables, TableWriter)
    found = []
    before = time.time_ns() // 1_000_000
    for writer in (by_client, into_tables):
        run_id = writer.begin(
            "trial 꽃",
            {"mlflow.user": "꽃", "mlflow.parentRunId": runs.parent_run_id, "long": LONG + LONG},
            [Param("rate", "0.1"), Param("text", LONG)],
            dataset_inputs(description),
        )
        writes(writer, run_id)
        found.append({**contents(shared_store, run_id, before), **rows(shared_store, run_id)})
    for part, wanted in found[0].items():
        assert found[1][part] == wanted, part


def contents(store: Store, run_id: str, before: int) -> dict[str, Any]:
    """A run as MLflow's client reads it, without what differs from run to run."""
    run = store.client.get_run(run_id)
    info = dict(run.info)
    now = time.time_ns() // 1_000_000
    assert before <= info.pop("start_time") <= now
    end = info.pop("end_time")
    assert end is None or before <= end <= now
    for name in ("run_id", "artifact_uri"):
        info[name] = info[name].replace(run_id, "ID")
    return {
        "info": info,
        "ended": end is not None,
        # As texts, as NaN is not equal to itself; sorted, as MLflow keeps no order.
        **{
            part: sorted(map(repr, found.items()))
            for part, found in run.data.to_dictionary().items()
        },
        "read inputs": sorted(map(repr, run.inputs.to_dictionary()["dataset_inputs"])),
        "history": {
            key: [
                repr(dict(m) | {"run_id": 0}) for m in store.client.get_metric_history(run_id, key)
            ]
            for key in run.data.metrics
        },
    }


def rows(store: Store, run_id: str) -> Mapping[str, Any]:
    """All of a run in the database, without what differs from run to run."""
    of_run = ("runs", "tags", "params", "metrics", "latest_metrics")
    queries = {table: f"SELECT * FROM {table} WHERE run_uuid = ?" for table in of_run}
    queries["inputs"] = "SELECT * FROM inputs WHERE destination_id = ?"
    queries["input_tags"] = (
        "SELECT name, value FROM input_tags JOIN inputs USING (input_uuid) WHERE destination_id = ?"
    )
    different = {"start_time", "end_time", "run_uuid", "destination_id", "input_uuid"}
    found: dict[str, Any] = {}
    with contextlib.closing(sqlite3.connect(store.root / "mlflow.db")) as database:
        database.row_factory = sqlite3.Row
        for table, query in queries.items():
            found[f"table {table}"] = sorted(
                repr(
                    {
                        key: str(row[key]).replace(run_id, "ID")
                        for key in row.keys()  # noqa: SIM118 - a Row has no other
                        if key not in different
                    }
                )
                for row in database.execute(query, (run_id,))
            )
    return found


def test_a_data_set_that_the_experiment_does_not_know_yet_is_made_known(
    shared_store: Store,
) -> None:
    runs = StudyRuns.create(shared_store, describe(name="another data set"), ENVIRONMENT)
    digests = {"train": "8" * 64, "validation": "9" * 64}
    other = DataDescription("other", "x", "e" * 64, digests, {}, {})
    writer = make_writer(shared_store, runs.experiment_id)
    for _ in range(2):
        run_id = writer.begin("trial", {}, (), dataset_inputs(describe(data=other)))
        inputs = shared_store.client.get_run(run_id).inputs.dataset_inputs
        assert {each.dataset.digest[0] for each in inputs} == {"8", "9"}


def test_a_write_that_is_interrupted_leaves_nothing(shared_store: Store) -> None:
    runs = StudyRuns.create(shared_store, describe(name="interrupted write"), ENVIRONMENT)
    writer = make_writer(shared_store, runs.experiment_id)
    run_id = writer.begin("trial", {}, (), ())
    with pytest.raises(KeyboardInterrupt):
        interrupted(writer, run_id)
    run = shared_store.client.get_run(run_id)
    assert not run.data.metrics and run.info.status == "RUNNING"
    writer.log(run_id, metrics(("a", 2.0, 1, 1)), status="FINISHED")
    assert shared_store.client.get_run(run_id).data.metrics == {"a": 2.0}


@pytest.mark.parametrize("between", ["nothing", "not finite", "interrupted"])
def test_what_is_written_together_is_there_at_its_end(shared_store: Store, between: str) -> None:
    """What the database does not take is written by MLflow's client, and what is cut is not."""
    runs = StudyRuns.create(shared_store, describe(name=f"together {between}"), ENVIRONMENT)

    def statuses() -> list[str]:
        found = shared_store.client.search_runs([runs.experiment_id])
        return sorted(run.info.status for run in found if run.info.run_id != runs.parent_run_id)

    writer = make_writer(shared_store, runs.experiment_id)
    with contextlib.suppress(KeyboardInterrupt), writer.together():
        first = writer.begin("first", {}, (), ())
        assert statuses() == []
        if between == "not finite":
            not_finite(writer, first)
            assert statuses() == ["RUNNING"]
        second = writer.begin("second", {}, (), ())
        writer.log(first, metrics(("a", 1.0, 1, 1)), status="FINISHED")
        if between == "interrupted":
            interrupted(writer, second)
    assert statuses() == ["FINISHED", "RUNNING"]
    assert shared_store.client.get_run(first).data.metrics["a"] == 1.0
    assert not shared_store.client.get_run(second).data.metrics
    # And what comes then is there at once.
    writer.log(second, metrics(("a", 2.0, 1, 1)), status="KILLED")
    assert statuses() == ["FINISHED", "KILLED"]


def test_an_interrupt_at_any_line_leaves_nothing_half_done(shared_store: Store) -> None:
    """And no lock, when the writer has settled."""
    runs = StudyRuns.create(shared_store, describe(name="any line"), ENVIRONMENT)
    writer = make_writer(shared_store, runs.experiment_id)

    def write() -> None:
        with writer.together():
            for name in ("first", "second"):
                run_id = writer.begin(name, {}, (), ())
                writer.log(run_id, metrics(("a", 1.0, 1, 1), ("b", 2.0, 1, 1)), status="FINISHED")

    write()
    lines = 0
    while interrupted_at(lines, write):
        lines += 1
        writer.settle()
        path = shared_store.root / "mlflow.db"
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as database:
            database.execute("BEGIN IMMEDIATE")
    assert lines > 100
    for run in shared_store.client.search_runs([runs.experiment_id], max_results=5000):
        wanted = {"a": 1.0, "b": 2.0} if run.info.status == "FINISHED" else {}
        assert run.data.metrics == wanted


def interrupted_at(line: int, action: Callable[[], None]) -> bool:
    """Presses Ctrl-C at the nth line that runs in the writer's module; False if there are fewer."""
    left = line

    def on_event(frame: Any, event: str, argument: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith("run_writer.py"):
            return None
        if event == "line":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return on_event

    before = sys.gettrace()
    sys.settrace(on_event)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_runs_that_begin_together_are_told_of_when_they_are_there(shared_store: Store) -> None:
    runs = StudyRuns.create(shared_store, describe(name="told of"), ENVIRONMENT)
    told: list[str] = []

    def on_written(run_id: str) -> None:
        told.append(shared_store.client.get_run(run_id).info.run_id)

    runs.on_written = on_written
    with runs.together():
        begun = [runs.begin_trial(make_spec(n), Proposal(n, {}), ENVIRONMENT) for n in range(3)]
        assert told == []
    assert told == begun


def test_what_was_deleted_in_mlflow_is_not_written_to(shared_store: Store) -> None:
    runs = StudyRuns.create(shared_store, describe(name="deleted meanwhile"), ENVIRONMENT)
    writer = make_writer(shared_store, runs.experiment_id)
    run_id = writer.begin("trial", {}, (), ())
    shared_store.client.delete_run(run_id)
    with pytest.raises(MlflowException, match="active"):
        writer.log(run_id, metrics(("a", 1.0, 1, 1)))
    shared_store.client.delete_experiment(runs.experiment_id)
    with pytest.raises(MlflowException, match="active"):
        writer.begin("trial", {}, (), ())


def test_a_param_that_would_change_is_refused_as_by_mlflow(shared_store: Store) -> None:
    runs = StudyRuns.create(shared_store, describe(name="changed param"), ENVIRONMENT)
    writer = make_writer(shared_store, runs.experiment_id)
    run_id = writer.begin("trial", {}, [Param("rate", "0.1")], ())
    with pytest.raises(MlflowException, match="Changing param values"):
        writer.log(run_id, params=[Param("rate", "1e-1")])


def test_tables_that_are_not_known_are_left_to_mlflow(new_store: Store) -> None:
    with contextlib.closing(sqlite3.connect(new_store.root / "mlflow.db")) as database, database:
        database.execute("ALTER TABLE metrics ADD COLUMN unit VARCHAR(32)")
    runs = StudyRuns.create(new_store, describe(name="newer tables"), ENVIRONMENT)
    assert isinstance(make_writer(new_store, runs.experiment_id), ClientWriter)
    curve = losses(0.5, 0.25)
    record_trial(runs, make_spec(), curve)
    history = read_study(new_store, "newer tables")
    assert history.curve(history.trial(0)) == dict(enumerate(curve, start=1))
