"""Reads the trials of an Optuna study, without writing into its storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from search_spaces.errors import StudyError
from studies.known.results import Result
from tracking.records import Objective
from tracking.records.known import KnownSource

_SQLITE: Final = "sqlite:///"


def optuna_results(source: KnownSource, objective: Objective) -> Iterator[Result]:
    """Yields the results of an Optuna study's trials. Pruned and failed ones have none.

    Raises:
        StudyError: If it can't be read, or is of another direction.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = _storage(source.place)
        names = optuna.get_all_study_names(storage)
        if not source.name and len(names) != 1:
            raise StudyError(
                f"{source.place!r} has {len(names)} studies: {', '.join(sorted(names))}. Name one."
            )
        if source.name and source.name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise StudyError(f"{source.place!r} has no study {source.name!r}. There is: {known}.")
        study = optuna.load_study(study_name=source.name or names[0], storage=storage)
        _check(study, source, objective)
        trials = study.get_trials(deepcopy=False)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"Optuna can't read {source.place!r}: {type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]:.200}"
        ) from None
    finally:
        optuna.logging.set_verbosity(before)
    for trial in trials:
        state = trial.state.name.lower()
        if state == "complete":
            yield Result(trial.params, trial.value)
        else:
            yield Result(trial.params, None, {"fail": "failed"}.get(state, state))


def _check(study: Any, source: KnownSource, objective: Objective) -> None:
    directions = [each.name.lower() for each in study.directions]
    if directions != [f"{objective.direction}imize"]:
        raise StudyError(
            f"The study {source.origin} goes for {', '.join(directions)}, and this one for "
            f"{objective.direction}imize {objective.metric}: its values mean something else."
        )


def _storage(place: str) -> Any:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" not in place:
        return JournalStorage(JournalFileBackend(str(_file(place, place))))
    if place.startswith(_SQLITE) and "?" not in place:
        from sqlalchemy import URL, make_url

        # In an address of SQLite's, % and # have a meaning.
        path = quote(str(_file(make_url(place).database or "", place)))
        # Without writing, not even what a newer Optuna would add to it.
        options = {"mode": "ro", "uri": "true"}
        url = URL.create("sqlite", database=f"file:{path}", query=options)
        return RDBStorage(url.render_as_string())
    return RDBStorage(place)


def _file(path: str, place: str) -> Path:
    found = Path(path).expanduser()
    if not found.is_file():
        raise StudyError(f"There is no Optuna storage at {place!r}: no such file.")
    return found
