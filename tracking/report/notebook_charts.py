"""A study's charts for notebooks and papers: `StudyPlots` makes them, as Altair charts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Never

import altair as alt

from search_spaces.errors import StudyError, suggestion
from tracking.history.study_history import StudyHistory
from tracking.report import hyperparameter_charts, result_charts, theme
from tracking.report.chart_data import FEWEST_TRIALS, HyperparameterAxis, StudyData, drawable
from tracking.report.page_sections import tables

_SHOWN_BY_ALTAIR = "default"
_COLUMN, _PAGE = 3.3, 6.9
# On paper, a text of 11 pixels then has 8 points.
_PIXELS_PER_INCH = 96
_POINTS_PER_PIXEL = 72 / _PIXELS_PER_INCH
_PRINTED_PER_INCH = 300
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
# Journals ask for Arial or Helvetica. Liberation Sans has the same widths, and vl-convert has it.
_PRINTED_FONT = "'Liberation Sans', Arial, Helvetica, 'Noto Sans CJK KR', sans-serif"


class NotebookChart(alt.LayerChart):
    """A chart that a notebook shows as SVG, which needs no network, and that fits a paper.

    Altair's default renderer would load Vega from a server. If the user chooses a renderer, e.g.
    ``altair.renderers.enable("html")``, that one shows the chart.
    """

    @classmethod
    def of(cls, chart: alt.LayerChart) -> NotebookChart:
        """Returns a copy of a chart as a `NotebookChart`."""
        copy: Any = chart.copy(deep=False)
        # Altair would turn a plain assignment into a property of the chart.
        object.__setattr__(copy, "__class__", cls)
        assert isinstance(copy, cls), "it is one now"
        return copy

    def save(
        self,
        fp: Any,
        format: Any = None,
        *args: Any,
        width: float | None = None,
        height: float | None = None,
        **options: Any,
    ) -> None:
        """Writes the chart for a paper, as PDF, SVG or PNG: without a title, on white.

        A PDF has its fonts embedded. A PNG has 300 pixels per inch.

        Args:
            fp: The file, whose suffix names the format, or an open file.
            format: The format, if the suffix does not name it. Altair writes others, such as
                ``"html"``, as it would without this method.
            *args: Further arguments of Altair's `save`, for its other formats.
            width: The width in inches. None: 3.3, as a column has, or for parallel coordinates 6.9,
                as a page has.
            height: The height in inches; None for one that suits the chart.
            **options: Further arguments of Altair's `save`, for its other formats.
        """
        import vl_convert

        kind = format or Path(str(getattr(fp, "name", fp))).suffix[1:]
        if kind not in ("pdf", "svg", "png"):
            super().save(fp, format, *args, **options)
            return
        drawn = self._drawn(_PRINTED_FONT)
        drawn.pop("title", None)
        width = width or (_PAGE if drawn["name"] == "parallel" else _COLUMN)
        least = min(0.6 * width, _COLUMN)
        height = height or max(drawn["height"] * _POINTS_PER_PIXEL / _PIXELS_PER_INCH, least)
        drawn["width"], drawn["height"] = width * _PIXELS_PER_INCH, height * _PIXELS_PER_INCH
        # The axes and legends are within the width.
        drawn["autosize"] = {"type": "fit", "contains": "padding"}
        drawn["config"]["padding"] = 2
        drawn["config"]["legend"]["gradientLength"] = width * _PIXELS_PER_INCH / 2
        picture = vl_convert.vegalite_to_svg(drawn)
        if kind == "png":
            written = vl_convert.svg_to_png(picture, scale=_POINTS_PER_PIXEL, ppi=_PRINTED_PER_INCH)
        elif kind == "pdf":
            written = vl_convert.svg_to_pdf(_SIZE.sub(_in_points, picture, count=1))
        else:
            written = picture.encode()
        if hasattr(fp, "write"):
            fp.write(written)
        else:
            Path(fp).write_bytes(written)

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> Any:
        render = alt.renderers.get()
        if render is not None and alt.renderers.active != _SHOWN_BY_ALTAIR:
            return render(self.to_dict())
        import vl_convert

        picture = vl_convert.vegalite_to_svg(self._drawn(theme.FONT))
        return {"image/svg+xml": picture, "text/plain": repr(self)}

    def _drawn(self, font: str) -> dict[str, Any]:
        """Returns the chart's specification, with the look of reports and the user's config."""
        drawn: dict[str, Any] = drawable(self.to_dict())
        # "view" has only Altair's defaults.
        own = {name: each for name, each in drawn.get("config", {}).items() if name != "view"}
        drawn["config"] = {**theme.config(font), "background": "white", "padding": 12, **own}
        return drawn


class StudyPlots:
    """The charts of a study as Vega-Altair charts.

    A notebook shows a chart as a picture. After ``altair.renderers.enable("html")``, it shows
    charts with tooltips, whose scripts come from a server. ``save`` writes a chart for a paper, as
    wide as a column.

    Example:
        ```python
        history = ks.read_study("digits")
        history.plot.parallel_coordinates()
        history.plot.slice("learning_rate").save("learning_rate.pdf")
        ```
    """

    def __init__(self, history: StudyHistory) -> None:
        self._read = StudyData(history)

    def __repr__(self) -> str:
        """Returns the names of the charts."""
        return f"<plots of {self._read.history.description.name!r}: {', '.join(_names())}>"

    def __getattr__(self, name: str) -> Never:
        """Raises AttributeError. The text suggests the nearest chart."""
        raise AttributeError(f"There is no chart {name!r}. {suggestion(name, _names())}")

    def belief(self) -> alt.LayerChart:
        """Returns a chart of the best value: reported, corrected and confirmed."""
        return self._shown(result_charts.belief(self._data))

    def history(self) -> alt.LayerChart:
        """Returns a chart of each trial's value, and of the best value so far."""
        return self._shown(result_charts.optimization_history(self._data))

    def learning_curves(self) -> alt.LayerChart:
        """Returns a chart of all learning curves, with those of the best trials in front."""
        return self._shown(result_charts.learning_curves(self._data))

    def parallel_coordinates(self) -> alt.LayerChart:
        """Returns a chart with a line for each trial through its hyperparameters and its value."""
        return self._shown(hyperparameter_charts.parallel_coordinates(self._data))

    def importance(self) -> alt.LayerChart:
        """Returns a chart of the hyperparameters' importances, by Optuna's fANOVA.

        Raises:
            StudyError: If too few trials have a value, or all have the same value.
        """
        if not self._data.importances:
            raise StudyError(
                f"Importance needs {FEWEST_TRIALS} trials with a value, not all the same. Received "
                f"a study that has {len(self._data.ranked)}."
            )
        return self._shown(hyperparameter_charts.importance(self._data))

    def slice(self, name: str) -> alt.LayerChart:
        """Returns a chart of the trials' values by one hyperparameter.

        Raises:
            StudyError: If no hyperparameter that varies has this name.
        """
        return self._shown(hyperparameter_charts.hyperparameter_slice(self._data, self._axis(name)))

    def contour(self, first: str, second: str) -> alt.LayerChart:
        """Returns a chart of the objective over two hyperparameters.

        Raises:
            StudyError: If no hyperparameter that varies has one of these names.
        """
        return self._shown(
            hyperparameter_charts.contour(self._data, self._axis(first), self._axis(second))
        )

    def predictions(self) -> alt.LayerChart:
        """Returns a chart of the champion's predictions for the validation data.

        For a classifier, it is the confusion matrix.

        Raises:
            StudyError: If no predictions are recorded.
        """
        output = self._data.predictions
        if output is None or not (output.confusion or output.truth):
            name = self._data.history.description.name
            raise StudyError(
                f"The record of {name!r} has no predictions of a champion on validation data."
            )
        if output.confusion:
            return self._shown(result_charts.confusion_matrix(output))
        return self._shown(result_charts.targets(output))

    def _axis(self, name: str) -> HyperparameterAxis:
        for axis in self._data.axes:
            if axis.name == name:
                return axis
        names = [axis.name for axis in self._data.axes]
        raise StudyError(f"No hyperparameter {name!r} varies. {suggestion(name, names)}")

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


def _in_points(size: re.Match[str]) -> str:
    """Returns the size of an SVG for vl-convert, which takes a pixel for a point of the PDF."""
    width, height = (float(pixels) * _POINTS_PER_PIXEL for pixels in size.groups())
    return f'width="{width}" height="{height}"'


def _names() -> list[str]:
    return [name for name in vars(StudyPlots) if not name.startswith("_")]
