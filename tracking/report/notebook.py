"""Charts as a notebook shows them: as pictures, without the network."""

from __future__ import annotations

from typing import Any

import altair as alt

from tracking.report.charts import theme

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

        drawn = self.to_dict()
        # The look of reports. Altair's own is in "view", what the user sets in others.
        own = {name: each for name, each in drawn.get("config", {}).items() if name != "view"}
        drawn["config"] = {**theme.config(), "background": "white", "padding": 12, **own}
        picture = vl_convert.vegalite_to_svg(drawn)
        return {"image/svg+xml": picture, "text/plain": repr(self)}
