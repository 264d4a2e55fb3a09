"""Training infeasible trials again, once what made them fail is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from studies.progress import Progress
from tracking.atomic import one_before
from tracking.records import TrialRecord
from tracking.runs import StudyRuns


def superseded(
    runs: StudyRuns, recorded: Sequence[TrialRecord], progress: Progress
) -> list[TrialRecord]:
    """Returns a record in which infeasible trials are to be trained again.

    As those that were interrupted are: under the same numbers, with the same values, in runs of
    their own. The runs so far stay as they are, and count no more once the new ones have begun.
    """
    infeasible = [trial for trial in recorded if trial.state == "infeasible"]
    if infeasible:
        progress.say(f"training {_counted(infeasible)} again")
    for trial in infeasible:
        for repeat in range(runs.description.repeats):
            # What other code was trained to.
            path = runs.files.state(trial.number, repeat)
            path.unlink(missing_ok=True)
            one_before(path).unlink(missing_ok=True)
    return [
        replace(trial, state="interrupted", result=None, losses=0) if trial in infeasible else trial
        for trial in recorded
    ]


def tell_of_infeasible(recorded: Sequence[TrialRecord], progress: Progress) -> None:
    """Says, of a study whose code has changed, how to train its infeasible trials again."""
    infeasible = [trial for trial in recorded if trial.state == "infeasible"]
    if infeasible:
        progress.say(f"--retry-infeasible trains {_counted(infeasible)} again")


def _counted(trials: Sequence[TrialRecord]) -> str:
    return f"{len(trials)} infeasible trial{'' if len(trials) == 1 else 's'}"
