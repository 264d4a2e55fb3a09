"""Makes the page that compares studies, or engines of one."""

from __future__ import annotations

from collections.abc import Sequence

from tracking.history.comparison import Comparison, Reached, compare
from tracking.history.study_history import StudyHistory
from tracking.report.charts import side_by_side
from tracking.report.formats import count, duration, number, value_text
from tracking.report.page import render
from tracking.report.parts import Figure, Section
from tracking.report.trial_data import StudyData


def comparison_page(histories: Sequence[StudyHistory]) -> str:
    """Returns a page with studies side by side, as HTML.

    Raises:
        ComparisonError: If they can't be compared; see `compare`.
    """
    comparison = compare(histories)
    studies = [StudyData(history) for history in histories]
    names = {history.description.name for history in histories}
    rows = side_by_side.progress_rows(comparison, studies)
    shown = _sections(comparison, studies, rows) if rows else []
    return render(
        "comparison.html",
        [figure.chart for section in shown for figure in section.figures],
        {"progress": rows},
        {"picked": None, "command": ["", ""]},
        title=f"{', '.join(standing.label for standing in comparison.standings)}: comparison",
        labels=[standing.label for standing in comparison.standings],
        kind=f"Engines of {names.pop()}" if len(names) == 1 else "Studies",
        objective=comparison.objective,
        found=_found(comparison),
        sections=shown,
        standings=[_standing(comparison, place) for place in range(len(histories))],
        targets=[number(target) for target in comparison.targets],
        notes=comparison.notes,
        overlaps=[
            (each.name, [_region(r, each.numeric) for r in each.regions], f"{each.overlap:.2f}")
            for each in comparison.parameters
            if each.overlap is not None
        ],
        top=comparison.top,
    )


def _sections(
    comparison: Comparison, studies: Sequence[StudyData], rows: dict[str, list[object]]
) -> list[Section]:
    valued = [value for value in rows["value"] if value is not None]
    if not valued:
        return []
    search = [
        Figure(side_by_side.best_so_far(comparison, rows, "count", "trials")),
        Figure(side_by_side.best_so_far(comparison, rows, "seconds", "seconds of training")),
        Figure(side_by_side.values(comparison, rows), "The bar is the median."),
    ]
    spaces = [history.history.description.space for history in studies]
    shared = [axis for axis in studies[0].axes if all(axis.name in space for space in spaces)]
    regions = [
        Figure(side_by_side.region(comparison, studies, axis), small=True) for axis in shared
    ]
    found = [Section("How good, how soon", tuple(search))]
    if regions:
        found.append(
            Section(
                "Where in the space",
                tuple(regions),
                f"Each line is a trial; the {comparison.top} best of each are dots.",
            )
        )
    return found


def _found(comparison: Comparison) -> str:
    valued = [each for each in comparison.standings if each.best and each.best.value is not None]
    if not valued:
        return "No trial has a value yet."
    best = min(valued, key=lambda each: comparison.objective.sort_key(_value(each.best)))
    return (
        f"{best.label} found the best {comparison.objective.metric}: {number(_value(best.best))}."
    )


def _value(trial: object) -> float:
    value = getattr(trial, "value", None)
    assert isinstance(value, float | int), "it has a value"
    return value


def _standing(comparison: Comparison, place: int) -> list[str]:
    standing = comparison.standings[place]
    description, best = standing.history.description, standing.best
    counts = standing.history.counts()
    at = "" if best is None or best.epoch is None else f", epoch {best.epoch}"
    return [
        standing.label,
        description.engine,
        "none" if best is None or best.value is None else number(best.value, 5),
        "" if best is None else f"{best.number}{at}",
        f"{counts['total']:,}: "
        + ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name != "total"),
        f"{standing.epochs:,}",
        duration(standing.seconds),
        *(_cost(reached) for reached in standing.reached),
    ]


def _cost(reached: Reached) -> str:
    if reached.trials is None or reached.seconds is None:
        return "not reached"
    return f"{count(reached.trials, 'trial')}, {duration(reached.seconds)}"


def _region(region: tuple[object, ...], numeric: bool) -> str:
    shown = [number(v) if isinstance(v, float) else value_text(v) for v in region]
    return " to ".join(dict.fromkeys(shown)) if numeric else ", ".join(shown)
