"""``kerastudy list``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors

if TYPE_CHECKING:
    from tracking.store.folder import Store


@click.command("list")
@click.option("--catalog", is_flag=True, help="List the ready studies instead.")
@store_option
@json_option
@telling_errors
def list_command(store: Path | None, as_json: bool, catalog: bool) -> None:
    """List the studies of the store, the latest first.

    \b
    kerastudy list
    kerastudy list --catalog
    kerastudy list --store ~/studies --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json

    if catalog:
        from studies.user_code.targets import catalog_names

        if as_json:
            print_json(catalog_names())
        else:
            tell("\n".join(_catalog()))
        return
    from tracking.store.folder import default_store_path, open_store

    path = store if store is not None else default_store_path()
    opened = open_store(path)
    documents: list[dict[str, Any]] = []
    if opened is not None:
        from studies.progress import waiting

        with waiting(f"reading the store {str(path)!r}"):
            documents = _documents(opened)
    if as_json:
        print_json(documents)
    elif documents:
        tell("\n".join(_text(documents)))
    else:
        tell(f"no studies yet in {str(path)!r}; start with: kerastudy launch digits")


def _catalog() -> Iterator[str]:
    """Yields the ready studies by chapter, a line each, and how to start."""
    from studies.lines import width, wrapped
    from studies.user_code.targets import catalog_chapters, catalog_questions

    questions = catalog_questions()
    indent = max(map(width, questions)) + 4
    for chapter, names in catalog_chapters().items():
        yield chapter
        for name in names:
            yield from wrapped(f"  {name:<{indent - 2}}{questions[name]}", indent)
    yield ""
    yield "start with: kerastudy launch digits"


def _text(documents: list[dict[str, Any]]) -> list[str]:
    from studies.commands.texts.tables import shown, states, table
    from studies.lines import wrapped

    rows, faults = [], []
    for found in documents:
        if "fault" in found:
            faults += wrapped(f"{found['study']}: {found['fault']}", indent=2)
            continue
        valued = found["best"] is not None
        engines = len(found["engines"])
        rows.append(
            [
                found["study"],
                f"{found['objective']} {shown(found['best'])}" if valued else "no value yet",
                (states(found["states"]) or "none yet")
                + (f", by {engines} engines" if engines > 1 else ""),
                "running" if found["running"] else _ago(found["last"]),
            ]
        )
    header = ["study", "best", "trials", "last"]
    return [*(table(header, rows, breaking=header[:3]) if rows else []), *faults]


def _ago(milliseconds: int) -> str:
    """Returns how long ago a time was, in milliseconds since the epoch (Unix time)."""
    if not milliseconds:
        return ""
    seconds = time.time() - milliseconds / 1000
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"


def _documents(store: Store) -> list[dict[str, Any]]:
    """Returns an entry for each study."""
    from collections import Counter

    from search_spaces.errors import TrackingError
    from tracking.history.study_history import best_of_engines, find_engines, study_names

    documents: list[dict[str, Any]] = []
    running = store.at_work()
    for name in study_names(store):
        try:
            engines = find_engines(store, name)
        except TrackingError as error:
            # List the others nevertheless.
            documents.append({"study": name, "fault": str(error)})
            continue
        if not engines:
            # Its process was killed while making it.
            continue
        history = best_of_engines(engines)
        best, trials = history.best, [trial for each in engines for trial in each.trials]
        counts: Counter[str] = Counter()
        for each in engines:
            counts.update(each.counts())
        documents.append(
            {
                "study": name,
                "engine": history.description.engine,
                "engines": list(history.engines),
                "trials": len(trials),
                "states": counts,
                "objective": history.description.objective.metric,
                "direction": history.description.objective.direction,
                "best": None if best is None or best.best is None else best.best.value,
                "running": name in running,
                "last": max((trial.ended or trial.started for trial in trials), default=0),
            }
        )
    return documents
