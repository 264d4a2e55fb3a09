"""The study in the process that trains it: loads the data, describes the study, runs its fits.

A worker process has one `Session`. `InProcessExecutor` has one in the driver's process.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import Hyperparameters, SearchSpace, Tailoring, complete
from search_spaces.errors import DataError, StudyError
from studies.data import (
    CrossValidation,
    DescribedData,
    FoldedSplits,
    LoadedData,
    glance_at,
)
from studies.definition import (
    NO_DIRECTION,
    StudyDefinition,
    check_initial,
    check_no_own_fit,
    no_data,
    resolve_class_weight,
    with_class_weight,
)
from studies.executors.executor_protocol_and_jobs import Handler
from studies.training import (
    CompiledTrainer,
    HyperModelTrainer,
    OnEpochResult,
    PlainTrainer,
    Resolved,
    TracedObjective,
    Trainer,
    UsersState,
    begin_trial,
    check_study,
    class_weight_of,
    configure_tensorflow,
    environment,
    hardware_class,
    has_own_fit,
    remember_settings,
    resolve_space,
    restore_settings,
    run_objective,
    run_trial,
    save_champion,
    set_back,
    setting_back,
)
from tracking.records import (
    ALL_FOLDS,
    CodeDescription,
    DataDescription,
    Objective,
    RecordedSettings,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
    settings_of,
)
from tracking.shell_commands import data_command


@dataclass(frozen=True)
class Session:
    """A loaded study: its definition, its data in memory, and its trainer.

    An objective function loads its data and trains by itself. For its study, `data` and `trainer`
    are None.
    """

    study: StudyDefinition
    data: LoadedData | FoldedSplits | None
    description: StudyDescription
    environment: dict[str, str]
    trainer: Trainer | None
    model_bytes: int
    state: UsersState

    @classmethod
    def open(
        cls,
        study: StudyDefinition,
        code: CodeDescription,
        threads: int | None,
        data_override: str = "",
        shared: Path | None = None,
    ) -> Session:
        """Loads a study's data and checks its builder.

        `threads` is the number of TensorFlow's threads. None means the number that TensorFlow
        already uses in this process, or 1. `data_override` is the path of the file that replaced
        the study's data, or empty. Processes that pass the same folder `shared` load the data only
        once: one process writes the arrays into the folder, and all map them to memory.
        """
        threads = configure_tensorflow(threads)
        # Keras settings that the study's file has made, e.g. a dtype policy, apply to all trials,
        # so they are noted here. Settings that the builder makes apply to one trial.
        remember_settings()
        if study.objective_function is not None:
            return cls._open_objective(study, study.objective_function, code, threads)
        assert isinstance(study.data, DescribedData), "the study checks it"
        loaded, dataset = _loaded(study, study.data, shared), study.data
        splits, tailoring = loaded.of(0), study.tailoring
        state = UsersState.of_study(study)
        with at_work(state):
            class_weight = None
            if not callable(study.class_weight):
                # All folds get the same class weights, so that their losses can be compared.
                class_weight = resolve_class_weight(study.class_weight, loaded.whole)
            weighted = with_class_weight(splits, class_weight)
            resolved = resolve_space(study, weighted)
            if callable(study.class_weight):
                space = resolved.study.space
                assert space is not None, "it is resolved"
                defaults = Hyperparameters(space, space.defaults())
                class_weight = class_weight_of(study, splits, defaults)
            objective, warnings, model_bytes = check_study(resolved.study, weighted)
            study = replace(resolved.study, objective=objective)
        how = study.cross_validation
        description = _described(
            study,
            tailoring,
            resolved,
            _data_described(dataset, loaded, data_override),
            code,
            threads,
            warnings=(*resolved.notes, *warnings, *splits.warnings),
            batch_size=loaded.batch_size or study.batch_size,
            cross_validation="" if how is None else repr(how),
            folds=loaded.folds,
            class_weight=class_weight,
        )
        trainer: Trainer
        if has_own_fit(study.build):
            trainer = HyperModelTrainer(study.build)
        else:
            trainer = PlainTrainer() if study.trainer == "plain" else CompiledTrainer()
        described = _with_glance(description, loaded)
        return cls(study, loaded, described, environment(), trainer, model_bytes, state)

    @classmethod
    def _open_objective(
        cls,
        study: StudyDefinition,
        function: Callable[[Any], object],
        code: CodeDescription,
        threads: int,
    ) -> Session:
        """Opens the study of an objective function.

        To find its hyperparameters, runs the function up to its first training.
        """
        traced, state = TracedObjective(study.name, function), UsersState.of_study(study)
        with at_work(state):
            resolved = resolve_space(study, None, traced)
        no_direction = [NO_DIRECTION] if study.direction is None else []
        description = _described(
            resolved.study,
            study.tailoring,
            resolved,
            _NO_DATA,
            code,
            threads,
            warnings=(*no_direction, *resolved.notes),
            epochs=traced.epochs,
            objective_function=str(getattr(function, "__name__", type(function).__name__)),
        )
        return cls(resolved.study, None, description, environment(), None, 0, state)

    def results(self, fits: Iterable[TrialTask], on_epoch: OnEpochResult) -> Iterator[TrialResult]:
        """Runs the fits of a job one after another, and yields their results.

        Stops after the first fit that is not complete.
        """
        for fit in fits:
            result = self.run(fit, on_epoch)
            yield result
            if result.state != "complete":
                return

    def run(self, task: TrialTask, on_epoch: OnEpochResult) -> TrialResult:
        """Runs a fit."""
        trainer = self.trainer
        # A training on all folds has no validation data. Only `model.fit` can train without such
        # data.
        by_fit = task.by_fit or task.spec.fold == ALL_FOLDS
        if by_fit and isinstance(trainer, CompiledTrainer):
            trainer = trainer.plain
        with at_work(self.state):
            if self.data is None or trainer is None:
                return run_objective(self.study, task, on_epoch)
            return run_trial(self.study, self.data, task, on_epoch, trainer)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        with at_work(self.state):
            # If a process died while it saved the model, the folder has parts of the model.
            shutil.rmtree(folder, ignore_errors=True)
            splits = None if self.data is None else self.data.of(spec.fold)
            return save_champion(self.study, space, splits, spec, checkpoint, folder)

    def answer(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with at_work(self.state):
            return function(self, *arguments)

    def splits_of(self, fold: int | None = None) -> LoadedData:
        """Returns the parts of the study's data, or the parts of a fold, without class weights.

        Raises StudyError if an objective function loads the data.
        """
        if self.data is None:
            raise StudyError(no_data(self.study.name))
        return self.data.of(fold)


class InProcessExecutor:
    """An `Executor` that runs each job within `wait`.

    It starts no thread, because Keras keeps some of its global state, such as the dtype policy, for
    each thread separately.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # The fits of the submitted job.
        self._fits: tuple[TrialTask, ...] = ()

    @property
    def description(self) -> StudyDescription:
        return self._session.description

    @property
    def environment(self) -> Mapping[str, str]:
        return self._session.environment

    @property
    def free(self) -> int:
        return 0 if self._fits else 1

    def submit(self, *fits: TrialTask) -> None:
        self._fits = fits

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        fits, self._fits = self._fits, ()
        for result in self._session.results(fits, handler.on_epoch):
            handler.on_result(result)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return self._session.save_champion(spec, checkpoint, space, folder)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._session.answer(function, *arguments)

    def close(self) -> None:
        self._fits = ()


@contextlib.contextmanager
def at_work(state: UsersState) -> Iterator[None]:
    """Lets each fit in this context begin with the same state of the user's code, e.g. of globals.

    At the end, this state and Keras's settings are restored, so that the next launch in this
    process begins with them, too.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(restore_settings)
        stack.enter_context(setting_back(state))
        stack.callback(set_back)
        yield


def _loaded(
    study: StudyDefinition, data: DescribedData, shared: Path | None
) -> LoadedData | FoldedSplits:
    """Loads the study's data, split into parts or folds."""
    if has_own_fit(study.build):
        check_no_own_fit(study)
        if data.in_batches:
            raise StudyError(
                f"The HyperModel of the study {study.name!r} has its own fit, which takes arrays, "
                "but the study's data comes in batches",
                hint="Take the data from datasets.arrays. Or remove the HyperModel's fit, so that "
                "model.fit trains the model.",
            )
    if data.in_batches:
        # Reading the data may need random numbers, such as for shuffling, so the seed is set first.
        begin_trial(study.seed)
    try:
        how = study.cross_validation
        if isinstance(how, CrossValidation):
            return data.load_folds(how, shared)
        return data.load() if shared is None else data.load_shared(shared)
    except DataError as error:
        raise error.of_kind(StudyError, f"The data of the study {study.name!r}: ") from None
    except OSError as error:
        raise StudyError(
            f"The data of the study {study.name!r} cannot be put into a temporary file: {error}",
            hint="Free disk space there, or set TMPDIR to a folder on another disk.",
        ) from None


_NO_DATA = DataDescription(
    "the data of its objective function", "the objective function loads it", "", {}, {}, {}
)


def _described(
    study: StudyDefinition,
    tailoring: Tailoring,
    resolved: Resolved,
    data: DataDescription,
    code: CodeDescription,
    threads: int,
    **more: Any,
) -> StudyDescription:
    """Returns a study's description. The fields in `more` replace the study's settings."""
    space, initial = study.space, check_initial("initial", study.initial)
    assert space is not None and isinstance(study.objective, Objective), "they are resolved"
    settings = {name: getattr(study, name) for name in settings_of(RecordedSettings)}
    return StudyDescription(
        name=study.name,
        space=space,
        objective=study.objective,
        engine=study.engine,
        pruner=study.pruner,
        threads=threads,
        data=data,
        code=code,
        initial=() if isinstance(initial, str) else tuple(complete(space, v) for v in initial),
        initial_from=initial if isinstance(initial, str) else "",
        hardware=hardware_class(),
        tailored={} if tailoring.empty else tailoring.to_dict(),
        declared=resolved.declared,
        unread=resolved.unread,
        **{**settings, **more},
    )


def _data_described(
    dataset: DescribedData,
    loaded: LoadedData | FoldedSplits,
    override: str,
) -> DataDescription:
    recorded_apart = ("digest", "digests", "sizes")
    details = {k: value for k, value in loaded.describe().items() if k not in recorded_apart}
    return DataDescription(
        name=dataset.name,
        source=dataset.source,
        digest=loaded.digest,
        digests=dict(loaded.digests),
        sizes=dict(loaded.sizes),
        details=details,
        override=override,
    )


def _with_glance(
    description: StudyDescription, splits: LoadedData | FoldedSplits
) -> StudyDescription:
    """Returns the description with the findings and warnings of a quick check of the data.

    The quick check takes some hundredths of a second. ``kerastudy data`` makes all checks.
    """
    # An error in this check must not keep the study from running.
    with contextlib.suppress(Exception):
        findings = glance_at(splits, description.data.name)
        if findings is not None:
            problems = list(findings.problems)
            if problems:
                problems[-1] += f" Look at it: {data_command(description)}"
            warnings = (*description.warnings, *problems)
            return replace(description, looked=findings, warnings=warnings)
    return description
