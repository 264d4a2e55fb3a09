"""The scores of test samples, where the study is loaded; see `WorkerExecutor.ask`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import KerastudyError, StudyError
from studies.error_texts import describe
from tracking.records import BestEpoch, TrialSpec
from tracking.records.data_findings import ConstantGuess
from tracking.scores.sample_scores import SampleScores

if TYPE_CHECKING:
    from studies.executors.session import Session


@dataclass(frozen=True)
class TestScores:
    """The scores of the test samples by one training.

    Attributes:
        scores: The scores.
        digest: SHA-256 of the test part.
        targets: SHA-256 of its targets: scores of two trainings compare only if it is equal.
        guess: Its most frequent class; None if its targets are no classes.
    """

    # pytest takes it for tests otherwise.
    __test__ = False

    scores: SampleScores
    digest: str
    targets: str
    guess: ConstantGuess | None = None


def scores_in_worker(
    session: Session,
    spec: TrialSpec,
    checkpoint: Path,
    space: SearchSpace,
    best: BestEpoch,
    compared: bool,
) -> TestScores:
    """Returns the scores of the test samples by a training's best weights.

    Args:
        session: The loaded study.
        spec: What was trained.
        checkpoint: The weights of its best epoch.
        space: The study's space.
        best: The best epoch.
        compared: Whether they are compared with what Keras computes, which traces the model.

    Raises:
        StudyError: If the model can't be built, or its objective has no scores of samples.
        DataError: If there is no test part.
    """
    from studies.data.looking.look import guess_on
    from studies.training.champion.champion_model import evaluated, rebuilt
    from studies.training.models import scalars
    from studies.training.process import global_settings
    from studies.training.scoring.objectives import NotScoredError
    from studies.training.scoring.samples import sample_scores

    try:
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits: Any = session.splits_of(hp, spec.fold)
        model = rebuilt(session.study, space, splits, spec, checkpoint)
        # In the place of the validation part, which Keras reads in the same way.
        splits = replace(splits, validation=splits.unseal_test())
        metric, recorded = spec.objective.metric, None
        if compared:
            measured = scalars(evaluated(model, splits, spec.batch_size))
            recorded = measured[metric.removeprefix("val_")]
        found = sample_scores(
            model, splits, metric, epoch=best.epoch, batch_size=spec.batch_size, recorded=recorded
        )
        targets = splits.validation.targets_digest
        return TestScores(found, splits.digests["test"], targets, guess_on(splits))
    except Exception as error:
        known = isinstance(error, KerastudyError)
        if known and not isinstance(error, NotScoredError):
            raise
        why = str(error) if known else describe(error)
        raise StudyError(
            f"The test samples can't be scored by a training of trial {spec.built_as}: {why}."
        ) from error
    finally:
        global_settings.restore()
