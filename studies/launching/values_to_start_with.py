"""The hyperparameters of a study's first trials, from a file or another study's best trials.

Users name the file or the study by ``--start-with`` or ``Study(initial=)``.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from search_spaces import Parameter, SearchSpace, canonical_json, complete, read_value
from search_spaces.errors import SearchSpaceError, StudyError
from studies.definition import OF_A_STUDY
from studies.progress import Progress
from studies.terminal_text import unescaped
from tracking.history.study_history import find_study, read_study
from tracking.history.trial_ranks import ranked
from tracking.records import StudyDescription, finished_trials
from tracking.store.store_folder import Store

_BEST: Final = 10
_PARAMETER, _VALUE = "params_", "value"

Row = Mapping[str, Any]


def starting_values(
    description: StudyDescription, store: Store | None, progress: Progress
) -> tuple[dict[str, Any], ...]:
    """Returns the hyperparameters of a study's first trials, as a complete dict for each trial.

    If a trial of the study has finished, the study keeps its recorded values, and reads neither the
    file nor the other study again.
    """
    where, space = description.initial_from, description.space
    if not where:
        return tuple(map(dict, description.initial))
    before = None if store is None else find_study(store, description.name)
    if (
        before is not None
        and before.description.initial_from == where
        and finished_trials(before.trials)
    ):
        return tuple(map(dict, before.description.initial))
    if not where.startswith(OF_A_STUDY):
        rows = _read_rows(Path(where))
        if any(name.startswith(_PARAMETER) for name in rows[0]):
            return _best(_of_a_table(rows, description), space, repr(where), progress)
        return tuple(_all(rows, space, where))
    name = where.removeprefix(OF_A_STUDY)
    if store is None:
        raise StudyError(f"There is no store yet, so there is no study {name!r} to start with.")
    if name == description.name and before is not None:
        raise StudyError(
            f"The study {name!r} can't start with its own trials: its engine uses them anyway, to "
            "propose the next trials",
            hint="Leave --start-with out, or name another study.",
        )
    other = read_study(store, name)
    best_first = ranked(other.trials, other.description.objective)
    values = (trial.spec.values for trial in best_first)
    return _best(values, space, f"the study {name!r}", progress)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a JSON or CSV file as dicts. Values from a CSV file are texts."""
    file = f"The file to start with {str(path)!r}"
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
            if any(None in row or None in row.values() for row in rows):
                raise ValueError("a row has more or fewer cells than the first line")
        else:
            content = json.loads(text)
            rows = content if isinstance(content, list) else [content]
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{file} cannot be read: {error}") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise StudyError(
            f'{file} must hold values by name, such as {{"learning_rate": 0.01}}, or a list of '
            "these. A CSV file must have a column for each name",
            received=text,
        )
    return rows


def _of_a_table(rows: Iterable[Row], description: StudyDescription) -> Iterator[Row]:
    """Yields hyperparameters from a table of `kerastudy export` or Optuna, best trial first."""
    valued: list[tuple[float, Row]] = []
    for row in rows:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            valued.append((float(row[_VALUE]), row))
    finite = [(value, row) for value, row in valued if math.isfinite(value)]
    for _, row in sorted(finite, key=lambda pair: description.objective.sort_key(pair[0])):
        yield {
            # JSON has null where CSV has an empty cell.
            name.removeprefix(_PARAMETER): "" if text is None else text
            for name, text in row.items()
            if name.startswith(_PARAMETER)
        }


def _all(rows: Iterable[Row], space: SearchSpace, where: str) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start=1):
        try:
            yield _in_space(row, space)
        except SearchSpaceError as error:
            raise SearchSpaceError(f"Values {number} of {where!r}: {error}") from None


def _best(
    trials: Iterable[Row], space: SearchSpace, where: str, progress: Progress
) -> tuple[dict[str, Any], ...]:
    """Returns the hyperparameters of at most ten trials. `trials` has the best trial first.

    Skips trials whose hyperparameters are not in the space.
    """
    best: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for row in trials:
        try:
            values = _in_space(row, space)
        except SearchSpaceError as error:
            faults.append(str(error))
            continue
        best.setdefault(canonical_json(values), values)
        if len(best) == _BEST:
            break
    why = f"{len(faults)} not in this space, for example: {faults[0]}" if faults else ""
    if not best:
        raise StudyError(f"No trial of {where} can be tried here: {why or 'none has a value.'}")
    without = f"; skipped: {why}" if why else ""
    progress.say(f"starts with the best {len(best)} of {where}{without}")
    return tuple(best.values())


def _in_space(row: Row, space: SearchSpace) -> dict[str, Any]:
    """Returns a row's values in the types of the space, with defaults for missing parameters.

    An empty cell stands for None or an empty text, if the parameter has such a value. If not, the
    parameter was not active in that trial, and counts as missing.
    """
    values: dict[str, Any] = {}
    for name, text in row.items():
        if name not in space or not isinstance(text, str):
            values[name] = text
        elif text == "":
            values.update((name, value) for value in (None, "") if space[name].contains(value))
        else:
            values[name] = _read(space[name], text)
    return complete(space, values)


def _read(parameter: Parameter, text: str) -> Any:
    if parameter.contains(text):
        return text
    spellings = [unescaped(text)]
    # If some trials lack the parameter, pandas writes its whole numbers as floats, e.g. 32.0. So
    # "32.0" is also read as "32".
    with contextlib.suppress(ValueError):
        if float(text).is_integer():
            spellings.append(str(int(float(text))))
    for spelling in spellings:
        with contextlib.suppress(SearchSpaceError):
            if parameter.contains(value := read_value(parameter, spelling)):
                return value
    return read_value(parameter, spellings[0])
