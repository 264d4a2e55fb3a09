"""What a process that has loaded a study does for its champion; see `WorkerExecutor.ask`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import KerastudyError, StudyError
from studies.error_texts import describe
from tracking.records import TrialSpec

if TYPE_CHECKING:
    from studies.executors.session import Session
    from studies.training.champion.evaluation import Scores
    from studies.training.champion.refitting import Refitted


def evaluate_in_worker(
    session: Session, spec: TrialSpec, checkpoint: Path, space: SearchSpace
) -> Scores:
    """Evaluates a trial's best weights on the sealed test part; see `evaluate_test_part`.

    Raises:
        StudyError: If the model can't be built or evaluated.
        DataError: If there is no test part.
    """
    from studies.training.champion.champion_model import rebuilt
    from studies.training.champion.evaluation import evaluate_test_part
    from studies.training.process import global_settings

    try:
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits = session.splits_of(hp, spec.fold)
        model = rebuilt(session.study, space, splits, spec, checkpoint)
        if not model.compiled:
            raise StudyError(
                f"The model of trial {spec.number} is not compiled, so Keras has no metrics to "
                "evaluate it by. Compile it in the builder."
            )
        return evaluate_test_part(model, splits, spec.batch_size)
    except KerastudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"The model of trial {spec.number} can't be evaluated on the test part: "
            f"{describe(error)}."
        ) from error
    finally:
        global_settings.restore()


def refit_in_worker(
    session: Session, spec: TrialSpec, epochs: int, space: SearchSpace, folder: Path
) -> Refitted:
    """Trains a trial's configuration on more data, and saves the model for MLflow; see `refit`.

    Raises:
        StudyError: If it can't be trained, or saved.
    """
    from studies.training.building.made_data import MadeData
    from studies.training.champion.champion_model import save_for_mlflow
    from studies.training.champion.refitting import refit
    from studies.training.process import global_settings
    from tracking.registry.champions import requirements

    try:
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits = session.splits_of(hp)
        if isinstance(session.data, MadeData):
            spec = replace(spec, class_weight=session.data.of(hp).class_weight)
        model, joined, how = refit(session.study, splits, spec, hp, epochs)
        save_for_mlflow(model, joined, requirements(), folder, session.study.build)
        return how
    except KerastudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"Trial {spec.number} can't be trained again on training and validation data "
            f"together: {describe(error)}."
        ) from error
    finally:
        global_settings.restore()
