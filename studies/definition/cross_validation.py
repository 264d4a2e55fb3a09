"""Checks that a study can be cross-validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from search_spaces.errors import DataError, StudyError
from studies.data import CrossValidation, DescribedData
from studies.data.folds.cross_validation import Grouped
from studies.data.folds.splits import check_cross_validation

if TYPE_CHECKING:
    from studies.definition.study_definition import StudyDefinition


def cross_validation_of(study: StudyDefinition) -> CrossValidation | None:
    """Returns how a study splits its data into folds, or None.

    Raises:
        StudyError: If it can't be cross-validated; says why.
    """
    try:
        how = check_cross_validation(study.cross_validation)
    except DataError as error:
        raise StudyError(str(error)) from None
    if how is None:
        return None
    data: object = study.data
    if not isinstance(data, DescribedData):
        _refuse("a function of hp makes its data", "Give data that is the same for all trials")
    if data.in_batches:
        _refuse("its data comes in batches", "Take data from datasets.arrays")
    if callable(study.class_weight):
        _refuse("its class_weight is a function of hp", "Give weights, or 'balanced'")
    if study.repeats > 1:
        _refuse(
            f"it has repeats={study.repeats}",
            "Folds have seeds of their own already; kerastudy.splits.repeated draws them again",
        )
    return how


def check_replaced(overrides: Mapping[str, Any]) -> None:
    """Refuses groups that only a launch gives: the record does not hold them."""
    if isinstance(overrides.get("cross_validation"), Grouped):
        raise StudyError(
            "Groups can't be given at launch alone, as the record does not hold them, and trials "
            "could not be reproduced. Give them in the study: Study(cross_validation=…)."
        )


def check_no_own_fit(study: StudyDefinition) -> None:
    """Refuses a HyperModel that trains by itself: it may need validation data of its own."""
    if study.cross_validation is not None:
        _refuse("its HyperModel has its own fit", "Leave the fit out: then model.fit trains it")


def _refuse(why: str, what_to_do: str) -> NoReturn:
    raise StudyError(f"The study can't be cross-validated: {why}. {what_to_do}.")
