"""Carries a plan out: trains, chooses, reads the test part, records the outcome."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from search_spaces.errors import StudyError
from studies.again.verification import Verifier
from studies.champion.promotion import make_champion, stays_champion
from studies.confirming.executors import AnyExecutor
from studies.confirming.outcome import earlier_readings, make_outcome, read_test_part, warning_of
from studies.confirming.plan import DEFAULTS, Plan, Training, trainer_of
from studies.confirming.trainings import Trainings
from studies.progress import Progress
from tracking.history.confirmations import read_trainings, runs_of
from tracking.history.study_history import StudyHistory, read_study
from tracking.history.verdicts import study_verdict, verdict_by
from tracking.mirror import mirrored
from tracking.records.checks import Confirmation
from tracking.registry.champions import record_verified
from tracking.registry.verdicts import renew_verdict
from tracking.report.write import renew_report
from tracking.runs.champion_versions import CONFIRMED
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.runs.pages import plain
from tracking.statistics.race import survivors
from tracking.store.files import remove_pieces
from tracking.store.folder import default_store_path


def carry_out(
    plan: Plan,
    executor: AnyExecutor,
    progress: Progress,
    unfinished: str = "",
    ended: Confirmation | None = None,
    *,
    keep: bool = False,
) -> Confirmation:
    """Carries a plan out as far as it is not, records the outcome, and makes its winner champion.

    Call it only while holding the study.

    Args:
        plan: The plan.
        executor: It has loaded the study.
        progress: Shows trainings and messages.
        unfinished: The run of a confirmation of the same plan that was interrupted, or empty.
        ended: The outcome, if the plan was carried out before.
        keep: Whether the present champion stays.

    Raises:
        KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it; says how many trainings are recorded.
    """
    history = plan.history
    runs = runs_of(history)
    with _mirrored(history, runs, progress):
        found = ended or _trained(plan, executor, runs, progress, unfinished)
        if not keep:
            _make_champion(plan, found, executor, progress)
        history = read_study(history.store, history.description.name, history.description.engine)
        renew_verdict(history)
        # `kerastudy report` makes it too.
        with contextlib.suppress(Exception):
            renew_report(history, default_store_path().absolute())
    return found


def _make_champion(
    plan: Plan, found: Confirmation, executor: AnyExecutor, progress: Progress
) -> None:
    """Makes the winner the champion, whatever the test part said: that is no ground to choose."""
    history, trial = plan.history, plan.racer(found.winner)
    if settle(plan, found):
        return
    try:
        trial = record_verified(history, trial, Verifier(executor, progress).verify(history, trial))
        if not trial.holds:
            raise StudyError(trial.verified)
        with tempfile.TemporaryDirectory() as folder:
            champion, _ = make_champion(history, trial, executor, Path(folder), progress, CONFIRMED)
        progress.say(f"trial {trial.number} is the champion now: {champion}")
    except StudyError as error:
        progress.say(f"warning: trial {trial.number} won, and can't be the champion: {error}")


def settle(plan: Plan, found: Confirmation, *, keep: bool = False) -> bool:
    """Lets launches keep a winner that is the champion already; returns whether that is all to do.

    The winner is not the champion yet if another trial was promoted since, or the process was
    killed. It never is if its weights can't be saved, or if the present champion stays.
    """
    history, trial = plan.history, plan.racer(found.winner)
    if keep or trial.result.unsaved:
        return True
    # Launches keep it from now on; what a person said of it counts.
    return stays_champion(history, trial, history.promoted or CONFIRMED)


def _trained(
    plan: Plan, executor: AnyExecutor, runs: ConfirmationRuns, progress: Progress, unfinished: str
) -> Confirmation:
    """Trains, chooses, reads the test part, and records the outcome."""
    history = plan.history
    _check_scored(plan)
    done = Trainings(
        executor,
        runs,
        read_trainings(history),
        history.files.folder / "confirming",
        history.description,
        progress,
        trainer_of(history),
    )
    runs.begin(plan.to_json(), unfinished)
    ended = False
    try:
        remove_pieces(done.folder)
        found = _confirmed(plan, done, runs, progress)
        runs.finish(found, _note(history, found))
        ended = True
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done.count_of(plan)} of {plan.trainings} trainings are recorded; confirm again "
            "to resume"
        ) from None
    finally:
        if not ended:
            # The first error counts, not later failures to write.
            with contextlib.suppress(Exception):
                runs.stop()
    done.clear()
    return found


def _check_scored(plan: Plan) -> None:
    """Refuses an objective without scores of samples, before anything is trained.

    Raises:
        StudyError: If it has none, and the test part was to be read.
    """
    result, described = plan.reported.result, plan.history.description
    if plan.tests and result.unscored and not result.scores_bytes:
        raise StudyError(
            f"The objective {described.objective.metric} can't be scored by sample: "
            f"{result.unscored}. So no test part can confirm {described.name!r}; with --no-test "
            "(test=False) its best trials race under new seeds all the same."
        )


def _confirmed(
    plan: Plan, done: Trainings, runs: ConfirmationRuns, progress: Progress
) -> Confirmation:
    history = plan.history
    verdict, notes = study_verdict(history), list[str]()
    if verdict.unknown:
        notes.append(f"The best value can't be corrected for the choice: {verdict.unknown}.")
    digest = history.description.data.digests.get("test", "")
    if plan.tests:
        progress.say_all(warning_of(earlier_readings(history, digest, runs.run_id)))
    race, folds = plan.race_size, f" on {plan.folds} folds each" if plan.folds else ""
    tested = f", {plan.test_size} for the test part" if plan.tests else ""
    progress.begin_trainings(
        f"confirming {history.description.name}: {race} trainings of a race of "
        f"{len(plan.racers)} trials{folds}{tested}",
        history.description.objective,
        done.count_of(plan),
        plan.trainings,
    )
    ranking = _raced(plan, done)
    unsaved = plan.racer(ranking[0]).result.unsaved
    if unsaved:
        notes.append(f"Trial {ranking[0]} can't be the champion: it has no checkpoint ({unsaved}).")
    reading = None
    if plan.tests:
        reading = read_test_part(plan, done, runs, ranking[0], progress)
    else:
        notes.append(_why_not_tested(plan))
    return make_outcome(
        plan,
        done,
        ranking,
        run_id=runs.run_id,
        corrected=verdict.corrected,
        reading=reading,
        notes=notes,
    )


def _raced(plan: Plan, done: Trainings) -> list[int]:
    """Runs the race; returns the racers' numbers, best first.

    The trainings of the defaults, which do not depend on it, fill its last round.

    Raises:
        StudyError: If every training of the first one is infeasible.
    """
    description = plan.history.description
    staying, out, seeds = [each.number for each in plan.racers], list[int](), 0
    for planned in plan.rounds:
        staying, left = staying[: planned.racers], staying[planned.racers :]
        out = [*left, *out]
        wanted = [t for n in staying for t in plan.race_trainings(n, seeds, planned.seeds)]
        further = plan.test_trainings(DEFAULTS) if planned is plan.rounds[-1] else []
        done.run(wanted, further)
        seeds += planned.seeds
        values = {n: [done.value_at(plan, n, p) for p in range(seeds)] for n in staying}
        staying = list(survivors(values, len(staying), description.objective.direction))
    if all(value is None for value in values[staying[0]]):
        first = plan.trainings_at(staying[0], 0)
        raise StudyError(
            f"The trainings of {description.name!r} under new seeds are all infeasible: "
            f"{_why_infeasible(done, first)}. Mend that, and confirm again."
        )
    return [*staying, *out]


def _why_infeasible(done: Trainings, trainings: Sequence[Training]) -> str:
    """Returns why trainings under one seed have no value, without a period."""
    reasons = [done.result(each).reason for each in trainings]
    return next(filter(None, reasons), "no epoch of all folds has a value").rstrip(".")


def _note(history: StudyHistory, found: Confirmation) -> str:
    """Returns the description of a confirmation's run, in Markdown."""
    said = verdict_by(history, found)
    return f"**{plain(said.text)}**\n\n{plain(' '.join(said.grounds))}"


def _why_not_tested(plan: Plan) -> str:
    if "test" in plan.history.description.data.digests:
        return "The test part was left sealed, as asked."
    why = "The data has no test part"
    if plan.history.description.objective_function:
        why = "The objective function loads its data itself, so no test part is sealed"
    return (
        f"{why}. New seeds on the same validation samples show the chance in "
        "training alone: the choice was made on these samples, so an interval from them would be "
        "too narrow."
    )


@contextlib.contextmanager
def _mirrored(history: StudyHistory, runs: ConfirmationRuns, progress: Progress) -> Iterator[None]:
    """Sends what is recorded to the study's MLflow server too, if it has one."""
    if not history.server:
        yield
        return
    name = history.description.name
    with mirrored(history.store, name, history.server, progress.say) as mirror:
        runs.on_written = mirror.changed
        yield
        mirror.changed(history.parent_run_id)
