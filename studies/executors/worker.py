"""Trials in one worker process, from the driver's side."""

from __future__ import annotations

import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from search_spaces import INITIALIZERS, SearchSpace
from search_spaces.errors import StudyError, WorkerError
from studies.data import temporary_folder
from studies.executors.executor import Handler
from studies.executors.messages import (
    Answer,
    Ask,
    ChampionSaved,
    Failed,
    Loaded,
    LoadedByWorkers,
    LoadStudy,
    RunFits,
    SaveChampion,
    ThreadsDiffer,
    check_same,
)
from studies.executors.worker_process import OnOutput, ProcessLike, WorkerProcess
from studies.user_code import ShippedStudy, Target, place_of
from tracking.records import EpochResult, TrialSpec, TrialTask

_Answer = TypeVar("_Answer", Answer, ChampionSaved)
# Don't wait for a study that kills its worker each time.
_ATTEMPTS = 3


class WorkerExecutor(LoadedByWorkers):
    """An `Executor` of one process, which is replaced when it ends by itself.

    `threads` is None for the study's, or 1. `data` is a file in place of the study's own data, or
    empty. In the folder `shared` workers share the study's data. `start` starts a process that
    loads a study; None: one of this machine.
    """

    def __init__(
        self,
        target: Target | ShippedStudy,
        *,
        overrides: Mapping[str, Any] | None = None,
        data: str = "",
        threads: int | None = None,
        folder: str = "",
        shared: Path | None = None,
        variables: Mapping[str, str] | None = None,
        on_output: OnOutput | None = None,
        start: Callable[[LoadStudy], ProcessLike] | None = None,
    ) -> None:
        self._own = None
        if shared is None:
            self._own = temporary_folder()
            shared = Path(self._own.name)
        self._load_study = LoadStudy(target, dict(overrides or {}), data, threads or 1, shared)
        self._on_output = on_output or (lambda line: None)
        self._waiting: deque[RunFits] = deque()
        # The fits of its job that have not ended.
        self._fits: deque[TrialSpec] = deque()
        self._folder = folder if folder and Path(folder).is_dir() else None
        self._variables = dict(variables or {})
        self._start_process = start or self._start_here
        self._process = self._start()
        self._lost_while_loading = 0

    def _start(self) -> ProcessLike:
        self._is_loading = True
        # The kinds of models that this process has trained, whose programs it has.
        self._trained: set[Hashable] = set()
        return self._start_process(self._load_study)

    def _start_here(self, load: LoadStudy) -> WorkerProcess:
        return WorkerProcess(load, self._folder, self._variables, self._on_output)

    def _restart(self) -> None:
        self._process.end()
        self._process = self._start()

    @property
    def process(self) -> ProcessLike:
        """The process, and the connection to it."""
        return self._process

    @property
    def waits(self) -> bool:
        """Whether a trial waits that the worker could not take, as it has died."""
        return bool(self._waiting)

    @property
    def loading(self) -> bool:
        """Whether the worker is still loading the study."""
        return self._is_loading

    @property
    def trial(self) -> int | None:
        """The number of the trial that it runs."""
        return self._fits[0].number if self._fits else None

    def has_trained_like(self, spec: TrialSpec) -> bool:
        """Returns whether its process has trained a model like this trial's before."""
        return kind_of(spec) in self._trained

    def load(self) -> None:
        """Waits until the worker has loaded the study. Raises StudyError if it can't."""
        while not self.take_loaded():
            pass

    def take_loaded(self) -> bool:
        """Waits for the worker's answer; False if it is restarted, and will answer again.

        Raises StudyError if it can't load the study.
        """
        try:
            answer = self._process.receive()
        except WorkerError as error:
            self._lost_while_loading += 1
            # A process that dies while it loads would do so again.
            if self._lost_while_loading >= _ATTEMPTS or not error.killed:
                raise
            self._restart()
            return False
        self._lost_while_loading = 0
        if isinstance(answer, Failed):
            raise StudyError(answer.message)
        if isinstance(answer, ThreadsDiffer):
            # Known only after reading the file, when TensorFlow's threads can't change any more.
            self._load_study = replace(self._load_study, threads=answer.threads)
            self._restart()
            return False
        if not isinstance(answer, Loaded):
            raise WorkerError(f"The worker answered {answer!r:.200}.")
        self._is_loading = False
        if self._loaded is not None:
            check_same(self._loaded.description, answer.description)
        self._loaded = answer
        # A replacement must run the same text, even if the file changes.
        target = self._load_study.target
        if isinstance(target, Target):
            code = answer.description.code
            modules = {str(place_of(Path(code.path), p)): t for p, t in code.texts.items()}
            target = replace(target, source=code.source, modules=modules)
            self._load_study = replace(self._load_study, target=target)
        return True

    @property
    def free(self) -> int:
        return 0 if self._waiting or self._fits or self._is_loading else 1

    def submit(self, *fits: TrialTask) -> None:
        """Takes a job; a free worker begins at once."""
        self._waiting.append(RunFits(fits))
        if not self._fits:
            # `wait` replaces a worker that has died, and can report it.
            with contextlib.suppress(WorkerError):
                self._start_next()

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """Passes events on; doesn't wait for the replacement of a dead process."""
        if self._is_loading:
            self.take_loaded()
            return
        try:
            if not self._fits:
                self._start_next()
                return
            message = self._process.receive()
            if isinstance(message, EpochResult):
                self._process.send(handler.on_epoch(message))
                return
        except WorkerError as error:
            lost = self._fits[0] if self._fits else None
            self._fits.clear()
            self._restart()
            if lost is not None:
                handler.on_lost(lost, error)
            return
        if isinstance(message, Failed):
            self._fits.clear()
            raise StudyError(message.message)
        self._fits.popleft()
        if message.state != "complete":
            self._fits.clear()
        handler.on_result(message)

    @property
    def delayed(self) -> Sequence[TrialSpec]:
        return () if self._fits else [job.fits[0].spec for job in self._waiting]

    def cut(self, number: int) -> bool:
        if self.trial != number:
            return False
        self._process.kill()
        return True

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        def remove() -> None:
            shutil.rmtree(folder, ignore_errors=True)

        request = SaveChampion(spec, checkpoint, space, folder)
        return dict(self._answer(request, ChampionSaved, remove).metrics)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function with the worker's `Session` and the arguments; returns its result.

        It is called again in another process if the worker dies. Raises StudyError if it raises.
        """
        return self._answer(Ask(function, arguments), Answer).value

    def _answer(
        self,
        request: Ask | SaveChampion,
        kind: type[_Answer],
        undo: Callable[[], None] = lambda: None,
    ) -> _Answer:
        """Returns the answer to a request; replaces a worker that has died, or dies meanwhile.

        `undo` removes what a request that was broken off has left. Raises StudyError if the request
        failed.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._is_loading:
                    self.load()
                self._process.send(request)
                answer = self._process.receive()
                break
            except WorkerError:
                if attempt == _ATTEMPTS:
                    raise
                self._restart()
                undo()
        if not isinstance(answer, kind):
            raise StudyError(getattr(answer, "message", repr(answer)))
        return answer

    def close(self) -> None:
        self._process.end()
        if self._own is not None:
            self._own.cleanup()

    def _start_next(self) -> None:
        self._process.send(self._waiting[0])
        self._fits.extend(fit.spec for fit in self._waiting.popleft().fits)
        self._trained.add(kind_of(self._fits[0]))


def kind_of(spec: TrialSpec) -> Hashable:
    """Returns a key that trials share if the same program is likely to train them.

    Floats, epochs and initial weights are no part of a program. All else may be; the batch size is.
    """
    return spec.batch_size, frozenset(
        (name, value)
        for name, value in spec.values.items()
        if name != "epochs" and not isinstance(value, float) and value not in INITIALIZERS
    )
