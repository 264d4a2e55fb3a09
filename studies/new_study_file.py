"""Writes a study file for the user's data, as ``kerastudy new`` does."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from search_spaces.errors import DataError, StudyFileError
from search_spaces.texts import share
from studies.data import (
    FREE_TEXT,
    GROUPED,
    Table,
    absolute_path,
    classes_in,
    folder_kind,
    folders_of_parts,
    is_table,
    name_of,
    no_target,
    numbers_of,
    read_columns,
    table_alone,
)
from studies.terminal_text import as_notes
from studies.user_code import resolve_target
from tracking.store import check_study_name

_PROSE = re.compile(r'\A"""(?s:.*?)"""\n+|^    notes=.*\n', re.MULTILINE)


def _check_new(file: Path) -> None:
    """Checks that a study file can be written at a path."""
    if file.suffix != ".py":
        expected = f"a Python file, such as {file.with_suffix('.py').name}"
        hint = "Name the data by --data." if file.exists() else ""
        raise StudyFileError.of_setting("A study", expected, str(file), hint)
    if file.exists():
        raise StudyFileError(f"{str(file)!r} exists already. Give another name, or remove it.")
    if not file.parent.is_dir():
        raise StudyFileError(f"There is no folder {str(file.parent)!r}. Make it first.")


def write_study(
    file: Path,
    *,
    data: Path | None = None,
    target: str | None = None,
    catalog: str | None = None,
    options: Mapping[str, Any] = {},
    name: str = "",
) -> tuple[str, tuple[str, ...]]:
    """Writes a study file; returns the study's name, and notes for the user on its data.

    The file is a study of `data`, or a copy of the catalog's study `catalog`. Without both, it is a
    study of handwritten digits.
    """
    file = file.expanduser()
    _check_new(file)
    name = check_study_name(name or file.stem.replace("_", " ").strip() or file.stem)
    notes: tuple[str, ...] = ()
    if catalog is not None:
        text = Path(resolve_target(catalog).path).read_text(encoding="utf-8")
        # The docstring and the notes say what the catalog's study is for, and what it found.
        text = _PROSE.sub("", text)
        begin = re.compile(r'(ks\.Study\(\s*)"[^"\n]+"')
        text = begin.sub(lambda match: match[1] + quoted(name), text, count=1)
    else:
        samples: Samples = DIGITS if data is None else read_samples(data, target, options)
        text, notes = _study_text(name, file.as_posix(), samples), samples.notes
    try:
        # The mode "x" does not replace a file that was made in the meantime.
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise StudyFileError(f"{str(file)!r} can't be written: {error.strerror}.") from None
    return name, notes


def study_file_of_data(
    data: Path, target: str | None, options: Mapping[str, Any], folder: Path
) -> Path:
    """Returns the path of a data file's study file, such as ``churn_study.py`` for ``churn.csv``.

    If the current folder has no such file, writes one into `folder`. An existing file must use this
    data and target, and there must be no `options`, which it would not use. Otherwise raises
    StudyFileError.
    """
    name = name_of(data)
    file = Path(f"{name}_study.py")
    if not file.exists():
        file = folder / file
        _, notes = write_study(file, data=data, target=target, options=options, name=name)
        notes = (*notes, f"all choices are in {file.name}; change them there")
        click.echo(as_notes(notes), err=True)
        return file
    text = file.read_text(encoding="utf-8")
    if options or quoted_path(data) not in text or (target and quoted(target) not in text):
        raise StudyFileError(
            f"{file.name!r} exists, and has its own data and choices",
            hint=f"Launch it as it stands (kerastudy launch {shlex.quote(file.name)}), change it, "
            "or remove it.",
        )
    return file


def _study_text(name: str, file: str, samples: Samples) -> str:
    # This import takes long, and few commands need it.
    import jinja2

    template = Path(__file__).with_name("new_study_file.py.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    metrics, objective = "output.metrics", "val_accuracy"
    if samples.is_regression:
        objective = "val_mean_absolute_error"
    elif samples.rare:
        metrics, objective = '[*output.metrics, "auc"]', "val_auc"
    epochs, patience, batch_size = 20, 5, 32 if samples.rows < _MANY_ROWS else 256
    if 0 < samples.rows < _FEW_ROWS:
        epochs, patience = 100, 10
    return environment.from_string(template).render(
        name=name,
        quoted=quoted(name),
        study=shlex.quote(name),
        file=shlex.quote(file),
        samples=samples,
        metrics=metrics,
        objective=objective,
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
    )


_FEW_ROWS, _MANY_ROWS = 10_000, 100_000
# A class is rare if its share of the samples is smaller than this. The study's objective is then
# the AUC, because accuracy says little.
_RARE = 0.2
_DATA = "a csv or parquet file, or a folder with images or texts of each class in a subfolder"
_SIDE = 64
# A folder with one of these is a project, and not a folder of samples.
_OF_PROJECTS = (".git", ".venv", "pyproject.toml")
_PIXELS = (
    f"keras.layers.Input(({_SIDE}, {_SIDE}, 3))",
    "keras.layers.Rescaling(1 / 255)",
    'keras.layers.Conv2D(16, 3, activation="relu")',
    "keras.layers.MaxPooling2D()",
    'keras.layers.Conv2D(32, 3, activation="relu")',
    "keras.layers.GlobalMaxPooling2D()",
)


def read_samples(file: Path, target: str | None, options: Mapping[str, Any] = {}) -> Samples:
    """Reads the user's data for a study file. `options` are arguments of `datasets.table`."""
    if not file.expanduser().exists():
        raise DataError(f"There is no file {str(file)!r}. --data takes {_DATA}.")
    if is_table(file):
        return _of_table(file, target, options)
    if target is not None or options:
        raise DataError(
            f"{str(file)!r} is not a table, and --target, --drop and the like are for tables."
        )
    if file.is_dir():
        return _of_folder(file)
    if file.suffix.lower() == ".npz":
        raise DataError(
            f"{str(file)!r} holds arrays, and no study file is made for arrays",
            hint=f"Write one by hand, with data = ks.datasets.npz({quoted_path(file)}): "
            "kerastudy new my_study.py, without --data, writes a file to start from.",
        )
    raise DataError(f"--data takes {_DATA}", received=str(file))


def _of_table(file: Path, target: str | None, options: Mapping[str, Any]) -> Samples:
    if target is None:
        raise no_target(file)
    described = table_alone(file, target, options).read
    assert isinstance(described, Table), "it reads a table"
    table, frame, inputs = described.decided()
    texts = [name for name, why in table.decisions.items() if FREE_TEXT in why]
    if not inputs and len(texts) == 1:
        return _of_texts(file, texts[0], target)
    meaning = likely_kind(frame[target])
    table = replace(table, classes=meaning != "regression")
    # This makes the arrays as a launch does, so that the errors of a launch are raised now.
    y = np.asarray(table.contents_of(frame, inputs).pool.y)
    lines = [
        f"{name}={_as_python(value)},{comment and f'  # {comment}'}"
        for name, value, comment in (
            ("target", target, ""),
            ("classes", table.classes, ""),
            ("drop", table.drop, "Names of rows, constants, free text."),
            ("categories", table.categories, "Numbers that are names."),
            ("missing", table.missing, 'Besides empty cells, "NA" and the like.'),
            ("merge", table.merge, "Categories that differ by case or blanks are one."),
            ("dates", table.dates, "Dates whose day, month and weekday are inputs."),
            ("time", table.time, "Splits the parts by its order; False: at random."),
            ("groups", table.groups, "All its rows are in the same part."),
        )
        if value or name not in ("merge", "dates", "groups") or (name == "dates" and table.time)
    ]
    lines += [
        f"# groups={quoted(name)},  # Keeps all rows of each in one part, if they belong together."
        for name, why in table.decisions.items()
        if GROUPED in why and table.groups is None
    ]
    notes = tuple(f"{subject}: {text}" for subject, text in table.decisions.items())
    counts = np.unique(y, return_counts=True)[1]
    rare = meaning == "binary" and counts.min() < _RARE * len(y)
    if rare:
        why = f"one class has {share(counts.min() / len(y))} of the samples"
        notes += (f"{target}: {why}, so the objective is val_auc, and class weights are tuned",)
    output = _output(meaning, len(counts), str(file))
    call = "\n    ".join(["ks.datasets.table(", f"{quoted_path(file)},", *lines]) + "\n)"
    return Samples(
        call, (), output, notes, "new_samples.csv", len(y), bool(rare), _scaling(y, output)
    )


def _as_python(value: Any) -> str:
    """Returns a value as Python code."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(quoted, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)


def _of_texts(file: Path, text: str, target: str) -> Samples:
    _, y = read_columns(absolute_path(file), text, target)
    call = f"ks.datasets.text({quoted_path(file)}, text={quoted(text)}, target={quoted(target)})"
    output = _output_for(y, str(file))
    return Samples(call, WORDS, output, (), "new_samples.csv", scaling=_scaling(y, output))


def _of_folder(folder: Path) -> Samples:
    place = absolute_path(folder)
    if project := [name for name in _OF_PROJECTS if (place / name).exists()]:
        raise DataError(
            f"{str(folder)!r} has {project[0]!r} in it: it holds a project, not samples.",
            hint="Name the study file, or the folder that has a subfolder for each class.",
        )
    texts = folder_kind(place) == "texts"
    classes = len(classes_in(folders_of_parts(place)["train"]))
    output = _output("binary" if classes == 2 else "classification", classes, str(folder))
    if texts:
        return Samples(f"ks.datasets.text({quoted_path(folder)})", WORDS, output, (), "new_texts")
    call = f"ks.datasets.images({quoted_path(folder)}, image_size=({_SIDE}, {_SIDE}))"
    note = f"All images are resized to {_SIDE} × {_SIDE}: larger ones show more and take longer."
    return Samples(call, _PIXELS, output, (note,), "new_images")


def _scaling(y: np.ndarray, output: str) -> str:
    """Returns the deviation and the mean of numbers as code, or an empty text for classes.

    Both are rounded to the deviation's second digit, so that they reveal nothing of the test part.
    """
    if not output.startswith("regression"):
        return ""
    deviation, mean = float(y.std(dtype=np.float64)), float(y.mean(dtype=np.float64))
    digits = 1 - math.floor(math.log10(deviation)) if deviation > 0 else 0
    return f"{round(deviation, digits) or 1.0}, {round(mean, digits)}"


Kind = Literal["classification", "binary", "regression"]
# If whole numbers have more distinct values than this, they count as quantities, not classes.
_MOST_CLASSES = 20


@dataclass(frozen=True)
class Samples:
    """The parts of a study file that depend on the user's data, mostly as Python code.

    Attributes:
        data: The expression that makes the data, such as ``ks.datasets.digits()``.
        first_layers: The first layers of a model, as lines of Python.
        output: The call of `ks.outputs` that fits the targets, such as ``classes(10)``.
        notes: Messages for the user about the data, each of a sentence or two.
        new_samples: A name for a file or folder of new samples, for ``kerastudy predict``.
        rows: The number of rows of a table, or 0 for other data.
        rare: Whether the targets are binary, and one of the two classes is rare.
        scaling: The rounded deviation and mean of targets that are numbers, such as "81.0, 320.0".
    """

    data: str
    first_layers: tuple[str, ...]
    output: str
    notes: tuple[str, ...] = ()
    new_samples: str = "new_samples.npy"
    rows: int = 0
    rare: bool = False
    scaling: str = ""

    @property
    def is_regression(self) -> bool:
        """Whether the targets are numbers."""
        return self.output.startswith("regression")


DIGITS = Samples("ks.datasets.digits()", ("keras.layers.Input((64,))",), "classes(10)")

WORDS = (
    'keras.layers.Input((), dtype="string")',
    "ks.preprocessing.adapted(\n"
    "        keras.layers.TextVectorization(max_tokens=5_000, output_sequence_length=100), data\n"
    "    )",
    "keras.layers.Embedding(5_000, 16)",
    "keras.layers.GlobalAveragePooling1D()",
)
"""The layers that turn texts into numbers."""


def likely_kind(targets: Any) -> Kind:
    """Guesses from the values of the targets whether they are binary, classes or numbers."""
    import pandas as pd

    series = pd.Series(targets).dropna()
    if series.nunique() == 2:
        return "binary"
    with contextlib.suppress(ValueError, TypeError):
        series = pd.Series(numbers_of(series))
    if not pd.api.types.is_numeric_dtype(series.dtype):
        return "classification"
    whole = bool((series == series.round()).all())
    return "classification" if whole and series.nunique() <= _MOST_CLASSES else "regression"


def _output_for(y: np.ndarray, of: str) -> str:
    """Returns the call of `ks.outputs` that fits the targets `y`, such as ``classes(10)``.

    `of` is the data's name in error messages.
    """
    kind, values = likely_kind(y), np.unique(y)
    if kind == "regression" or y.dtype.kind not in "biuf":
        # Targets that are texts get the numbers 0, 1, 2 and so on. So the number of different texts
        # is the number of classes.
        return _output(kind, len(values), of)
    if values[0] < 0 or (values != np.round(values)).any():
        raise DataError(
            f"The targets of {of} are numbers such as {values[0]:g}, and classes are whole numbers "
            "from 0 up. Number the classes 0, 1, 2 and so on."
        )
    if kind == "binary" and values[-1] != 1:
        kind = "classification"
    return _output(kind, int(values[-1]) + 1 if len(values) > 1 else 1, of)


def _output(kind: Kind, count: int, of: str) -> str:
    """Returns the call of `ks.outputs` for targets with `count` different values."""
    if kind == "regression":
        return "regression()"
    if count < 2:
        raise DataError(f"The targets of {of} all have the same value: there is nothing to learn.")
    return "binary()" if kind == "binary" else f"classes({count})"


def quoted(text: str) -> str:
    """Returns a text as a Python string in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def quoted_path(file: Path) -> str:
    """Returns a path as a Python string."""
    return quoted(file.as_posix())
