"""Trains infeasible trials again, after the user mended the cause."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from studies.progress import Progress
from tracking.records import TrialRecord
from tracking.runs.study_runs import StudyRuns
from tracking.store.files import one_before


def superseded(
    runs: StudyRuns, recorded: Sequence[TrialRecord], progress: Progress
) -> list[TrialRecord]:
    """Returns a record in which infeasible trials wait to be trained again.

    They keep their numbers and values, and get new runs, like interrupted trials. Their old runs do
    not change, and no longer count once the new ones have begun.
    """
    infeasible = {trial.number for trial in recorded if trial.state == "infeasible"}
    if infeasible:
        progress.say(f"training {_counted(infeasible)} again")
    for number in infeasible:
        for repeat in range(runs.description.trainings):
            # Results of other code.
            path = runs.files.state(number, repeat)
            path.unlink(missing_ok=True)
            one_before(path).unlink(missing_ok=True)
    return [_again(trial) if trial.number in infeasible else trial for trial in recorded]


def report_infeasible(recorded: Sequence[TrialRecord], progress: Progress) -> None:
    """Reports how to train infeasible trials again, if the study's code has changed."""
    infeasible = [trial for trial in recorded if trial.state == "infeasible"]
    if infeasible:
        progress.say(f"--retry-infeasible trains {_counted(infeasible)} again")


def _again(trial: TrialRecord) -> TrialRecord:
    return TrialRecord(
        trial.run_id,
        trial.spec,
        "interrupted",
        None,
        trial.engine_state,
        trial.environment,
        trial.code_digest,
        trial.started,
        trial.known,
    )


def _counted(trials: Collection[object]) -> str:
    return f"{len(trials)} infeasible trial{'' if len(trials) == 1 else 's'}"
