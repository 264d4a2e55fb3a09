"""The parts of a page: sections, and figures with what they say."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt

from tracking.records.data_findings import DataFinding
from tracking.report.examples import Example


@dataclass(frozen=True)
class Figure:
    """A chart on a page.

    Attributes:
        chart: The chart.
        text: What it shows and how to read it; may be empty.
        small: Whether it stands in a row with others.
        plotted: Whether it is one of the plots that MLflow shows.
        mark: A word before its heading, such as "problem", or empty.
        command: What to copy into a shell, or empty.
    """

    chart: alt.LayerChart
    text: str = ""
    small: bool = False
    plotted: bool = False
    mark: str = ""
    command: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        heading: Its heading.
        figures: Its figures.
        text: What precedes them.
        examples: Samples that the champion classifies worst, shown after them.
        findings: What was found in the data, shown before them.
        picture: Samples, as a PNG in base64; or empty.
        caption: What the picture shows.
    """

    heading: str
    figures: tuple[Figure, ...]
    text: str = ""
    examples: tuple[Example, ...] = ()
    findings: tuple[DataFinding, ...] = ()
    picture: str = ""
    caption: str = ""
