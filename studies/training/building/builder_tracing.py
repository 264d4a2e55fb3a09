"""Runs a study's builder to find its hyperparameters, and gives the study its final space."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from search_spaces import (
    Discovery,
    Hyperparameters,
    LimitReachedError,
    SearchSpace,
    SearchSpaceError,
    discover,
    reading_of,
)
from search_spaces.errors import BuilderError
from search_spaces.texts import quoted
from studies.data import building_for
from studies.training.building.build import (
    build_function,
    check_model,
    class_weight_of,
    splits_for,
)
from studies.training.determinism.random_states import begin_trial
from studies.training.determinism.tensorflow_settings import noting_environment
from studies.training.objective_function_tracing import TracedObjective
from studies.training.trainers import has_own_fit, rehearse
from studies.user_code import fatal, is_fatal

if TYPE_CHECKING:
    from studies.data import LoadedData
    from studies.definition import StudyDefinition


_READ_BY_THE_TRAINING: Final = ("epochs", "batch_size")


class Resolved(NamedTuple):
    """A study with its final space, and facts about its hyperparameters."""

    study: StudyDefinition
    # Whether hyperparameters that the builder first declares in a later trial join the space.
    joins: bool
    # The names of the hyperparameters in the space that the study declares. Empty if the study
    # declares no space, so that all hyperparameters were found by tracing.
    declared: tuple[str, ...] = ()
    # The names of hyperparameters that vary, but that the builder never reads.
    unread: tuple[str, ...] = ()
    notes: Sequence[str] = ()


def resolve_space(
    study: StudyDefinition, data: LoadedData | None, traced: TracedObjective | None = None
) -> Resolved:
    """Returns a study with its final space.

    Hyperparameters that only the builder declares are tuned too, as in Keras Tuner. For a study
    with an objective function, `traced` is that function, and `data` is None. Raises BuilderError
    if the builder can't be traced.
    """
    assert data is not None or traced is not None, "a study has data or an objective function"
    build = _builder(study, data) if data is not None else traced
    # With `--only`, no other hyperparameter varies, even if the builder declares one later.
    joins = study.tailoring.only is None
    # Optuna's examples call Keras's `clear_session` in each build, which runs Python's garbage
    # collector for 0.25 s. The collector skips frozen objects, so it then takes less time.
    gc.freeze()
    try:
        if study.space is not None:
            resolved = _with_declared(study, study.space, build, joins)
        else:
            discovery = _discovered(study, build)
            space = study.tailoring.apply(discovery.space)
            resolved = Resolved(study.with_space(space), joins, notes=discovery.notes)
    except Exception as error:
        if not is_fatal(error):
            raise
        raise fatal(error) from None
    finally:
        gc.unfreeze()
    if study.objective_function is not None:
        resolved = resolved._replace(notes=tuple(map(_about_function, resolved.notes)))
    return resolved


def _discovered(study: StudyDefinition, build: Any) -> Discovery:
    try:
        return discover(
            build,
            before=lambda: begin_trial(study.seed),
            stops=_ends_tracing,
            space=study.space,
        )
    except SearchSpaceError as error:
        if study.objective_function is not None:
            raise BuilderError(
                f"The objective_function of the study {study.name!r} can't be run up to its first "
                f"fit: {_about_function(str(error).partition('. Mend it')[0])}"
            ) from None
        raise BuilderError(
            f"The hyperparameters of {study.name!r} can't be found by tracing its builder: {error}"
        ) from None


def _about_function(text: str) -> str:
    return text.replace("The builder", "The function").replace("the builder", "the function")


def _with_declared(
    study: StudyDefinition, declared: SearchSpace, build: Any, joins: bool
) -> Resolved:
    """Adds the builder's hyperparameters to a declared space, and looks for unread ones."""
    reading = reading_of(
        build,
        declared,
        before=lambda: begin_trial(study.seed),
        read_elsewhere=_READ_BY_THE_TRAINING,
        stops=_ends_tracing,
    )
    space, notes = declared, []
    if reading.undeclared:
        discovery = _discovered(study, build)
        space = discovery.space
        new = [name for name in space.names if name not in declared]
        notes = [
            f"The builder declares {quoted(new)} besides the study's space: tuned too. To keep "
            f"it at a value: --set {new[0]}=VALUE, or Fixed({new[0]!r}, VALUE) in the space.",
            *discovery.notes,
        ]
    tailored = study.with_space(study.tailoring.apply(space))
    assert tailored.space is not None, "it has the space that `with_space` was given"
    unread = tuple(name for name in reading.unread if name in tailored.space.dimensions)
    if unread:
        be, it = ("is", "it") if len(unread) == 1 else ("are", "them")
        notes.append(
            f"{quoted(unread)} {be} in the space, and the builder never reads {it}: other "
            "values change nothing."
        )
    return Resolved(tailored, joins, declared.names, unread, notes)


def _ends_tracing(error: Exception) -> bool:
    """Returns whether an error ends the tracing, as other values of hyperparameters won't help."""
    return isinstance(error, BuilderError | LimitReachedError) or is_fatal(error)


def _builder(study: StudyDefinition, data: LoadedData) -> Any:
    """Returns a function that runs all code of a study that may declare hyperparameters."""
    build = build_function(study.build)
    declare = getattr(study.build, "declare_hyperparameters", None)

    @noting_environment()
    def run(hp: Hyperparameters) -> None:
        if callable(study.class_weight):
            class_weight_of(study, data, hp)
            begin_trial(study.seed)
        if declare is not None:
            declare(hp)
        with building_for(data):
            model = check_model(study, build(hp))
        if study.callbacks is not None:
            study.callbacks(hp)
        if has_own_fit(study.build):
            rehearse(study, model, splits_for(study, data, hp), hp)

    return run
