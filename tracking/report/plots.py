"""A study's charts, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces.errors import StudyError
from search_spaces.suggestions import suggestion
from tracking.history.study_history import StudyHistory

if TYPE_CHECKING:
    import altair as alt

    from tracking.report.axes import HyperparameterAxis
    from tracking.report.trial_data import StudyData


class StudyPlots:
    """The charts of a study, each a Vega-Altair chart: a notebook shows it, ``save`` writes it.

    A notebook shows pictures, which need no network. With ``altair.renderers.enable("html")`` they
    have tooltips, and their scripts come from a server.

    Example:
        ```python
        history = ks.read_study("digits")
        history.plot.parallel_coordinates()
        history.plot.slice("learning_rate").save("learning_rate.svg")
        ```
    """

    def __init__(self, history: StudyHistory) -> None:
        from tracking.report.trial_data import StudyData

        self._read = StudyData(history)

    def __repr__(self) -> str:
        """Returns the names of the charts."""
        names = ", ".join(name for name in dir(type(self)) if not name.startswith("_"))
        return f"<plots of {self._read.history.description.name!r}: {names}>"

    def belief(self) -> alt.LayerChart:
        """Returns the best value as reported, corrected, and confirmed."""
        from tracking.report.charts.belief import belief

        return self._shown(belief(self._data))

    def history(self) -> alt.LayerChart:
        """Returns each trial's value, and the best so far."""
        from tracking.report.charts.history import optimization_history

        return self._shown(optimization_history(self._data))

    def learning_curves(self) -> alt.LayerChart:
        """Returns the curves of the best trials, all others behind."""
        from tracking.report.charts.training import learning_curves

        return self._shown(learning_curves(self._data))

    def overfitting(self) -> alt.LayerChart:
        """Returns each trial's value on validation data against that on training data.

        Raises:
            StudyError: If no metric of training data was recorded.
        """
        from tracking.report.charts.training import fit_by_trial

        if not self._data.training_metric:
            raise StudyError(
                f"The study recorded no counterpart of "
                f"{self._data.history.description.objective.metric!r} on training data."
            )
        return self._shown(fit_by_trial(self._data))

    def parallel_coordinates(self) -> alt.LayerChart:
        """Returns a line for each trial through its hyperparameters and the objective."""
        from tracking.report.charts.hyperparameters import parallel_coordinates

        return self._shown(parallel_coordinates(self._data))

    def importance(self) -> alt.LayerChart:
        """Returns the importance of each hyperparameter, by Optuna's PED-ANOVA."""
        from tracking.report.charts.hyperparameters import importance

        return self._shown(importance(self._data))

    def slice(self, name: str) -> alt.LayerChart:
        """Returns each trial's value by one hyperparameter, in its sampling scale.

        Raises:
            StudyError: If no hyperparameter that varies has this name.
        """
        from tracking.report.charts.hyperparameters import hyperparameter_slice

        return self._shown(hyperparameter_slice(self._data, self._axis(name)))

    def contour(self, first: str, second: str) -> alt.LayerChart:
        """Returns the objective over two hyperparameters.

        Raises:
            StudyError: As for `slice`.
        """
        from tracking.report.charts.contour import contour

        return self._shown(contour(self._data, self._axis(first), self._axis(second)))

    def predictions(self) -> alt.LayerChart:
        """Returns what the champion predicts of the validation part, against the truth.

        Of classes it is the confusion matrix.

        Raises:
            StudyError: If that is not recorded.
        """
        from tracking.report.charts.predictions import by_feature, confusion_matrix, truth

        found = self._data.predictions
        if found is None or not (found.confusion or found.truth):
            name = self._data.history.description.name
            raise StudyError(
                f"The record of {name!r} has no predictions of a champion on validation data."
            )
        if found.confusion:
            return self._shown(confusion_matrix(found))
        return self._shown(by_feature(found) if found.feature else truth(found))

    def _axis(self, name: str) -> HyperparameterAxis:
        for axis in self._data.axes:
            if axis.name == name:
                return axis
        known = [axis.name for axis in self._data.axes]
        raise StudyError(f"No hyperparameter {name!r} varies. {suggestion(name, known)}")

    @property
    def _data(self) -> StudyData:
        if not self._read.ranked:
            raise StudyError(
                f"The study {self._read.history.description.name!r} has no trial with a value yet: "
                "there is nothing to draw."
            )
        return self._read

    def _shown(self, chart: alt.LayerChart) -> alt.LayerChart:
        from tracking.report.charts import theme
        from tracking.report.figures import tables
        from tracking.report.notebook import NotebookChart

        return NotebookChart.of(theme.with_rows(chart, tables(self._data)))
