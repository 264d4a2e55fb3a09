"""A glance at a study's data before it runs."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from studies.data import FoldedSplits, LoadedData
from studies.data.looking.look import glance_at
from tracking.records import StudyDescription
from tracking.runs.pages.commands import data_command


def with_glance(
    description: StudyDescription, splits: LoadedData | FoldedSplits
) -> StudyDescription:
    """Returns a study's description with what a glance at its data found, and warns of the worst.

    It takes some hundredths of a second; the rest is for ``kerastudy data``.
    """
    # A look at data must not keep a study from running.
    with contextlib.suppress(Exception):
        found = glance_at(splits, description.data.name)
        if found is None:
            return description
        told = list(found.problems)
        if told:
            told[-1] += f" Look at it: {data_command(description)}"
        return replace(description, looked=found, warnings=(*description.warnings, *told))
    return description
