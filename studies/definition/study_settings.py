"""Declares the settings whose values can't be recorded unchanged, such as data and callbacks.

`tracking.records.setting_declarations` explains declarations, and declares the other settings. This
module imports no library, so that ``kerastudy launch --help`` is quick.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError
from studies.definition.engine_and_pruner_names import DEFAULT_ENGINE, check_engine, check_pruner
from tracking.records import BUDGET, SEARCH, TUNE, declaration, setting

if TYPE_CHECKING:
    from search_spaces import Hyperparameters, SearchSpace, Tailoring
    from studies.data import CrossValidation, DescribedData
    from tracking.records import Objective

Builder = Any
"""A function of the hyperparameters, or an object whose method `build` is such a function."""
CallbackBuilder = Callable[["Hyperparameters"], Sequence[Any]]
ClassWeights = Mapping[int, float] | str | None

OF_A_STUDY: Final = "study:"
"""The prefix in ``--start-with study:NAME``, which starts with the best trials of study NAME."""


def _study_name(name: str, value: Any, *, error: checks.Error) -> str:
    from tracking.store.store_folder_and_json import check_study_name

    return check_study_name(value)


def _engine(name: str, value: Any, *, error: checks.Error) -> str:
    return check_engine(value)


def _pruner(name: str, value: Any, *, error: checks.Error) -> str:
    return check_pruner(value)


def _callbacks(name: str, value: Any, *, error: checks.Error) -> Any:
    if not callable(value):
        expected = "a function of hp that returns a list of new callbacks"
        hint = "Trials can't share callbacks, which keep state."
        raise error.of_setting(name, expected, value, hint)
    return value


def check_initial(
    name: str, value: Any, *, error: checks.Error = StudyError
) -> tuple[dict[str, Any], ...] | str:
    """Checks `initial`: the hyperparameters of a study's first trials, or where to read them.

    They are read from a file, or from another study if the text begins with "study:".
    """
    if isinstance(value, (str, os.PathLike)) and os.fspath(value) not in ("", OF_A_STUDY):
        return str(os.fspath(value))
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if is_list and all(isinstance(values, Mapping) for values in value):
        return tuple(map(dict, value))
    expected = (
        "a list of values by name, such as [{'learning_rate': 0.01}]; a JSON file of these; "
        "or study:NAME, for the best trials of another study"
    )
    raise error.of_setting(name, expected, value)


def _as_declared() -> Tailoring:
    from search_spaces import Tailoring

    return Tailoring()


@dataclass(frozen=True, kw_only=True, eq=False)
class StudySettings:
    """A study's settings that are not recorded as they are, e.g. data. `Study` describes them."""

    name: str = field(
        kw_only=False,
        metadata=declaration(
            "Another name for the study, which then starts as a new study.", _study_name, TUNE
        ),
    )
    data: DescribedData | None = setting(
        None, "The data. --data replaces it by the data in a file."
    )
    build: Builder = setting(
        None, "A function of hp that returns a compiled Keras model.", at_launch=False
    )
    space: SearchSpace | None = setting(
        None, "The search space; left out, it is found by tracing the builder.", at_launch=False
    )
    objective: str | Objective = setting(
        "val_loss", "The metric to optimize.", at_launch=False, another_study=True
    )
    engine: Any = setting(
        DEFAULT_ENGINE,
        "The engine that proposes trials, such as optuna:tpe; see above.",
        _engine,
        SEARCH,
        another_study=True,
    )
    pruner: Any = setting(
        None,
        "The pruner that stops bad trials early, such as median; see above.",
        _pruner,
        SEARCH,
        another_study=True,
    )
    callbacks: CallbackBuilder | None = setting(
        None, "A function of hp that makes Keras callbacks.", _callbacks, at_launch=False
    )
    class_weight: ClassWeights | Callable[[Hyperparameters], ClassWeights] = setting(
        None,
        "How much the samples of each class count in training.",
        at_launch=False,
        another_study=True,
    )
    objective_function: Callable[[Any], Any] | None = setting(
        None,
        "In place of data and builder: a function of a trial that returns a number.",
        at_launch=False,
    )
    direction: str | None = setting(
        None,
        "Whether to maximize or minimize an objective function.  [default: minimize]",
        section=TUNE,
        reads=("maximize", "minimize"),
    )
    initial: Sequence[Mapping[str, Any]] | str | os.PathLike[str] = setting(
        (),
        "Values of the next trials: a JSON file, or the best ten trials of another study.",
        check_initial,
        TUNE,
        option="--start-with",
        reads="FILE|study:NAME",
        another_study=True,
    )
    tailoring: Tailoring = field(
        default_factory=_as_declared,
        metadata=declaration("Changes of the space, as by --set and --only."),
    )
    cross_validation: CrossValidation | int | None = setting(
        None,
        "Cross-validate: the number of folds of all samples but the test part.",
        section=BUDGET,
        option="--folds",
        reads=int,
        another_study=True,
    )
    threads: int | None = setting(
        None,
        "TensorFlow's threads of a trial.",
        checks.whole_number,
        at_launch=False,
        another_study=True,
    )
    trainer: str = setting(
        "auto",
        "How trials are trained: auto, or plain (model.fit).",
        partial(checks.choice, names=("auto", "plain")),
    )
