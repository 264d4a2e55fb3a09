"""Hyperparameters that a builder declares only while its study runs.

A space found by tracing a builder may lack hyperparameters of a branch that tracing did not reach.
Such a hyperparameter joins the space with the trial that declared it. It had its default in that
trial and in all before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from search_spaces import SearchSpace
from search_spaces.parameters.choices import parameter_from_dict
from search_spaces.space import complete
from tracking.records import EndedTrial, StudyDescription, TrialRecord

_Trial = TypeVar("_Trial", bound=TrialRecord)


def with_joined(description: StudyDescription, trials: Iterable[TrialRecord]) -> StudyDescription:
    """Returns a study's definition with the space after its trials."""
    if not description.discovered:
        return description
    space = description.space
    for trial in trials:
        if isinstance(trial, EndedTrial):
            space = joined(space, trial.result.joined)
    return replace(description, space=space)


def joined(space: SearchSpace, parameters: Iterable[object]) -> SearchSpace:
    """Returns a space with parameters, as `Parameter.to_dict` writes them, added or replaced."""
    found = [parameter_from_dict(each) for each in parameters]
    return space.with_parameters(*found) if found else space


def completed(trial: _Trial, space: SearchSpace) -> _Trial:
    """Returns a trial with its values of hyperparameters that joined the space after it began."""
    if space.contains(trial.spec.values):
        return trial
    return replace(trial, spec=replace(trial.spec, values=complete(space, trial.spec.values)))
