"""Whether samples can be scored, where the study is loaded; see `WorkerExecutor.ask`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import KerastudyError, StudyError
from studies.error_texts import describe
from tracking.records import TrialSpec

if TYPE_CHECKING:
    from studies.executors.session import Session

# Enough to see whether single samples have scores.
_FEW = 8


def check_scored_in_worker(session: Session, spec: TrialSpec, space: SearchSpace) -> None:
    """Checks that a study's objective has scores of samples, by a model that is not trained.

    Raises:
        StudyError: If it has none.
    """
    from studies.data import StreamedSplits
    from studies.training.building.build import build_model, build_variables
    from studies.training.process import global_settings
    from studies.training.process.determinism import begin_trial
    from studies.training.scoring.samples import sample_scores
    from studies.training.scoring.scorer import NotScoredError

    metric = spec.objective.metric
    try:
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits: Any = session.splits_of(hp, spec.fold)
        if isinstance(splits, StreamedSplits):
            # Reading the stream takes as long as scoring it.
            return
        begin_trial(spec.seed)
        model = build_model(session.study, hp, splits)
        build_variables(model, splits)
        few = replace(splits, validation=splits.validation.first(_FEW))
        sample_scores(model, few, metric, epoch=0, batch_size=spec.batch_size)
    except NotScoredError as error:
        raise _unscored(metric, str(error)) from None
    except KerastudyError:
        raise
    except Exception as error:
        raise _unscored(metric, describe(error)) from error
    finally:
        global_settings.restore()


def _unscored(metric: str, why: str) -> StudyError:
    return StudyError(f"The objective {metric} can't be scored by sample: {why}.")
