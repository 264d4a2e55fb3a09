"""The driver: what is recorded, in what order, and how a study goes on after anything."""

import contextlib
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from doctored import Said, outcome
from in_mlflow import InMlflow
from scripted import SPACE, ScriptedExecutor, describe, loss, run_study
from simulated_workers import SimulatedWorkers
from stores import history_at
from study_record import attempts, differences, read_record
from suite import exhaustive_but

import kerastudy as ks
from search_spaces import EngineError, StoreError, StudyError
from studies.commands import study_text
from studies.engines import OptunaEngine
from studies.launching import driver_and_running_trials as driver
from tracking.history import StudyHistory
from tracking.mlflow import Pages, study_note
from tracking.records import CodeDescription, TrialSpec
from tracking.store import locked_study


def launch(folder: Path, executor: ScriptedExecutor | None = None, **settings: Any) -> StudyHistory:
    executor = executor or ScriptedExecutor(describe(**settings))
    return run_study(executor, store=folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    return launch(tmp_path_factory.mktemp("undisturbed") / "store", pruner="median", trials=14)


def test_keeps_the_checkpoints_of_the_best_and_writes_none_that_can_not_stay(
    undisturbed: StudyHistory,
) -> None:
    with_checkpoint = {t.number for t in undisturbed.trials if undisturbed.checkpoint(t)}
    assert with_checkpoint == {t.number for t in undisturbed.top(3)}
    with_digest = {t.number for t in undisturbed.trials if t.result and t.result.checkpoint_sha256}
    values = [(t.best.value, t.best.epoch, t.number) for t in undisturbed.trials if t.best]
    assert with_digest == {
        n for n, value in enumerate(values) if value in sorted(values[: n + 1])[:3]
    }
    assert 3 < len(with_digest) < 14


def test_the_budget_is_a_total(tmp_path: Path, undisturbed: StudyHistory) -> None:
    executor = ScriptedExecutor(describe(pruner="median", trials=6))
    launch(tmp_path, executor)
    more = ScriptedExecutor(describe(pruner="median", trials=14))
    history = launch(tmp_path, more)
    assert [number for number, _ in more.ran] == list(range(6, 14))
    assert outcome(history) == outcome(undisturbed) and undisturbed.counts()["pruned"] > 0
    again = ScriptedExecutor(describe(pruner="median", trials=14))
    launch(tmp_path, again)
    assert again.ran == []


@pytest.mark.parametrize("call", exhaustive_but(["report"], ["ask", "report", "tell"]))
def test_an_engine_that_raises_ends_a_study_that_goes_on(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is clear. Ended trials are kept, and a trial that was cut begins again."""

    method, calls = getattr(OptunaEngine, call), itertools.count()

    def raise_later(*arguments: Any) -> Any:
        if next(calls) >= 4:
            raise ZeroDivisionError("float division by zero")
        return method(*arguments)

    description = describe(pruner="median", trials=9)

    def launch() -> StudyHistory:
        return run_study(SimulatedWorkers(description, workers=3), store=tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(OptunaEngine, call, raise_later)
        text = "raised ZeroDivisionError: float division by zero .*so far are recorded.*--name.*--"
        with pytest.raises(EngineError, match=text):
            launch()
    stopped = history_at(tmp_path, "scripted")
    assert "running" not in attempts(tmp_path, "scripted")
    assert stopped.status == "FAILED"
    history = launch()
    assert history.counts()["complete"] + history.counts()["pruned"] == 9
    for before in stopped.trials:
        now = history.trial(before.number)
        assert now.spec.attempt == 1 + (before.state == "interrupted")
        if before.state != "interrupted":
            assert (now.uuid, now.best) == (before.uuid, before.best)


def interrupting(number: int, attempt: int = 1) -> Callable[[TrialSpec], None]:
    """Presses Ctrl-C before an attempt at a trial."""

    def before(spec: TrialSpec) -> None:
        if (spec.number, spec.attempt) == (number, attempt):
            os.kill(os.getpid(), signal.SIGINT)

    return before


@pytest.mark.parametrize("at", [0, 13])
def test_ctrl_c_leaves_a_study_that_goes_on_as_if_nothing_happened(
    tmp_path: Path, undisturbed: StudyHistory, at: int
) -> None:
    description = describe(pruner="median", trials=14)
    executor = ScriptedExecutor(description, interrupting(at))
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, executor)
    assert executor.closed
    assert history_at(tmp_path, "scripted").status == "KILLED"
    assert "running" not in attempts(tmp_path, "scripted")
    executor = ScriptedExecutor(description)
    assert outcome(launch(tmp_path, executor)) == outcome(undisturbed)
    assert executor.ran[0] == (at, 2), "the trial that was cut runs again, as attempt 2"


@pytest.mark.parametrize("times", [2, 3])
def test_a_trial_that_kills_three_workers_is_infeasible(tmp_path: Path, times: int) -> None:
    executor = ScriptedExecutor(describe(trials=4), lost=[1] * times)
    history = launch(tmp_path, executor)
    assert executor.ran == [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]
    assert history.counts()["complete"] == (4 if times == 2 else 3)
    assert "running" not in attempts(tmp_path, "scripted")
    trial = history.trial(1)
    if times == 3:
        assert trial.state == "infeasible"
        assert "3 attempts" in trial.result.reason and "signal 9" in trial.result.reason


@pytest.mark.parametrize("times", [1, 2])
def test_a_trial_that_runs_out_of_memory_is_tried_once_more_alone(
    tmp_path: Path, times: int
) -> None:
    executor = ScriptedExecutor(describe(trials=8), out_of_memory=[1] * times, workers=3)
    history = launch(tmp_path, executor)
    assert [pair for pair in executor.ran if pair[0] == 1] == [(1, 1), (1, 2)]
    assert executor.together[0] == {0, 1, 2}
    assert [numbers for numbers in executor.together[1:] if 1 in numbers] == [{1}]
    assert history.counts()["complete"] == (8 if times == 1 else 7)
    trial = history.trial(1)
    if times == 2:
        reason = "the worker process ran out of memory, with no other trial running"
        assert (trial.state, trial.result.reason) == ("infeasible", reason)


def test_a_study_whose_first_trials_fail_alike_stops_and_trains_them_again_when_mended(
    tmp_path: Path,
) -> None:
    mended = CodeDescription("", "", "", "mended")
    broken = ScriptedExecutor(describe(trials=6), raises={0, 1, 2, 3, 4, 5})
    message = "first 3 trials of 'scripted' failed alike: NameError: modl .mine.py, line 3"
    with pytest.raises(StudyError, match=message):
        launch(tmp_path, broken)
    assert broken.ran == [(0, 1), (1, 1), (2, 1)]
    stopped = history_at(tmp_path, "scripted")
    assert (stopped.ended_by, stopped.stopped) == ("error", "its first trials failed alike")
    assert "infeasible 3 trials: the builder raised NameError: modl" in study_text(stopped)

    executor = ScriptedExecutor(describe(trials=6, code=mended))
    history = run_study(executor, store=tmp_path, retry_infeasible=True)
    assert executor.ran == [(0, 2), (1, 2), (2, 2), (3, 1), (4, 1), (5, 1)]
    assert history.counts()["complete"] == 6
    assert attempts(tmp_path, "scripted") == ["infeasible"] * 3 + ["complete"] * 6
    for before, now in zip(stopped.trials, history.trials, strict=False):
        assert dict(before.spec.values) == dict(now.spec.values)
        assert before.uuid != now.uuid

    executor = ScriptedExecutor(describe(trials=8, code=mended))
    run_study(executor, store=tmp_path, retry_infeasible=True)
    assert executor.ran == [(6, 1), (7, 1)], "none is infeasible any more"


def test_a_study_of_which_some_trials_fail_goes_on(tmp_path: Path) -> None:
    executor = ScriptedExecutor(describe(trials=6), raises={0, 1, 3, 4, 5})
    assert launch(tmp_path, executor).counts()["infeasible"] == 5
    again = ScriptedExecutor(describe(trials=9), raises={6, 7, 8})
    assert launch(tmp_path, again).counts()["infeasible"] == 8, "a trial has a value"


def test_epochs_and_batch_size_in_the_space_are_the_trials_own(tmp_path: Path) -> None:
    space = ks.SearchSpace(
        ks.Float("rate", 0.01, 0.03), ks.Fixed("units", 8), ks.epochs(2, 7), ks.batch_size([8, 64])
    )
    history = launch(tmp_path, space=space, trials=5)
    for trial in history.trials:
        assert trial.spec.epochs == trial.spec.values["epochs"]
        assert trial.spec.batch_size == trial.spec.values["batch_size"]
        assert trial.result.epochs == trial.spec.epochs


def test_another_class_of_hardware_is_warned_of(tmp_path: Path) -> None:
    ours = "vendor_id A cpu family 6 model 85 avx512"
    other = "vendor_id B cpu family 25 model 1 avx2"

    def launch_on(hardware: str, trials: int, kinds: list[str]) -> None:
        executor = ScriptedExecutor(describe(hardware=hardware, trials=trials))
        progress = Said()
        history = run_study(executor, store=tmp_path, progress=progress)
        assert [trial.spec.hardware for trial in history.trials] == kinds
        words = f"other hardware ({other if hardware == ours else ours})"
        warned = any(words in line for line in progress.lines)
        assert warned == (len(set(kinds)) > 1)
        for text in (study_text(history), study_note(history, Pages("1", "parent"))):
            assert ("bits may differ between trials" in text) == (len(set(kinds)) > 1)

    launch_on(ours, 2, [ours] * 2)
    launch_on(ours, 3, [ours] * 3)
    launch_on(other, 4, [*[ours] * 3, other])
    launch_on(ours, 5, [*[ours] * 3, other, ours])


def test_workers_that_a_trial_has_cost_are_counted_over_all_launches(tmp_path: Path) -> None:
    for attempt in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            executor = ScriptedExecutor(describe(trials=3), interrupting(1, attempt), lost=[1])
            launch(tmp_path, executor)
    history = launch(tmp_path, ScriptedExecutor(describe(trials=3), lost=[1]))
    trial = history.trial(1)
    assert trial.state == "infeasible" and "3 attempts" in trial.result.reason


def test_a_study_that_runs_already_is_refused(tmp_path: Path) -> None:
    """`test_store` judges that it is refused to another process too."""
    first = launch(tmp_path, trials=1)
    refusal = pytest.raises(StoreError, match=f"process {os.getpid()}")
    with locked_study(first.folder, "scripted"), refusal:
        launch(tmp_path)
    assert len(launch(tmp_path, trials=2).trials) == 2


# When a study ends, and when a trial is cut


@pytest.fixture
def simulate(folder: Path, request: pytest.FixtureRequest) -> Any:
    def launch_named(executor: dict[str, Any] | None = None, **settings: Any) -> StudyHistory:
        description = describe(**{"name": request.node.name, "trials": 12, **settings})
        simulated = SimulatedWorkers(description, **(executor or {}))
        return run_study(simulated, store=folder, workers=2)

    return launch_named


def test_a_target_ends_a_study_which_another_one_resumes(simulate: Any) -> None:
    history = simulate(stop_at=0.9, trials=30)
    assert history.ended_by == "stop_at"
    assert history.best.best.value <= 0.9
    assert f"in trial {history.best.number}" in history.stopped
    assert history.counts()["interrupted"] == 0
    # Running trials end, and no more trials begin.
    assert history.trials[-1].number <= history.best.number + 2 < 29
    again = simulate(stop_at=0.9, trials=30)
    assert (len(again.trials), again.ended_by) == (len(history.trials), "stop_at")
    other = simulate(stop_at=0.0, trials=30)
    assert (len(other.trials), other.ended_by) == (30, "trials")


def test_patience_ends_a_study_even_without_any_value(simulate: Any) -> None:
    history = simulate(patience=5, trials=200)
    assert history.ended_by == "patience"
    later = [t for t in history.trials if t.number > history.best.number]
    assert 5 <= len(later) <= 6
    assert f"nothing better than trial {history.best.number}" in history.stopped
    failing = {"infeasible": lambda spec: True}
    history = simulate(failing, name="without a value", patience=4, trials=200)
    assert history.ended_by == "patience" and "no value" in history.stopped


def test_running_trials_are_finished_when_the_time_is_up(
    simulate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    # Each epoch takes time.
    clock = SimpleNamespace(monotonic=lambda: 0.06 * len(begun))
    monkeypatch.setattr("studies.launching.proposals_and_stopping.time", clock)
    before = {"before_epoch": lambda spec, epoch: begun.append(epoch)}
    history = simulate(before, timeout=0.5, trials=500)
    assert (history.ended_by, history.status) == ("timeout", "FINISHED")
    assert 0 < history.counts()["complete"] == len(history.trials) < 500


def test_a_trial_that_takes_too_long_is_cut_with_its_best_epoch(simulate: Any) -> None:
    history = simulate(trial_timeout=5.0, trials=3, epochs=1000)
    trial = history.trial(1)
    assert trial.state == "pruned"
    assert trial.result.reason == "its time of 5 s was up"
    assert trial.best.value == min(loss(trial.spec, e) for e in range(1, trial.result.epochs + 1))
    assert history.checkpoint(trial) is not None or trial not in history.top(3)


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (KeyboardInterrupt(), ("interrupt", "KILLED", "interrupted; launch again to resume")),
        (StudyError("made up"), ("error", "FAILED", "an error")),
    ],
)
def test_an_error_ends_a_launch(
    simulate: Any, folder: Path, request: pytest.FixtureRequest, error: BaseException, ended: Any
) -> None:
    def before_epoch(spec: TrialSpec, epoch: int) -> None:
        if (spec.number, epoch) == (3, 2):
            raise error

    with pytest.raises(type(error)):
        simulate({"before_epoch": before_epoch})
    history = history_at(folder, request.node.name)
    assert (history.ended_by, history.status, history.stopped) == ended
    assert history.counts()["running"] == 0
    history = simulate()
    assert (history.ended_by, history.stopped) == ("trials", "all 12 trials are done")


# Hyperparameters that tracing misses, and trials that Hyperband promotes


def test_what_tracing_misses_stays_at_its_default(folder: Path) -> None:
    late = {number: {"late": 0.25} for number in (1, 2, 4)}
    executor = ScriptedExecutor(describe(name="late", trials=5), defaulted=late)
    progress = Said()
    for cut in (3, 9):
        with contextlib.suppress(KeyboardInterrupt):
            run_study(replace(executor, before=interrupting(cut)), store=folder, progress=progress)
    history = history_at(folder, "late")
    assert history.description.space == SPACE
    assert all("late" not in trial.spec.values for trial in history.trials)
    run = InMlflow(history).run(history.trial(1).uuid)
    assert run.data.params["late"] == "0.25", "it is recorded all the same"
    (line,) = [text for text in progress.lines if "declared" in text]
    assert "trial 1 declared 'late', which tracing had not found" in line
    assert "declare it in the study's space" in line


HYPERBAND: Any = {"engine": "keras-tuner:hyperband", "epochs": 9, "trials": 17}


def test_a_promoted_trial_trains_from_its_start(folder: Path) -> None:
    history = launch(folder, ScriptedExecutor(describe(**HYPERBAND)))
    promoted = 0
    for trial in history.trials:
        assert list(history.curve(trial)) == list(range(1, trial.spec.epochs + 1))
        if past := trial.engine_state.get("tuner/trial_id"):
            promoted += 1
            before = history.trial(int(json.loads(past)))
            assert trial.spec.values == before.spec.values
            assert trial.spec.epochs > before.spec.epochs
    assert promoted >= 4
    assert len({trial.spec.seed for trial in history.trials}) == 17
    assert not list(history.files.folder.glob("*.state.safetensors"))
    executor = ScriptedExecutor(describe(name="cut", **HYPERBAND))
    with pytest.raises(KeyboardInterrupt):
        launch(folder, replace(executor, before=interrupting(12)))
    assert outcome(launch(folder, executor)) == outcome(history)


def test_an_engine_that_waits_for_running_trials_does_not_end_the_study(tmp_path: Path) -> None:
    """Once a space is exhausted, Hyperband promotes its trials when they have ended."""
    space = ks.SearchSpace(ks.Float("rate", 0.01, 0.02, step=0.01), ks.Int("units", 4, 6))
    executor = SimulatedWorkers(describe(**HYPERBAND, space=space), 6)
    history = run_study(executor, store=tmp_path)
    assert (history.ended_by, len(history.trials)) == ("space", 10)
    assert sum("tuner/trial_id" in trial.engine_state for trial in history.trials) == 4


# The work for a trial, and its record


def test_the_work_for_a_trial_does_not_grow_with_the_workers(tmp_path: Path) -> None:
    """The test counts calls of the driver's functions, as a busy machine takes more time."""
    counts, room = {}, str(Path(driver.__file__).parent)
    for workers in (2, 48):
        called = Counter[str]()

        def count(frame: FrameType, event: str, _: object, called: Counter[str] = called) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(room):
                called[frame.f_code.co_qualname] += 1

        description = describe(name=f"by {workers}", trials=48, epochs=2, engine="optuna:random")
        cluster = SimulatedWorkers(description, workers)
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            run_study(cluster, store=tmp_path, report=False)
        finally:
            sys.setprofile(before)
        counts[workers] = called
    more = counts[48] - counts[2]
    assert counts[48].total() < 1.2 * counts[2].total(), more.most_common(5)


def test_the_same_values_leave_the_same_record_whichever_engine_proposed_them(
    tmp_path: Path,
) -> None:
    initial = (
        {"rate": 0.01, "units": 32, "kind": "a"},
        {"rate": 0.05, "units": 8, "kind": "b", "momentum": 0.5},
        {"rate": 0.0002, "units": 64, "kind": "b", "momentum": 0.0},
    )
    records = []
    for engine in ("optuna:tpe", "keras-tuner:bayesian"):
        launch(tmp_path / engine, engine=engine, trials=3, initial=initial)
        records.append(read_record(tmp_path / engine, "scripted"))
    one, other = records
    assert len(one["trials"]) == 3
    for part in ("study", "trials", "files"):
        different = differences(one[part], other[part])
        assert not [difference for difference in different if "/engine_state" not in difference]
