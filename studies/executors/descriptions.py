"""What a study's record says of its definition."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.space import complete
from studies.definition.settings import check_initial
from studies.definition.study_definition import StudyDefinition
from studies.training.process.environment import hardware_class
from tracking.records import CodeDescription, DataDescription, Objective, StudyDescription


def description_of(
    study: StudyDefinition,
    data: DataDescription,
    code: CodeDescription,
    threads: int,
    warnings: Sequence[str],
) -> StudyDescription:
    """Describes a study with its settings as they are defined."""
    assert isinstance(study.objective, Objective), "a session resolves the study's objective"
    assert study.space is not None, "a session resolves the study's space"
    space = study.space
    initial = check_initial(study.initial)
    return StudyDescription(
        name=study.name,
        space=space,
        objective=study.objective,
        engine=study.engine,
        pruner=study.pruner,
        trials=study.trials,
        epochs=study.epochs,
        batch_size=study.batch_size,
        seed=study.seed,
        threads=threads,
        keep=study.keep,
        data=data,
        code=code,
        notes=study.notes,
        repeats=study.repeats,
        try_defaults=study.try_defaults,
        initial=() if isinstance(initial, str) else tuple(complete(space, v) for v in initial),
        initial_from=initial if isinstance(initial, str) else "",
        deterministic=study.deterministic,
        timeout=study.timeout,
        stop_at=study.stop_at,
        patience=study.patience,
        trial_timeout=study.trial_timeout,
        warnings=tuple(warnings),
        hardware=hardware_class(),
    )
