"""Scores of validation samples that are missing or damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tracking.doctor.findings import Ailment
from tracking.history.selection import rank_of, ranked
from tracking.history.study_history import StudyHistory
from tracking.history.trial_scores import scores_of
from tracking.records import EndedTrial
from tracking.scores.kept import kept_scores
from tracking.scores.score_files import ScoresError


def check_scores(
    history: StudyHistory, score_again: Callable[[StudyHistory, int], object]
) -> Iterator[Ailment]:
    """Checks the scores of the trials that should have them.

    Args:
        history: The study.
        score_again: Makes the scores of a trial again; takes its number.
    """
    objective = history.description.objective
    trials = ranked(history.trials, objective)
    sizes = [(rank_of(trial, objective), trial.result.scores_bytes) for trial in trials]
    kept = kept_scores(sizes)
    for trial in trials:
        if trial.number not in kept or _had_none(trial):
            continue
        try:
            scores_of(history, trial)
        except ScoresError as error:
            # A study of a notebook can be trained only there.
            mend = partial(score_again, history, trial.number)
            yield Ailment(
                "scores",
                f"the scores of its validation samples can't be used: {error}",
                "--fix makes them again, from the trial's checkpoint or by training it again"
                if history.description.code.path
                else "the study was not defined in a file: launch it again where it is defined; "
                "its choice is corrected without this trial",
                study=history.description.name,
                engine=history.description.engine,
                trial=trial.number,
                run=trial.run_id,
                path=str(history.files.scores(trial.number)),
                mend=mend if history.description.code.path else None,
            )


def _had_none(trial: EndedTrial) -> bool:
    """Returns whether one of a trial's repeats or folds never had scores, as it says."""
    return any(each.unscored and not each.scores_bytes for each in trial.result.repeats)
