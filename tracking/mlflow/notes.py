"""A study's texts in the MLflow UI: the summary on its page, and the line above its views."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from search_spaces.texts import amounts, readable
from tracking.history.commands import confirm_command, shell_commands
from tracking.history.confirmations import read_evaluations
from tracking.history.curves import sparkline
from tracking.history.study_history import StudyHistory
from tracking.history.trials import best_trial, rank_of
from tracking.history.verdicts import StudyVerdict, champion_sentences, study_verdict
from tracking.mlflow import tags
from tracking.mlflow.pages import (
    VIEWS,
    artifact_page,
    code_block,
    link,
    model_page,
    plain,
    run_page,
    table,
    view_id,
    view_page,
)
from tracking.records import EndedTrial, TrialRecord
from tracking.records.checks import OFF, REPRODUCED
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE

REPORT: Final = "report.html"
"""The report's path among the artifacts of a study's parent run, where there is one."""
_TOP: Final = 10
# The table of a wide study goes on in the report: descriptions have 8,000 characters.
_MOST_ROWS: Final = 30
# With more hyperparameters a table has the trials side by side, of which so many fit.
_MOST_COLUMNS: Final = 7
_SIDE_BY_SIDE: Final = 5
# So does a verdict begin, after flaws of the data.
_REPORTED: Final = "Reported "


@dataclass(frozen=True)
class Pages:
    """A study's pages at a destination, for links."""

    experiment: str
    parent: str  # The run of the study under one engine.
    runs: Mapping[str, str] = field(default_factory=dict)  # By the uuids of trials.
    report: bool = False  # Whether the parent run has one.
    model: str = ""  # The name of its registered model, if it has one.

    def trial(self, trial: TrialRecord, text: str) -> str:
        """Returns a link to a trial's run, or the text alone if it has none there."""
        run = self.runs.get(trial.uuid, "")
        return link(text, run_page(self.experiment, run)) if run else plain(text)


def study_note(history: StudyHistory, pages: Pages, stopped: str = "") -> str:
    """Returns a summary of a study in Markdown, the verdict first: the UI folds the rest.

    It says why the launch stopped, such as "all 40 trials are done"; nothing if it runs.
    """
    best = history.best
    if not stopped:
        return "\n".join([*_while_it_runs(history, pages), *_settings(history)]).rstrip()
    verdict = None if best is None else study_verdict(history)
    lines = [
        _outcome(history, pages, best),
        "",
        *([plain(verdict.text), ""] if verdict is not None else []),
        *(_champion(history, verdict) if verdict is not None else []),
        " · ".join(_links(pages)),
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
        lines += [*code_block(commands), *_table(history, pages)]
    return "\n".join(lines).rstrip()


def _while_it_runs(history: StudyHistory, pages: Pages) -> list[str]:
    """Returns the summary's lines during a launch."""
    trials = link("trials", view_page(pages.experiment, "trials"))
    lines = [f"**It is running: its best trial so far is the first of the {trials}.**", ""]
    lines += [" · ".join(_links(pages)), ""]
    if history.best is not None:
        before = _outcome(history, pages, history.best).replace("**", "")
        lines += [f"Before this launch, with {_counted(history)}: {before}", ""]
    return [*lines, "This text is written again when it stops.", ""]


def _counted(history: StudyHistory) -> str:
    states = amounts(history.counts()) or "none"
    return f"{len(history.trials)} of {history.description.trials} trials: {states}"


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


def _outcome(history: StudyHistory, pages: Pages, best: EndedTrial | None) -> str:
    metric = plain(history.description.objective.metric)
    if best is None or best.best is None:
        return f"**No trial has a value of {metric} yet.**"
    spread = best.result.spread
    value = f"{best.best.value:.6g}" + ("" if spread is None else f" ± {spread:.2g}")
    found = pages.trial(best, f"trial {best.number}")
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


def _links(pages: Pages) -> Iterator[str]:
    if pages.report:
        yield link("report", artifact_page(pages.experiment, pages.parent, REPORT))
    if pages.model:
        yield link("registered model", model_page(pages.model))
    for view in VIEWS:
        yield link(view, view_page(pages.experiment, view))


def _next(history: StudyHistory, best: EndedTrial | None) -> str:
    left = history.description.trials - sum(1 for t in history.ended if t.state != "interrupted")
    if best is None:
        return "Next: launch the study again to resume it."
    if left > 0:
        return f"Next: launch the study again to run the other {left} trials; or look and check:"
    if best.verified.startswith(REPRODUCED):
        return "Next: look at it:"
    return "Next: look at it, and run the best trial again by `model.fit` to check it:"


def _table(history: StudyHistory, pages: Pages) -> list[str]:
    best, names = history.top(_TOP), history.description.space.names[:_MOST_ROWS]
    wide = len(names) > _MOST_COLUMNS
    header = ["trial", "value", "epoch", "state", *(plain(name) for name in names)]
    rows = [_row(history, pages, trial, names) for trial in best[: _SIDE_BY_SIDE if wide else _TOP]]
    if wide:
        first, *others = zip(header, *rows, strict=True)
        return table(first, others)
    return table(header, rows)


def _row(history: StudyHistory, pages: Pages, trial: EndedTrial, names: Sequence[str]) -> list[str]:
    assert trial.best is not None, "ranked trials have a value"
    values = trial.spec.values
    which = " defaults" if trial.number == history.description.default_trial else ""
    return [
        pages.trial(trial, f"#{trial.number}{which}"),
        f"{trial.best.value:.6g}",
        "" if trial.epoch is None else str(trial.epoch),
        trial.state,
        *(plain(readable(values[name])) if name in values else "" for name in names),
    ]


def study_description(
    histories: Sequence[StudyHistory], pages: Mapping[str, Pages], *, running: bool
) -> str:
    """Returns what MLflow shows above a study's views: what to believe, and links.

    `pages` are by engine. `running` is whether a process holds the study: one that was killed could
    not record that it ended.
    """
    lines = [
        _line(history, pages[history.description.engine], running, several=len(histories) > 1)
        for history in sorted(histories, key=_rank)
    ]
    return "\n\n".join(lines)[: tags.LONGEST]


def is_replaceable(text: str) -> bool:
    """Returns whether a study's description is missing, or such as `study_description` returns."""
    return not text or view_id("trials") in text


def _line(history: StudyHistory, pages: Pages, running: bool, *, several: bool) -> str:
    """Returns what is known of a study under one engine.

    The list of studies shows Markdown as it is written, so links come last.
    """
    said = _outcome(history, pages, history.best).replace("**", "")
    if history.status == "RUNNING":
        state = "It is running" if running else "It was killed; launch it again to resume it"
        said = f"{state}: its best trial so far is the first of the trials."
    elif history.best is not None:
        verdict = plain(study_verdict(history).text)
        if _REPORTED in verdict:
            flaws, _, value = _believed(verdict).partition(_REPORTED)
            said = f"{flaws}{_REPORTED}{plain(history.description.objective.metric)} {value}"
    links = [link("summary", run_page(pages.experiment, pages.parent))]
    links += [link(view, view_page(pages.experiment, view)) for view in VIEWS]
    engine = f" ({plain(history.description.engine)})" if several else ""
    return f"{said}{engine} {' · '.join(links)}"


def _believed(verdict: str) -> str:
    """Returns a verdict up to what to expect: it leaves room for the links."""
    sentences = re.split(r"(?<=[.]) (?=[A-Z])", verdict)
    expected = [i for i, sentence in enumerate(sentences) if sentence.startswith("Expect ")]
    return " ".join(sentences[: expected[0] + 1] if expected else sentences)


def _rank(history: StudyHistory) -> tuple[bool, float]:
    """Returns what sorts a study's engines, the one with the best value first."""
    best = history.best
    return (best is None, 0.0 if best is None else rank_of(best, history.description.objective).key)
