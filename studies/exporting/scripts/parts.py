"""What a script needs of a trial that only its study knows: found in a worker process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.data import Dataset, Splits
from studies.data.arrays.texts import is_text
from studies.data.structures import named_arrays
from studies.definition.seeds import seed_states
from studies.definition.study_definition import StudyDefinition
from studies.error_texts import describe
from studies.exporting.scripts.builder_code import BuilderCode, NotStandaloneError, builder_code
from studies.exporting.scripts.data_code import DataCode, arrays_digest, data_code
from studies.exporting.scripts.stand_in import helpers, stand_in
from studies.training.building.build import build_callbacks, build_model, build_variables
from studies.training.building.hypermodel import has_own_fit
from studies.training.building.made_data import MadeData
from studies.training.models import has_own_steps
from studies.training.process.determinism import begin_trial, seed_generator_states
from studies.training.variables import values_of
from studies.user_code.causes import builder_function
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.executors.session import Session


@dataclass(frozen=True)
class ScriptParts:
    """The parts of a script.

    Attributes:
        hyperparameters: The values that the builder reads, by name.
        data: How the data is made.
        builder: The builder's text; None if it must be imported.
        why_imported: Why, or empty.
        hypermodel: Whether the builder is a HyperModel, with a method `build`.
        data_digest: The digest of the data, as recorded.
        structured: Whether samples or targets are several arrays.
        weighted: Whether samples have weights.
        targets: Whether there are targets.
        built: How the script makes the model's variables, or empty.
        callbacks: Whether the study has callbacks.
        own_steps: Whether the model has a training step of its own.
        versions: The versions of the packages that the builder imports.
    """

    hyperparameters: Mapping[str, Any]
    data: DataCode
    builder: BuilderCode | None
    why_imported: str
    hypermodel: bool
    data_digest: str
    structured: bool
    weighted: bool
    targets: bool
    built: str
    callbacks: bool
    own_steps: bool
    versions: Mapping[str, str]


def script_parts(session: Session, space: SearchSpace, spec: TrialSpec, file: str) -> ScriptParts:
    """Finds the parts of a script.

    Args:
        session: The study.
        space: The recorded space.
        spec: The trial.
        file: The name of the file of arrays next to the script, if it needs one.

    Raises:
        StudyError: If a script can't do what the trial did; names it.
    """
    study = session.study
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    dataset, splits = _data(session, hp)
    _check_data(study, splits)
    begin_trial(spec.seed)
    model, callbacks = build_model(study, hp, splits), build_callbacks(study, hp)
    _check_model(study, model, callbacks)
    built = _built(model)
    build_variables(model, splits)
    _check_seeds(study, model)
    values = hp.values
    function = builder_function(study.build)
    try:
        code = builder_code(session.description.code, getattr(function, "__name__", ""))
        if callbacks and "callbacks" not in code.arguments:
            raise NotStandaloneError("its callbacks are those of a search")
        _check_alike(code, study, splits, values, spec, arrays_digest(values_of(model.weights)))
        why = ""
    except NotStandaloneError as error:
        code, why = None, str(error)
        if session.description.code.said:
            # To import the builder from it would run its search.
            raise StudyError(
                f"The study {study.name!r} is made of a script's search, and its builder can't be "
                f"cut from the script: {why}. Write a study file with it, or export --as keras."
            ) from None
    train = splits.train
    return ScriptParts(
        values,
        data_code(dataset, splits, file),
        code,
        why,
        hasattr(study.build, "build"),
        splits.digest,
        not isinstance(train.x, np.ndarray) or not isinstance(train.y, np.ndarray),
        train.sample_weight is not None,
        train.has_targets,
        built,
        bool(callbacks),
        has_own_steps(model),
        {} if code is None else dict(_versions(code.packages)),
    )


def builder_section(code: BuilderCode, number: int) -> tuple[str, bool]:
    """Returns the text of the stand-ins and the builder, and whether it needs contextlib."""
    hp, scopes = stand_in(code.methods, code.conditional, number)
    parts = [hp, helpers(code.outputs, code.hypermodel), code.text]
    return "\n\n".join(part.rstrip("\n") + "\n" for part in parts if part.strip()), scopes


def call_of(code: BuilderCode, name: str, called: str = "(hp)") -> str:
    """Returns the call of an argument of `Study`, such as ``make_model(hp)``."""
    text = code.arguments[name]
    return f"{text if text.isidentifier() else f'({text})'}{called}"


def model_lines(code: BuilderCode, hypermodel: bool) -> str:
    """Returns the lines that build and compile the model."""
    method = ".build(hp)" if hypermodel else "(hp)"
    lines = f"model = {call_of(code, 'build', method)}\n"
    given = {n: code.arguments[n] for n in ("optimizer", "loss", "metrics") if n in code.arguments}
    if given:
        arguments = "".join(f', "{name}": {text}' for name, text in given.items())
        lines += (
            "# Compiled again, as the study asks for; all else as the builder did it.\n"
            "compiled = dict(model._compile_config.config) if model.compiled else {}\n"
            f"model.compile(**{{**compiled{arguments}}})\n"
        )
    return lines


def _data(session: Session, hp: Hyperparameters) -> tuple[Dataset, Splits]:
    study, data = session.study, session.data
    if isinstance(data, MadeData):
        made = data.of(hp)
        dataset, splits = made.data, made.splits
    else:
        dataset, splits = study.data, data  # type: ignore[assignment]
    if not isinstance(splits, Splits) or not isinstance(dataset, Dataset):
        raise _refused(study, "its data comes in batches")
    return dataset, splits


def _check_data(study: StudyDefinition, splits: Splits) -> None:
    given = {**named_arrays(splits.train.x, "x"), **named_arrays(splits.train.y, "y")}
    for name, array in given.items():
        if is_text(array):
            raise _refused(study, f"{name} of its data holds texts")
    if splits.train.alone is False and not splits.train.has_targets:
        raise _refused(study, "its samples are several arrays without targets")


def _check_model(study: StudyDefinition, model: keras.Model, callbacks: Any) -> None:
    import keras

    if has_own_fit(study.build):
        raise _refused(study, "its HyperModel trains by a fit of its own")
    if getattr(model.optimizer, "use_ema", False):
        raise _refused(study, "its optimizer averages weights over all epochs (use_ema)")
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise _refused(study, "its callback BackupAndRestore resumes trainings by itself")


def _check_seeds(study: StudyDefinition, model: keras.Model) -> None:
    if len(seed_states(model)) > len(seed_generator_states(model)):
        raise _refused(study, "its loss or a metric draws random numbers")


def _refused(study: StudyDefinition, what: str) -> StudyError:
    return StudyError(
        f"The study {study.name!r} can't be exported as a script: {what}, and a script of plain "
        "model.fit calls, one for each epoch, can't do that. `kerastudy reproduce` can."
    )


def _built(model: keras.Model) -> str:
    """Returns the line that makes a model's variables, if its builder does not."""
    import keras

    if model.built:
        return ""
    if isinstance(model, keras.Sequential):
        return "model.build((None, *x_train.shape[1:]))\n"
    return "model(keras.tree.map_structure(lambda array: array[:1], x_train))\n"


def _check_alike(
    code: BuilderCode,
    study: StudyDefinition,
    splits: Splits,
    values: Mapping[str, Any],
    spec: TrialSpec,
    sha256: str,
) -> None:
    """Checks that a builder's text makes the trial's initial weights, without kerastudy.

    Raises:
        NotStandaloneError: If not.
    """
    text, _ = builder_section(code, spec.built_as)
    lines = model_lines(code, hasattr(study.build, "build"))
    names: dict[str, Any] = {"__name__": "__main__"}
    names |= {"x_train": splits.train.x, "y_train": splits.train.y}
    names |= {"x_validation": splits.validation.x, "y_validation": splits.validation.y}
    before = "\n".join(["import contextlib", "import keras", *code.imports])
    kind = "Hyperparameters" if "class Hyperparameters" in text else "dict"
    values_text = f"hp = {kind}({dict(values)!r})"
    try:
        with _unregistered():
            begin_trial(0)
            exec(compile(f"{before}\n{text}\n{values_text}", "<builder>", "exec"), names)
            begin_trial(spec.seed)
            exec(compile(lines, "<builder>", "exec"), names)
            build_variables(names["model"], splits)
    except Exception as error:
        raise NotStandaloneError(f"its text alone raises {describe(error)}") from None
    if arrays_digest(values_of(names["model"].weights)) != sha256:
        raise NotStandaloneError("its text alone makes other weights")


@contextlib.contextmanager
def _unregistered() -> Iterator[None]:
    """Keeps the classes that a builder's text registers with Keras from staying registered."""
    import keras

    before = dict(keras.saving.get_custom_objects())
    try:
        yield
    finally:
        now = keras.saving.get_custom_objects()
        now.clear()
        now.update(before)


def _versions(packages: list[str]) -> Iterator[tuple[str, str]]:
    known = packages_distributions()
    for package in packages:
        for distribution in known.get(package, [])[:1]:
            with contextlib.suppress(PackageNotFoundError):
                yield distribution, version(distribution)
