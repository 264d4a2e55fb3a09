"""Finds a study's hyperparameters by running its builder or its objective function."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
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
from studies.training.building_models import (
    build_function,
    check_model,
    class_weight_of,
    splits_for,
    up_to_first_fit,
)
from studies.training.plain_and_hypermodel_trainers import has_own_fit, rehearse
from studies.training.random_states_and_user_objects import begin_trial

if TYPE_CHECKING:
    from studies.data import LoadedData
    from studies.definition import StudyDefinition


_READ_BY_THE_TRAINING: Final = ("epochs", "batch_size")
# At most this many traced runs may reach the end of the objective function without a training. A
# run that reaches the end may take long.
_MOST_WHOLE_RUNS = 30


class Resolved(NamedTuple):
    """A study with its final space, and facts about its hyperparameters."""

    study: StudyDefinition
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

    The final space has the hyperparameters that the study declares, and those that only the builder
    declares, as in Keras Tuner. The options `--set` and `--only` have been applied to it. For a
    study with an objective function, `traced` is that function, and `data` is None. Raises
    BuilderError if the builder can't be traced.
    """
    assert data is not None or traced is not None, "a study has data or an objective function"
    build = _builder(study, data) if data is not None else traced
    # Optuna's examples call Keras's `clear_session` in each build, which runs Python's garbage
    # collector for 0.25 s. The collector skips frozen objects, so it then takes less time.
    gc.freeze()
    try:
        if study.space is not None:
            resolved = _with_declared(study, study.space, build)
        else:
            discovery = _discovered(study, build)
            space = study.tailoring.apply(discovery.space)
            resolved = Resolved(study.with_space(space), notes=discovery.notes)
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
                f"fit: {_about_function(str(error))}"
            ) from None
        where = f"The hyperparameters of {study.name!r} can't be found by tracing its builder: "
        raise error.of_kind(BuilderError, where) from None


def _about_function(text: str) -> str:
    return text.replace("The builder", "The function").replace("the builder", "the function")


def _with_declared(study: StudyDefinition, declared: SearchSpace, build: Any) -> Resolved:
    """Adds the builder's hyperparameters to a declared space.

    The result also has the names of hyperparameters that the builder never reads.
    """
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
            f"Trials also vary {quoted(new)}, which only the builder declares. To keep {new[0]!r} "
            f"at a value: --set {new[0]}=VALUE, or Fixed({new[0]!r}, VALUE) in the space.",
            *discovery.notes,
        ]
    tailored = study.with_space(study.tailoring.apply(space))
    assert tailored.space is not None, "it has the space that `with_space` was given"
    unread = tuple(name for name in reading.unread if name in tailored.space.dimensions)
    if unread:
        be, it = ("is", "it") if len(unread) == 1 else ("are", "them")
        notes.append(
            f"{quoted(unread)} {be} in the space, but the builder never reads {it}, so "
            "other values change nothing."
        )
    return Resolved(tailored, declared.names, unread, notes)


def _ends_tracing(error: Exception) -> bool:
    """Returns whether an error ends the tracing, as any hyperparameters would raise it."""
    return isinstance(error, BuilderError | LimitReachedError)


def _builder(study: StudyDefinition, data: LoadedData) -> Any:
    """Returns a function that runs all code of a study that may declare hyperparameters."""
    build = build_function(study.build)
    declare = getattr(study.build, "declare_hyperparameters", None)

    def run(hp: Hyperparameters) -> None:
        if callable(study.class_weight):
            class_weight_of(study, data, hp)
            begin_trial(study.seed)
        if declare is not None:
            declare(hp)
        with building_for(data):
            model = check_model(study, build(hp))
        if callable(study.callbacks):
            study.callbacks(hp)
        if has_own_fit(study.build):
            rehearse(study, model, splits_for(study, data, hp), hp)

    return run


class TracedObjective:
    """An objective function that is traced like a builder, to find its hyperparameters."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name, self._function = name, function
        self._whole_runs = 0
        self.epochs = 1  # The number of epochs of the first training, with default hyperparameters.
        self._first = True

    def __call__(self, trial: Any) -> None:
        """Runs the function up to its first training.

        Raises LimitReachedError if `_MOST_WHOLE_RUNS` runs had no training, as more runs may take
        too long. Raises BuilderError if the function returns a model or several values, because it
        would do so with all hyperparameters.
        """
        if self._whole_runs >= _MOST_WHOLE_RUNS:
            raise LimitReachedError
        first, self._first = self._first, False
        fit, returned = up_to_first_fit(self._function, trial)
        if fit is None:
            self._whole_runs += 1
            check_returned(self._name, returned)
            return
        epochs = fit.arguments.get("epochs", 1)
        if first and isinstance(epochs, int) and epochs > 1:
            self.epochs = epochs


def check_returned(study: str, returned: Any) -> None:
    """Raises BuilderError if a function returned a model or several values."""
    import keras

    if isinstance(returned, keras.Model):
        raise BuilderError(
            f"The objective_function of the study {study!r} returned a model, so it is a builder",
            hint="Pass it as build instead: Study(data=…, build=…, objective=…).",
        )
    if isinstance(returned, list | tuple) and len(returned) > 1:
        raise BuilderError(
            f"The objective_function of the study {study!r} returned {len(returned)} values: "
            f"{returned!r:.100}. Several objectives are not supported",
            hint="Return one number, and note the others by trial.set_user_attr.",
        )
