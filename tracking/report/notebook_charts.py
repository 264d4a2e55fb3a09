"""`history.plot`: a study's charts for notebooks and papers, as Altair charts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Never, cast

import altair as alt

from search_spaces.errors import StudyError
from search_spaces.texts import counted, suggestion
from tracking.history import StudyHistory
from tracking.report import charts
from tracking.report.axes_scales_and_labels import HyperparameterAxis, drawable
from tracking.report.chart_data import FEWEST_TRIALS, StudyData, importances, tables

_SHOWN_BY_ALTAIR = "default"
# The width of a column of a paper, in inches.
_COLUMN = 3.3
# CSS has 96 pixels per inch. On paper, a text of 11 pixels then has 8 points.
_PIXELS_PER_INCH = 96
_POINTS_PER_PIXEL = 72 / _PIXELS_PER_INCH
_PRINTED_PER_INCH = 300
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
# Journals ask for Arial or Helvetica. Liberation Sans has the same widths, and is in vl-convert.
_PRINTED_FONT = "'Liberation Sans', Arial, Helvetica, 'Noto Sans CJK KR', sans-serif"


class NotebookChart(alt.LayerChart):
    """A chart that a notebook shows as SVG, and that `save` writes in the size of a paper's column.

    SVG needs no network, while Altair's default renderer loads Vega from a server. If the user
    enables another renderer, e.g. by ``altair.renderers.enable("html")``, Altair shows the chart.
    """

    @classmethod
    def of(cls, chart: alt.LayerChart) -> NotebookChart:
        """Returns a copy of a chart as a `NotebookChart`."""
        copy: Any = chart.copy(deep=False)
        # Altair would turn a plain assignment into a property of the chart.
        object.__setattr__(copy, "__class__", cls)
        return cast(NotebookChart, copy)

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

        A PDF has embedded fonts. A PNG has 300 pixels per inch.

        Args:
            fp: The path of the file, or an open file.
            format: ``"pdf"``, ``"svg"`` or ``"png"``; by default the suffix of the path. Altair's
                own `save` writes other formats, such as ``"html"``.
            *args: Further arguments of Altair's `save`, only for other formats.
            width: The width in inches; by default 3.3, the width of a column.
            height: The height in inches; by default a height that suits the chart.
            **options: Further arguments of Altair's `save`, only for other formats.
        """
        import vl_convert

        kind = format or Path(str(getattr(fp, "name", fp))).suffix[1:]
        if kind not in ("pdf", "svg", "png"):
            super().save(fp, format, *args, **options)
            return
        vega = self._drawn(_PRINTED_FONT)
        vega.pop("title", None)
        width = width or _COLUMN
        least = min(0.6 * width, _COLUMN)
        height = height or max(vega["height"] * _POINTS_PER_PIXEL / _PIXELS_PER_INCH, least)
        vega["width"], vega["height"] = width * _PIXELS_PER_INCH, height * _PIXELS_PER_INCH
        # With this setting, the width includes axes and legends.
        vega["autosize"] = {"type": "fit", "contains": "padding"}
        vega["config"]["padding"] = 2
        picture = vl_convert.vegalite_to_svg(vega)
        if kind == "png":
            content = vl_convert.svg_to_png(picture, scale=_POINTS_PER_PIXEL, ppi=_PRINTED_PER_INCH)
        elif kind == "pdf":
            content = vl_convert.svg_to_pdf(_SIZE.sub(_in_points, picture, count=1))
        else:
            content = picture.encode()
        if hasattr(fp, "write"):
            fp.write(content)
        else:
            Path(fp).write_bytes(content)

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> Any:
        render = alt.renderers.get()
        if render is not None and alt.renderers.active != _SHOWN_BY_ALTAIR:
            return render(self.to_dict())
        import vl_convert

        picture = vl_convert.vegalite_to_svg(self._drawn(charts.FONT))
        return {"image/svg+xml": picture, "text/plain": repr(self)}

    def _drawn(self, font: str) -> dict[str, Any]:
        """Returns the chart's specification, with the look of reports and the user's config."""
        vega: dict[str, Any] = drawable(self.to_dict())
        config = vega.get("config", {})
        # Altair writes its defaults into "view", where they would replace the look of reports.
        config.pop("view", None)
        vega["config"] = {**charts.config(font), "background": "white", "padding": 12, **config}
        return vega


class StudyPlots:
    """The charts of a study as Vega-Altair charts.

    A notebook shows a chart as a picture. After ``altair.renderers.enable("html")``, charts have
    tooltips, and the notebook needs the network. ``save`` writes a chart for a paper, as wide as a
    column.

    Example:
        ```python
        history = ks.read_study("digits")
        history.plot.learning_curves()
        history.plot.slice("learning_rate").save("learning_rate.pdf")
        ```
    """

    def __init__(self, history: StudyHistory) -> None:
        self._all_data = StudyData(history, whole=True)

    def __repr__(self) -> str:
        """Returns the names of the charts."""
        return f"<plots of {self._all_data.history.description.name!r}: {', '.join(_names())}>"

    def __getattr__(self, name: str) -> Never:
        """Raises AttributeError, whose text suggests the chart with the nearest name."""
        raise AttributeError(f"There is no chart {name!r}. {suggestion(name, _names())}")

    def belief(self) -> alt.LayerChart:
        """Returns a chart of the best value: as the search saw it, corrected, and confirmed."""
        return self._shown(charts.belief(self._data))

    def history(self) -> alt.LayerChart:
        """Returns a chart of each trial's value, and of the best value so far."""
        return self._shown(charts.optimization_history(self._data))

    def learning_curves(self) -> alt.LayerChart:
        """Returns a chart of all learning curves, with the curves of the best trials in front."""
        return self._shown(charts.learning_curves(self._data))

    def importance(self) -> alt.LayerChart:
        """Returns a chart of the hyperparameters' importances, by Optuna's fANOVA.

        If fewer than 15 trials have a value, the chart says how unsure the importances are.

        Raises:
            StudyError: If no two trials have different values.
        """
        count = len(self._data.ranked)
        shares = importances(self._data.axes, self._data.ranked, fewest=2)
        if not shares:
            raise StudyError(
                "Importance needs trials with values that differ, and a hyperparameter that varies",
                received=counted(count, "trial"),
            )
        # How often the first is wrong was measured: see docs/decisions/0038-the-report.md.
        unsure = (
            f"Unsure, as only {counted(count, 'trial')} have a value:",
            "by 10 trials, the first is wrong in 3 of 10 cases.",
        )
        return self._shown(charts.importance(shares, unsure if count < FEWEST_TRIALS else ()))

    def slice(self, name: str) -> alt.LayerChart:
        """Returns a chart of the trials' values by one hyperparameter.

        Raises:
            StudyError: If no hyperparameter that varies has this name.
        """
        return self._shown(charts.hyperparameter_slice(self._data, self._axis(name)))

    def predictions(self) -> alt.LayerChart:
        """Returns a chart of the champion's predictions for the validation data.

        For a classifier, the chart is the confusion matrix.

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
            return self._shown(charts.confusion_matrix(output))
        return self._shown(charts.targets(output))

    def _axis(self, name: str) -> HyperparameterAxis:
        axes = {axis.name: axis for axis in self._data.axes}
        if name not in axes:
            raise StudyError(f"No hyperparameter {name!r} varies. {suggestion(name, axes)}")
        return axes[name]

    @property
    def _data(self) -> StudyData:
        if not self._all_data.ranked:
            name = self._all_data.history.description.name
            raise StudyError(
                f"The study {name!r} has no trial with a value yet: there is nothing to draw."
            )
        return self._all_data

    def _shown(self, chart: alt.LayerChart) -> alt.LayerChart:
        return NotebookChart.of(charts.with_rows(chart, tables(self._data)))


def _in_points(size: re.Match[str]) -> str:
    """Converts an SVG's size to points, since vl-convert draws a pixel as a point of the PDF."""
    width, height = (float(pixels) * _POINTS_PER_PIXEL for pixels in size.groups())
    return f'width="{width}" height="{height}"'


def _names() -> list[str]:
    return [name for name in vars(StudyPlots) if not name.startswith("_")]
