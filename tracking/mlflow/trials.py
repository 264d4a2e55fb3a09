"""Sends a study's changed trials to MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracking.history.learning_curves import mean_epochs
from tracking.history.trial_ranks import best_trial
from tracking.journal import Fit, JournalReader, Point, Search
from tracking.mlflow import tags
from tracking.mlflow.pages import run_name, trial_note
from tracking.mlflow.runs import (
    Runs,
    dataset_inputs,
    hyperparameters,
    logarithms,
    metrics_of,
    origin_tags,
    params_of,
    result_metrics,
    result_tags,
    settings,
)
from tracking.records import EndedTrial, StudyDescription, TrialRecord, finished_trials
from tracking.shell_commands import reproduce_command
from tracking.store.store_folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param

# A pruned trial is FINISHED, as it has a value. The UI shows FAILED in red.
_STATUSES: Final = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
# Each note is synced to disk, so this many runs are noted together.
_TOGETHER: Final = 200


class TrialsSoFar:
    """The names of metrics, and the best value, of the trials that have ended so far."""

    def __init__(self, description: StudyDescription, trials: Iterable[TrialRecord]) -> None:
        self.metrics: set[str] = set()
        # New points of the best value. A point's step is the number of ended trials.
        self.unsent: list[Metric] = []
        self._objective = description.objective
        self._counted: set[int] = set()
        self._best: TrialRecord | None = None
        self.take(trials)

    def take(self, trials: Iterable[TrialRecord]) -> None:
        """Takes changed trials, and counts the ended ones in the order of their ends."""
        for trial in sorted(finished_trials(trials), key=lambda each: (each.ended, each.number)):
            self._count(trial)

    def _count(self, trial: EndedTrial) -> None:
        self._counted.add(trial.number)
        if trial.best is not None:
            self.metrics |= trial.best.metrics.keys()
        before = self._best
        best = self._best = best_trial([before, trial], self._objective)
        if best is None or best.value is None:
            return
        if before is None or (before.number, before.value) != (best.number, best.value):
            # With a trial's metric name, the UI would sort the parent run among the trials.
            name = f"study/best_{self._objective.metric}"
            self.unsent += metrics_of({name: best.value}, trial.ended, len(self._counted))


class Sender:
    """Sends the trials of a study that changed after a revision."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        journal: JournalReader,
        runs: Runs,
        since: int,
        points: dict[str, list[Point]],
    ) -> None:
        self._store, self._folder = store, folder
        self._journal, self._runs, self._since = journal, runs, since
        # The unsent epochs of fits, by uuid.
        self._points = points
        self._fits: dict[str, list[Fit]] = {}

    def send(self, searches: Sequence[Search], so_far: Mapping[int, TrialsSoFar]) -> int:
        """Sends the changes, and returns how many runs were written."""
        for fit in self._journal.fits(self._since, of_several=True):
            self._fits.setdefault(fit.trial, []).append(fit)
        runs, several, written = self._runs, len(searches) > 1, 0
        for search in searches:
            self._send_parent(search)
            attempts = self._journal.attempts(search.id, self._since)
            for start in range(0, len(attempts), _TOGETHER):
                some = attempts[start : start + _TOGETHER]
                runs.intend(each.uuid for each in some)
                for trial in some:
                    self._send_trial(search, trial, several=several)
            # Two kinds of fits are left: of running trials, and champions' trainings on all folds.
            for fit in [f for fits in self._fits.values() for f in fits if f.search == search.id]:
                if fit.trial in runs.ids and not runs.exports.is_left_out(fit.trial):
                    self._send_fit(search, fit, several=several)
            ended = so_far[search.id]
            ended.take(attempts)
            if ended.unsent:
                runs.write(search.uuid, ended.unsent)
                ended.unsent = []
            written += len(attempts)
        # The remaining epochs belong to fits without other changes, or to confirmations.
        for uuid in list(self._points):
            runs.write(uuid, self._metrics(uuid))
        return written

    def _send_parent(self, search: Search) -> None:
        """Sends the parent run of a study's trials under one engine."""
        description, runs = search.description, self._runs
        tagged = {
            **_origin(search),
            tags.KIND: "study",
            tags.ENGINE: description.engine,
        }
        runs.intend([search.uuid])
        name = parent_name(description.name, description.engine)
        new = runs.begin(search.uuid, name, tagged, search.created)
        if new:
            runs.log_inputs(search.uuid, dataset_inputs(description))
            runs.write(search.uuid, params=params_of(settings(description)))
        if search.status == "RUNNING":
            runs.write(search.uuid, status="RUNNING")

    def _send_trial(self, search: Search, trial: TrialRecord, *, several: bool) -> None:
        """Sends an attempt at a trial. If the trial has several fits, each gets a child run."""
        runs = self._runs
        tagged = {tags.PARENT: runs.ids[search.uuid], tags.KIND: "trial"}
        if trial.verified:
            tagged[tags.VERIFIED] = trial.verified
        metrics: list[Metric] = []
        if isinstance(trial, EndedTrial) and trial.result.repeats:
            for epoch, means in self._means(trial).items():
                metrics += metrics_of(means, trial.ended, epoch)
        self._send_run(search, trial, tagged, metrics, several=several)
        fits = self._fits.pop(trial.uuid, [])
        if not runs.exports.is_left_out(trial.uuid):
            for fit in fits:
                self._send_fit(search, fit, several=several)

    def _send_fit(self, search: Search, fit: Fit, *, several: bool) -> None:
        spec = fit.spec
        tagged = {
            tags.PARENT: self._runs.ids[fit.trial],
            tags.KIND: "repeat" if spec.fold is None else "fold",
            tags.REPEAT: str(spec.repeat),
        }
        self._runs.intend([fit.uuid])
        self._send_run(search, fit, tagged, [], several=several)

    def _send_run(
        self,
        search: Search,
        fit: TrialRecord | Fit,
        tagged: dict[str, str],
        metrics: list[Metric],
        *,
        several: bool,
    ) -> None:
        runs, description, spec, result = self._runs, search.description, fit.spec, fit.result
        values = hyperparameters(description, spec)
        name = partial(
            run_name,
            spec,
            of_repeat=isinstance(fit, Fit),
            of_defaults=spec.number == description.default_trial,
            folds=description.folds,
        )
        ended_name = name(result, engine=description.engine if several else "")
        tagged |= {**_origin(search), tags.ENGINE: description.engine}
        tagged |= {tags.NUMBER: str(spec.number), tags.STATE: fit.state}
        if spec.number == description.default_trial:
            tagged[tags.DEFAULTS] = "yes"
        exact = json.dumps(values, ensure_ascii=False)
        if len(exact) <= tags.LONGEST:
            tagged[tags.HYPERPARAMETERS] = exact
        joined: dict[str, Any] = {}
        if result is not None:
            place = self._store.root
            command = reproduce_command(description, spec.number, place, several=several)
            tagged |= result_tags(result)
            tagged[tags.NOTE] = trial_note(spec, values, result, command)
            metrics += metrics_of(result_metrics(result, description.objective), fit.ended, 0)
            joined = {str(each["name"]): each["default"] for each in result.joined}
        elif fit.state == "interrupted":
            ended_name = ended_name.replace("running", "interrupted")
            tagged[tags.REASON] = "its process ended before it did"
        new = runs.begin(fit.uuid, name(), tagged, fit.started)
        params: list[Param] = []
        if new:
            # The UI's charts need the trial's number as a param, for an axis.
            logs = logarithms(description.space, spec.values)
            params = params_of({"trial": spec.number, **logs, **values})
            runs.log_inputs(fit.uuid, dataset_inputs(description))
        params += params_of({key: each for key, each in joined.items() if key not in values})
        metrics = self._metrics(fit.uuid) + metrics
        if fit.state == "running":
            runs.write(fit.uuid, metrics, params)
        else:
            tagged[tags.RUN_NAME] = ended_name
            runs.write(fit.uuid, metrics, params, tagged, _STATUSES[fit.state], fit.ended)

    def _metrics(self, fit: str) -> list[Metric]:
        """Removes the unsent epochs of a fit, and returns their metrics."""
        points = self._points.pop(fit, [])
        return [each for p in points for each in metrics_of(p.metrics, p.time, p.epoch)]

    def _means(self, trial: EndedTrial) -> dict[int, dict[str, float]]:
        repeats = trial.result.repeats
        curves = self._journal.curves(each.uuid for each in repeats)
        folds = sum(each.fold is not None for each in repeats)
        return mean_epochs([curves.get(each.uuid, {}) for each in repeats], folds)


def _origin(search: Search) -> dict[str, str]:
    commit = search.git.get("commit", "")
    return {**origin_tags(search.description), **({tags.COMMIT: commit} if commit else {})}


def parent_name(study: str, engine: str) -> str:
    """Returns the name of a study's parent run under one engine."""
    return f"{study} ({engine})"
