"""Whether a builder makes the same model of the same hyperparameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces import Hyperparameters
from studies.training.building.build import build_model
from studies.training.building.hypermodel import has_own_fit
from studies.training.process.determinism import begin_trial
from studies.training.structures.structure import Structure

if TYPE_CHECKING:
    from studies.definition.study_definition import StudyDefinition


def unlike_builds(study: StudyDefinition) -> str:
    """Builds the model of the default hyperparameters twice, and compares the structures.

    Returns:
        A warning if they differ; nothing if they don't, or can't be compared.
    """
    assert study.space is not None, "a session resolves the study's space"
    if has_own_fit(study.build):
        return ""
    keys = []
    for _ in range(2):
        begin_trial(study.seed)
        try:
            structure = Structure(
                build_model(study, Hyperparameters(study.space, study.space.defaults()))
            )
        except Exception:
            # `check_study` reports it.
            return ""
        if structure.reason:
            return ""
        keys.append(structure.key)
    if keys[0] == keys[1]:
        return ""
    return (
        "the builder makes models of different structure of the same hyperparameters and seed, "
        "from something that lasts from one call to the next, such as a counter"
    )
