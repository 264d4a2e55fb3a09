"""Loads the models of trials and champions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StudyError
from search_spaces.texts import counted
from studies.champion import RunnableStudy, save_model, trial_with_value
from studies.definition import StudyDefinition
from studies.error_texts import describe
from studies.progress import showing
from tracking.history import StudyHistory, read_study
from tracking.journal import Champion
from tracking.shell_commands import study_command
from tracking.store import check_trust, existing_store

if TYPE_CHECKING:
    import keras


def load_model(study: str, *, store: str | Path | None = None, trust: bool = False) -> keras.Model:
    """Loads the registered model of a study, with its best weights.

    The model takes samples as they were passed to the study. The code of the user's own layers,
    losses and metrics is saved with the model, so the study's file is not needed. A model that
    Keras can't load safely, such as one with a lambda in a `Lambda` layer, can't be loaded.

    Args:
        study: The study's name.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.

    Returns:
        The model. It is compiled if Keras could save it compiled.

    Raises:
        TrackingError: If there is no such store or study.
        StudyError: If the study has no registered model, if the model can't be loaded, or if it is
            in another user's store and ``trust`` is False.
    """
    history = read_study(existing_store(store), study)
    return load_champion(history, trust=trust)


def registered_folder(history: StudyHistory) -> Path:
    """Returns the folder of a study's registered model."""
    return history.store.inside(_registered(history).folder)


def _registered(history: StudyHistory) -> Champion:
    registered = history.journal.champion()
    if registered is not None:
        return registered
    study, best = history.description.name, history.best
    what = f"The study {study!r} has no registered model"
    if best is not None and best.result.of_no_epoch:
        raise StudyError(f"{what}: {best.result.unsaved}.")
    if best is None and history.trials and history.status != "RUNNING":
        raise StudyError(
            f"{what}: none of its {counted(len(history.trials), 'trial')} has a value."
        )
    raise StudyError(
        what,
        hint="Launch it to its end: then the best trial's model is registered. Or register one: "
        + study_command(history, "promote"),
    )


def load_champion(history: StudyHistory, *, trust: bool = False) -> keras.Model:
    """Loads the registered model of a study."""
    store, study = history.store, history.description.name
    check_trust(store.root, trust)
    folder = store.inside(_registered(history).folder)
    hint = f"If its files are damaged, register it again: {study_command(history, 'promote')}"
    return _loaded(folder, f"The registered model of {study!r}, in {str(folder)!r},", hint)


def load_trial_model(
    history: StudyHistory,
    number: int,
    *,
    definition: StudyDefinition | None = None,
    trust: bool = False,
) -> keras.Model:
    """Loads the model of a trial, with the weights of its best epoch.

    The champion's model is the registered model. The model of any other trial is built again in a
    worker process: by the study object `definition`, or if that is None, by the recorded code.
    """
    trial = trial_with_value(history, number)
    if history.is_champion(trial):
        return load_champion(history, trust=trust)
    if definition is None:
        check_trust(history.store.root, trust)
    with showing(True) as progress, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        save_model(RunnableStudy(history, progress, definition), trial, folder)
        return _loaded(folder, f"The model of trial {number} of {history.description.name!r}")


def _loaded(folder: Path, what: str, hint: str = "") -> keras.Model:
    # This import loads Keras, so it is not at the top of the file.
    from studies.training import load_keras_model

    try:
        return load_keras_model(folder)
    except Exception as error:
        fault = describe(error).rstrip(".")
        raise StudyError(f"{what} can't be loaded: {fault}", hint=hint) from error
