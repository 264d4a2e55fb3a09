"""The names of runs, and the descriptions of studies, trials and models, in MLflow's UI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from search_spaces.texts import counted, duration, listed, readable
from tracking.history.study_history import StudyHistory
from tracking.history.verdicts import study_verdict
from tracking.mlflow import tags
from tracking.mlflow.views import (
    VIEWS,
    artifact_page,
    logged_model_page,
    model_page,
    run_page,
    view_id,
    view_page,
)
from tracking.records import (
    EndedTrial,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    training_name,
)
from tracking.shell_commands import shell_command
from tracking.study_summary import Fact, outcome_of, summary_of, trial_rows, value_text

# A trial's description shows at most this many hyperparameters. The run's params show all.
_SHOWN: Final = 30


def run_name(
    description: StudyDescription,
    spec: TrialSpec,
    outcome: str,
    *,
    of_fit: bool,
) -> str:
    """Returns the name of a run, such as ``#15 · 0.9743``.

    `of_fit` is true for the run of a repeat or a fold, false for the run of a trial.
    """
    number = f"#{spec.number}" + " defaults" * (spec.number == description.default_trial)
    number += f" {training_name(spec.repeat, description.folds)}" if of_fit else ""
    return " · ".join(filter(None, (number, outcome)))


def trial_outcome(result: TrialResult, folds: int) -> str:
    """Returns the outcome of a trial for `run_name`: the best value, or e.g. "infeasible"."""
    if result.state == "pruned" and result.folds:
        return f"pruned in {training_name(result.folds - 1, folds)}"
    if result.state not in ("complete", "pruned") or result.best is None:
        return result.state
    spread = "" if result.spread is None else f" ± {result.spread:.2g}"
    pruned = ", pruned" if result.state == "pruned" else ""
    return f"{result.best.value:.4g}{spread}{pruned}"


def trial_note(
    spec: TrialSpec, values: Mapping[str, Any], result: TrialResult, reproduce: str
) -> str:
    """Returns the description of a trial in Markdown: its result, and how to reproduce it."""
    value = "" if result.best is None else f": {plain(value_text(spec, result))}"
    lines = [f"**{result.state.capitalize()}{value}**"]
    if result.reason:
        lines.append(plain(result.reason))
    shown = [f"{plain(name)} = {plain(readable(value))}" for name, value in values.items()]
    lines += ["", listed(shown, most=_SHOWN)]
    facts = [f"seed {spec.seed}", counted(result.epochs, "epoch"), duration(result.seconds)]
    if result.trainer:
        facts.append(f"trainer {result.trainer}")
    if result.model_parameters:
        facts.append(counted(result.model_parameters, "weight"))
    lines += ["", ", ".join(facts)]
    if result.best is not None:
        lines.append(code_block(reproduce))
    return "\n".join(lines)


def model_description(name: str, experiment_id: str, tracking_uri: str) -> str:
    """Returns the description of a study's registered model: what it is, and how to load it."""
    study, address = link(name, view_page(experiment_id, "trials")), f"models:/{name}@champion"
    code = code_block(
        "import mlflow",
        "",
        f"mlflow.set_tracking_uri({tracking_uri!r})",
        f"model = mlflow.keras.load_model({address!r})",
        f"predict = mlflow.pyfunc.load_model({address!r}).predict",
    )
    return (
        f"Models of the study {study}. The alias `champion` is on the present choice: the best "
        "trial, the winner of a confirmation, or a trial that a person promoted.\n\n"
        "The input of a model is samples as the study's data has them: preprocessing is a part of "
        "the model. The page of a version shows the signature and the trial. To load the champion:"
        f"\n{code}"
    )


def version_description(
    description: StudyDescription,
    trial: EndedTrial,
    experiment_id: str,
    run_id: str,
    model_id: str,
) -> str:
    """Returns the description of a model version: its trial, epoch, value and files."""
    _, best = trial.best_training
    command = shell_command("reproduce", description, f"--trial {trial.number}")
    of_trial = link(f"trial {trial.number}", run_page(experiment_id, run_id))
    files = link("files", logged_model_page(experiment_id, model_id))
    folds = trial.result.folds
    of_folds = f" (the mean of {folds} folds; it is trained on all of them)" if folds else ""
    return (
        f"{plain(description.objective.metric)} {best.value:.6g} at epoch {best.epoch} of "
        f"{of_trial}{of_folds}. Its {files} have the signature and an input example. To train the "
        f"model again by plain model.fit, and compare:\n{code_block(command)}"
    )


def with_verdict(text: str, former: str, verdict: str) -> str:
    """Returns a model version's description with the verdict in front.

    The former verdict is removed, unless a person has changed the beginning of the description.
    """
    for beginning in filter(None, (former, verdict)):
        text = text.removeprefix(f"**{plain(beginning)}**").lstrip()
    return f"**{plain(verdict)}**\n\n{text}" if verdict else text


# The UI would read these characters as Markdown, as HTML, or as a link (@name).
_MARKS = re.compile(r"[\\`*\[\]<>&|!#~@{}]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Returns a user's text on one line, with all markup escaped."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", " ".join(text.split()))


def link(text: str, address: str) -> str:
    """Returns a Markdown link. The text is escaped, the address is not."""
    return f"[{plain(text)}]({address})"


def code_block(*lines: str) -> str:
    """Returns a Markdown code block, which begins with an empty line."""
    # The block is indented instead of fenced, as three backticks in a line would end a fenced
    # block.
    return "".join(f"\n    {' '.join(line.splitlines())}" for line in lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a Markdown table."""
    # The UI puts no space between columns, and ignores their alignment. So each cell ends with a
    # space.
    padded = [[f"{cell}&emsp;" for cell in row] for row in (header, *rows)]
    padded.insert(1, ["---"] * len(header))
    return [f"| {' | '.join(row)} |" for row in padded]


REPORT: Final = "report.html"
"""The file name of the report, in the study's folder and among the parent run's artifacts."""
# The table of the best trials has a row for each of 10 trials. If a study has more than 7
# hyperparameters, the table has a column for each of 5 trials instead. At most 30 hyperparameters
# are shown, as MLflow cuts longer descriptions.
_TOP, _MOST_COLUMNS, _SIDE_BY_SIDE, _MOST_ROWS = 10, 7, 5, 30


@dataclass(frozen=True)
class Pages:
    """The ids and names that the addresses of a study's pages in MLflow contain."""

    experiment: str
    parent: str  # The id of the study's parent run.
    runs: Mapping[str, str] = field(default_factory=dict)  # The ids of runs, by uuid.
    report: bool = False  # Whether the parent run has a report.
    model: str = ""  # The registered model's name; empty if there is none.

    def trial(self, trial: TrialRecord, text: str) -> str:
        """Returns a link to a trial's run; only the text if MLflow has no run of the trial."""
        run = self.runs.get(trial.uuid, "")
        return link(text, run_page(self.experiment, run)) if run else plain(text)


def study_note(history: StudyHistory, pages: Pages, stopped: str = "") -> str:
    """Returns a study's summary in Markdown.

    Links and verdict come first, because the UI shows only 100 pixels of a long text. `stopped`
    says why the last launch ended, e.g. "all 40 trials are done". It is empty during a launch.
    """
    if not stopped:
        return "\n".join(_while_it_runs(history, pages)).rstrip()
    summary = summary_of(history)
    # These facts are left out, as they are already in the verdict or in `stopped`.
    stated = ("warning", "expect", "seen", "ended")
    facts = [fact for fact in summary.facts if fact.name not in stated]
    lines = [
        " · ".join(_links(pages)),
        "",
        f"**{plain(summary.verdict.text)}**",
        "",
        f"Best: {_outcome(history, pages)}",
        "",
        *_listed([*facts, Fact("ended", stopped), *summary.definition]),
    ]
    for command in summary.commands:
        lines += [f"Next: {plain(command.purpose)}:", code_block(command.text), ""]
    if history.best is not None:
        lines += _table(history, pages)
    return "\n".join(lines).rstrip()


def _while_it_runs(history: StudyHistory, pages: Pages) -> list[str]:
    trials = link("trials", view_page(pages.experiment, "trials"))
    lines = [" · ".join(_links(pages)), ""]
    lines += [f"**Running: the best trial so far is the first of the {trials}.**", ""]
    summary = summary_of(history)
    if history.best is not None:
        lines += [f"Before this launch: {_outcome(history, pages)}.", ""]
    return [
        *lines,
        "When the launch ends, this text is written again.",
        "",
        *_listed(fact for fact in summary.definition if fact.name not in ("trained", "cost")),
    ]


def _listed(facts: Iterable[Fact]) -> list[str]:
    return [*(f"- {fact.name}: {plain(fact.text)}" for fact in facts), ""]


def _outcome(history: StudyHistory, pages: Pages) -> str:
    text, best = outcome_of(history), history.best
    if best is None:
        return plain(text)
    name = f"trial {best.number}"
    return f"{pages.trial(best, name)}{plain(text).removeprefix(name)}"


def _links(pages: Pages) -> Iterator[str]:
    if pages.report:
        yield link("report", artifact_page(pages.experiment, pages.parent, REPORT))
    if pages.model:
        yield link("registered model", model_page(pages.model))
    for view in VIEWS:
        yield link(view, view_page(pages.experiment, view))


def _table(history: StudyHistory, pages: Pages) -> list[str]:
    wide = len(history.description.space) > _MOST_COLUMNS
    trials = history.top(_SIDE_BY_SIDE if wide else _TOP)
    heading, rows = trial_rows(history, trials)
    cells = [[plain(cell) for cell in row[: 4 + _MOST_ROWS]] for row in (heading, *rows)]
    for row, trial in zip(cells[1:], trials, strict=True):
        row[0] = pages.trial(trial, f"#{trial.number}")
    first, *others = zip(*cells, strict=True) if wide else cells
    return table(first, others)


def study_description(history: StudyHistory, pages: Pages, *, running: bool) -> str:
    """Returns the experiment's description: a line with verdict and links.

    The link to the summary is first, as the UI shows only one line of a long description. `running`
    is whether a launch of the study is running. (The journal says RUNNING even after the launch was
    killed.)
    """
    text = f"{plain(outcome_of(history))}."
    if history.status == "RUNNING":
        state = "Running" if running else "Its launch was killed; launch it again to resume it"
        text = f"{state}: the best trial so far is the first of the trials."
    elif history.best is not None:
        sentences = study_verdict(history).sentences
        # The sentences after "Expect …" are left out, so that the links are in view.
        ends = [i for i, sentence in enumerate(sentences, 1) if sentence.startswith("Expect ")]
        verdict = " ".join(sentences[: ends[0]] if ends else sentences)
        metric = history.description.objective.metric
        names = {"Expect": metric.removeprefix("val_"), "saw": metric}
        text = re.sub(
            r"\b(Expect|saw) ", lambda verb: f"{verb[0]}{names[verb[1]]} ", verdict, count=1
        )
        text = plain(text)
    links = " · ".join(link(view, view_page(pages.experiment, view)) for view in VIEWS)
    summary = link("Summary", run_page(pages.experiment, pages.parent))
    return f"{summary}: {text} {links}"[: tags.LONGEST]


def is_replaceable(text: str) -> bool:
    """Returns whether an experiment's description may be replaced.

    It may be replaced if it is empty, or if it is a text of `study_description`.
    """
    return not text or view_id("trials") in text
