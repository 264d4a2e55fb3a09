"""`kerastudy.check_data` and ``kerastudy data``, which check data before a model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.errors import DataError, StudyError, TrackingError
from studies.data import (
    CrossValidation,
    Dataset,
    DescribedData,
    LoadedData,
    StreamedDataset,
    data_alone,
    look_at,
    path_in,
)
from studies.definition import StudyDefinition, no_data
from studies.library_internals.quiet_imports import import_quietly
from studies.progress import Progress, showing
from studies.training import begin_trial, configure_tensorflow, prepare_environment
from studies.user_code import Target, load_study, what_is_loaded
from tracking.history.study_history import find_study
from tracking.mlflow.exporter_process import export_later
from tracking.records.data_findings import DataFindings
from tracking.store.store_folder import as_store_errors, default_store_path, open_store


def check_data(data: Dataset | StreamedDataset | StudyDefinition) -> DataFindings:
    """Checks data before a model is trained on it.

    The checks look for rare and missing classes, missing values, constant columns, samples that
    occur in two parts, and differences between the distributions of the parts. The targets of a
    test part are not read, only its inputs.

    Args:
        data: Data that a function of `datasets` has returned, or a study with such data.

    Returns:
        The findings. `print` shows a line for each finding.

    Raises:
        DataError: If the data can't be read.

    Example:
        >>> findings = ks.check_data(ks.datasets.digits())
        >>> findings.findings[0].title
        'No sample is in two parts'
    """
    if isinstance(data, DescribedData):
        return look_at(_loaded(data), data.name)
    if not isinstance(data, StudyDefinition):
        raise DataError(
            "check_data takes data from kerastudy.datasets, such as datasets.arrays(x, y), or a "
            f"study. Received: {type(data).__name__}."
        )
    return _of_study(data)


def check_target(
    target: Target, data: str = "", store: Path | None = None
) -> tuple[DataFindings, str]:
    """Checks the data of the study that a target such as "digits" names.

    If the store has this study with the same data, the findings are added to its record.

    Returns the findings, and the name of the study to whose record they were added, or "".
    """
    with showing() as progress:
        progress.wait(what_is_loaded(target))
        prepare_environment(1)
        import_quietly()
        study, _ = load_study(target)
        if data:
            study = study.with_overrides({"data": data})
        progress.wait("checking the data")
        findings = _of_study(study)
        recorded = _record(study, findings, store, progress)
        progress.end()
        return findings, study.name if recorded else ""


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
    return look_at(_loaded(data, study.seed), data.name)


def _loaded(data: DescribedData, seed: int = 0) -> LoadedData:
    if data.in_batches:
        configure_tensorflow(None)
        # Input pipelines may contain random operations, which draw from the generators seeded here.
        begin_trial(seed)
    return data.load()


def _record(
    study: StudyDefinition, findings: DataFindings, place: Path | None, progress: Progress
) -> bool:
    """Adds the findings to the study's record, if it has the same data. Returns whether it does."""
    try:
        with as_store_errors():
            store = open_store(place if place is not None else default_store_path())
            history = None if store is None else find_study(store, study.name)
            if history is None or history.description.data.digest != findings.digest:
                return False
            with (
                history.store.lock_study(history.folder, study.name),
                history.writing() as journal,
            ):
                journal.write_findings(findings)
            export_later(history.folder)
    except TrackingError as error:
        progress.say(f"warning: the findings could not be recorded: {error}")
        return False
    return True
