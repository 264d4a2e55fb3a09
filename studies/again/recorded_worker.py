"""A new process that has loaded a study as it was when a trial ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from search_spaces.errors import StudyError
from studies.data import CrossValidation
from studies.data.arrays.large import temporary_folder
from studies.data.folds.splits import read_spelled
from studies.data.replacing import spelled
from studies.definition.study_definition import StudyDefinition
from studies.executors.worker import WorkerExecutor
from studies.progress import Progress
from studies.user_code.loading import describe_code
from studies.user_code.shipping import ShippedStudy, ship
from studies.user_code.targets import Target, what_is_loaded
from studies.user_code.user_modules import place_of, text_of
from tracking.history.study_history import StudyHistory, read_code
from tracking.history.summary import shell_commands
from tracking.records import CodeDescription, TrialRecord
from tracking.records.studies import sha256

AS_IT_IS: Final = "it is run as it is"
"""The end of a note on code that may be another than the recorded one."""


@contextmanager
def recorded_worker(
    history: StudyHistory,
    trial: TrialRecord,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    progress: Progress,
) -> Iterator[tuple[WorkerExecutor, list[str]]]:
    """Loads the study that a trial ran from, in a process that ends with the context.

    If the study file or its own modules have changed, the recorded texts are run; installed
    packages are the present ones.

    Args:
        history: The study.
        trial: The trial.
        study: The study of this process, instead of the recorded code.
        data: The file with the data, if it has moved.
        progress: Gets messages on what has changed.

    Yields:
        The process, and these messages.

    Raises:
        StudyError: If the study cannot be loaded.
    """
    with temporary_folder() as shared:
        target: Target | ShippedStudy
        if study is None:
            target, notes = recorded_target(history, trial)
        else:
            target, notes = _sent(study, history, trial, Path(shared))
        for note in notes:
            progress.say(note)
        worker = WorkerExecutor(
            target,
            overrides=recorded_folds(history),
            data=spelled(data, recorded=history.description.data.override),
            threads=trial.spec.threads,
            folder=history.description.code.folder,
            shared=Path(shared),
            on_output=progress.say,
        )
        progress.wait(
            what_is_loaded(target)
            if isinstance(target, Target)
            else f"loading TensorFlow and the study {history.description.name}"
        )
        try:
            worker.load()
            yield worker, notes
        finally:
            worker.close()


def recorded_folds(history: StudyHistory) -> dict[str, CrossValidation | None]:
    """Returns the cross-validation that a study was launched with, perhaps not that of its file.

    Groups are in no record, and come from the file alone.
    """
    text = history.description.cross_validation
    how = read_spelled(text)
    return {} if text and how is None else {"cross_validation": how}


def recorded_target(history: StudyHistory, trial: TrialRecord) -> tuple[Target, list[str]]:
    """Returns the code that a trial ran from, to load, and what has changed in it since.

    Raises:
        StudyError: If it was not defined in a file.
    """
    code = history.description.code
    recorded = read_code(history, trial.code_digest)
    source = recorded.source
    path = Path(code.path) if code.path else None
    if path is None:
        raise StudyError(
            f"The study {history.description.name!r} was not defined in a file (but in a notebook "
            "or an interactive session), so its record alone does not reproduce its trials. Call "
            f"study.reproduce({trial.number}) there, or put the study into a file and launch it "
            "from that."
        )
    notes: list[str] = []
    if not path.is_file():
        notes.append(f"the study file {str(path)!r} is gone; its recorded text is run")
    elif not source:
        notes.append(f"the record has no text of {str(path)!r}; {AS_IT_IS}")
    elif path.read_text(encoding="utf-8", errors="replace") != source:
        notes.append(f"the study file {str(path)!r} has changed since; its recorded text is run")
    modules, changed = _changed_modules(path, recorded)
    target = Target(str(path), code.variable, source or None, code.study_name, modules)
    return target, [*notes, *changed]


def _changed_modules(path: Path, code: CodeDescription) -> tuple[dict[str, str], list[str]]:
    """Returns the recorded texts of changed modules, by their files; reports them."""
    texts, notes = {}, []
    for place, digest in (code.modules or {}).items():
        text = text_of(path, place)
        if text is not None and sha256(text) == digest:
            continue
        changed = f"the imported {place!r} " + ("is gone" if text is None else "has changed since")
        if place in code.texts:
            texts[str(place_of(path, place))] = code.texts[place]
            notes.append(f"{changed}; its recorded text is run")
        else:
            notes.append(f"{changed}, and the record lacks its text; {AS_IT_IS}")
    return texts, notes


def _sent(
    study: StudyDefinition, history: StudyHistory, trial: TrialRecord, folder: Path
) -> tuple[ShippedStudy, list[str]]:
    code = describe_code(study, study.name)
    notes: list[str] = []
    changed = code.changes_since(read_code(history, trial.code_digest))
    if changed:
        listed = ", ".join(changed)
        notes.append(f"the study's code has changed since ({listed}); {AS_IT_IS}")
    otherwise = ""
    if history.description.code.path:
        *_, command = shell_commands(history, trial)
        otherwise = f"Or, if the study is at the top level of its file, run: {command}"
    return ship(study, code, folder, otherwise), notes
