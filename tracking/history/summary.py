"""A study's texts in the MLflow UI: the summary on its page, and the line above its views."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracking import tags
from tracking.history.confirmations import read_evaluations
from tracking.history.curves import sparkline
from tracking.history.study_history import StudyHistory
from tracking.history.trials import best_trial
from tracking.history.verdicts import StudyVerdict, champion_sentences, study_verdict
from tracking.records import EndedTrial, TrialRecord
from tracking.records.checks import OFF, REPRODUCED
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE
from tracking.runs.commands import reproduce_command, shell_command
from tracking.runs.pages import (
    VIEWS,
    artifact_page,
    code_block,
    link,
    model_page,
    plain,
    run_page,
    short,
    table,
    view_id,
    view_page,
)
from tracking.runs.parents import parent_runs
from tracking.runs.run_contents import local_artifacts
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

REPORT: Final = "report.html"
"""The report's path among the artifacts of a study's parent run, where there is one."""
_TOP: Final = 10
# The table of a wide study goes on in the report: descriptions have 8,000 characters.
_MOST_ROWS: Final = 30
# With more hyperparameters a table has the trials side by side, of which so many fit.
_MOST_COLUMNS: Final = 7
_SIDE_BY_SIDE: Final = 5
_BEST: Final = "study/best_"
# So does a verdict begin, after flaws of the data.
_REPORTED: Final = "Reported "


def study_note(history: StudyHistory, stopped: str = "") -> str:
    """Returns a summary of a study in Markdown, the verdict first: the UI folds the rest.

    It says why the launch stopped, such as "all 40 trials are done"; nothing if it runs.
    """
    best = history.best
    if not stopped:
        return "\n".join([*_while_it_runs(history), *_settings(history)]).rstrip()
    verdict = None if best is None else study_verdict(history)
    lines = [
        _outcome(history, best),
        "",
        *([plain(verdict.text), ""] if verdict is not None else []),
        *(_champion(history, verdict) if verdict is not None else []),
        " · ".join(_links(history)),
        "",
        f"{_counted(history)}. Stopped: {plain(stopped)}.",
        "",
        *_tested(history),
        *_settings(history),
        _next(history, best),
    ]
    if best is not None:
        look, report, again = shell_commands(history, best)
        confirm = "" if verdict is None else confirm_command(history, verdict)
        again = "" if best.verified.startswith(REPRODUCED) else again
        commands = filter(None, (look, report, again, confirm))
        lines += [*code_block(commands), *_table(history)]
    return "\n".join(lines).rstrip()


def _while_it_runs(history: StudyHistory) -> list[str]:
    """Returns what stays true while trials come, as the summary is not written before it stops."""
    trials = link("trials", view_page(history.experiment_id, "trials"))
    lines = [f"**It is running: its best trial so far is the first of the {trials}.**", ""]
    lines += [" · ".join(_links(history)), ""]
    if history.best is not None:
        before = _outcome(history, history.best).replace("**", "")
        lines += [f"Before this launch, with {_counted(history)}: {before}", ""]
    return [*lines, "This text is written again when it stops.", ""]


def _counted(history: StudyHistory) -> str:
    counts = history.counts()
    states = ", ".join(f"{n} {name}" for name, n in counts.items() if n and name != "total")
    return f"{counts['total']} of {history.description.trials} trials: {states or 'none'}"


def _settings(history: StudyHistory) -> list[str]:
    """Returns what was asked: how the study is defined, what it is for."""
    description = history.description
    objective = description.objective
    return [
        f"Study {plain(description.name)}: engine {plain(description.engine)}, pruner "
        f"{plain(description.pruner)}, objective {objective.direction} {plain(objective.metric)}, "
        f"seed {description.seed}.",
        "",
        *([f"Hardware {DIFFERENT_HARDWARE}.", ""] if description.hardware == ANY_HARDWARE else []),
        *([plain(description.notes), ""] if description.notes else []),
    ]


def renew_note(history: StudyHistory) -> None:
    """Writes the summary of a study again, after something else than a launch changed it."""
    if history.stopped:
        client = history.store.client
        client.set_tag(history.parent_run_id, tags.NOTE, study_note(history, history.stopped))
        describe_study(history.store, history.experiment_id)


def shell_commands(
    history: StudyHistory, best: TrialRecord, without: Path | None = None
) -> list[str]:
    """Returns the commands that show a study, report it, and reproduce its best trial.

    They need not name the folder `without`.
    """
    root = None if history.store.root == without else history.store.root
    several = len(history.engines) > 1
    return [
        shell_command("ui", history.description, store=root),
        shell_command("report", history.description, store=root, several=several),
        reproduce_command(history.description, best.number, root, several=several),
    ]


def confirm_command(
    history: StudyHistory, verdict: StudyVerdict, without: Path | None = None
) -> str:
    """Returns the command that confirms a study, or nothing if its best value is confirmed."""
    if verdict.is_confirmed:
        return ""
    root = None if history.store.root == without else history.store.root
    several = len(history.engines) > 1
    return shell_command("confirm", history.description, store=root, several=several)


def _outcome(history: StudyHistory, best: EndedTrial | None) -> str:
    metric = plain(history.description.objective.metric)
    if best is None or best.best is None:
        return f"**No trial has a value of {metric} yet.**"
    page = run_page(history.experiment_id, best.run_id)
    spread = best.result.spread
    value = f"{best.best.value:.6g}" + ("" if spread is None else f" ± {spread:.2g}")
    found = link(f"trial {best.number}", page)
    at = "" if best.result.of_no_epoch else f" at epoch {best.best.epoch}"
    unknown = best.verified in ("", OFF)
    trust = "not verified" if unknown else f"verified: {plain(best.verified)}"
    return f"**Best: {metric} {value}{at}, {found}**, {trust}. {_progress(history)}"


def _champion(history: StudyHistory, verdict: StudyVerdict) -> list[str]:
    """Returns which trial is the champion, and what it is worth if the verdict is on another."""
    said = champion_sentences(history, verdict)
    return [f"Champion: {plain('. '.join(said)).rstrip('.')}.", ""] if said else []


def _tested(history: StudyHistory) -> list[str]:
    """Returns the last reading of the sealed test part, if there is one."""
    readings = read_evaluations(history)
    if not readings:
        return []
    last = readings[-1]
    measured = ", ".join(
        f"{plain(name)} {each.value:.4g}"
        + ("" if each.low is None or each.high is None else f" ({each.low:.4g} to {each.high:.4g})")
        for name, each in last.metrics.items()
    )
    again = f" It was read {len(readings)} times." if len(readings) > 1 else ""
    return [f"On the sealed test part, trial {last.trial}: {measured or 'not scored'}.{again}", ""]


def _progress(history: StudyHistory) -> str:
    """Returns the best value so far after each trial, as a line of bars."""
    objective, best = history.description.objective, None
    values = []
    for trial in history.trials:
        best = best_trial([best, trial], objective)
        if best is not None and best.best is not None:
            values.append(best.best.value)
    if len(values) < 2:
        return ""
    return f"The best so far, by trial: {values[0]:.4g} `{sparkline(values)}` {values[-1]:.4g}"


def _links(history: StudyHistory) -> Iterator[str]:
    experiment = history.experiment_id
    if (_artifacts(history) / REPORT).is_file():
        yield link("report", artifact_page(experiment, history.parent_run_id, REPORT))
    if history.champion_model:
        yield link("registered model", model_page(history.champion_model))
    for view in VIEWS:
        yield link(view, view_page(experiment, view))


def _artifacts(history: StudyHistory) -> Path:
    return local_artifacts(history.store, history.store.client.get_run(history.parent_run_id))


def _next(history: StudyHistory, best: EndedTrial | None) -> str:
    left = history.description.trials - sum(1 for t in history.ended if t.state != "interrupted")
    if best is None:
        return "Next: launch the study again to resume it."
    if left > 0:
        return f"Next: launch the study again to run the other {left} trials; or look and check:"
    if best.verified.startswith(REPRODUCED):
        return "Next: look at it:"
    return "Next: look at it, and run the best trial again by `model.fit` to check it:"


def _table(history: StudyHistory) -> list[str]:
    best, names = history.top(_TOP), history.description.space.names[:_MOST_ROWS]
    wide = len(names) > _MOST_COLUMNS
    header = ["trial", "value", "epoch", "state", *(plain(name) for name in names)]
    rows = [_row(history, trial, names) for trial in best[: _SIDE_BY_SIDE if wide else _TOP]]
    if wide:
        first, *others = zip(header, *rows, strict=True)
        return table(first, others)
    return table(header, rows)


def _row(history: StudyHistory, trial: EndedTrial, names: Sequence[str]) -> list[str]:
    assert trial.best is not None, "ranked trials have a value"
    values = trial.spec.values
    which = " defaults" if trial.number == history.description.default_trial else ""
    return [
        link(f"#{trial.number}{which}", run_page(history.experiment_id, trial.run_id)),
        f"{trial.best.value:.6g}",
        "" if trial.epoch is None else str(trial.epoch),
        trial.state,
        *(plain(short(values[name])) if name in values else "" for name in names),
    ]


def describe_study(store: Store, experiment_id: str) -> None:
    """Writes a study's description again: what to believe, and links, by its runs' summaries.

    A description that a person wrote stays.
    """
    client = store.client
    experiment = client.get_experiment(experiment_id)
    written = experiment.tags.get(tags.NOTE, "")
    if not is_replaceable(written):
        return
    parents = sorted(parent_runs(store, experiment_id).values(), key=_rank)
    # A process that was killed could not write that it ended.
    held = bool(store.holder(experiment.name, experiment_id))
    lines = [_line(parent, held=held, several=len(parents) > 1) for parent in parents]
    text = "\n\n".join(lines)[: tags.LONGEST]
    if text != written:
        client.set_experiment_tag(experiment_id, tags.NOTE, text)


def is_replaceable(text: str) -> bool:
    """Returns whether a study's description is missing, or such as `describe_study` writes."""
    return not text or view_id("trials") in text


def _line(parent: Run, *, held: bool, several: bool) -> str:
    """Returns what is known of a study under one engine.

    The list of studies shows Markdown as it is written, so links come last.
    """
    experiment, run_id = parent.info.experiment_id, parent.info.run_id
    outcome, *more = parent.data.tags.get(tags.NOTE, "").split("\n\n")
    metric = parent.data.params.get("objective", "").partition(" ")[2]
    said = outcome.replace("**", "")
    if parent.info.status == "RUNNING":
        state = "It is running" if held else "It was killed; launch it again to resume it"
        said = f"{state}: its best trial so far is the first of the trials."
    elif more and _REPORTED in more[0]:
        flaws, _, value = _believed(more[0]).partition(_REPORTED)
        said = f"{flaws}{_REPORTED}{plain(metric)} {value}"
    links = [link("summary", run_page(experiment, run_id))]
    links += [link(view, view_page(experiment, view)) for view in VIEWS]
    engine = f" ({plain(parent.data.tags.get(tags.ENGINE, ''))})" if several else ""
    return f"{said}{engine} {' · '.join(links)}"


def _believed(verdict: str) -> str:
    """Returns a verdict up to what to expect: it leaves room for the links."""
    sentences = re.split(r"(?<=[.]) (?=[A-Z])", verdict)
    expected = [i for i, sentence in enumerate(sentences) if sentence.startswith("Expect ")]
    return " ".join(sentences[: expected[0] + 1] if expected else sentences)


def _rank(parent: Run) -> float:
    """Returns what sorts a study's runs, the one with the best value first."""
    found = [value for name, value in parent.data.metrics.items() if name.startswith(_BEST)]
    is_max = parent.data.params.get("objective", "").startswith("max")
    return (-found[0] if is_max else found[0]) if found else math.inf
