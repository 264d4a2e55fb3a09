"""Loads a study's recorded code, to train a recorded trial again or to use its model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from search_spaces import argument_checks as checks
from search_spaces.errors import KerastudyError, StudyError
from studies.data import spelled, temporary_folder
from studies.definition import StudyDefinition
from studies.error_texts import describe
from studies.executors import InProcessExecutor, LoadStudy, LocalWorkers, Session, WorkerPool
from studies.progress import Progress, showing
from studies.training import begin_trial, prepare_environment
from studies.user_code import (
    ShippedStudy,
    Target,
    describe_code,
    load_study,
    place_of,
    read_text,
    ship,
    what_is_loaded,
)
from tracking.history import StudyHistory, read_code, read_study
from tracking.records import CodeDescription, EndedTrial, sha256
from tracking.store import check_trust, existing_store

# A note ends with these words if the code that runs may not be the recorded code.
AS_IT_IS: Final = "it is run as it is"
AnyExecutor = InProcessExecutor | WorkerPool


@dataclass(frozen=True)
class RunnableStudy:
    """A recorded study, and the code by which its trials can be trained again.

    Attributes:
        history: The study's record.
        progress: The display for messages to the user.
        definition: A study object whose code runs instead of the recorded code, or None.
        data: The new path of the data, if the data has moved; else empty.
        notes: Sentences for the user. For example, one says that the code has changed.
    """

    history: StudyHistory
    progress: Progress
    definition: StudyDefinition | None = None
    data: str = ""
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Shows a sentence, and adds it to `notes`."""
        self.notes.append(text)
        self.progress.say(text)

    @contextlib.contextmanager
    def executor(
        self,
        trial: EndedTrial,
        command: str,
        *,
        in_process: bool = False,
        workers: int | None = 1,
        trainings: int = 1,
    ) -> Iterator[AnyExecutor]:
        """Yields an executor that can train a trial again, or other trials with the same code.

        If the study file or the user's modules have changed, their recorded texts are run.
        Installed packages are used as they are now. When the context ends, the executor's processes
        end too.

        Args:
            trial: The trial whose code is loaded.
            command: The command or call that needs the code, for messages.
            in_process: Whether to load the study in this process, instead of in worker processes.
            workers: The number of worker processes. None stands for a number that suits the
                machine, the study and `trainings`.
            trainings: How many trainings will run at most.

        Raises:
            StudyError: If the study can't be loaded, or if the data has changed since the trial
                ran.
        """
        data = spelled(self.data, recorded=self.history.description.data.override)
        threads, folds = trial.spec.threads, _recorded_folds(self.history)
        with temporary_folder() as shared:
            code, study = self._code(trial, command), self.definition
            if in_process:
                prepare_environment(threads)
                if isinstance(code, Target):
                    begin_trial(0)
                    study, code = load_study(code)
                    study = study.with_overrides({"data": data}) if data else study
                assert study is not None, "its code is described"
                session = Session.open(study.with_overrides(folds), code, threads, data)
                yield _with_same_data(trial, InProcessExecutor(session))
                return
            if isinstance(code, Target):
                loaded: Target | ShippedStudy = code
            else:
                assert study is not None, "its code is described"
                loaded = ship(study, code, Path(shared), self._otherwise(command, workers))
            local = LocalWorkers(
                LoadStudy(loaded, Path(shared), folds, data, threads),
                trials=trainings,
                workers=workers,
                on_output=self.progress.say,
                folder=self.history.description.code.folder,
                at_once=True,
            )
            try:
                local.load()
                if workers != 1:
                    finished = local.pool.description.trials - trainings
                    local.suit(threads=threads, finished=finished)
                yield _with_same_data(trial, local.pool)
            finally:
                local.close()

    def _otherwise(self, command: str, workers: int | None) -> str:
        """Returns what to do if a study object can't be sent to worker processes."""
        if workers != 1:
            return "Or confirm it with executor='in-process'."
        if not self.history.description.code.path:
            return ""
        return f"Or, if the study is at the top level of its file, run: {command}"

    def _code(self, trial: EndedTrial, command: str) -> Target | CodeDescription:
        """Returns the code to load: the recorded code, or the code of the object `definition`.

        Notes which parts of the code have changed since the trial.
        """
        if self.definition is None:
            target = self._recorded_target(trial, command)
            self.progress.wait(what_is_loaded(target))
            return target
        code = describe_code(self.definition, self.definition.name)
        changed = code.changes_since(read_code(self.history, trial.code_digest))
        if changed:
            self.note(f"the study's code has changed since ({', '.join(changed)}); {AS_IT_IS}")
        self.progress.wait(f"loading the study {self.definition.name}")
        return code

    def _recorded_target(self, trial: EndedTrial, command: str) -> Target:
        code = self.history.description.code
        recorded = read_code(self.history, trial.code_digest)
        source, path = recorded.source, Path(code.path)
        if not code.path:
            raise StudyError(
                f"The study {self.history.description.name!r} was not defined in a file, so its "
                "record has no code to run",
                hint=f"Call {command} in its notebook or session, or put the study into a file and "
                "launch that file.",
            )
        if not path.is_file():
            self.note(f"the study file {str(path)!r} is gone; its recorded text is run")
        elif not source:
            self.note(f"the record has no text of {str(path)!r}; {AS_IT_IS}")
        elif path.read_text(encoding="utf-8-sig", errors="replace") != source:
            self.note(f"the study file {str(path)!r} has changed since; its recorded text is run")
        # The recorded texts of those modules that have changed, by the modules' files.
        texts = {}
        for module, digest in (recorded.modules or {}).items():
            text = read_text(place_of(path, module))
            if text is not None and sha256(text) == digest:
                continue
            fault = f"the imported {module!r} {'is gone' if text is None else 'has changed since'}"
            if module in recorded.texts:
                texts[str(place_of(path, module))] = recorded.texts[module]
                self.note(f"{fault}; its recorded text is run")
            else:
                self.note(f"{fault}, and the record lacks its text; {AS_IT_IS}")
        return Target(str(path), code.variable, source or None, code.study_name, texts)


@contextlib.contextmanager
def opened(
    study: str | StudyDefinition,
    store: str | Path | None,
    *,
    trust: bool = False,
    progress: bool = True,
) -> Iterator[RunnableStudy]:
    """Yields a recorded study that a user gives by name, or as a study object.

    `progress` says whether to show progress on standard error. Raises StudyError if another user
    made the store, unless `trust` is set or the study is an object.
    """
    checks.instance("study", study, StudyError, (str, StudyDefinition), "a Study, or its name")
    name, definition = (study, None) if isinstance(study, str) else (study.name, study)
    history = read_study(existing_store(store), name)
    check_trust(history.store.root, trust or definition is not None)
    with showing(progress) as display:
        yield RunnableStudy(history, display, definition)


@contextlib.contextmanager
def in_worker(what_failed: str) -> Iterator[None]:
    """Turns errors into a StudyError that says what failed. Restores Keras's global settings."""
    from studies.training import restore_settings

    try:
        yield
    except KerastudyError:
        raise
    except Exception as error:
        raise StudyError(f"{what_failed}: {describe(error)}.") from error
    finally:
        restore_settings()


def _with_same_data(trial: EndedTrial, executor: AnyExecutor) -> AnyExecutor:
    """Returns `executor`. Raises StudyError if it has loaded other data than the trial had."""
    now, then = executor.description.data.digest, trial.spec.data_digest
    if now != then:
        raise StudyError(
            f"The data has changed: its digest was {then[:16]}… and is {now[:16]}…",
            hint="Nothing was run. If the data has moved, name its file with --data.",
        )
    return executor


def _recorded_folds(history: StudyHistory) -> dict[str, int | None]:
    """Returns the recorded number of folds as a setting, to override the study file's setting.

    If the data was split in a way such as ``forward(5)``, the result is empty. A launch can't
    override such a split, so the study file still has the recorded one.
    """
    text = history.description.cross_validation
    if text and not text.isdigit():
        return {}
    return {"cross_validation": int(text) if text else None}
