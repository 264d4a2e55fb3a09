"""Files with an objective of Optuna's: the function, and which way its study optimizes."""

from __future__ import annotations

import ast
import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from search_spaces.errors import StudyFileError
from studies.definition.study_definition import StudyDefinition
from studies.libraries.optuna_parts import replaced_optimize
from studies.user_code.self_launching import StudyLaunched


def is_objective(value: object) -> bool:
    """Returns whether a variable of a file may be an objective: a function, or called like one."""
    return callable(value) and not inspect.isclass(value) and not isinstance(value, StudyDefinition)


def study_of(path: Path, variable: str, function: Any, source: str) -> StudyDefinition:
    """Returns the study of an objective in a file.

    It is named after the file, and optimizes in the direction that the file's ``create_study`` has.

    Raises:
        StudyFileError: If the function can't be called with a trial alone, or the file's study has
            several objectives.
    """
    _check_takes_a_trial(path, variable, function)
    name = path.stem if variable == "objective" else f"{path.stem}-{variable}"
    return StudyDefinition(name, objective_function=function, direction=_direction(path, source))


def objectives_of(module: ModuleType) -> list[str]:
    """Returns the names of a module's own functions that may be meant as objectives."""
    return [
        name
        for name, value in vars(module).items()
        if name.startswith("objective")
        and is_objective(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]


@contextlib.contextmanager
def optimizing_nothing(module: ModuleType, variable: str, source: str) -> Iterator[None]:
    """Ends the loading of a file where it would run Optuna's study of the wanted objective.

    Raises StudyLaunched there: the rest of the file need not run. If the objective is not defined
    yet, or is a study of ours, Optuna's study is of something else, and runs. Without a wanted
    variable, a file that does not use kerastudy ends too: it has no study, and its trials would run
    before it is refused.
    """
    if "optuna" not in source:
        yield
        return

    def ends() -> None:
        if is_objective(vars(module).get(variable)):
            raise StudyLaunched
        if not variable and "kerastudy" not in source:
            raise StudyLaunched

    with replaced_optimize(ends):
        yield


def _check_takes_a_trial(path: Path, variable: str, function: Callable[..., Any]) -> None:
    try:
        parameters = inspect.signature(function)
        parameters.bind(None)
    except ValueError:
        # A function of C has no signature.
        return
    except TypeError:
        raise StudyFileError(
            f"{variable} in {str(path)!r} must take one argument, the trial. It takes "
            f"{parameters}. Define a function of the trial alone that calls it."
        ) from None


def _direction(path: Path, source: str) -> str | None:
    """Returns the direction of the file's Optuna study, if it says one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or _called(node) != "create_study":
            continue
        for keyword in node.keywords:
            if keyword.arg == "directions" and not _is_none(keyword.value):
                raise StudyFileError(
                    f"The study in {str(path)!r}, line {node.lineno}, has directions=…: several "
                    "objectives are not supported. Return one number, and give it a direction."
                )
            if keyword.arg == "direction":
                found.add(_spelled(keyword.value))
    return found.pop() if len(found) == 1 and "" not in found else None


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _spelled(node: ast.expr) -> str:
    """Returns "maximize" or "minimize"; empty if it is neither."""
    text = ""
    if isinstance(node, ast.Constant):
        text = str(node.value)
    elif isinstance(node, ast.Attribute):
        # optuna.study.StudyDirection.MAXIMIZE
        text = node.attr
    return text.lower() if text.lower() in ("maximize", "minimize") else ""
