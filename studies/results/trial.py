"""A trial, with what users do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tracking.records import EndedTrial, TrialRecord

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from studies.results.study_results import StudyResults


@dataclass(frozen=True, repr=False)
class Trial(TrialRecord):
    """A trial of a study: its hyperparameters, its value, its curve, its model.

    Attributes:
        results: The study that it belongs to.
    """

    results: StudyResults = field(default=None, compare=False)  # type: ignore[assignment]

    @property
    def seed(self) -> int:
        """The seed of its initial weights, its shuffling and its dropout masks."""
        return self.spec.seed

    @property
    def reason(self) -> str:
        """Why it is infeasible or ended early, or empty."""
        return "" if self.result is None else self.result.reason

    @property
    def metrics(self) -> Mapping[str, float]:
        """Every metric of its best epoch; empty if it has none."""
        return {} if self.best is None else self.best.metrics

    @property
    def duration(self) -> timedelta | None:
        """How long its training took, if that has ended."""
        return None if self.result is None else timedelta(seconds=self.result.seconds)

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """What an objective function noted by ``trial.set_user_attr``."""
        return {} if self.result is None else self.result.user_attrs

    @property
    def curve(self) -> pd.DataFrame:
        """Every metric (a column each) of every epoch (a row each, counted from 1)."""
        import pandas as pd

        curve = pd.DataFrame.from_dict(self.results.curve(self), orient="index")
        return curve.rename_axis("epoch").sort_index(axis="columns")

    def load_model(self, *, trust: bool = False) -> keras.Model:
        """Loads its model with the weights of its best epoch.

        It takes samples as they were passed to the study.

        Args:
            trust: Whether to run the code in a store that this user did not make.

        Raises:
            StudyError: If its checkpoint is not kept, or if the model can't be built again.
        """
        from studies.results.models import load_trial_model

        return load_trial_model(self.results, self, definition=self.results.definition, trust=trust)

    def _repr_html_(self) -> str:
        from studies.results.markup import trial_markup

        return trial_markup(self)


@dataclass(frozen=True, repr=False)
class TrialWithResult(Trial, EndedTrial):
    """A trial that has a result."""


def trial_of(record: TrialRecord) -> Trial:
    """Returns a recorded trial as users see it. Its `results` come later."""
    values = {each.name: getattr(record, each.name) for each in fields(TrialRecord)}
    return TrialWithResult(**values) if isinstance(record, EndedTrial) else Trial(**values)
