"""``kerastudy list`` and ``kerastudy show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.main import json_option, store_option, telling_errors
from studies.lines import wrapped

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
        from studies.user_code.loading import catalog_names

        print_json(catalog_names()) if as_json else click.echo("\n".join(catalog_names()))
        return
    from tracking.store.folder import default_store_path, open_store

    path = store if store is not None else default_store_path()
    opened = open_store(path)
    if opened is None:
        print_json([]) if as_json else click.echo(
            f"no studies yet in {str(path)!r}; start with: kerastudy launch digits"
        )
        return
    from studies.progress import waiting

    with waiting(f"reading the store {str(path)!r}"):
        documents = _documents(opened)
    if as_json:
        print_json(documents)
        return
    for document in documents:
        if "fault" in document:
            click.echo(f"{document['study']}: {document['fault']}")
            continue
        best_value = document["best"]
        several = len(document["engines"]) > 1 and best_value is not None
        value = "no value yet" if best_value is None else f"{best_value:.6g}"
        trials = "1 trial" if document["trials"] == 1 else f"{document['trials']} trials"
        line = (
            f"{document['study']}: {trials} by "
            f"{', '.join(document['engines'])}, best {document['objective']} {value}"
            + (f" by {document['engine']}" if several else "")
        )
        click.echo("\n".join(wrapped(line, indent=2)))


def _documents(store: Store) -> list[dict[str, Any]]:
    """Returns an entry for each study."""
    from search_spaces.errors import TrackingError
    from tracking.history.study_history import best_of_engines, find_engines, study_names

    documents: list[dict[str, Any]] = []
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
        best, engine = history.best, history.description.engine
        documents.append(
            {
                "study": name,
                "engine": engine,
                "engines": list(history.engines),
                "trials": sum(len(each.trials) for each in engines),
                "objective": history.description.objective.metric,
                "best": None if best is None or best.best is None else best.best.value,
            }
        )
    return documents


@click.command("show")
@click.argument("study")
@click.option("--engine", help="Which engine's trials.  [default: that of the best trial]")
@store_option
@json_option
@telling_errors
def show_command(study: str, engine: str | None, store: Path | None, as_json: bool) -> None:
    """Show a study: its state, its best trial, and where to look.

    \b
    kerastudy show digits
    kerastudy show digits --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json, study_document, study_text
    from studies.commands.reading import history_of

    history = history_of(study, engine, store)
    if as_json:
        print_json(study_document(history))
    else:
        click.echo(study_text(history))
