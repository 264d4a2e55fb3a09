"""Exports a study as an Optuna study."""

from __future__ import annotations

import warnings
from datetime import datetime
from typing import TYPE_CHECKING

from search_spaces import OptunaSpace
from search_spaces.errors import StudyError
from tracking.history.learning_curves import RecordedCurves
from tracking.history.study_history import StudyHistory

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


def export_optuna(history: StudyHistory, storage: str | BaseStorage | None = None) -> Study:
    """Returns the trials of a study as an Optuna study.

    Trials keep their order, parameters, objectives by epoch, and times. The user attribute "trial"
    is the trial's number in kerastudy. Infeasible trials get the state FAIL, and the user attribute
    "reason". Running trials get the state RUNNING. Interrupted trials get the state WAITING, as a
    launch resumes them. kerastudy never reads the Optuna study.

    Args:
        history: The study, as `read_study` and `Study.launch` return it.
        storage: Optuna's storage, such as ``sqlite:///optuna.db``. The default is in memory.

    Raises:
        StudyError: If the study has no trials, or if the storage has a study of this name.

    Example:
        ```python
        study = ks.export_optuna(ks.read_study("digits"))
        optuna.visualization.plot_param_importances(study)
        ```
    """
    import optuna

    name = history.description.name
    if not history.trials:
        raise StudyError(f"The study {name!r} has no trials yet: there is nothing to export.")
    trials, objective = _trials(history), history.description.objective
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize" if objective.direction == "max" else "minimize",
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise StudyError(
            f"The storage has a study {name!r} already. Delete it, or name another storage."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.metric])
    study.add_trials(trials)
    return study


def _trials(history: StudyHistory) -> list[FrozenTrial]:
    import optuna

    states = optuna.trial.TrialState
    by_state = {
        "complete": states.COMPLETE,
        "pruned": states.PRUNED,
        "infeasible": states.FAIL,
        "running": states.RUNNING,
        "interrupted": states.WAITING,
    }
    space = OptunaSpace(history.description.space)
    curve = RecordedCurves(history.folder, history.trials)
    trials = []
    for trial in history.trials:
        state = by_state[trial.state]
        params, distributions = space.encode(trial.spec.values)
        attributes = {
            "kerastudy_uuid": trial.uuid,
            "trial": trial.number,
            "seed": trial.spec.seed,
            "best_epoch": trial.epoch,
            "reason": (trial.result and trial.result.reason) or None,
        }
        trials.append(
            optuna.trial.FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=state,
                value=trial.value if trial.state in ("complete", "pruned") else None,
                datetime_start=_time(trial.started),
                datetime_complete=_time(trial.ended) if state.is_finished() else None,
                params=params,
                distributions=distributions,
                user_attrs={name: value for name, value in attributes.items() if value is not None},
                system_attrs={},
                intermediate_values=curve(trial),
            )
        )
    return trials


def _time(milliseconds: int) -> datetime:
    # Optuna's times are local times.
    return datetime.fromtimestamp(milliseconds / 1000)
