"""A study's charts, for notebooks."""

from __future__ import annotations

from typing import Any

import altair as alt

from search_spaces.errors import StudyError, suggestion
from tracking.history.study_history import StudyHistory
from tracking.report import charts, hyperparameter_charts, theme
from tracking.report.axes import FEWEST_TRIALS, HyperparameterAxis, drawable
from tracking.report.figures import tables
from tracking.report.trial_data import StudyData

_SHOWN_BY_ALTAIR = "default"


class NotebookChart(alt.LayerChart):
    """A chart that a notebook shows as SVG.

    Altair itself would load Vega from a server at each look at the notebook. It does if the user
    chooses a renderer, such as ``altair.renderers.enable("html")``: then charts have tooltips.
    """

    @classmethod
    def of(cls, chart: alt.LayerChart) -> NotebookChart:
        """Returns a chart that shows itself so."""
        made: Any = chart.copy(deep=False)
        # Altair's own assignments are properties of the chart.
        object.__setattr__(made, "__class__", cls)
        assert isinstance(made, cls), "it is one now"
        return made

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> Any:
        render = alt.renderers.get()
        if render is not None and alt.renderers.active != _SHOWN_BY_ALTAIR:
            return render(self.to_dict())
        import vl_convert

        drawn = drawable(self.to_dict())
        # The look of reports. Altair's own is in "view", what the user sets in others.
        own = {name: each for name, each in drawn.get("config", {}).items() if name != "view"}
        drawn["config"] = {**theme.config(), "background": "white", "padding": 12, **own}
        picture = vl_convert.vegalite_to_svg(drawn)
        return {"image/svg+xml": picture, "text/plain": repr(self)}


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
        self._read = StudyData(history)

    def __repr__(self) -> str:
        """Returns the names of the charts."""
        names = ", ".join(name for name in dir(type(self)) if not name.startswith("_"))
        return f"<plots of {self._read.history.description.name!r}: {names}>"

    def belief(self) -> alt.LayerChart:
        """Returns the best value as reported, corrected, and confirmed."""
        return self._shown(charts.belief(self._data))

    def history(self) -> alt.LayerChart:
        """Returns each trial's value, and the best so far."""
        return self._shown(charts.optimization_history(self._data))

    def learning_curves(self) -> alt.LayerChart:
        """Returns the curves of the best trials, all others behind."""
        return self._shown(charts.learning_curves(self._data))

    def parallel_coordinates(self) -> alt.LayerChart:
        """Returns a line for each trial through its hyperparameters and the objective."""
        return self._shown(hyperparameter_charts.parallel_coordinates(self._data))

    def importance(self) -> alt.LayerChart:
        """Returns the importance of each hyperparameter, by Optuna's fANOVA.

        Raises:
            StudyError: If there are too few trials for it, or all have the same value.
        """
        if not self._data.importances:
            raise StudyError(
                f"Importance needs {FEWEST_TRIALS} trials with a value, not all the same. Received "
                f"a study that has {len(self._data.ranked)}."
            )
        return self._shown(hyperparameter_charts.importance(self._data))

    def slice(self, name: str) -> alt.LayerChart:
        """Returns each trial's value by one hyperparameter, in its sampling scale.

        Raises:
            StudyError: If no hyperparameter that varies has this name.
        """
        return self._shown(hyperparameter_charts.hyperparameter_slice(self._data, self._axis(name)))

    def contour(self, first: str, second: str) -> alt.LayerChart:
        """Returns the objective over two hyperparameters.

        Raises:
            StudyError: As for `slice`.
        """
        return self._shown(
            hyperparameter_charts.contour(self._data, self._axis(first), self._axis(second))
        )

    def predictions(self) -> alt.LayerChart:
        """Returns what the champion predicts of the validation part, against the truth.

        Of classes it is the confusion matrix.

        Raises:
            StudyError: If that is not recorded.
        """
        output = self._data.predictions
        if output is None or not (output.confusion or output.truth):
            name = self._data.history.description.name
            raise StudyError(
                f"The record of {name!r} has no predictions of a champion on validation data."
            )
        if output.confusion:
            return self._shown(charts.confusion_matrix(output))
        return self._shown(charts.targets(output))

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
        return NotebookChart.of(theme.with_rows(chart, tables(self._data)))
