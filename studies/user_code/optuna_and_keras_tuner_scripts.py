"""Makes a study from a script for Keras Tuner or Optuna, without changes to the script.

The script runs, as with ``python tune.py``, up to its ``tuner.search(…)`` or ``study.optimize(…)``.
This call is intercepted, so it searches nothing. Files and databases of earlier searches stay as
they are: a tuner gets an empty folder, an Optuna study is created in memory, and no study is
deleted. A script that loads or copies another study, or calls `study.ask`, ends with an error.

The study is made from the call's arguments, and from the tuner or the Optuna study whose method is
called. From Keras Tuner, the study gets the builder and the data; from Optuna, the objective
function. From both, it gets the engine with its settings, and the number of trials.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import os
import sys
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple, Never

import numpy as np

from search_spaces import Tailoring
from search_spaces.errors import EngineError, StudyFileError
from search_spaces.texts import counted, listed
from studies.data import GENERATOR, batches_kind, datasets, length_of, map_arrays
from studies.definition import (
    StudyDefinition,
    hyperband_trials,
    name_of_object,
    split_options,
    with_options,
)
from studies.library_internals import ranges_of_grid
from studies.user_code.user_modules import imported_names, own_modules
from tracking.records import Objective

_KERAS_TUNER: Final = "keras_tuner"
_OPTUNA: Final = "optuna"
_MAIN: Final = "__main__"
# The number of trials if a script sets no limit. Its search then ends by a timeout or by Ctrl-C.
_WITHOUT_END: Final = 10_000
# The arguments of a search that a study takes over, or that only change the output.
_KNOWN_ARGUMENTS: Final = frozenset(
    """x y sample_weight validation_data validation_split steps_per_epoch validation_steps epochs
    batch_size callbacks class_weight verbose""".split()
)
# Callbacks that are left out, because a study itself keeps checkpoints and learning curves.
_RECORDERS: Final = ("ModelCheckpoint", "BackupAndRestore", "TensorBoard")


@dataclass(frozen=True)
class Search:
    """A search that a script was about to begin.

    Attributes:
        library: ``"keras_tuner"`` or ``"optuna"``.
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


class ScriptStudy(NamedTuple):
    """A script's study, and notes such as "not taken: n_jobs=2"."""

    study: StudyDefinition
    notes: tuple[str, ...]


def libraries_searched(
    path: Path, source: str, package: str, texts: Mapping[str, str]
) -> frozenset[str]:
    """Returns the libraries with which a script searches. A study file searches with none.

    A study file imports kerastudy, directly or in its own modules. `texts` maps the files of
    modules to recorded texts, which are read in place of these files.
    """
    names = set(imported_names(source, package))
    if "kerastudy" not in names:
        for text in own_modules(path, source, package, texts).values():
            names.update(imported_names(text))
    return frozenset(() if "kerastudy" in names else names & {_KERAS_TUNER, _OPTUNA})


@contextlib.contextmanager
def as_program(module: ModuleType, path: Path) -> Iterator[None]:
    """Makes a module the main program within the context, as ``python script.py`` does.

    The script's output is hidden, because every worker would print it. Its plots open no windows.
    While the script runs, the module is called ``__main__``. At the end, the module gets its own
    name back, and so do its classes and functions, because pickle finds them by this name.
    """
    name, main, arguments = module.__name__, sys.modules[_MAIN], sys.argv
    plots = os.environ.get("MPLBACKEND")
    sys.modules[_MAIN], module.__name__, sys.argv = module, _MAIN, [str(path)]
    os.environ["MPLBACKEND"] = "agg"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.modules[_MAIN], module.__name__, sys.argv = main, name, arguments
        if plots is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = plots
        for value in vars(module).values():
            if isinstance(value, type | FunctionType) and value.__module__ == _MAIN:
                value.__module__ = name


# Intercepting the search

# An object, and the name and the new value of one of its attributes.
_Replacement = tuple[Any, str, Callable[..., Any]]
_OnSearch = Callable[[Search], None]


@contextlib.contextmanager
def searches_replaced(libraries: Collection[str], on_search: _OnSearch) -> Iterator[None]:
    """Calls `on_search` in place of each search. An error of `on_search` ends the script."""
    with contextlib.ExitStack() as stack:
        replacements: list[_Replacement] = []
        if _KERAS_TUNER in libraries:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kerastudy-"))
            replacements += _replaced_in_keras_tuner(folder, on_search)
        if _OPTUNA in libraries:
            replacements += _replaced_in_optuna(on_search)
        for owner, name, function in replacements:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, function)
        yield


def _replaced_in_keras_tuner(folder: str, on_search: _OnSearch) -> list[_Replacement]:
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
        on_search(Search(_KERAS_TUNER, tuner, builders[tuner], arguments, made_with[tuner.oracle]))

    return [
        (keras_tuner.Oracle, "__init__", oracle_made),
        (BaseTuner, "__init__", tuner_made),
        (BaseTuner, "search", search),
    ]


def _replaced_in_optuna(on_search: _OnSearch) -> list[_Replacement]:
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
        on_search(Search(_OPTUNA, study, function, arguments, made_with.get(study, {}), first))

    def refusing(action: str) -> Callable[..., Never]:
        def refused(*_: Any, **__: Any) -> Never:
            raise StudyFileError(
                f"the script {action}, which kerastudy can't do",
                hint="Call optuna.create_study(...), and then study.optimize(objective, ...)",
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


# Making the study


def study_of_search(path: Path, variable: str, search: Search) -> ScriptStudy:
    """Returns the study of a script's search, named after the script."""
    study_of = _study_from_optuna if search.library == _OPTUNA else _study_from_keras_tuner
    name = path.stem if variable in ("", "objective") else f"{path.stem}-{variable}"
    return study_of(name, search)


def _setting(setting: str, value: Any, noun: str, epochs: int = 1) -> str:
    """Returns the name of the engine or pruner for a sampler, pruner or oracle of the script."""
    try:
        return name_of_object(setting, value, epochs)
    except EngineError as error:
        where = f"The script's {noun} can't be taken over. "
        raise error.of_kind(StudyFileError, where) from None


# Optuna


def _study_from_optuna(name: str, search: Search) -> ScriptStudy:
    optuna_study, arguments = search.owner, search.arguments
    if len(optuna_study.directions) > 1:
        raise StudyFileError(
            f"The script's study has {len(optuna_study.directions)} objectives, not one",
            hint="Return one number, and give create_study one direction.",
        )
    engine, options = split_options(_setting("engine", optuna_study.sampler, "sampler"))
    seed, omissions = options.pop("seed", 0), list[str]()
    study = StudyDefinition(
        name,
        objective_function=search.function,
        direction=optuna_study.direction.name.lower(),
        engine=with_options(engine, options),
        tailoring=Tailoring(ranges=ranges_of_grid(optuna_study.sampler)),
        pruner=_setting("pruner", optuna_study.pruner, "pruner"),
        seed=seed,
        trials=_WITHOUT_END if arguments.get("n_trials") is None else arguments["n_trials"],
        timeout=arguments.get("timeout"),
        initial=search.queued,
    )
    settings = [
        f"{_name_of(search.function)}, to {study.direction}, by {study.engine}",
        f"pruner {study.pruner}",
        "no end" if arguments.get("n_trials") is None else counted(study.trials, "trial"),
        "" if study.timeout is None else f"at most {study.timeout:g} seconds",
        f"{len(search.queued)} queued" if search.queued else "",
    ]
    if arguments.get("callbacks"):
        names = ", ".join(map(_name_of, arguments["callbacks"]))
        omissions.append(f"callbacks of optimize ({names})")
    if arguments.get("n_jobs", 1) != 1:
        omissions.append(f"n_jobs={arguments['n_jobs']}")
    if search.made_with.get("storage") is not None:
        omissions.append("its storage")
    elif optuna_study.trials:
        omissions.append(f"the {counted(len(optuna_study.trials), 'trial')} that its study has")
    return ScriptStudy(study, _notes(settings, seed, omissions))


# Keras Tuner


def _study_from_keras_tuner(name: str, search: Search) -> ScriptStudy:
    tuner, arguments, omissions = search.owner, search.arguments, list[str]()
    oracle = tuner.oracle
    _check_tuner(tuner)
    epochs = _of_fit("epochs", search, 1)
    longest: int = getattr(oracle, "max_epochs", epochs)
    if search.made_with.get("hyperparameters") is not None or not oracle.tune_new_entries:
        raise StudyFileError(
            "The script's tuner gets hyperparameters=… or tune_new_entries=False. A study takes "
            "its hyperparameters from the builder alone",
            hint="Leave the arguments out. Replace values at launch by --set NAME=VALUE, and keep "
            "all but some at their defaults by --only NAME,NAME.",
        )
    callbacks = arguments.get("callbacks") or ()
    recorders = [name for name in map(_name_of, callbacks) if name in _RECORDERS]
    others = [callback for callback in callbacks if _name_of(callback) not in _RECORDERS]
    study = StudyDefinition(
        name,
        data=_data(arguments),
        build=search.function,
        objective=_objective(oracle.objective),
        engine=_setting("engine", oracle, "oracle", longest),
        trials=_trials(oracle, longest),
        epochs=longest,
        batch_size=_of_fit("batch_size", search, StudyDefinition.batch_size),
        repeats=tuner.executions_per_trial,
        seed=search.made_with.get("seed") or 0,
        callbacks=others or None,
        class_weight=arguments.get("class_weight"),
    )
    if recorders:
        omissions.append(listed(recorders))
    if tuner.max_model_size:
        omissions.append(f"max_model_size={tuner.max_model_size}")
    if tuner.distribution_strategy is not None:
        omissions.append("distribution_strategy")
    for option in sorted(arguments.keys() - _KNOWN_ARGUMENTS):
        omissions.append(f"{option}={arguments[option]!r:.40} of the search")
    assert isinstance(study.objective, Objective)
    goal = f"{study.objective.metric} ({study.objective.direction})"
    settings = [
        f"{_name_of(search.function)}, for {goal}, by {study.engine}",
        f"{counted(study.trials, 'trial')} of {counted(study.epochs, 'epoch')}",
        f"{study.repeats} trainings each" if study.repeats > 1 else "",
        f"callbacks {' and '.join(map(_name_of, others))}" if others else "",
    ]
    return ScriptStudy(study, _notes(settings, study.seed, omissions))


def _check_tuner(tuner: Any) -> None:
    kind = type(tuner)
    if not hasattr(tuner, "executions_per_trial"):
        raise StudyFileError(
            f"A study tunes Keras models, but the script's {kind.__name__} does not",
            hint="Write an objective function for Optuna instead, which may return any number.",
        )
    if not kind.run_trial.__module__.startswith(f"{_KERAS_TUNER}."):
        raise StudyFileError(
            f"The script's tuner {kind.__name__} overrides run_trial, which a study can't call",
            hint="Train in a HyperModel's fit, or in an objective function that returns a number.",
        )
    for name in ("optimizer", "loss", "metrics"):
        if getattr(tuner, name) is not None:
            raise StudyFileError(
                f"The script's tuner replaces the builder's {name}, which a study can't do",
                hint=f"Give model.compile({name}=…) in the builder, and leave it out here.",
            )


def _of_fit(name: str, search: Search, default: int) -> int:
    """Returns an argument with which the search would call `fit`, such as ``epochs``.

    If the search does not get the argument, its default in the `fit` of the script's HyperModel is
    returned. If there is no such default either, `default` is returned.
    """
    fit = getattr(type(search.function), "fit", None)
    parameter = inspect.signature(fit).parameters.get(name) if callable(fit) else None
    if parameter is not None and isinstance(parameter.default, int):
        default = parameter.default
    argument = search.arguments.get(name)
    return default if argument is None else argument


def _trials(oracle: Any, epochs: int) -> int:
    if hasattr(oracle, "hyperband_iterations"):
        rounds: float = oracle.hyperband_iterations
        return round(min(rounds * hyperband_trials(epochs, oracle.factor), _WITHOUT_END))
    return _WITHOUT_END if oracle.max_trials is None else oracle.max_trials


def _objective(objective: Any) -> Objective:
    if isinstance(objective, list) or hasattr(objective, "objectives"):
        names = ", ".join(o.name for o in getattr(objective, "objectives", objective))
        raise StudyFileError(
            f"The script's tuner has several objectives: {names}", hint="Choose one of them."
        )
    return Objective(objective.name, objective.direction)


def _data(arguments: Mapping[str, Any]) -> datasets.Dataset | datasets.StreamedDataset:
    """Returns the data of a search, split as Keras splits it."""
    x, validation = arguments.get("x"), arguments.get("validation_data")
    share = arguments.get("validation_split") or 0.0
    if x is None:
        raise StudyFileError(
            "The script's search gets no data",
            hint="Give it x, y and validation_data, or write an objective function for Optuna.",
        )
    if hasattr(x, "__next__") or hasattr(validation, "__next__"):
        raise StudyFileError(
            "The script's search gets a generator, which can be read only once",
            hint="Each trial reads the data: pass a tf.data.Dataset or a keras.utils.PyDataset.",
        )
    if validation is None and not share:
        raise StudyFileError(
            "A study chooses trials by validation data, but the script's search has none",
            hint="Give the search validation_data=… or validation_split=0.2.",
        )
    in_batches = batches_kind(x) != GENERATOR
    if validation is not None and (batches_kind(validation) != GENERATOR) != in_batches:
        raise StudyFileError(
            f"The script's search trains on a {type(x).__name__} and validates on a "
            f"{type(validation).__name__}",
            hint="Give it both as arrays, or both as tf.data.Dataset.",
        )
    if in_batches:
        return datasets.batches(
            x,
            validation,
            steps_per_epoch=arguments.get("steps_per_epoch"),
            validation_steps=arguments.get("validation_steps"),
        )
    x, y, weight = (_as_in_keras(arguments.get(name)) for name in ("x", "y", "sample_weight"))
    if validation is not None:
        validation = tuple(_as_in_keras(array) for array in validation)
    else:
        first = int(length_of(x) * (1 - share))
        last = _rows(slice(first, None), x, y, weight)
        validation = tuple(last[:2] if weight is None else last)
        x, y, weight = _rows(slice(first), x, y, weight)
    return datasets.arrays(x, y, sample_weight=weight, validation=validation, test=None)


def _rows(rows: slice, *arrays: Any) -> list[Any]:
    return [None if a is None else map_arrays(lambda a: a[rows], a) for a in arrays]


def _as_in_keras(value: Any) -> Any:
    """Returns data as an array, or as a dict or tuple of arrays, as Keras would read it.

    Like Keras, it reads a list of arrays as a tuple, but a list of numbers as one array.
    """
    if value is None or hasattr(value, "shape"):
        return value
    if isinstance(value, Mapping):
        return {name: _as_in_keras(array) for name, array in value.items()}
    if isinstance(value, tuple) or any(hasattr(entry, "shape") for entry in value):
        return tuple(_as_in_keras(entry) for entry in value)
    return np.asarray(value)


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def _notes(settings: list[str], seed: int, omissions: list[str]) -> tuple[str, ...]:
    text = "; ".join(filter(None, [*settings, f"seed {seed}"]))
    return (f"taken from the script: {text}", *(f"not taken: {note}" for note in omissions))
