"""Loads the models of trials and champions."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StudyError
from search_spaces.texts import counted
from studies.definition import StudyDefinition
from studies.error_texts import describe
from studies.user_code import Target, load_study
from tracking.history.study_history import (
    StudyHistory,
    existing_store,
    read_code,
    read_study,
)
from tracking.journal import Champion
from tracking.records import EndedTrial, TrialRecord
from tracking.store.store_json import check_trust

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


def load_model(study: str, *, store: str | Path | None = None, trust: bool = False) -> keras.Model:
    """Loads the registered model of a study, with its best weights.

    The model takes samples as they were passed to the study. The code of the user's own layers,
    losses and metrics is saved with the model, so the study's file is not needed. A model that
    Keras can't save safely, such as one with a lambda in a `Lambda` layer, is rebuilt from the
    recorded text of the study's file. To rebuild it, the study's data is read.

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
        f"kerastudy promote {shlex.quote(study)}",
    )


def load_champion(history: StudyHistory, *, trust: bool = False) -> keras.Model:
    """Loads the registered model of a study."""
    # This import loads Keras, so it is not at the top of the file.
    from studies.training import can_not_be_loaded, load_keras_model

    store, study = history.store, history.description.name
    check_trust(store.root, trust)
    registered = _registered(history)
    folder = store.inside(registered.folder)
    try:
        if not can_not_be_loaded(folder):
            return load_keras_model(folder)
        return _rebuilt(history, history.trial(registered.trial_number), None)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"The registered model of the study {study!r} can't be loaded: "
            f"{describe(error).rstrip('.')}. It is in {str(folder)!r}. To register it again: "
            f"kerastudy promote {shlex.quote(study)}"
        ) from error


def load_trial_model(
    history: StudyHistory,
    trial: TrialRecord,
    *,
    definition: StudyDefinition | None = None,
    trust: bool = False,
) -> keras.Model:
    """Loads the model of a trial, with the weights of its best epoch.

    The champion's model is the registered model. The model of any other trial is built again: by
    the study object `definition`, or if that is None, by the recorded text of the study's file.
    """
    if history.is_champion(trial):
        return load_champion(history, trust=trust)
    if definition is None:
        check_trust(history.store.root, trust)
    return _rebuilt(history, trial, definition)


def _rebuilt(
    history: StudyHistory, trial: TrialRecord, definition: StudyDefinition | None
) -> keras.Model:
    from studies.training import (
        global_random_states,
        keeping_settings,
        rebuilt,
        rebuilt_objective,
        remember_settings,
        served_model,
        set_global_random_states,
    )

    checkpoint = history.checkpoint(trial)
    if isinstance(trial, EndedTrial) and trial.result.folds and trial.whole is None:
        raise no_model_error(history, trial)
    if checkpoint is None or not isinstance(trial, EndedTrial):
        raise StudyError(
            f"The model of trial {trial.number} of {history.description.name!r} can't be loaded: "
            "its checkpoint is missing. A launch keeps the checkpoints of the best trials, as "
            "many as `Study(keep=…)` says. To train it again, to the same bits: kerastudy export "
            f"{shlex.quote(history.description.name)} --as keras --trial {trial.number}"
        )
    spec, space = trial.best_training[0], history.description.space
    states = global_random_states()
    try:
        with keeping_settings():
            study = definition or _recorded_study(history, trial)
            remember_settings()
            if study.objective_function is not None:
                return rebuilt_objective(study, space, spec, checkpoint)[0]
            splits = _splits_for(study, trial)
            model = rebuilt(study, space, splits, spec, checkpoint)
            return served_model(model, splits.train.at_hand.x, splits.preparation)
    finally:
        set_global_random_states(states)


def no_model_error(history: StudyHistory, trial: TrialRecord) -> StudyError:
    """Returns the error for a cross-validated trial that was not trained on all folds together."""
    name, number = history.description.name, trial.number
    return StudyError(
        f"Trial {number} of {name!r} was trained on folds alone, so it has no model. To train it "
        "on all folds together, as the champion: "
        f"kerastudy promote {shlex.quote(name)} --trial {number}"
    )


def _splits_for(study: StudyDefinition, trial: EndedTrial) -> LoadedData:
    from studies.data import CrossValidation, DescribedData
    from studies.training import begin_trial

    how = study.cross_validation
    assert isinstance(study.data, DescribedData), "the study checks it"
    if trial.whole is not None and isinstance(how, CrossValidation):
        return study.data.load_folds(how).whole
    if study.data.in_batches:
        # The data pipeline may have random operations, which need a seed.
        begin_trial(study.seed)
    return study.data.load()


def _recorded_study(history: StudyHistory, trial: EndedTrial) -> StudyDefinition:
    description = history.description
    code = description.code
    source = read_code(history, trial.code_digest).source or code.source
    if not code.path or not source:
        raise StudyError(
            f"The model of trial {trial.number} of {description.name!r} can't be loaded: it must "
            "be built again, and there is no study file in the record. Load it in the notebook "
            "or session that has the study: `study.history().trial(…).load_model()`."
        )
    study, _ = load_study(Target(code.path, code.variable, source, code.study_name))
    if description.data.override:
        study = study.with_overrides({"data": description.data.override})
    return study
