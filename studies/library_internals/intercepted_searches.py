"""Intercepts the search of a script: Keras Tuner's `search` or Optuna's `optimize`.

The search does not run. Files and databases of earlier searches stay as they are: a tuner gets an
empty folder, an Optuna study is created in memory, and no study is deleted. A script that loads or
copies another study, or calls `study.ask`, ends with an error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Never

from search_spaces.errors import StudyFileError

KERAS_TUNER: Final = "keras_tuner"
OPTUNA: Final = "optuna"


@dataclass(frozen=True)
class Search:
    """A search that a script was about to begin.

    Attributes:
        library: `KERAS_TUNER` or `OPTUNA`.
        owner: The tuner, or Optuna's study.
        function: The builder that was given to the tuner, or the objective function.
        arguments: The arguments of ``search`` or ``optimize``, by name. The arguments of ``search``
            have the names that they have in `keras.Model.fit`.
        made_with: The arguments with which the tuner's oracle, or Optuna's study, was made.
        queued: The hyperparameters that ``enqueue_trial`` was called with.
    """

    library: str
    owner: Any
    function: Any
    arguments: Mapping[str, Any]
    made_with: Mapping[str, Any]
    queued: Sequence[Mapping[str, Any]] = ()


# An object, and the name and the new value of one of its attributes.
_Replacement = tuple[Any, str, Callable[..., Any]]
OnSearch = Callable[[Search], None]


@contextlib.contextmanager
def searches_replaced(libraries: Collection[str], on_search: OnSearch) -> Iterator[None]:
    """Calls `on_search` in place of each search. An error of `on_search` ends the script."""
    with contextlib.ExitStack() as stack:
        replacements: list[_Replacement] = []
        if KERAS_TUNER in libraries:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kerastudy-"))
            replacements += _of_keras_tuner(folder, on_search)
        if OPTUNA in libraries:
            replacements += _of_optuna(on_search)
        for owner, name, function in replacements:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, function)
        yield


def _of_keras_tuner(folder: str, on_search: OnSearch) -> list[_Replacement]:
    import keras
    import keras_tuner
    from keras_tuner.engine.base_tuner import BaseTuner

    make_oracle, make_tuner = keras_tuner.Oracle.__init__, BaseTuner.__init__
    fit = inspect.signature(keras.Model.fit)
    # The arguments of each oracle, and the builder of each tuner.
    made_with = weakref.WeakKeyDictionary[Any, Mapping[str, Any]]()
    builders = weakref.WeakKeyDictionary[Any, Any]()

    @functools.wraps(make_oracle)
    def oracle_made(oracle: Any, *positional: Any, **named: Any) -> None:
        arguments = _arguments(make_oracle, oracle, *positional, **named)
        make_oracle(oracle, *positional, **named)
        made_with[oracle] = arguments

    @functools.wraps(make_tuner)
    def tuner_made(tuner: Any, *positional: Any, **named: Any) -> None:
        arguments = _arguments(make_tuner, tuner, *positional, **named)
        builders[tuner] = arguments.get("hypermodel")
        new = {"directory": folder, "project_name": f"tuner-{id(tuner)}", "overwrite": True}
        make_tuner(tuner, **{**arguments, **new})

    def search(tuner: Any, *positional: Any, **named: Any) -> None:
        # A HyperModel's own `fit` may take more arguments than `keras.Model.fit`.
        of_fit = {name: value for name, value in named.items() if name in fit.parameters}
        arguments = dict(fit.bind_partial(None, *positional, **of_fit).arguments)
        arguments.pop("self")
        arguments |= named
        on_search(Search(KERAS_TUNER, tuner, builders[tuner], arguments, made_with[tuner.oracle]))

    return [
        (keras_tuner.Oracle, "__init__", oracle_made),
        (BaseTuner, "__init__", tuner_made),
        (BaseTuner, "search", search),
    ]


def _of_optuna(on_search: OnSearch) -> list[_Replacement]:
    import optuna

    create = optuna.create_study
    study_optimize = optuna.Study.optimize
    # The arguments, and the enqueued hyperparameters, of each study.
    made_with = weakref.WeakKeyDictionary[Any, Mapping[str, Any]]()
    queued = weakref.WeakKeyDictionary[Any, list[Mapping[str, Any]]]()

    @functools.wraps(create)
    def created(**named: Any) -> optuna.Study:
        in_memory = {n: v for n, v in named.items() if n not in ("storage", "load_if_exists")}
        verbosity = optuna.logging.get_verbosity()
        # Without this, Optuna would log that the study is in memory.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = create(**in_memory)
        optuna.logging.set_verbosity(verbosity)
        made_with[study] = named
        return study

    def queue(study: optuna.Study, params: Mapping[str, Any], *_: Any, **__: Any) -> None:
        queued.setdefault(study, []).append(dict(params))

    @functools.wraps(study_optimize)
    def optimize(study: optuna.Study, *positional: Any, **named: Any) -> None:
        arguments = _arguments(study_optimize, study, *positional, **named)
        function = arguments.pop("func")
        first = tuple(queued.get(study, ()))
        on_search(Search(OPTUNA, study, function, arguments, made_with.get(study, {}), first))

    def refusing(action: str) -> Callable[..., Never]:
        def refused(*_: Any, **__: Any) -> Never:
            raise StudyFileError(
                f"the script {action}, which kerastudy can't do. Create the study by "
                "optuna.create_study(...), and pass the objective to study.optimize(...)"
            )

        return refused

    of_module: dict[str, Callable[..., Any]] = {
        "create_study": created,
        # A user's script may delete its earlier study before it creates a new one.
        "delete_study": lambda *_, **__: None,
        "load_study": refusing("loads an earlier study"),
        "copy_study": refusing("copies a study"),
    }
    return [
        *((module, *item) for module in (optuna, optuna.study) for item in of_module.items()),
        (optuna.Study, "ask", refusing("asks for trials by itself")),
        (optuna.Study, "enqueue_trial", queue),
        (optuna.Study, "optimize", optimize),
    ]


def _arguments(function: Callable[..., Any], *positional: Any, **named: Any) -> dict[str, Any]:
    bound = dict(inspect.signature(function).bind_partial(*positional, **named).arguments)
    bound |= bound.pop("kwargs", {})
    bound.pop("self")
    return bound
