"""``kerastudy list``, ``show`` and ``compare``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search_spaces.texts import amounts, duration, readable
from studies.commands.command_line import answer, common_options, history_of
from studies.terminal_text import cut, in_blocks, printable, printable_value, table, width, wrapped

if TYPE_CHECKING:
    from tracking.history import Comparison, Standing
    from tracking.store import Store


@click.command("list")
@click.option("--catalog", is_flag=True, help="List the ready studies instead.")
@common_options
def list_command(store: Path, as_json: bool, catalog: bool) -> None:
    """List the studies of the store, the latest first.

    \b
    kerastudy list
    kerastudy list --catalog
    kerastudy list --store ~/studies --json
    """
    if catalog:
        from studies.user_code import catalog_names

        answer(as_json, catalog_names, lambda: "\n".join(_catalog_lines()))
        return
    from tracking.store import open_store

    opened = open_store(store)
    documents: list[dict[str, Any]] = []
    if opened is not None:
        from studies.progress import waiting

        with waiting(f"reading the store {str(store)!r}"):
            documents = _documents(opened)
    none = f"no studies yet in {str(store)!r}; start with: kerastudy launch digits"
    answer(
        as_json, lambda: documents, lambda: "\n".join(_list_lines(documents)) if documents else none
    )


def _catalog_lines() -> Iterator[str]:
    """Yields lines with the catalog's studies by chapter, and a command that launches a study."""
    from studies.catalog import COURSE
    from studies.user_code import catalog_questions

    questions = catalog_questions()
    indent = max(map(width, questions)) + 4
    for chapter, names in COURSE.items():
        yield chapter
        for name in names:
            yield from wrapped(f"  {name:<{indent - 2}}{questions[name]}", indent)
    yield ""
    yield "start with: kerastudy launch digits"


def _list_lines(documents: list[dict[str, Any]]) -> list[str]:
    rows, faults = [["study", "best", "trials", "last"]], []
    for document in documents:
        if "fault" in document:
            faults += wrapped(f"{document['study']}: {document['fault']}", indent=2)
            continue
        best = "no value yet"
        if document["best"] is not None:
            best = f"{document['objective']} {printable_value(document['best'])}"
        states = amounts({**document["states"], "total": 0}) or "none yet"
        last = "running" if document["running"] else _ago(document["last"])
        rows.append([document["study"], best, states, last])
    # A name that is cut follows in full, on a line of its own, so that people can copy it.
    in_full = [printable(name) for name, *_ in rows if width(name) > _LONGEST_NAME]
    header, *studies = [[cut(name, _LONGEST_NAME), *others] for name, *others in rows]
    lines = table(header, studies, breaking=header[1:3]) if studies else []
    return [*lines, *(["", "in full:", *in_full] if in_full else []), *faults]


_LONGEST_NAME = 36


def _ago(milliseconds: int) -> str:
    """Returns a text such as "3 h 5 min ago" for a Unix time in milliseconds."""
    seconds = time.time() - milliseconds / 1000
    ago = f"{duration(seconds)} ago" if seconds >= 60 else "just now"
    return ago if milliseconds else ""


def _documents(store: Store) -> list[dict[str, Any]]:
    """Returns a JSON document for each study of a store."""
    from search_spaces.errors import TrackingError
    from tracking.history import read_study, study_names

    documents: list[dict[str, Any]] = []
    running = store.at_work()
    for name in study_names(store):
        try:
            history = read_study(store, name)
        except TrackingError as error:
            # A study that can't be read must not hide the others, so the list shows its fault.
            documents.append({"study": name, "fault": str(error)})
            continue
        best, trials = history.best, history.trials
        documents.append(
            {
                "study": name,
                "engine": history.description.engine,
                "trials": len(trials),
                "states": {**history.counts(), "total": len(trials)},
                "objective": history.description.objective.metric,
                "direction": history.description.objective.direction,
                "best": None if best is None else best.value,
                "running": name in running,
                "last": max((trial.ended or trial.started for trial in trials), default=0),
            }
        )
    return documents


@click.command("show")
@click.argument("study")
@click.option("--trial", type=int, help="Show this trial in full, with each epoch's metrics.")
@click.option("--top", type=click.IntRange(min=1), help="How many of the best trials to show.")
@click.option("--all", "every", is_flag=True, help="List all trials.")
@click.option("--model", is_flag=True, help="Show the champion's layers, by model.summary().")
@common_options
def show_command(
    study: str,
    trial: int | None,
    top: int | None,
    every: bool,
    model: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Show a study: what to expect, its best trials, the next step.

    The JSON document has all trials under "all".

    \b
    kerastudy show digits
    kerastudy show digits --top 20
    kerastudy show digits --all
    kerastudy show digits --trial 7
    kerastudy show digits --model
    kerastudy show digits --json
    """
    from studies.commands.study_as_text_and_json import (
        full_trial_document,
        model_document,
        study_document,
        study_text,
        trial_text,
    )

    options = {"--trial": trial, "--top": top, "--all": every or None, "--model": model or None}
    chosen = [name for name, value in options.items() if value is not None]
    if len(chosen) > 1:
        raise click.UsageError(f"Give only one of {' and '.join(chosen)}.")
    history = history_of(study, store)
    if model:
        document = model_document(history)
        answer(as_json, lambda: document, lambda: "\n".join(document.values()))
    elif trial is not None:
        record = history.trial(trial)
        answer(
            as_json,
            lambda: full_trial_document(history, record),
            lambda: trial_text(history, record),
        )
    else:
        answer(
            as_json,
            lambda: study_document(history),
            lambda: study_text(history, top=top, every=every),
        )


@click.command("compare", short_help="Compare studies.")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@common_options
def compare_command(
    studies: tuple[str, ...],
    store: Path,
    as_json: bool,
) -> None:
    """Compare studies: their best values, and what they cost.

    The first lines say which study is better if both have the same budget, and by how much, with an
    interval. Or they say why the record can't tell. To compare two ways to search, launch several
    studies of each, every one with its own --seed and --name. Studies must have the same objective.
    Times are times of training, summed over the trials.

    \b
    kerastudy compare digits digits-wide
    kerastudy compare tpe-1 tpe-2 tpe-3 random-1 random-2 random-3
    kerastudy compare digits digits-wide --json
    """
    from tracking.history import compare

    comparison = compare([history_of(study, store) for study in studies])
    answer(as_json, lambda: _comparison_document(comparison), lambda: _comparison_text(comparison))


def _comparison_document(comparison: Comparison) -> dict[str, Any]:
    objective, answer = comparison.objective, dataclasses.asdict(comparison.answer)
    for row, difference in zip(answer["differences"], comparison.answer.differences, strict=True):
        row["clear"] = difference.is_clear
    return {
        "objective": {"metric": objective.metric, "direction": objective.direction},
        "studies": [_standing_document(standing) for standing in comparison.standings],
        "answer": answer,
    }


def _standing_document(standing: Standing) -> dict[str, Any]:
    best, description = standing.best, standing.history.description
    return {
        "study": description.name,
        "engine": description.engine,
        "best": None
        if best is None or best.best is None
        else {
            "value": best.best.value,
            "epoch": best.epoch,
            "trial": best.number,
            "params": dict(best.spec.values),
        },
        "trials": {**standing.history.counts(), "total": len(standing.history.trials)},
        "epochs": standing.epochs,
        "seconds": standing.seconds,
        "data_digest": description.data.digest,
    }


def _comparison_text(comparison: Comparison) -> str:
    objective = comparison.objective
    names = ["study", "engine", "best", "epoch", "trial", "trials", "epochs", "time"]
    lines = [
        *wrapped(" ".join(comparison.answer.sentences), 0),
        "",
        f"objective  {objective.direction} {printable(objective.metric)}",
        "",
        *in_blocks([names, *map(_standing_texts, comparison.standings)]),
    ]
    return "\n".join(lines)


def _standing_texts(standing: Standing) -> list[str]:
    history, best = standing.history, standing.best
    value = None if best is None else best.value
    epoch = None if best is None else best.epoch
    return [
        history.description.name,
        history.description.engine,
        "no value yet" if value is None else readable(value, 6),
        "-" if epoch is None else str(epoch),
        "-" if best is None else str(best.number),
        amounts(history.counts()) or "none yet",
        f"{standing.epochs:,}",
        duration(standing.seconds),
    ]
