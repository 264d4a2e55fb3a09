"""What a study finds about its scientific hyperparameters."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from search_spaces.parameters.kinds import Parameter
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import TooThinError
from tracking.diagnosis.isolation import isolation
from tracking.history.study_history import StudyHistory


def scientific(study: DiagnosedStudy) -> list[Parameter]:
    """Returns the scientific hyperparameters that vary, in declared order."""
    return [each for each in study.varying if each.role == "scientific"]


def answers(history: StudyHistory) -> Mapping[str, str]:
    """Returns what each scientific hyperparameter does, as a sentence with its intervals, by name.

    Those with too few trials are left out; see `isolation`.
    """
    study = DiagnosedStudy(history)
    found = {}
    for parameter in scientific(study):
        with contextlib.suppress(TooThinError):
            found[parameter.name] = isolation(study, parameter).verdict
    return found
