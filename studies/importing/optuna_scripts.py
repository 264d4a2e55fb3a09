"""An Optuna script's search as a study: its objective function, its sampler, its pruner."""

from __future__ import annotations

import ast
import inspect
from typing import Any, Final

from search_spaces.errors import EngineError, StudyFileError
from studies.definition.engine_objects import name_of_object
from studies.definition.engine_options import split_options
from studies.importing.excerpt import expressions
from studies.importing.study_file import StudyFile, literal
from studies.importing.watching import Call, call_at

_WITHOUT_END: Final = 10_000
_BY_NAME: Final = {"QMCSampler": "optuna:quasi-random", "GridSampler": "optuna:grid"}
_LEFT_OUT: Final = {
    "n_jobs": "kerastudy launch --workers N runs N trials at once",
    "callbacks": "they get Optuna's study; see stop_at, patience and timeout of ks.Study",
    "catch": "a trial that raises is infeasible, and the study resumes with the next one",
}


def give_optimization(file: StudyFile, tree: ast.Module) -> None:
    """Gives a study what an Optuna script says.

    Raises:
        StudyFileError: If a study can't do what it does.
    """
    import optuna

    study, call = file.search.owner, file.search.call
    if len(study.directions) > 1:
        raise StudyFileError(
            f"The script's study has {len(study.directions)} objectives. A study has one: return "
            "one number, and give create_study one direction."
        )
    parameters = [*inspect.signature(optuna.Study.optimize).parameters][1:]
    written = expressions(call_at(tree, call.places[-1]), parameters)
    given = call.arguments
    made = {} if file.search.made is None else file.search.made.arguments
    file.origin = "Optuna's study.optimize"
    file.name = made.get("study_name") or file.name
    _give_objective(file, given["func"], written.get("func"), call)
    direction = study.direction.name.lower()
    file.give("direction", f'"{direction}"')
    _give_engine(file, study, _written_seed(file, tree))
    trials, timeout = given.get("n_trials"), given.get("timeout")
    if trials is None:
        file.give("trials", f"{_WITHOUT_END}", "at most: the script has no n_trials")
    else:
        file.give("trials", str(trials), "in total, where n_trials of Optuna is in addition")
    if timeout is not None:
        file.give("timeout", str(timeout))
    if file.search.queued:
        file.give("initial", literal(list(file.search.queued)), "enqueue_trial")
    for name, why in _LEFT_OUT.items():
        if given.get(name) not in (None, 1, (), []):
            file.notes.append(f"{name}={file.shown(given[name], written.get(name))}: {why}.")
    storage = made.get("storage")
    if storage is not None:
        shown = storage if isinstance(storage, str) else type(storage).__name__
        file.notes.append(f"storage={shown}: trials are recorded in the store, ./kerastudy-store.")


def _give_objective(file: StudyFile, function: Any, written: ast.expr | None, call: Call) -> None:
    text = file.spelled("objective", function, written, call)
    if isinstance(written, ast.Lambda):
        name = file.free_name("objective_function")
        taken = ast.unparse(written.args)
        file.sections.append(
            f"def {name}({taken}):\n    return {file.excerpt.written(written.body)}\n"
        )
        text = name
    file.give("objective_function", text)


def _written_seed(file: StudyFile, tree: ast.Module) -> int | None:
    """Returns the seed that the script gives its sampler, which keeps only what follows of it."""
    made = file.search.made
    call = None if made is None else call_at(tree, made.places[-1])
    sampler: ast.expr | None = expressions(call, ()).get("sampler")
    if isinstance(sampler, ast.Name):
        sampler = file.excerpt.assignment(sampler.id)
    seed = expressions(sampler, ()).get("seed") if isinstance(sampler, ast.Call) else None
    return seed.value if isinstance(seed, ast.Constant) and isinstance(seed.value, int) else None


def _give_engine(file: StudyFile, study: Any, seed: int | None) -> None:
    sampler = type(study.sampler).__name__
    try:
        engine, options = split_options(name_of_object("engine", study.sampler, 1))
    except EngineError:
        engine, options = _BY_NAME.get(sampler, "optuna:tpe"), {}
        if sampler not in _BY_NAME:
            file.notes.append(
                f"sampler={sampler}: kerastudy has none, or can't read its settings; this study "
                f"uses {engine}."
            )
    derived = options.pop("seed", None)
    seed = derived if seed is None else seed
    file.give("engine", f'"{engine}"')
    if options:
        file.give("engine_options", literal(options))
    try:
        pruner, settings = split_options(name_of_object("pruner", study.pruner, 1))
    except EngineError:
        pruner, settings = "none", {}
        file.notes.append(f"pruner={type(study.pruner).__name__}: kerastudy has none of its kind.")
    file.give("pruner", f'"{pruner}"')
    if settings:
        file.give("pruner_options", literal(settings))
    file.give("seed", "0" if seed is None else str(seed))
