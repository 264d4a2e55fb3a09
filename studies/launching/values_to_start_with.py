"""The hyperparameters of a study's first trials, from a JSON file or another study's best trials.

Users name the file or the study by ``--start-with`` or ``Study(initial=)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from search_spaces import SearchSpace, canonical_json, complete
from search_spaces.errors import SearchSpaceError, StudyError
from studies.definition import OF_A_STUDY
from studies.progress import Progress
from tracking.history import find_study, read_study
from tracking.records import StudyDescription, finished_trials, ranked
from tracking.store import Store

_BEST: Final = 10

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
        return tuple(_of_file(Path(where), space))
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


def _of_file(path: Path, space: SearchSpace) -> Iterator[dict[str, Any]]:
    file = f"The file to start with {str(path)!r}"
    if not path.expanduser().exists():
        hint = f"Name a JSON file, or the best trials of a study by {OF_A_STUDY}NAME."
        raise StudyError(f"There is no file {str(path)!r} to start with", hint=hint)
    try:
        rows = json.loads(path.expanduser().read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{file} cannot be read as JSON: {error}") from None
    if not rows or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StudyError.of_setting(
            file, 'a list of values by name, such as [{"learning_rate": 0.01}]', rows
        )
    for number, row in enumerate(rows, start=1):
        try:
            yield complete(space, row)
        except SearchSpaceError as error:
            raise error.of_kind(SearchSpaceError, f"Values {number} of {str(path)!r}: ") from None


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
            values = complete(space, row)
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
