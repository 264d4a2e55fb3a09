"""A study's description in MLflow: a line above each of its views, and in the list of studies."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from tracking import tags
from tracking.runs.pages import VIEWS, link, plain, run_page, view_id, view_page
from tracking.runs.parents import parent_runs
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

_BEST: Final = "study/best_"
# So does a verdict begin, after flaws of the data; see `tracking.statistics.sentences`.
_REPORTED: Final = "Reported "


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
