"""Writes a study's report: a page, and plots, among the artifacts of its parent run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tracking.history.study_history import StudyHistory, read_study
from tracking.runs.run_contents import local_artifacts
from tracking.store.atomic import write_atomically

if TYPE_CHECKING:
    from tracking.report.parts import Section
    from tracking.report.trial_data import StudyData

FILE_NAME = "report.html"
PLOTS = "plots"
EXAMPLES = "examples.html"


def warm_up() -> None:
    """Imports what a report needs, which takes two seconds; for a thread, while trials train."""
    with contextlib.suppress(Exception):
        import altair as alt
        import optuna.importance
        import vl_convert

        from tracking.report import page
        from tracking.report.charts import theme

        # Looked up when it is first used, as is the schema of charts.
        optuna.importance.FanovaImportanceEvaluator()
        points = theme.chart().mark_point().encode(x="x:Q", y=alt.Y("y:Q", title=""))
        drawn = theme.layers(points.add_params(theme.brush("")), theme.picked_ring(points))
        made = theme.finished(drawn, "", "", 9, "").to_dict(validate=False)
        page.vega_library()
        vl_convert.vegalite_to_svg({**made, "config": theme.config()})


def early_plots(history: StudyHistory) -> dict[str, str]:
    """Returns the plots that don't depend on the champion, by name; for `write_report`."""
    from tracking.report.figures import OF_CHAMPION, TO_BELIEVE, sections
    from tracking.report.trial_data import StudyData

    data = StudyData(history)
    late = (OF_CHAMPION, TO_BELIEVE)
    shown = [each for each in sections(data) if not each.heading.startswith(late)]
    return dict(_plots(data, shown))


def write_report(
    history: StudyHistory, without: Path | None = None, drawn: Mapping[str, str] | None = None
) -> Path:
    """Writes a study's page and plots; returns the page's path.

    Args:
        history: The study.
        without: A store's folder that the commands on the page need not name.
        drawn: Plots of the same trials, by name, that need not be drawn again.
    """
    from tracking.report.figures import sections
    from tracking.report.page import examples_page, study_page
    from tracking.report.trial_data import StudyData

    data = StudyData(history, without)
    shown = sections(data)
    folder = local_artifacts(history.store, history.store.client.get_run(history.parent_run_id))
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    for name, image in _plots(data, shown, drawn or {}):
        write_atomically(folder / PLOTS / f"{name}.svg", image)
    examples = [each for section in shown for each in section.examples]
    if examples:
        write_atomically(folder / PLOTS / EXAMPLES, examples_page(examples))
    else:
        # Of a former champion.
        (folder / PLOTS / EXAMPLES).unlink(missing_ok=True)
    page = folder / FILE_NAME
    write_atomically(page, study_page(data, shown, without))
    return page


def renew_report(history: StudyHistory, without: Path | None = None) -> None:
    """Writes a study's report again, if it has one, after something else than a launch changed it.

    Args:
        history: The study.
        without: See `write_report`.
    """
    folder = local_artifacts(history.store, history.store.client.get_run(history.parent_run_id))
    if (folder / FILE_NAME).is_file():
        description = history.description
        write_report(read_study(history.store, description.name, description.engine), without)


def write_comparison(histories: Sequence[StudyHistory], page: Path) -> None:
    """Writes a page with studies, or engines of one, side by side.

    Args:
        histories: The studies.
        page: The file to write.

    Raises:
        ComparisonError: If they can't be compared.
    """
    from tracking.report.comparison_page import comparison_page

    write_atomically(page, comparison_page(histories))


def _plots(
    data: StudyData, shown: Sequence[Section], drawn: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, str]]:
    """Yields the name of each plot, and the plot as SVG."""
    import vl_convert

    from tracking.report.charts import theme
    from tracking.report.figures import tables
    from tracking.report.formats import drawable
    from tracking.report.trial_data import rows_of

    rows = {name: drawable(rows_of(columns)) for name, columns in tables(data).items()}
    config = {**theme.config(), "background": "white", "padding": 12}
    for figure in (figure for section in shown for figure in section.figures if figure.plotted):
        name = str(figure.chart.name)
        if name in drawn:
            yield name, drawn[name]
            continue
        chart = drawable(figure.chart.to_dict(validate=False))
        # Here and not in the chart, which would check each row.
        named = {each.get("data", chart.get("data", {})).get("name") for each in chart["layer"]}
        chart["datasets"] = {**chart.get("datasets", {}), **{n: rows[n] for n in named & {*rows}}}
        yield name, vl_convert.vegalite_to_svg({**chart, "config": config})
