"""Confirms a study's choice: the race under new seeds, and one reading of the sealed test part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from search_spaces.errors import StatisticsError, StudyError
from studies.champion.checkpoints import opened
from studies.champion.evaluation import Reading
from studies.confirming.executors import AnyExecutor, opened_executor
from studies.confirming.in_worker import Part, PartScores, scores_in_worker
from studies.confirming.outcome import TestReading, make_outcome, on_test_part, raced
from studies.confirming.plan import (
    DEFAULTS,
    ConfirmOptions,
    Plan,
    Training,
    make_plan,
    model_differs,
)
from studies.confirming.trainings import Trainings
from studies.definition.settings import check_count
from studies.definition.study_definition import StudyDefinition
from studies.executors import ExecutorName
from studies.interruption import raising_interrupts
from studies.progress import NoProgress, Progress, showing
from tracking.history.confirmations import confirmation_of, read_trainings, runs_of
from tracking.history.evaluations import evaluations_on, read_evaluations, record_evaluation
from tracking.history.study_history import StudyHistory, read_study
from tracking.history.verdicts import study_verdict
from tracking.records.confirmations import Confirmation
from tracking.records.evaluations import Evaluation, Measured
from tracking.registry.verdicts import renew_verdict
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.scores.sample_scores import SampleScores
from tracking.scores.score_files import ScoresError, read_scores, write_scores
from tracking.statistics.race import survivors
from tracking.store.atomic import remove_pieces


def confirm(
    study: str | StudyDefinition,
    *,
    top: int = 8,
    seeds: int = 5,
    budget: int = 16,
    test: bool = True,
    store: str | Path | None = None,
    engine: str | None = None,
    executor: ExecutorName | None = None,
    workers: int | None = None,
    trust: bool = False,
    progress: bool = True,
) -> Confirmation:
    """Checks a study's choice: how much of its best value to believe, and whether tuning paid.

    The best trials race under new seeds. Then, if the data has a sealed test part, the winner and
    the space's declared defaults are trained under further seeds, and the test part is read, once.
    Everything is recorded below the study. Call it again to resume: no training runs twice.

    Args:
        study: The study's name; or the study itself, for one of a notebook.
        top: The best trials that race, at least 2.
        seeds: Fresh seeds for the test part, at least 5.
        budget: Trainings of the race.
        test: Whether to read the test part.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: The engine whose trials race, if the study was launched with several; None for that
            of the best trial.
        executor: ``"in-process"``, or ``"worker"`` for processes of their own. Default: the former
            for a study of this process, unless ``workers`` is given; the latter for a name.
        workers: Trainings to run at once, each in a worker process; None: as many as suit the
            machine and the study.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress on standard error.

    Returns:
        The outcome, as it is recorded.

    Raises:
        StudyError: If there are too few trials to choose among, the budget is too small, or the
            study can't be loaded.
        TrackingError: If the store has no such study, or another process holds it.
        KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it; call it again to resume.
    """
    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=test)
    where = where_trainings_run(
        executor, workers, "worker" if isinstance(study, str) else "in-process"
    )
    history, definition, _ = opened(study, store, engine, trust)
    with raising_interrupts(), showing(progress) as shown:
        return confirm_study(
            history,
            options,
            study=definition,
            in_process=where == "in-process",
            workers=workers,
            progress=shown,
        )


def confirm_study(
    history: StudyHistory,
    options: ConfirmOptions,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    in_process: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Confirmation:
    """Confirms a study's choice under one engine; see `confirm`.

    Args:
        history: The study.
        options: How.
        study: The study of this process, instead of the recorded code.
        data: An npz file with the data, if it has moved.
        in_process: Whether trainings run in this process.
        workers: How many worker processes run trainings, if not.
        progress: Shows progress.
    """
    progress = progress or NoProgress()
    make_plan(history, options)
    with history.store.lock_study(history.description.name, history.experiment_id):
        # As no process changes it any more.
        history = read_study(history.store, history.description.name, history.description.engine)
        plan = make_plan(history, options)
        unfinished, ended = confirmation_of(history, plan.to_json())
        if ended is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(ended.time / 1000))
            progress.say(f"confirmed on {when}, and nothing has changed since: nothing is trained")
            return ended
        with opened_executor(
            history,
            plan.reported,
            study=study,
            data=data,
            in_process=in_process,
            workers=workers,
            trainings=plan.trainings,
            progress=progress,
        ) as executor:
            return _Confirming(plan, executor, progress).run(unfinished)


@dataclass
class _Confirming:
    """A confirmation that is carried out."""

    plan: Plan
    executor: AnyExecutor
    progress: Progress

    def run(self, unfinished: str) -> Confirmation:
        """Carries it out, or resumes the run of an unfinished one."""
        plan, history = self.plan, self.plan.history
        self.runs: ConfirmationRuns = runs_of(history)
        recorded = read_trainings(history)
        folder = history.files.folder / "confirming"
        self.done = Trainings(
            self.executor,
            self.runs,
            recorded,
            folder,
            history.description,
            self.progress,
            "plain" if model_differs(history) else None,
        )
        self.runs.begin(plan.to_json(), unfinished)
        ended = False
        try:
            remove_pieces(folder)
            self.progress.begin_trainings(
                self._title(), history.description.objective, 0, plan.trainings
            )
            found = self._found()
            self.runs.finish(found)
            ended = True
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{self.done.count} of {plan.trainings} trainings are recorded; confirm again to "
                "resume"
            ) from None
        finally:
            if not ended:
                with suppress(Exception):
                    self.runs.stop()
        self.done.clear()
        with suppress(Exception):
            renew_verdict(history)
        return found

    def _title(self) -> str:
        plan, name = self.plan, self.plan.history.description.name
        race = sum(each.trainings for each in plan.rounds)
        tested = f", {2 * len(plan.test_seeds)} for the test part" if plan.tests else ""
        return f"confirming {name}: {race} trainings of a race of {len(plan.racers)} trials{tested}"

    def _found(self) -> Confirmation:
        plan, notes = self.plan, []
        verdict = study_verdict(plan.history)
        if verdict.unknown:
            why = verdict.unknown
            notes.append(f"The best value can't be corrected for the choice: {why}.")
        ranking = self._race()
        scores = self._scores_of_race(ranking)
        reading = None
        if plan.tests:
            reading = self._read_test_part(ranking[0])
        else:
            notes.append(_why_not_tested(plan))
        return make_outcome(
            plan,
            self.done,
            ranking,
            run_id=self.runs.run_id,
            corrected=verdict.corrected,
            scores=scores,
            reading=reading,
            notes=notes,
        )

    def _race(self) -> list[int]:
        """Runs the race; returns the racers' numbers, best first."""
        plan, done = self.plan, self.done
        direction = plan.history.description.objective.direction
        staying, seeds = [each.number for each in plan.racers], 0
        out: list[int] = []
        for planned in plan.rounds:
            staying, left = staying[: planned.racers], staying[planned.racers :]
            out = [*left, *out]
            done.run([t for n in staying for t in plan.race_trainings(n, seeds, planned.seeds)])
            seeds += planned.seeds
            values = {
                n: [done.value(each) for each in plan.race_trainings(n, 0, seeds)] for n in staying
            }
            staying = list(survivors(values, len(staying), direction))
        best = done.value(plan.race_trainings(staying[0], 0, 1)[0])
        if best is None:
            raise StudyError(
                f"All trainings of the race of {plan.history.description.name!r} are infeasible: "
                f"{done.result(plan.race_trainings(staying[0], 0, 1)[0]).reason}."
            )
        return [*staying, *out]

    def _scores_of_race(self, ranking: Sequence[int]) -> dict[str, SampleScores]:
        """Returns the scores of validation samples of the race's trainings, by identity."""
        found = {}
        for number in ranking:
            for training in raced(self.plan, self.done, number):
                scores = self._validation_scores(training)
                if scores is not None:
                    found[training.identity] = scores
        return found

    def _validation_scores(self, training: Training) -> SampleScores | None:
        if self.done.value(training) is None:
            return None
        path = self.done.scores(training)
        try:
            return read_scores(path)[0]
        except ScoresError:
            scores = self._ask(training, "validation").scores
            write_scores(path, [scores])
            return scores

    def _ask(self, training: Training, part: Part) -> PartScores:
        best = self.done.result(training).best
        assert best is not None, "it has a value"
        found: PartScores = self.executor.ask(
            scores_in_worker,
            training.spec,
            self.done.checkpoint(training),
            self.plan.history.description.space,
            part,
            best.epoch,
        )
        return found

    def _read_test_part(self, winner: int) -> TestReading:
        """Trains the winner and the defaults under the fresh seeds; reads the test part."""
        plan, done, history = self.plan, self.done, self.plan.history
        same = plan.default_racer
        who = [winner] if same is not None and same.number == winner else [winner, DEFAULTS]
        done.run([training for each in who for training in plan.test_trainings(each)])
        feasible = {
            each: [t for t in plan.test_trainings(each) if done.value(t) is not None]
            for each in who
        }
        if not feasible[winner]:
            raise StudyError(
                f"Trial {winner} won the race, but all its trainings under fresh seeds are "
                f"infeasible: {done.result(plan.test_trainings(winner)[0]).reason}."
            )
        self.progress.wait("reading the test part")
        found = {
            each: {training.place: self._ask(training, "test") for training in trainings}
            for each, trainings in feasible.items()
        }
        first = next(iter(found[winner].values()))
        others = [each for scores in found.values() for each in scores.values()]
        note = ""
        if any(each.targets != first.targets for each in others):
            note = (
                "The defaults have other test samples than the winner, as the data depends on "
                "hyperparameters: there is no gain to measure."
            )
        mine = [e for e in read_evaluations(history) if e.confirmation == self.runs.run_id]
        before = mine[0].time if mine else time.time_ns() // 1_000_000
        earlier = [
            each
            for each in evaluations_on(history.store, first.digest)
            if each.time <= before and each.confirmation != self.runs.run_id
        ]
        scores = {n: {p: each.scores for p, each in of.items()} for n, of in found.items()}
        reading = TestReading(
            scores[winner], scores.get(DEFAULTS, {}), first.digest, len(earlier) + 1, note
        )
        evaluation = self._evaluation(winner, reading, before)
        if not mine:
            # Before anyone sees it.
            record_evaluation(history, evaluation)
        for number, of in scores.items():
            name = "defaults" if number == DEFAULTS else f"trial-{number:05}"
            for place, each in of.items():
                path = self.runs.artifacts / "test" / f"{name}.seed-{place}.scores.safetensors"
                write_scores(path, [each])
        warning = Reading(evaluation, earlier).warning
        if warning:
            self.progress.say(f"warning: {warning}")
        return reading

    def _evaluation(self, winner: int, reading: TestReading, now: int) -> Evaluation:
        plan, history = self.plan, self.plan.history
        metric, trial = history.description.objective.metric, plan.racer(winner)
        assert trial.best is not None, "it races"
        trained = [self.done.value(each) for each in plan.test_trainings(winner)]
        values = [each for each in trained if each is not None]
        on_test = [each.value for each in reading.winner.values()]
        measured = Measured(
            sum(on_test) / len(on_test), validation=sum(values) / max(len(values), 1)
        )
        with suppress(StatisticsError):
            interval = on_test_part(plan, reading)[0]
            if reading.readings == 1:
                measured = replace(measured, low=interval.low, high=interval.high)
        return Evaluation(
            study=history.description.name,
            engine=history.description.engine,
            run_id=trial.run_id,
            trial=winner,
            epoch=trial.best.epoch,
            samples=len(next(iter(reading.winner.values()))),
            digest=reading.digest,
            metrics={metric.removeprefix("val_"): measured},
            note=f"trained again under {len(on_test)} new seeds, by kerastudy confirm",
            time=now,
            confirmation=self.runs.run_id,
        )


def _why_not_tested(plan: Plan) -> str:
    if not plan.options.test and "test" in plan.history.description.data.digests:
        return "The test part was not read, as asked: the trainings alone are no proof."
    return (
        "The data has no test part. New seeds on the same validation samples show the chance in "
        "training alone: the choice was made on these samples, so an interval from them is too "
        "narrow."
    )


def where_trainings_run(
    executor: ExecutorName | None, workers: int | None, otherwise: ExecutorName
) -> ExecutorName:
    """Returns where trainings run."""
    if executor not in (None, *get_args(ExecutorName)):
        raise StudyError(f"executor must be 'in-process' or 'worker'. Received: {executor!r}.")
    if workers is None:
        return executor or otherwise
    check_count("workers", workers)
    if executor == "in-process":
        raise StudyError(
            "The executor 'in-process' runs one training at a time, in this process, so it takes "
            f"no number of workers. Received: {workers!r}. Leave one of the two out."
        )
    return "worker"
