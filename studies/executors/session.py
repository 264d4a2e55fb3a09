"""A loaded study that can run trials: shared by all executors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import DataError, StudyError
from studies.data import CrossValidation, DescribedData, FoldedSplits, LoadedData
from studies.definition.class_weights import resolve_class_weight, with_class_weight
from studies.definition.cross_validation import check_no_own_fit
from studies.definition.study_definition import StudyDefinition
from studies.executors.descriptions import description_of
from studies.executors.glancing import with_glance
from studies.training.building.discovering import resolve_space
from studies.training.building.hypermodel import HyperModelTrainer, has_own_fit
from studies.training.building.made_data import AnyData, MadeData, made_data
from studies.training.building.trying import check_study
from studies.training.champion.champion_model import save_champion
from studies.training.process import global_settings
from studies.training.process.determinism import begin_trial, configure_tensorflow
from studies.training.process.environment import environment
from studies.training.process.peak_memory import PeakMemory
from studies.training.process.users_state import UsersState, set_back, setting_back
from studies.training.programs.compiled import CompiledTrainer
from studies.training.trainer import Trainer
from studies.training.trial_run import run_trial
from studies.training.watch import OnEpochResult
from tracking.records import (
    ALL_FOLDS,
    CodeDescription,
    DataDescription,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)
from tracking.registry.champions import requirements


@dataclass(frozen=True)
class Session:
    """A study, its data in memory, TensorFlow configured."""

    study: StudyDefinition
    data: AnyData | FoldedSplits
    description: StudyDescription
    environment: dict[str, str]
    trainer: Trainer
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

        Args:
            study: The study.
            code: Where it is defined.
            threads: TensorFlow's threads; None takes what it uses in this process, or 1.
            data_override: Path of the file that replaced the study's own data.
            shared: A folder in which several processes share the data; see `Dataset.load_shared`.

        Raises:
            StudyError: If the data, its class weights, the builder or the objective is wrong.
        """
        if study.objective_function is not None:
            from studies.executors.objective_session import open_objective

            return open_objective(study, code, threads)
        threads = configure_tensorflow(threads)
        # The study's file is loaded: its settings hold for all trials, those of a builder don't.
        global_settings.remember()
        loaded: LoadedData | FoldedSplits
        if isinstance(study.data, DescribedData):
            loaded, dataset = _loaded(study, study.data, shared), study.data
            splits = loaded.of(0)
        making, tailoring = made_data(study), study.tailoring
        state = UsersState.of_study(study)
        with at_work(state):
            if making is None:
                assert not callable(study.class_weight), "else it were made"
                # All folds train the same loss.
                class_weight = resolve_class_weight(study.class_weight, loaded.whole)
                weighted: AnyData = with_class_weight(splits, class_weight)
                resolved = resolve_space(study, weighted)
            else:
                weighted = making
                resolved = resolve_space(study, making)
                space = resolved.study.space
                assert space is not None, "it is resolved"
                dataset, splits, class_weight = making.of_defaults(
                    Hyperparameters(space, space.defaults())
                )
                loaded = splits
                # Checks of data that does not depend on hyperparameters.
                _check_trained_on(replace(resolved.study, data=dataset), dataset)
            study, notes = resolved.study, resolved.notes
            found, objective, model_bytes = check_study(study, weighted)
            study = study.with_objective(objective)
        found += splits.warnings
        description = _describe(
            study,
            dataset,
            loaded,
            code,
            threads,
            [*notes, *found],
            data_override,
        )
        description = replace(description, class_weight=class_weight)
        description = with_glance(description, loaded)
        return cls(
            study,
            making or loaded,
            replace(
                description,
                discovered=resolved.joins,
                declared=resolved.declared,
                unread=resolved.unread,
                tailored={} if tailoring.empty else tailoring.to_dict(),
                goes_on=not has_own_fit(study.build),
            ),
            environment(),
            # Data made for a trial reports it with each trial.
            _trainer(study, "" if making else splits.unfit),
            model_bytes,
            state,
        )

    def run(self, task: TrialTask, on_epoch: OnEpochResult) -> TrialResult:
        """Runs a trial by the trainer that the task asks for; see `run_trial`."""
        trainer = self.trainer
        # Without validation data only `model.fit` trains.
        mode = "plain" if task.spec.fold == ALL_FOLDS else task.trainer
        if mode is not None and isinstance(trainer, CompiledTrainer):
            trainer = trainer.in_mode(mode)
        memory = PeakMemory()
        with at_work(self.state):
            result = run_trial(self.study, self.data, task, on_epoch, trainer)
            return replace(result, peak_memory_bytes=memory.size)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """Saves a trial's best weights as an MLflow model; see `champion_model`."""
        with at_work(self.state):
            hp = Hyperparameters(space, spec.values, number=spec.built_as)
            splits = self.splits_of(hp, spec.fold)
            return save_champion(
                self.study, space, splits, spec, checkpoint, requirements(), folder
            )

    def answer(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function with the session and arguments; see `WorkerExecutor.ask`."""
        with at_work(self.state):
            return function(self, *arguments)

    def splits_of(self, hp: Hyperparameters, fold: int | None = None) -> LoadedData:
        """Returns the data of a trial, or of one of its folds, its classes not weighted.

        Raises:
            StudyError: If it depends on hyperparameters, and can't be made again.
        """
        data = self.data
        if not isinstance(data, MadeData):
            return data.of(fold)
        try:
            return data.of(hp).splits
        except Exception as error:
            raise StudyError(
                f"The data of trial {hp.number} can't be made again: {data.cause(error)}."
            ) from error


@contextlib.contextmanager
def at_work(state: UsersState) -> Iterator[None]:
    """Lets each fit within begin with this state; then sets it back.

    Another study, or another launch of this one, may follow in this process.
    """
    try:
        with setting_back(state):
            try:
                yield
            finally:
                set_back()
    finally:
        global_settings.restore()


def _loaded(
    study: StudyDefinition, data: DescribedData, shared: Path | None
) -> LoadedData | FoldedSplits:
    """Loads data that is the same for all trials."""
    _check_trained_on(study, data)
    if data.in_batches:
        # Random operations need a seed, in pipelines too.
        begin_trial(study.seed)
    try:
        how = study.cross_validation
        if isinstance(how, CrossValidation):
            return data.load_folds(how, shared)
        return data.load() if shared is None else data.load_shared(shared)
    except DataError as error:
        raise StudyError(f"The data of the study {study.name!r}: {error}") from None
    except OSError as error:
        raise StudyError(
            f"The data of the study {study.name!r} cannot be put into a temporary file: "
            f"{error}. Make room there, or set TMPDIR to a folder that has some."
        ) from None


def _check_trained_on(study: StudyDefinition, data: DescribedData) -> None:
    if has_own_fit(study.build):
        check_no_own_fit(study)
    if data.in_batches and has_own_fit(study.build):
        raise StudyError(
            f"The HyperModel of the study {study.name!r} has its own fit, which is "
            "given arrays, and the data comes in batches. Take data from datasets.arrays; "
            "or leave the fit out: then model.fit trains the model."
        )


def _describe(
    study: StudyDefinition,
    dataset: DescribedData,
    loaded: LoadedData | FoldedSplits,
    code: CodeDescription,
    threads: int,
    warnings: Sequence[str],
    data_override: str,
) -> StudyDescription:
    how = study.cross_validation
    data = DataDescription(
        name=dataset.name,
        source=dataset.source,
        digest=loaded.digest,
        digests=dict(loaded.digests),
        sizes=dict(loaded.sizes),
        details=_details(loaded),
        override=data_override,
        made_by=_made_by(study),
    )
    return replace(
        description_of(study, data, code, threads, warnings),
        batch_size=loaded.batch_size or study.batch_size,
        cross_validation="" if how is None else repr(how),
        folds=loaded.folds,
    )


def _trainer(study: StudyDefinition, unfit: str) -> Trainer:
    if study.trainer == "compiled" and unfit:
        raise StudyError(
            f"The study {study.name!r} cannot be compiled: {unfit}. Use the trainer 'auto'."
        )
    if not has_own_fit(study.build):
        return CompiledTrainer(study.trainer, unfit=unfit)  # type: ignore[arg-type]
    if study.trainer == "compiled":
        raise StudyError(
            f"The study {study.name!r} cannot be compiled: its HyperModel trains by a fit of its "
            "own. Use the trainer 'auto'."
        )
    return HyperModelTrainer(study.build)


def _made_by(study: StudyDefinition) -> str:
    """Returns the name of the function that makes each trial's data, or an empty text."""
    if isinstance(study.data, DescribedData):
        return ""
    return str(getattr(study.data, "__name__", type(study.data).__name__))


def _details(loaded: LoadedData | FoldedSplits) -> dict[str, object]:
    return {k: v for k, v in loaded.describe().items() if k not in ("digest", "digests", "sizes")}
