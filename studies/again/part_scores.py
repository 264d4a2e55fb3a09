"""Scores of samples, where the study is loaded; see `WorkerExecutor.ask`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import KerastudyError, StudyError
from studies.error_texts import describe
from tracking.records import BestEpoch, TrialSpec
from tracking.records.data_findings import ConstantGuess
from tracking.scores.sample_scores import SampleScores

if TYPE_CHECKING:
    from studies.executors.session import Session

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class PartScores:
    """The scores of a part's samples by one training.

    Attributes:
        scores: The scores.
        digest: SHA-256 of the part.
        targets: SHA-256 of its targets: scores of two trainings compare only if it is equal.
        guess: The most frequent class of a test part; None if its targets are no classes.
    """

    scores: SampleScores
    digest: str
    targets: str
    guess: ConstantGuess | None = None


def scores_in_worker(
    session: Session,
    spec: TrialSpec,
    checkpoint: Path,
    space: SearchSpace,
    part: Part,
    best: BestEpoch,
    compared: bool = True,
) -> PartScores:
    """Returns the scores of a part's samples by a training's best weights.

    Args:
        session: The loaded study.
        spec: What was trained.
        checkpoint: The weights of its best epoch.
        space: The study's space.
        part: The part.
        best: The best epoch.
        compared: Whether the scores of test samples are compared with what Keras computes, which
            traces the model.

    Raises:
        StudyError: If the model can't be built, or its objective has no scores of samples.
        DataError: If there is no test part.
    """
    from studies.data.looking.look import guess_on
    from studies.training.building.made_data import validation_digest
    from studies.training.champion.champion_model import evaluated, rebuilt
    from studies.training.models import scalars
    from studies.training.process import global_settings
    from studies.training.scoring.samples import sample_scores
    from studies.training.scoring.scorer import NotScoredError

    try:
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits: Any = session.splits_of(hp, spec.fold)
        model = rebuilt(session.study, space, splits, spec, checkpoint)
        metric = spec.objective.metric
        recorded: float | None = best.value
        guess = None
        if part == "test":
            # In the place of the validation part, which Keras reads in the same way.
            splits = replace(splits, validation=splits.unseal_test())
            recorded, guess = None, guess_on(splits)
            if compared:
                measured = scalars(evaluated(model, splits, spec.batch_size))
                recorded = measured[metric.removeprefix("val_")]
        found = sample_scores(
            model, splits, metric, epoch=best.epoch, batch_size=spec.batch_size, recorded=recorded
        )
        return PartScores(found, splits.digests[part], validation_digest(splits), guess)
    except NotScoredError as error:
        raise StudyError(
            f"The {part} samples can't be scored by a training of trial {spec.built_as}: {error}."
        ) from None
    except KerastudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"The {part} samples can't be scored by a training of trial {spec.built_as}: "
            f"{describe(error)}."
        ) from error
    finally:
        global_settings.restore()
