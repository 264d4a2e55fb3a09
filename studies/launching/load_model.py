"""Loads a study's registered model, with its own layers and losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters
from search_spaces.errors import StudyError, StudyNotFoundError
from studies.error_texts import describe
from studies.user_code.loading import Target, load_study
from tracking import tags
from tracking.history.recorded_code import read_source
from tracking.history.study_history import StudyHistory, read_study
from tracking.records import EndedTrial
from tracking.registry import local_model
from tracking.runs.champion_versions import champion_version
from tracking.store.folder import default_store_path, open_store
from tracking.store.trust import stranger

if TYPE_CHECKING:
    import keras


def load_model(study: str, *, store: str | Path | None = None, trust: bool = False) -> keras.Model:
    """Loads the registered model of a study, with its best weights.

    It takes samples as they were passed to the study. The code of its own layers, losses and
    metrics is saved with it, so the study's file is not needed. A model that Keras can't save
    safely, such as one with a lambda in a `Lambda` layer, is rebuilt from the recorded text of the
    study's file, which reads its data for that.

    Args:
        study: The study's name.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.

    Returns:
        The model, compiled if it could be saved so.

    Raises:
        TrackingError: If there is no such store or study.
        StudyError: If it has no registered model, or that can't be loaded; or if the store is
            somebody else's and not trusted.
    """
    # Late: it imports Keras.
    from studies.training.champion import champion_loader

    path = Path(store) if store is not None else default_store_path()
    opened = open_store(path)
    if opened is None:
        raise StudyNotFoundError(f"There is no store at {str(path)!r}.")
    told = "" if trust else stranger(opened.root)
    if told:
        raise StudyError(
            f"The store {str(opened.root)!r} {told}, and loading a model runs the code that is "
            "in it. If you trust it, pass trust=True."
        )
    history = read_study(opened, study)
    version = champion_version(opened.client, history.description.name, history.experiment_id)
    if version is None:
        raise StudyError(
            f"The study {study!r} has no registered model. Launch it to its end: then the best "
            "trial's model is registered."
        )
    folder = local_model(opened, version.source)
    try:
        if not champion_loader.can_not_be_loaded(folder):
            return champion_loader.load_keras_model(folder)
        history = read_study(opened, study, version.tags[tags.ENGINE])
        trial = history.trial(int(version.tags[tags.NUMBER]))
        assert isinstance(trial, EndedTrial), "a model was registered of it"
        return _rebuilt(history, trial)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"The registered model of the study {study!r} can't be loaded: {describe(error)}. It "
            f"is in {str(folder)!r}."
        ) from error


def _rebuilt(history: StudyHistory, trial: EndedTrial) -> keras.Model:
    """Returns the model of a trial, made by the recorded text of the study's file."""
    from studies.training.building.build import build_model, build_variables
    from studies.training.building.made_data import MadeData
    from studies.training.champion.served import served_model
    from studies.training.process import global_settings
    from studies.training.process.determinism import (
        begin_trial,
        global_random_states,
        set_global_random_states,
    )

    description = history.description
    code, spec = description.code, trial.best_training[0]
    source = read_source(history, trial.code_digest) or code.source
    if not code.path or not source:
        raise StudyError(
            f"The registered model of the study {description.name!r} can't be loaded: it has "
            "a part that Keras can't save safely, such as a lambda, and there is no study file to "
            "rebuild it from."
        )
    checkpoint = history.checkpoint(trial)
    if checkpoint is None:
        raise StudyError(
            f"The registered model of the study {description.name!r} can't be loaded: it must be "
            f"rebuilt, and the checkpoint of trial {trial.number} is gone."
        )
    states = global_random_states()
    try:
        with global_settings.keeping():
            study, _ = load_study(Target(code.path, code.variable, source, code.study_name))
            global_settings.remember()
            if description.data.override:
                study = study.with_overrides({"data": description.data.override})
            hp = Hyperparameters(description.space, spec.values, number=spec.built_as)
            splits = MadeData(study).of(hp).splits
            begin_trial(spec.seed)
            model = build_model(study, hp)
            build_variables(model, splits)
            model.load_weights(checkpoint)
            return served_model(model, splits.train.at_hand.x, splits.given)
    finally:
        set_global_random_states(states)
