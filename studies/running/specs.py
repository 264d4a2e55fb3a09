"""From an engine's proposal to an executor's task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from studies.definition.seeds import trial_seed
from tracking.records import (
    EndedTrial,
    Proposal,
    Rank,
    StudyDescription,
    TrainerName,
    TrialSpec,
    TrialTask,
)
from tracking.runs.study_files import StudyFiles


def spec_of(
    proposal: Proposal, description: StudyDescription, finished: Mapping[int, EndedTrial]
) -> TrialSpec:
    """Returns the spec of a trial's first attempt."""
    values, number = proposal.values, proposal.number
    # An objective function reads its hyperparameters itself, whatever they mean.
    read = {} if description.objective_function else values
    spec = TrialSpec(
        number=number,
        attempt=1,
        values=values,
        seed=trial_seed(description.seed, number),
        epochs=proposal.epochs or int(read.get("epochs", description.epochs)),
        batch_size=int(read.get("batch_size", description.batch_size)),
        threads=description.threads,
        data_digest=description.data.digest,
        objective=description.objective,
        class_weight=description.class_weight,
        hardware=description.hardware,
    )
    if proposal.goes_on_from is None:
        return spec
    parent = finished[proposal.goes_on_from]
    # The same model under the same seed, trained further.
    spec = replace(
        spec, seed=parent.spec.seed, goes_on_from=parent.number, begun_as=parent.spec.built_as
    )
    if description.trainings > 1 or not description.goes_on:
        # Trained, and recorded, from the first epoch.
        return spec
    return replace(spec, initial_epoch=parent.result.epochs)


def task_of(
    spec: TrialSpec,
    description: StudyDescription,
    files: StudyFiles,
    trainer: TrainerName | None = None,
    last_kept: Rank | None = None,
) -> TrialTask:
    """Returns an executor's task for a training.

    Each repeat of a trial writes its checkpoint: the trial's value is known after the last one.
    Folds write none.
    """
    origin = None
    if spec.goes_on_from is not None and spec.initial_epoch:
        origin = files.state(spec.goes_on_from)
    return TrialTask(
        spec,
        description.space,
        files.checkpoint(spec.number, spec.repeat),
        files.state(spec.number, spec.repeat),
        origin,
        trainer,
        last_kept if description.trainings == 1 else None,
        files.scores(spec.number, spec.repeat),
        # The best epoch that folds have in common is not known yet.
        "best" if spec.fold is None else "every",
    )
