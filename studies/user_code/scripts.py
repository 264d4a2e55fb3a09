"""Makes a study of a script for Keras Tuner or Optuna, without changes to the script.

The script runs, as with ``python tune.py``, up to its ``tuner.search(…)`` or ``study.optimize(…)``.
This call does not run, but it has what a study needs: the builder and its data, or the objective
function, and the engine with its settings and its number of trials.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from search_spaces import Tailoring
from search_spaces.errors import EngineError, StudyFileError
from search_spaces.texts import counted
from studies.data import GENERATOR, batches_kind, datasets, length_of, map_arrays
from studies.definition import (
    COMPILED,
    CallbackBuilder,
    StudyDefinition,
    hyperband_trials,
    name_of_object,
    split_options,
    with_options,
)
from studies.library_internals.intercepted_searches import KERAS_TUNER, OPTUNA, Search
from studies.user_code.user_modules import imported_names, own_modules
from tracking.records import Objective

_MAIN: Final = "__main__"
# Without a number of trials, a script's search ends by its timeout or Ctrl-C.
_WITHOUT_END: Final = 10_000
# Arguments of a search that a study takes over, or that only change output.
_TAKEN: Final = frozenset(
    """x y sample_weight validation_data validation_split steps_per_epoch validation_steps epochs
    batch_size callbacks class_weight verbose""".split()
)
# These callbacks are left out, as a study does the same.
_KEPT: Final = ("ModelCheckpoint", "BackupAndRestore", "TensorBoard")
# The engines for Optuna's samplers that keep a state, by sampler.
_BY_NAME: Final = {"QMCSampler": "optuna:quasi-random", "BruteForceSampler": "optuna:grid"}


class ScriptStudy(NamedTuple):
    """A script's study, and notes on what it took over and left out."""

    study: StudyDefinition
    said: tuple[str, ...]


def libraries_searched(
    path: Path, source: str, package: str, texts: Mapping[str, str]
) -> frozenset[str]:
    """Returns the libraries that a script searches with, or none for a study file.

    A file that imports kerastudy, also by one of its own modules, is a study file. `texts` replace
    the texts of modules, by file.
    """
    names = set(imported_names(source, package))
    if "kerastudy" not in names:
        for text in own_modules(path, source, package, texts).values():
            names.update(imported_names(text))
    return frozenset(() if "kerastudy" in names else names & {KERAS_TUNER, OPTUNA})


@contextlib.contextmanager
def as_program(module: ModuleType, path: Path) -> Iterator[None]:
    """Makes a module the main program within the context, as ``python script.py`` does.

    Output is hidden, as every worker would show it, and plots open no windows. At the end, the
    module, its classes and its functions get the module's name again, as they are pickled by that
    name.
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


def study_of_search(path: Path, variable: str, search: Search) -> ScriptStudy:
    """Returns the study of a script's search, named after the script."""
    name = _study_name(path, variable)
    if search.library == OPTUNA:
        return _of_optuna(name, search)
    return _of_keras_tuner(name, search)


def is_objective(value: object) -> bool:
    """Returns whether a value may be an objective function: a function or a callable object."""
    return callable(value) and not inspect.isclass(value) and not isinstance(value, StudyDefinition)


def study_of_objective(
    path: Path, variable: str, function: Any, searches: Sequence[Search]
) -> StudyDefinition:
    """Returns the study of an objective function that the file's searches don't use.

    The study has the direction of these searches, if they share one.
    """
    optunas = [each.owner for each in searches if each.library == OPTUNA]
    directions = {each.direction.name.lower() for each in optunas if len(each.directions) == 1}
    direction = directions.pop() if len(directions) == 1 else None
    name = _study_name(path, variable)
    return StudyDefinition(name, objective_function=function, direction=direction)


def objectives_of(module: ModuleType) -> list[str]:
    """Returns the names of a module's functions that may be objective functions."""
    return [
        name
        for name, value in vars(module).items()
        if name.startswith("objective")
        and is_objective(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]


def _study_name(path: Path, variable: str) -> str:
    return path.stem if variable in ("", "objective") else f"{path.stem}-{variable}"


# Optuna


def _of_optuna(name: str, search: Search) -> ScriptStudy:
    optunas, arguments = search.owner, search.arguments
    if len(optunas.directions) > 1:
        raise StudyFileError(
            f"The script's study has {len(optunas.directions)} objectives, and a study has one. "
            "Return one number, and give create_study one direction."
        )
    engine, options, left_out = _sampler(optunas.sampler)
    seed = options.pop("seed", 0)
    try:
        pruner = name_of_object("pruner", optunas.pruner, 1)
    except EngineError as error:
        raise StudyFileError(f"The script's pruner makes another search. {error}") from None
    study = StudyDefinition(
        name,
        objective_function=search.function,
        direction=optunas.direction.name.lower(),
        engine=with_options(engine, options),
        pruner=pruner,
        seed=seed,
        trials=_WITHOUT_END if arguments.get("n_trials") is None else arguments["n_trials"],
        timeout=arguments.get("timeout"),
        initial=search.queued,
    )
    taken = [
        f"{_name_of(search.function)}, to {study.direction}, by {study.engine}",
        f"pruner {study.pruner}",
        "no end" if arguments.get("n_trials") is None else counted(study.trials, "trial"),
    ]
    taken += [] if study.timeout is None else [f"at most {study.timeout:g} seconds"]
    taken += [f"{len(search.queued)} queued"] if search.queued else []
    if arguments.get("callbacks"):
        names = ", ".join(map(_name_of, arguments["callbacks"]))
        left_out.append(
            f"callbacks of optimize ({names}), which get Optuna's study; to end one early there "
            "are --stop-at, --patience and --timeout"
        )
    if arguments.get("n_jobs", 1) != 1:
        left_out.append(f"n_jobs={arguments['n_jobs']}; --workers N runs N trials at once")
    if search.made.get("storage") is not None:
        left_out.append("its storage, as trials are recorded in the store")
    elif optunas.trials:
        left_out.append(f"the {counted(len(optunas.trials), 'trial')} that its study has")
    return ScriptStudy(study, _said(taken, seed, left_out))


def _sampler(sampler: Any) -> tuple[str, dict[str, Any], list[str]]:
    """Returns the engine for an Optuna sampler, its settings, and notes on what is left out."""
    kind = type(sampler).__name__
    if kind in _BY_NAME:
        return _BY_NAME[kind], {}, [f"settings of the {kind}; {_BY_NAME[kind]} has none"]
    try:
        engine, options = split_options(name_of_object("engine", sampler, 1))
    except EngineError as error:
        raise StudyFileError(f"The script's sampler makes another search. {error}") from None
    return engine, options, []


# Keras Tuner


def _of_keras_tuner(name: str, search: Search) -> ScriptStudy:
    tuner, arguments, left_out = search.owner, search.arguments, list[str]()
    oracle = tuner.oracle
    _check_tuner(tuner)
    epochs = _of_fit("epochs", search, 1)
    longest: int = getattr(oracle, "max_epochs", epochs)
    try:
        engine = name_of_object("engine", oracle, longest)
    except EngineError as error:
        raise StudyFileError(f"The script's oracle makes another search. {error}") from None
    declared = search.made.get("hyperparameters")
    declared = declared if declared is not None and declared.space else None
    callbacks, kept = _callbacks(arguments.get("callbacks") or ())
    study = StudyDefinition(
        name,
        data=_data(arguments),
        build=search.function,
        space=declared,
        objective=_objective(oracle.objective),
        engine=engine,
        trials=_trials(oracle, longest),
        epochs=longest,
        batch_size=_of_fit("batch_size", search, StudyDefinition.batch_size),
        repeats=tuner.executions_per_trial,
        seed=search.made.get("seed") or 0,
        callbacks=callbacks,
        class_weight=arguments.get("class_weight"),
        compile={name: getattr(tuner, name) for name in COMPILED},
        tailoring=_tailoring(oracle, declared),
    )
    if kept:
        left_out.append(f"{' and '.join(kept)}, as kerastudy keeps checkpoints and curves itself")
    if tuner.max_model_size:
        left_out.append(f"max_model_size={tuner.max_model_size}; raise ValueError in the builder")
    if tuner.distribution_strategy is not None:
        left_out.append("distribution_strategy; --workers N runs N trials at once")
    others = sorted(arguments.keys() - _TAKEN)
    left_out += [f"{each}={arguments[each]!r:.40} of the search" for each in others]
    assert isinstance(study.objective, Objective)
    goal = f"{study.objective.metric} ({study.objective.direction})"
    trials = counted(study.trials, "trial")
    taken = [
        f"{_name_of(search.function)}, for {goal}, by {study.engine}",
        f"{trials} of {counted(study.epochs, 'epoch')}",
    ]
    taken += [f"{study.repeats} trainings each"] if study.repeats > 1 else []
    used = [
        _name_of(each) for each in arguments.get("callbacks") or () if _name_of(each) not in kept
    ]
    taken += [f"callbacks {' and '.join(used)}"] if used else []
    return ScriptStudy(study, _said(taken, study.seed, left_out))


def _check_tuner(tuner: Any) -> None:
    kind = type(tuner)
    if not hasattr(tuner, "executions_per_trial"):
        raise StudyFileError(
            f"The script's {kind.__name__} tunes no Keras models, and a study does. Make its "
            "search an objective function of Optuna's, which may return any number."
        )
    if not kind.run_trial.__module__.startswith(f"{KERAS_TUNER}."):
        raise StudyFileError(
            f"The script's tuner {kind.__name__} trains trials by a run_trial of its own, which a "
            "study can't call. Put the training into the fit of a HyperModel, or into an objective "
            "function that returns a number."
        )


def _of_fit(name: str, search: Search, usual: int) -> int:
    """Returns an argument of the search, or the default in the HyperModel's `fit`, or `usual`."""
    fit = getattr(type(search.function), "fit", None)
    own = inspect.signature(fit).parameters.get(name) if callable(fit) else None
    default = own.default if own is not None and isinstance(own.default, int) else usual
    argument = search.arguments.get(name)
    return default if argument is None else argument


def _trials(oracle: Any, epochs: int) -> int:
    if hasattr(oracle, "hyperband_iterations"):
        rounds: float = oracle.hyperband_iterations
        once = hyperband_trials(epochs, oracle.factor)
        return once if rounds == float("inf") else round(once * rounds)
    return _WITHOUT_END if oracle.max_trials is None else oracle.max_trials


def _objective(objective: Any) -> Objective:
    if isinstance(objective, list) or hasattr(objective, "objectives"):
        names = ", ".join(each.name for each in getattr(objective, "objectives", objective))
        raise StudyFileError(
            f"The script's tuner has several objectives, {names}, and a study has one: choose it."
        )
    return Objective(objective.name, objective.direction)


def _tailoring(oracle: Any, declared: Any) -> Tailoring:
    """Returns a tailoring to the declared hyperparameters if the tuner tunes only these."""
    if oracle.tune_new_entries or declared is None:
        return Tailoring()
    varied = [each.name for each in declared.space if type(each).__name__ != "Fixed"]
    return Tailoring(only=tuple(varied))


def _callbacks(given: Any) -> tuple[CallbackBuilder | None, list[str]]:
    """Returns a function that copies callbacks for a trial, and the names of those left out."""
    used = [each for each in given if _name_of(each) not in _KEPT]
    kept = [_name_of(each) for each in given if _name_of(each) in _KEPT]
    # Keras Tuner copies callbacks for each trial too.
    return (lambda hp: copy.deepcopy(used)) if used else None, kept


def _data(given: Mapping[str, Any]) -> datasets.Dataset | datasets.StreamedDataset:
    """Returns the data of a search, split as Keras splits it."""
    x, validation = given.get("x"), given.get("validation_data")
    share = given.get("validation_split") or 0.0
    if x is None:
        raise StudyFileError(
            "The script's search gets no data. Give it x, y and validation_data; or let an "
            "objective function of Optuna's load the data and train."
        )
    if hasattr(x, "__next__") or hasattr(validation, "__next__"):
        raise StudyFileError(
            "The script's search gets a generator, which can be read once, and each trial reads "
            "it. Give it a tf.data.Dataset or a keras.utils.PyDataset."
        )
    if validation is None and not share:
        raise StudyFileError(
            "The script's search validates on nothing, and a study chooses by validation data. "
            "Give the search validation_data=… or validation_split=0.2."
        )
    in_batches = batches_kind(x) != GENERATOR
    if validation is not None and (batches_kind(validation) != GENERATOR) != in_batches:
        raise StudyFileError(
            f"The script's search trains on a {type(x).__name__} and validates on a "
            f"{type(validation).__name__}. Give it both as arrays, or both as tf.data.Dataset."
        )
    if in_batches:
        return datasets.batches(
            x,
            validation,
            steps_per_epoch=given.get("steps_per_epoch"),
            validation_steps=given.get("validation_steps"),
        )
    parts = [_as_in_keras(given.get(name)) for name in ("x", "y", "sample_weight")]
    if validation is not None:
        validation = tuple(_as_in_keras(part) for part in validation)
    else:
        first = int(length_of(parts[0]) * (1 - share))
        last = [_mapped(lambda part: part[first:], part) for part in parts]
        validation = tuple(last[:2] if last[2] is None else last)
        parts = [_mapped(lambda part: part[:first], part) for part in parts]
    return datasets.arrays(
        parts[0], parts[1], sample_weight=parts[2], validation=validation, test=None
    )


def _as_in_keras(given: Any) -> Any:
    """Returns an array, or arrays in a dict or tuple. Keras takes a list of arrays as a tuple."""
    if given is None or hasattr(given, "shape"):
        return given
    if isinstance(given, Mapping):
        return {name: _as_in_keras(each) for name, each in given.items()}
    if isinstance(given, tuple) or any(hasattr(each, "shape") for each in given):
        return tuple(_as_in_keras(each) for each in given)
    return np.asarray(given)


def _mapped(function: Callable[[Any], Any], part: Any) -> Any:
    return None if part is None else map_arrays(function, part)


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def _said(took: list[str], seed: int, left_out: list[str]) -> tuple[str, ...]:
    taken = "; ".join([*took, f"seed {seed}"])
    return (f"taken from the script: {taken}", *(f"not taken: {each}" for each in left_out))
