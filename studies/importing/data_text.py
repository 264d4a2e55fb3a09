"""A script's data as a line of a study file."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.errors import StudyFileError
from studies.importing.study_file import StudyFile, call_text

Spelled = Callable[[str], str]


def give_data(
    file: StudyFile, given: Mapping[str, Any], spelled: Spelled, written: Mapping[str, ast.expr]
) -> None:
    """Gives a study the data that a script's search gets.

    Args:
        file: The study's file.
        given: The arguments of the search.
        spelled: Returns the text of an argument.
        written: The arguments as the script writes them.

    Raises:
        StudyFileError: If they are nothing that a study can train on.
    """
    x = given.get("x")
    if x is None:
        raise StudyFileError(
            "The search gets no data, so the script makes it in its own training. Launch such "
            "code as an objective function; see the Optuna page of the documentation."
        )
    name = file.free_name("data")
    if _is_stream(x):
        text = _streamed(given, spelled, f"{name} = ")
    elif hasattr(x, "__next__"):
        raise StudyFileError(
            "The search gets a generator, which can be read once. Write a function that returns a "
            "new one, and give it to ks.datasets.batches(make_training, make_validation)."
        )
    else:
        text = _arrays(file, given, spelled, written, name)
    file.sections.append(text)
    file.give("data", name)


def _streamed(given: Mapping[str, Any], spelled: Spelled, before: str) -> str:
    if given.get("validation_data") is None:
        raise StudyFileError(
            "The search gets batches without validation_data, and a study chooses its best epoch "
            "by validation data. Give the script's search validation_data=…."
        )
    arguments = [spelled("x"), spelled("validation_data")]
    for name in ("steps_per_epoch", "validation_steps"):
        if given.get(name) is not None:
            arguments.append(f"{name}={spelled(name)}")
    return call_text("ks.datasets.batches", arguments, before) + "\n"


def _arrays(
    file: StudyFile,
    given: Mapping[str, Any],
    spelled: Spelled,
    written: Mapping[str, ast.expr],
    name: str,
) -> str:
    parts = [n for n in ("x", "y", "sample_weight") if given.get(n) is not None]
    texts = {part: spelled(part) for part in parts}
    share = given.get("validation_split") or 0.0
    lines, options = [], []
    if given.get("validation_data") is not None:
        validation = spelled("validation_data")
        options = [f"validation={validation}"]
    elif share:
        if all(hasattr(given[part], "shape") for part in parts):
            first = file.free_name("first_validation")
            lines = [
                "# Keras's validation_split takes the last samples.",
                f"{first} = int(len({texts['x']}) * (1 - {spelled('validation_split')}))",
            ]
            last = ", ".join(f"{_sliced(texts[part])}[{first}:]" for part in parts)
            last = last if len(parts) > 1 else f"{last}, None"
            texts = {part: f"{_sliced(text)}[:{first}]" for part, text in texts.items()}
            options = [f"validation=({last})"]
        else:
            options = [f"validation={share!r}"]
            file.notes.append(
                f"validation_split={share!r}: kerastudy draws so many of the samples, where Keras "
                "takes the last ones."
            )
    else:
        options = ["validation=0.2"]
        file.notes.append(
            "The search validates on nothing. A study chooses by validation data: a fifth of the "
            "training data is held out."
        )
    test = _test_part(file, given, written)
    comment = ""
    if test:
        comment = "# The test part is sealed: only `kerastudy evaluate` reads it.\n"
    options.append(f"test={test or None}")
    arguments = [texts["x"], *([texts["y"]] if "y" in texts else [])]
    if "sample_weight" in texts:
        arguments.append(f"sample_weight={texts['sample_weight']}")
    call = call_text("ks.datasets.arrays", [*arguments, *options], f"{name} = ")
    return "".join(f"{line}\n" for line in lines) + f"{comment}{call}\n"


def _sliced(text: str) -> str:
    return text if re.fullmatch(r"[\w.\[\]\"']+", text) else f"({text})"


def _test_part(
    file: StudyFile, given: Mapping[str, Any], written: Mapping[str, ast.expr]
) -> str | None:
    """Returns the script's test data: named like its training data, and not used before."""
    names = [getattr(written.get(part), "id", "") for part in ("x", "y")]
    tests = [re.sub(r"train(ing)?", "test", name) for name in names]
    values = file.excerpt.values
    validation = ast.unparse(written["validation_data"]) if "validation_data" in written else ""
    for name, test, part in zip(names, tests, ("x", "y"), strict=True):
        ours, theirs = given.get(part), values.get(test)
        if not name or test == name or re.search(rf"\b{test}\b", validation):
            return None
        shapes = getattr(ours, "shape", (0,))[1:], getattr(theirs, "shape", None)
        if shapes[1] is None or shapes[0] != shapes[1][1:]:
            return None
        if any(value is theirs for value in (given.get("validation_data") or ())):
            return None
    if file.excerpt.changed_after(tests):
        return None
    file.excerpt.take(tests)
    return f"({', '.join(tests)})"


def _is_stream(x: Any) -> bool:
    import keras
    import tensorflow as tf

    return isinstance(x, tf.data.Dataset | keras.utils.PyDataset)
