"""`kerastudy.check_data` and ``kerastudy data``, which check data before a model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.errors import DataError, StudyError
from studies.data import (
    CrossValidation,
    Dataset,
    DescribedData,
    StreamedDataset,
    data_alone,
    look_at,
    path_in,
)
from studies.definition import StudyDefinition, no_data
from studies.library_internals import import_quietly
from studies.progress import showing
from studies.training import prepare_environment
from studies.user_code import Target, load_study, what_is_loaded
from tracking.records import DataFindings


def check_data(data: Dataset | StreamedDataset | StudyDefinition) -> DataFindings:
    """Checks data before a model is trained on it.

    The checks look for rare and missing classes, missing values, constant columns, samples that
    occur in two parts, and differences between the distributions of the parts. The targets of a
    test part are not read, only its inputs.

    Args:
        data: Data that a function of `datasets` has returned, or a study with such data. Not data
            in batches.

    Returns:
        The findings. `print` shows a line for each finding.

    Raises:
        DataError: If the data can't be read, or comes in batches.

    Example:
        >>> findings = ks.check_data(ks.datasets.digits())
        >>> findings.findings[0].title
        'No sample is in two parts'
    """
    if isinstance(data, DescribedData):
        return _of_data(data)
    if not isinstance(data, StudyDefinition):
        raise DataError(
            "check_data takes data from kerastudy.datasets, such as datasets.arrays(x, y), or a "
            "study",
            received=data,
        )
    return _of_study(data)


def check_target(target: Target, data: str = "") -> DataFindings:
    """Checks the data of the study that a target such as "digits" names."""
    with showing() as progress:
        progress.wait(what_is_loaded(target))
        prepare_environment(1)
        import_quietly()
        study, _ = load_study(target)
        if data:
            study = study.with_overrides({"data": data})
        progress.wait("checking the data")
        findings = _of_study(study)
        progress.end()
        return findings


def check_file(text: str, options: Mapping[str, Any] = {}) -> DataFindings:
    """Checks a data file or folder that belongs to no study."""
    with showing() as progress:
        progress.wait("checking the data")
        if Path(path_in(text)).is_dir():
            # TensorFlow reads the images and texts in folders, so its environment is set first.
            prepare_environment(1)
            import_quietly()
        findings = check_data(data_alone(text, options))
        progress.end()
        return findings


def _of_study(study: StudyDefinition) -> DataFindings:
    if study.objective_function is not None:
        raise StudyError(no_data(study.name))
    data, how = study.data, study.cross_validation
    assert isinstance(data, DescribedData), "the study checks this"
    if isinstance(how, CrossValidation):
        return look_at(data.load_folds(how), data.name)
    return _of_data(data)


def _of_data(data: DescribedData) -> DataFindings:
    if data.in_batches:
        raise DataError(
            f"The data {data.name!r} comes in batches, and only arrays are checked",
            hint="Check the samples that the batches are made of: "
            "ks.check_data(ks.datasets.arrays(x, y)).",
        )
    return look_at(data.load(), data.name)
