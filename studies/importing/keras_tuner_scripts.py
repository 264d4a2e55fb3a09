"""A Keras Tuner script's search as a study: its tuner's settings, its builder, its data."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any, Final

from search_spaces.errors import StudyFileError
from studies.definition.engine_objects import name_of_object
from studies.definition.engine_options import split_options
from studies.definition.objective import make_objective
from studies.engines.keras_tuner_parts import HYPERBAND, hyperband_trials
from studies.importing.data_text import give_data
from studies.importing.excerpt import expressions
from studies.importing.study_file import StudyFile, literal
from studies.importing.watching import Call, call_at
from tracking.records import Objective

_UNTITLED: Final = "untitled_project"
# Arguments of a search that the study's data, callbacks and settings are made of, or that only
# change what is printed.
_TAKEN: Final = frozenset(
    """x y sample_weight validation_data validation_split steps_per_epoch validation_steps epochs
    batch_size callbacks class_weight verbose""".split()
)
_KEPT: Final = {
    "ModelCheckpoint": "kerastudy keeps the checkpoint of each trial's best epoch itself",
    "BackupAndRestore": "a study that was stopped resumes when it is launched again",
    "TensorBoard": "kerastudy export --as tensorboard writes a study's event files",
}
# Settings of a tuner that a study has no need of.
_SETTINGS: Final = {
    "directory": "trials are recorded in the store, ./kerastudy-store",
    "overwrite": "launching again resumes; another --name starts a new study",
    "max_retries_per_trial": "kerastudy launch --retry-infeasible trains failed trials again",
    "max_consecutive_failed_trials": "a launch ends if its first trials all fail alike",
    "max_model_size": "raise ValueError in the builder to make a model infeasible",
    "distribution_strategy": "a trial trains on one device; kerastudy launch --workers N runs N",
    "allow_new_entries": "hyperparameters that only the builder declares are tuned",
    "logger": "each trial is recorded in MLflow",
}


def give_search(file: StudyFile, tree: ast.Module) -> None:
    """Gives a study what a Keras Tuner script says.

    Raises:
        StudyFileError: If a study can't do what it does.
    """
    import keras

    tuner, search, made = file.search.owner, file.search.call, file.search.made
    if made is None:
        raise StudyFileError("The script's tuner is made by no tuner of Keras Tuner's.")
    _check(tuner)
    kind = type(tuner)
    created = _outside_init(made)
    said = expressions(
        call_at(tree, created.places[-1]), [*inspect.signature(kind.__init__).parameters][1:]
    )
    file.origin = f"Keras Tuner's {kind.__name__}"
    project = made.arguments.get("project_name")
    file.name = project if project not in (None, "", _UNTITLED) else file.name
    parameters = [*inspect.signature(keras.Model.fit).parameters][1:]
    written = expressions(call_at(tree, search.places[-1]), parameters)
    given = search.arguments

    def spelled(name: str) -> str:
        return file.spelled(f"{name} of the search", given[name], written.get(name), search)

    give_data(file, given, spelled, written)
    _give_builder(file, made, said, created)
    _give_objective(file, tuner.oracle.objective, said)
    _give_engine(file, tuner, given, said)
    if given.get("callbacks"):
        _give_callbacks(file, given["callbacks"], written.get("callbacks"), search)
    if given.get("class_weight") is not None:
        file.give("class_weight", spelled("class_weight"))
    for name in sorted(given.keys() - _TAKEN):
        file.notes.append(f"search({name}={file.shown(given[name], written.get(name))}).")


def _check(tuner: Any) -> None:
    import keras_tuner

    kind = type(tuner)
    if isinstance(tuner, keras_tuner.SklearnTuner):
        raise StudyFileError(
            "The script's SklearnTuner tunes models of scikit-learn. A study tunes Keras models."
        )
    if not str(getattr(kind.run_trial, "__module__", "")).startswith("keras_tuner"):
        raise StudyFileError(
            f"The script's tuner {kind.__name__} trains trials by a run_trial of its own, which a "
            "study can't take over. Put the training into a HyperModel's fit, or into an objective "
            "function that returns a number."
        )


def _outside_init(made: Call) -> Call:
    """Returns the call that makes a tuner: not the one in a subclass's ``__init__``."""
    frames = list(made.frames)
    while len(frames) > 1 and frames[-1].f_code.co_name == "__init__":
        frames.pop()
    return Call(tuple(frames), made.places[: len(frames)], made.arguments)


def _give_builder(file: StudyFile, made: Call, said: Mapping[str, ast.expr], created: Call) -> None:
    builder = made.arguments.get("hypermodel")
    file.give("build", file.spelled("builder", builder, said.get("hypermodel"), created))
    given = made.arguments.get("oracle")
    space = said.get("hyperparameters")
    if space is not None:
        text = ast.unparse(space)
        known = file.excerpt.values.get(text)
        file.give("space", file.spelled("hyperparameters", known, space, created))
        if not getattr(given, "tune_new_entries", True):
            declared = getattr(known, "space", ())
            names = [each.name for each in declared if type(each).__name__ != "Fixed"]
            file.options = f" --only {','.join(names)}" if names else ""
            file.notes.append(
                "tune_new_entries=False: launch with --only, as above, to leave what only the "
                "builder declares at its defaults."
            )
    for name in ("optimizer", "loss", "metrics"):
        if made.arguments.get(name) is not None:
            value = made.arguments[name]
            file.give(name, file.spelled(name, value, said.get(name), created))


def _give_objective(file: StudyFile, objective: Any, said: Mapping[str, ast.expr]) -> None:
    if isinstance(objective, list) or hasattr(objective, "objectives"):
        names = ", ".join(each.name for each in getattr(objective, "objectives", objective))
        raise StudyFileError(
            f"The script's tuner has several objectives: {names}. A study has one: choose it."
        )
    name, direction = objective.name, objective.direction
    if name == "default_objective":
        raise StudyFileError(
            "The script's tuner has no objective: its HyperModel's fit returns the value. Name "
            "the metric, as in objective='val_loss', or make the training an objective function."
        )
    known = make_objective(name)
    given = said.get("objective")
    if not isinstance(known, Objective):
        file.give("objective", f'ks.Objective("{name}", "{direction}")')
    elif known.direction == direction:
        file.give("objective", f'"{name}"')
    elif isinstance(given, ast.Constant):
        file.give("objective", f'"{name}"', f"Keras Tuner would go for its {direction}imum")
    else:
        file.give("objective", f'ks.Objective("{name}", "{direction}")')


def _give_engine(
    file: StudyFile, tuner: Any, given: Mapping[str, Any], said: Mapping[str, ast.expr]
) -> None:
    oracle = tuner.oracle
    epochs = given.get("epochs") or 1
    longest: int = getattr(oracle, "max_epochs", epochs)
    engine, options = split_options(name_of_object("engine", oracle, longest))
    file.give("engine", f'"{engine}"')
    if options:
        file.give("engine_options", literal(options))
    if engine == HYPERBAND:
        rounds = oracle.hyperband_iterations
        once = hyperband_trials(longest, oracle.factor)
        if rounds == float("inf"):
            file.give("trials", str(once), "one pass over its brackets; give more to go on")
        else:
            file.give("trials", str(round(once * rounds)), f"hyperband_iterations={rounds}")
        file.give("epochs", str(longest), "max_epochs")
    elif oracle.max_trials is None:
        file.give("trials", "1000", "at most: it ends when the grid does")
        file.give("epochs", str(epochs))
    else:
        file.give("trials", str(oracle.max_trials), "max_trials")
        file.give("epochs", str(epochs))
    size = given.get("batch_size")
    if size is not None:
        file.give("batch_size", str(size))
    if tuner.executions_per_trial != 1:
        file.give("repeats", str(tuner.executions_per_trial), "executions_per_trial")
    file.give("seed", str(oracle.seed if "seed" in said else 0))
    defaults = inspect.signature(type(oracle).__init__).parameters
    for name, why in _SETTINGS.items():
        if name in said and ast.unparse(said[name]) not in ("None", "False"):
            usual = defaults[name].default if name in defaults else None
            if ast.unparse(said[name]) != repr(usual):
                file.notes.append(f"{name}={file.shown(None, said[name])}: {why}.")


def _give_callbacks(file: StudyFile, given: Any, written: ast.expr | None, search: Call) -> None:
    name = file.free_name("callbacks")
    if isinstance(written, ast.Name):
        listed = file.excerpt.assignment(written.id)
        written = listed if isinstance(listed, ast.List) else written
    parts: list[str] = []
    if isinstance(written, ast.List) and len(written.elts) == len(given):
        new = True
        for each, value in zip(written.elts, given, strict=True):
            kind = type(value).__name__
            if kind in _KEPT:
                file.notes.append(f"{kind}: {_KEPT[kind]}.")
                continue
            made = file.excerpt.assignment(each.id) if isinstance(each, ast.Name) else each
            node = made if isinstance(made, ast.Call) else each
            new = new and isinstance(node, ast.Call)
            parts.append(file.spelled(f"callback {kind}", value, node, search))
        if not parts:
            return
        text = f"[{', '.join(parts)}]"
        text = text if new else f"copy.deepcopy({text})"
    else:
        new = False
        text = f"copy.deepcopy({file.spelled('callbacks', given, written, search)})"
    if len(text) > 80 and new:
        text = "[\n" + "".join(f"        {part},\n" for part in parts) + "    ]"
    file.imports |= set() if new else {"copy"}
    file.sections.append(
        f'def {name}(hp):\n    """Returns new callbacks for each trial."""\n    return {text}\n'
    )
    file.give("callbacks", name)
