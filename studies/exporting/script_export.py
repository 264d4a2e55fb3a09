"""Exports a trial as a folder with a script of plain Keras that trains the same weights."""

from __future__ import annotations

import json
import os
import pprint
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.champion import RunnableStudy, best_training_of
from studies.data import class_labels, is_text, named_arrays
from studies.definition import seed_states
from studies.executors import Session
from studies.exporting.table_model_and_optuna_exports import explained, path_for, trial_to_export
from studies.progress import NoProgress, Progress
from studies.training import (
    begin_trial,
    build_model,
    build_variables,
    has_own_fit,
    seed_generator_states,
)
from studies.user_code import imported_names
from tracking.history import StudyHistory, fit_metrics
from tracking.records import CodeDescription, EndedTrial, TrialSpec
from tracking.shell_commands import study_command

_FILES: Final = Path(__file__).parent
_SCRIPT: Final = "retrain.py"
# This file is copied as `kerastudy.py`, which the study's files then import.
_STAND_IN: Final = "kerastudy_for_the_study_file.py"
_RECORD: Final = "record.json"


@dataclass(frozen=True)
class ScriptExport:
    """An exported script.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        script: The script's path. The folder of the script has all files that the script needs.
        differs: To try the script, the export trains the first epoch. This text says how the epoch
            differs from the record; it is empty if they are equal.
        notes: Notes on which parts of the code have changed since the trial.
    """

    study: str
    trial: int
    script: Path
    differs: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ScriptParts:
    """The hyperparameters and the data of a script, as a worker process collects them."""

    hyperparameters: Mapping[str, Any]
    class_weight: Mapping[int, float] | None
    arrays: Mapping[str, np.ndarray]


def export_script(
    history: StudyHistory,
    number: int | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    data: str = "",
    progress: Progress | None = None,
) -> ScriptExport:
    """Writes a trial as a folder with the study's files and a script of plain Keras.

    The script, ``retrain.py``, trains the trial again without kerastudy, and says whether its
    metrics and weights are the recorded ones. To try the script, the export trains the first epoch
    with it.

    Args:
        history: The study.
        number: The trial's number; None for the champion, or if there is none, the best trial.
        output: The folder to write; None for ``STUDY-trial-N`` in the current folder.
        force: Whether to replace a folder that was exported before.
        data: The new path of the data file, if the file has moved.
        progress: The object that receives messages.

    Raises:
        StudyNotFoundError: If there is no such trial, or no trial with a value.
        StudyError: If a script can't do what the trial did, such as cross-validation, or if the
            folder exists and may not be replaced.

    Example:
        ```python
        ks.export_script(ks.read_study("digits"))
        ```
    """
    study = RunnableStudy(history, progress or NoProgress(), data=data)
    trial = trial_to_export(history, number)
    name = history.description.name
    folder = path_for(output, f"{name}-trial-{trial.number}")
    ours = (folder / _SCRIPT).is_file() and (folder / _RECORD).is_file()
    _check_folder(folder, ours, force)
    if trial.result.folds:
        raise _refused(name, f"trial {trial.number} is cross-validated, but a script trains once")
    if history.description.objective_function:
        raise _refused(name, "its objective_function loads its data and trains by itself")
    if not history.description.code.path:
        raise _refused(name, "it was not defined in a file")
    if history.description.code.said:
        raise _refused(name, "it was made from a script's search, so its file has no study")
    if not best_training_of(trial).result.weights_sha256:
        unsaved = trial.result.unsaved or "they were not saved"
        raise _refused(name, f"trial {trial.number} has no weights to compare with: {unsaved}")
    command = study_command(history, "export", "--as script", trial=trial.number)
    with study.executor(trial, command) as worker:
        parts: ScriptParts = worker.ask(script_parts, history.description.space, training_of(trial))
        code = worker.description.code
    with (
        explained(folder),
        tempfile.TemporaryDirectory(prefix="partial-", dir=folder.parent) as partial,
    ):
        target = Path(partial, folder.name)
        write_script(history, trial, parts, code, target)
        study.progress.wait("trying its first epoch")
        differs = try_script(target, name, code.folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(target, folder)
    return ScriptExport(name, trial.number, folder / _SCRIPT, differs, tuple(study.notes))


def _check_folder(folder: Path, ours: bool, force: bool) -> None:
    """Checks that a folder can be written.

    An existing folder is replaced only with `force`, and only if it has an earlier export (`ours`).
    """
    if not folder.parent.is_dir():
        raise StudyError(f"There is no folder {str(folder.parent)!r} to write into.")
    if folder.exists() and not (ours and force):
        rest = ", or replace it with --force." if ours else ": this one holds other files."
        raise StudyError(f"{str(folder)!r} exists", hint=f"Name another folder with --output{rest}")


def training_of(trial: EndedTrial) -> TrialSpec:
    """Returns the spec of the training that the script repeats: the trial's best one."""
    spec = best_training_of(trial).spec
    return replace(spec, class_weight=trial.class_weight)


def script_parts(session: Session, space: SearchSpace, spec: TrialSpec) -> ScriptParts:
    """Collects the parts of a script, in a worker process.

    Raises StudyError if a script can't do what the trial did.
    """
    study = session.study
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    loaded = session.splits_of(spec.fold)
    if loaded.streams:
        raise _refused(study.name, "its data comes in batches, which are not recorded")
    splits = loaded.arrays
    if has_own_fit(study.build):
        raise _refused(study.name, "its HyperModel overrides fit()")
    if not splits.train.has_targets and not splits.train.alone:
        raise _refused(study.name, "its data has no targets, and passes the samples in a tuple")
    begin_trial(spec.seed)
    model = build_model(study, hp, splits)
    build_variables(model, splits)
    if len(seed_states(model)) > len(seed_generator_states(model)):
        raise _refused(study.name, "its loss or a metric draws random numbers")
    arrays: dict[str, np.ndarray] = {}
    for name, part in (("train", splits.train), ("validation", splits.validation)):
        arrays |= {**named_arrays(part.x, f"x_{name}"), **named_arrays(part.y, f"y_{name}")}
        if part.sample_weight is not None:
            arrays[f"sample_weight_{name}"] = part.sample_weight
    # `np.savez` would pickle Python's strings, so they become NumPy's.
    arrays = {name: a.astype(str) if is_text(a) else a for name, a in arrays.items()}
    weights = None
    if spec.class_weight is not None:
        assert isinstance(splits.train.y, np.ndarray), "it has classes"
        labels = class_labels(splits.train.y)
        assert labels is not None, "it has classes"
        # The script gives the data to `fit` in batches. For data in batches, Keras needs a weight
        # for each class.
        classes = range(int(labels.max()) + 1)
        weights = {label: spec.class_weight.get(label, 1.0) for label in classes}
    return ScriptParts(hp.values, weights, arrays)


def write_script(
    history: StudyHistory,
    trial: EndedTrial,
    parts: ScriptParts,
    code: CodeDescription,
    folder: Path,
) -> None:
    """Writes a trial's script, and all that it needs, into a new folder."""
    folder.mkdir()
    files, place = _placed(code)
    for file, text in files.items():
        path = folder / "code" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    np.savez_compressed(folder / "data.npz", **parts.arrays)  # type: ignore[arg-type]
    training = best_training_of(trial)
    record = {
        "weights_sha256": training.result.weights_sha256,
        "best_epoch": trial.best_training[1].epoch,
        "trained_epochs": training.result.epochs,
        "epochs": fit_metrics(history.folder, training.uuid),
    }
    content = json.dumps(record, indent=1, ensure_ascii=False)
    (folder / _RECORD).write_text(f"{content}\n", encoding="utf-8")
    shutil.copyfile(_FILES / _STAND_IN, folder / "kerastudy.py")
    text = _requirements(trial, files) + script_text(history.description.name, trial, parts, place)
    (folder / _SCRIPT).write_text(text, encoding="utf-8")


def script_text(study: str, trial: EndedTrial, parts: ScriptParts, place: Mapping[str, Any]) -> str:
    """Returns the text of ``retrain.py`` with a trial's values filled in."""
    spec, environment = training_of(trial), trial.environment
    keras: dict[str, Any] = _pairs(environment.get("keras settings", ""))
    keras.pop("backend", None)
    if "epsilon" in keras:
        keras["epsilon"] = float(keras["epsilon"])
    values = {
        "STUDY": study,
        "TRIAL": spec.built_as,
        "HYPERPARAMETERS": dict(parts.hyperparameters),
        "SEED": spec.seed,
        "EPOCHS": spec.epochs,
        "BATCH_SIZE": spec.batch_size,
        "CLASS_WEIGHT": parts.class_weight,
        "OBJECTIVE": spec.objective.metric,
        "THREADS": spec.threads,
        "ENVIRONMENT": {"KERAS_BACKEND": "tensorflow", **_pairs(environment.get("variables", ""))},
        "KERAS": keras,
        "CODE": dict(place),
    }

    lines = (_FILES / _SCRIPT).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        name = line.partition(" = ")[0]
        if name in values:
            lines[number] = f"{name} = {pprint.pformat(values[name], sort_dicts=False)}"
    return "\n".join([*lines, ""])


def try_script(folder: Path, study: str, cwd: str) -> str:
    """Trains the first epoch by a script. Returns how the epoch differs from the record, or ""."""
    command = [sys.executable, "-B", str(folder / _SCRIPT), "--epochs", "1"]
    here = cwd if os.path.isdir(cwd) else folder
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=here)
    if "epochs that differ" not in process.stdout:
        *_, last = ["it ends", *process.stderr.strip().splitlines()]
        raise _refused(study, f"its files fail where kerastudy is not installed: {last}")
    # The study's files may print other lines before this one.
    lines = [line for line in process.stdout.splitlines() if line.startswith("epoch 1: ")]
    return "" if process.returncode == 0 else (lines or ["its metrics"])[0]


def _pairs(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def _refused(study: str, what: str) -> StudyError:
    return StudyError(
        f"The study {study!r} can't be exported as a script: {what}",
        hint="Where kerastudy is installed, it trains its trials again: see `Study.reproduce`.",
    )


def _placed(code: CodeDescription) -> tuple[dict[str, str], dict[str, Any]]:
    """Returns the texts of the study's files, and the value of the script's variable `CODE`.

    The texts are given by the files' paths in the exported folder `code`.
    """
    path = Path(os.path.normpath(code.path))
    texts = {
        Path(os.path.normpath(path.parent / file)): text
        for file, text in {path.name: code.source, **code.texts}.items()
    }
    # The study's file may be in a package, and may import modules of folders above its own folder.
    packages = {file.parent for file in texts if file.name == "__init__.py"}
    root = Path(os.path.commonpath([file.parent for file in texts]))
    while root in packages:
        root = root.parent
    outside = path.parent
    while outside in packages:
        outside = outside.parent
    # Python looks for modules in these folders, first in the folder of the study's file. Packages
    # are left out, because their modules are imported by the package's name.
    parents = {parent for file in texts for parent in file.parents if parent.is_relative_to(root)}
    folders = sorted(parents - packages, key=lambda folder: (folder != path.parent, folder))
    place = {
        "file": path.relative_to(root).as_posix(),
        "folders": [folder.relative_to(root).as_posix() for folder in folders],
        "package": ".".join(path.parent.relative_to(outside).parts),
        "variable": code.variable,
        "study": code.study_name,
    }
    return {file.relative_to(root).as_posix(): text for file, text in texts.items()}, place


def _requirements(trial: EndedTrial, files: Mapping[str, str]) -> str:
    """Returns the script's dependencies as inline script metadata (PEP 723)."""
    names = {name.partition(".")[0] for text in files.values() for name in imported_names(text)}
    owners = packages_distributions()
    packages = {owners[name][0] for name in names if name in owners} - {"kerastudy"}
    lines = "".join(
        f'#     "{package}=={trial.environment.get(package) or version(package)}",\n'
        for package in sorted(packages | {"keras", "numpy", "tensorflow"})
    )
    python = trial.environment.get("python", "3.11")
    return (
        f'# /// script\n# requires-python = "=={python}"\n# dependencies = [\n{lines}# ]\n# ///\n'
    )
