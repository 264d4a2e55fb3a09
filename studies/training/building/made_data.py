"""Data and class weights that depend on hyperparameters: functions of `hp` make them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces.discovery.reading import Asked, RecordedHyperparameters, answers_alike
from search_spaces.errors import BuilderError, DataError, StudyError
from studies.data import DescribedData, LoadedData
from studies.definition.class_weights import (
    check_class_weight,
    resolve_class_weight,
    with_class_weight,
)
from studies.training.process import global_settings
from studies.training.process.determinism import begin_trial
from studies.user_code.causes import explain, fatal, is_fatal

if TYPE_CHECKING:
    from studies.definition import StudyDefinition

DATA_SETS_KEPT = 4
"""In each process, as each takes memory."""


class Made(NamedTuple):
    """The data made for a trial, without the weights of its classes, and these."""

    data: DescribedData
    splits: LoadedData
    class_weight: dict[int, float] | None


class MadeData:
    """Makes the data of each trial; keeps the last data sets, by the values that were read.

    Its function is called under the study's seed: it should depend on `hp` alone. The study's
    `data`, its `class_weight`, both or neither are functions of `hp`.
    """

    def __init__(self, study: StudyDefinition) -> None:
        self._study = study
        self._kept: deque[tuple[tuple[Asked, ...], DescribedData]] = deque(maxlen=DATA_SETS_KEPT)
        self._streamed: bool | None = None

    def described(self, hp: Any) -> DescribedData:
        """Returns the description of the data; `hp` is read as if it were made each time."""
        study = self._study
        if isinstance(study.data, DescribedData):
            return study.data
        for asked, data in tuple(self._kept)[::-1]:
            if answers_alike(asked, hp):
                self._kept.remove((asked, data))
                self._kept.append((asked, data))
                return data
        recorded = RecordedHyperparameters(hp)
        begin_trial(study.seed)
        try:
            with global_settings.noting_environment():
                made: object = study.data(recorded)  # type: ignore[arg-type, misc]
        finally:
            # It is called for some trials only.
            global_settings.restore()
        if not isinstance(made, DescribedData):
            raise BuilderError(
                f"The function of the data of the study {study.name!r} must return data from "
                "kerastudy.datasets, such as datasets.arrays(x, y). Received: "
                f"{' '.join(repr(made).split()):.200}"
            )
        if recorded.asked is not None:
            self._kept.append((recorded.asked, made))
        return made

    def weights_of(self, hp: Any) -> Any:
        """Returns the class weights of hyperparameters, as the study gives them."""
        class_weight = self._study.class_weight
        return check_class_weight(class_weight(hp)) if callable(class_weight) else class_weight

    def of(self, hp: Any) -> Made:
        """Returns the data of hyperparameters, and its class weights.

        Raises what the functions raise, a DataError if the data can't be loaded, and a StudyError
        if it is no data, of another kind than before, or does not suit the class weights.
        """
        data = self.described(hp)
        streamed = data.in_batches
        if self._streamed not in (None, streamed):
            raise BuilderError(
                f"The function of the data of the study {self._study.name!r} returns arrays for "
                "some hyperparameters and batches for others. Return one of them for all."
            )
        if streamed:
            # Random operations need a seed, in pipelines too.
            begin_trial(self._study.seed)
        splits = data.load()
        self._streamed = streamed
        return Made(data, splits, resolve_class_weight(self.weights_of(hp), splits))

    def of_defaults(self, hp: Any) -> Made:
        """Returns the data of the default hyperparameters; raises StudyError for any failure."""
        try:
            return self.of(hp)
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> StudyError:
        """Returns the error for the data of the default hyperparameters."""
        if is_fatal(error):
            return fatal(error)
        if isinstance(error, StudyError):
            return error
        return BuilderError(
            f"The data of the study {self._study.name!r} can't be made of the default "
            f"hyperparameters: {self.cause(error)}."
        )

    def cause(self, error: Exception) -> str:
        """Returns why data could not be made."""
        if isinstance(error, DataError | StudyError):
            return str(error).removesuffix(".")
        return explain(error, self._study.data)


AnyData = LoadedData | MadeData


def made_data(study: StudyDefinition) -> MadeData | None:
    """Returns the maker of each trial's data; None if all trials have the same data."""
    of_study = isinstance(study.data, DescribedData)
    return None if of_study and not callable(study.class_weight) else MadeData(study)


def splits_for(data: AnyData, hp: Any) -> LoadedData:
    """Returns the data that a trial is trained on, its classes weighted if `data` makes it."""
    if not isinstance(data, MadeData):
        return data
    made = data.of(hp)
    return with_class_weight(made.splits, made.class_weight)
