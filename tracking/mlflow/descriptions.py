"""The names of runs, and the descriptions of studies, trials and models, in MLflow's UI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tracking.history.study_history import StudyHistory
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
from tracking.records import EndedTrial, StudyDescription, TrialSpec
from tracking.shell_commands import shell_command
from tracking.study_summary import summary_of


def run_name(description: StudyDescription, spec: TrialSpec) -> str:
    """Returns the name of a trial's run, such as ``#15``."""
    return f"#{spec.number}" + " defaults" * (spec.number == description.default_trial)


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
    parent_id: str,
    run_id: str,
    model_id: str,
) -> str:
    """Returns the description of a model version: its trial, epoch and files."""
    _, best = trial.best_training
    command = shell_command("reproduce", description, f"--trial {trial.number}")
    of_trial = link(f"trial {trial.number}", run_page(experiment_id, run_id))
    files = link("files", logged_model_page(experiment_id, model_id))
    folds = trial.result.folds
    of_folds = f", trained on all {folds} folds" if folds else ""
    summary = link("The study", run_page(experiment_id, parent_id))
    return (
        f"Epoch {best.epoch} of {of_trial}{of_folds}. {summary} says what to expect. The {files} "
        "have the signature and an input example. To train the model again by plain model.fit, and "
        f"compare:\n{code_block(command)}"
    )


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


REPORT: Final = "report.html"
"""The file name of the report, in the study's folder and among the parent run's artifacts."""
_RUNNING: Final = "the best trial so far is the first of the trials."


@dataclass(frozen=True)
class Pages:
    """The ids and names that the addresses of a study's pages in MLflow contain."""

    experiment: str
    parent: str  # The id of the study's parent run.
    report: bool = False  # Whether the parent run has a report.
    model: str = ""  # The registered model's name; empty if there is none.


def study_note(history: StudyHistory, pages: Pages) -> str:
    """Returns a study's summary in Markdown.

    Links and verdict come first, because the UI shows only 100 pixels of a long text. While a
    launch runs, there is no verdict.
    """
    links = " · ".join(_links(pages))
    if history.status == "RUNNING":
        return f"{links}\n\n**Running: {_RUNNING}**"
    summary = summary_of(history)
    # These facts are left out, as they are already in the verdict.
    facts = [fact for fact in summary.facts if fact.name not in ("warning", "expect")]
    lines = [links, "", f"**{plain(summary.verdict.text)}**", ""]
    lines += [f"- {fact.name}: {plain(fact.text)}" for fact in (*facts, *summary.definition)]
    for command in summary.commands:
        lines += ["", f"Next: {plain(command.purpose)}:", code_block(command.text)]
    return "\n".join(lines)


def _links(pages: Pages) -> Iterator[str]:
    if pages.report:
        yield link("report", artifact_page(pages.experiment, pages.parent, REPORT))
    if pages.model:
        yield link("registered model", model_page(pages.model))
    for view in VIEWS:
        yield link(view, view_page(pages.experiment, view))


def study_description(history: StudyHistory, pages: Pages, *, running: bool) -> str:
    """Returns the experiment's description: a line with the value to expect and links.

    The link to the summary is first, as the UI shows only one line of a long description. `running`
    is whether a launch of the study is running. (The journal says RUNNING even after the launch was
    killed.)
    """
    if history.status == "RUNNING":
        state = "Running" if running else "Its launch was killed; launch it again to resume it"
        text = f"{state}: {_RUNNING}"
    else:
        text = " ".join(
            f"{fact.name.capitalize()}: {plain(fact.text.rstrip('.'))}."
            for fact in summary_of(history).expected
            if fact.name in ("warning", "expect")
        )
    links = " · ".join(link(view, view_page(pages.experiment, view)) for view in VIEWS)
    summary = link("Summary", run_page(pages.experiment, pages.parent))
    return f"{summary}: {text} {links}"[: tags.LONGEST]


def is_replaceable(text: str) -> bool:
    """Returns whether an experiment's description may be replaced.

    It may be replaced if it is empty, or if it is a text of `study_description`.
    """
    return not text or view_id("trials") in text
