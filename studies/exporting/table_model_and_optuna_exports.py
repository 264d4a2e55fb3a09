"""Exports trials as a CSV or LaTeX table or as an Optuna study, and models as `.keras` files.

The functions at the end are for all exports: they check the trial and the file that the user names.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from search_spaces import OptunaSpace
from search_spaces.errors import StudyError, StudyNotFoundError
from studies.champion import RunnableStudy, save_model, trial_with_value
from studies.exporting.prediction_script import prediction_script
from studies.progress import NoProgress, Progress
from studies.training import reading_of
from tracking.history import RecordedCurves, StudyHistory, trials_table
from tracking.records import EndedTrial
from tracking.store import followed, is_device, replacing

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class TableExport:
    """An exported table."""

    study: str
    file: Path
    rows: int


def export_table(
    history: StudyHistory,
    format_: Literal["csv", "latex"],
    output: str | Path | None = None,
    *,
    force: bool = False,
) -> TableExport:
    """Writes a table of trials into a file.

    A CSV table has all trials, and the columns of `trials_table`. A LaTeX table has the ten best
    trials, with the value, the epoch and the hyperparameters of each.
    """
    name = history.description.name
    # A study of the data churn.csv is named churn. Its table must not replace churn.csv, so the
    # default name of the table is churn-trials.csv.
    file = file_for(output, f"{name}-trials.{'csv' if format_ == 'csv' else 'tex'}", force)
    if format_ == "csv":
        table = trials_table(history)
        text = table.to_csv(index=False)
    else:
        table, number = _best_trials(history), "{:.4g}".format
        text = table.to_latex(index=False, escape=True, float_format=number, na_rep="--")
    with written(file) as partial:
        partial.write_text(text, encoding="utf-8")
    return TableExport(name, file, len(table))


def _best_trials(history: StudyHistory) -> pd.DataFrame:
    """Returns a table of the ten best trials: their values, epochs and hyperparameters."""
    description = history.description
    names = {"number": "trial", "value": description.objective.metric, "epoch": "epoch"}
    names |= {f"params_{name}": name for name in description.space.names}
    table = trials_table(history).set_index("number", drop=False)
    return table.loc[[trial.number for trial in history.top(10)], list(names)].rename(columns=names)


_MODEL = Path("data", "model.keras")


@dataclass(frozen=True)
class KerasExport:
    """An exported model, and for a table the script that predicts a CSV file by it."""

    study: str
    trial: int
    file: Path
    script: Path | None = None


def export_keras(
    history: StudyHistory,
    number: int | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    data: str = "",
    progress: Progress | None = None,
) -> KerasExport:
    """Writes a trial's model, with the weights of its best epoch, as a `.keras` file.

    The model takes samples as they were passed to the study. The champion's file is a copy of the
    registered model. The recorded code builds the model of any other trial again. Beside the model
    of a table is written a script that predicts the rows of a CSV file.
    """
    trial = trial_to_export(history, number)
    name = history.description.name
    file = file_for(output, f"{name}-trial-{trial.number}.keras", force)
    script = file_for(file.with_name(f"{file.stem}-predict.py"), "", force)
    study = RunnableStudy(history, progress or NoProgress(), data=data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = _registered(history) if history.is_champion(trial) else None
        if folder is None:
            folder = Path(temporary, "model")
            save_model(study, trial, folder)
        with written(file) as partial:
            shutil.copyfile(folder / _MODEL, partial)
        if not reading_of(folder):
            return KerasExport(name, trial.number, file)
        text = prediction_script(folder, file.name, script.name, trial.class_weight)
        with written(script) as partial:
            partial.write_text(text, encoding="utf-8")
    return KerasExport(name, trial.number, file, script)


def _registered(history: StudyHistory) -> Path | None:
    if history.registered is None:
        return None
    folder = history.store.inside(history.registered.folder)
    return folder if (folder / _MODEL).is_file() else None


def export_optuna(history: StudyHistory, storage: str | BaseStorage | None = None) -> Study:
    """Returns the trials of a study as an Optuna study.

    Trials keep their order, parameters, objectives by epoch, times, and the attributes that an
    objective function set. The user attribute "trial" is the trial's number in kerastudy.
    Infeasible trials get the state FAIL, and the user attribute "reason". Running trials get the
    state RUNNING. Interrupted trials get the state WAITING, as a launch resumes them. kerastudy
    never reads the Optuna study.

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
    trials, objective = _frozen_trials(history), history.description.objective
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize" if objective.direction == "max" else "minimize",
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise StudyError(
            f"The storage has a study {name!r} already", hint="Delete it, or name another storage."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.metric])
    study.add_trials(trials)
    return study


def _frozen_trials(history: StudyHistory) -> list[FrozenTrial]:
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
            **(trial.result.user_attrs if trial.result else {}),
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


def file_for(output: str | Path | None, default: str, force: bool) -> Path:
    """Returns the path of the file to write: the path that the user named, or the default name.

    Raises StudyError if the file can't be written. An existing file is replaced only with `force`.
    """
    path = path_for(output, default)
    if path.is_dir():
        raise StudyError(f"{str(path)!r} is a folder", hint="Name a file with --output.")
    if path.exists() and not force and not is_device(path):
        raise StudyError(
            f"{str(path)!r} exists",
            hint="Name another file with --output, or replace it with --force.",
        )
    if not path.parent.is_dir():
        raise StudyError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    return followed(path)


def path_for(output: str | Path | None, default: str) -> Path:
    """Returns the path that the user named, or else a path made from the default name."""
    return Path(output or re.sub(r"[^\w.-]+", "-", default)).expanduser().absolute()


@contextmanager
def written(file: Path) -> Iterator[Path]:
    """Yields a temporary file, which replaces `file` when the context ends."""
    with explained(file), replacing(file) as partial:
        yield partial


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an OSError while writing into a StudyError that names the path."""
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"{str(path)!r} can't be written: {error.strerror or error}",
            hint="Name another place with --output.",
        ) from None


def trial_to_export(history: StudyHistory, number: int | None) -> EndedTrial:
    """Returns the trial `number`, by default the champion, or if there is none, the best trial.

    Raises StudyNotFoundError if the trial has no value.
    """
    if number is not None:
        return trial_with_value(history, number)
    if history.chosen is None:
        name = history.description.name
        raise StudyNotFoundError(f"The study {name!r} has no trial with a value to export.")
    return history.chosen
