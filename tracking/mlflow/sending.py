"""Sends the trials and confirmations of a study that have changed since it was last sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracking.history.commands import reproduce_command
from tracking.history.curves import mean_epochs
from tracking.history.study_history import StudyHistory, histories_in
from tracking.history.trials import best_trial
from tracking.history.verdicts import verdict_by
from tracking.journal import Attempt, ConfirmationRecord, Fit, JournalReader, Point, Search
from tracking.mlflow import tags
from tracking.mlflow.contents import (
    dataset_inputs,
    hyperparameters,
    origin_tags,
    params_of,
    result_metrics,
    result_tags,
    settings,
)
from tracking.mlflow.pages import plain, run_name, trial_note
from tracking.mlflow.runs import Runs, metrics_of
from tracking.records import EndedTrial, StudyDescription, TrialRecord, TrialResult
from tracking.records.checks import Confirmation
from tracking.records.converting import to_json
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric

# Red is for what failed: a pruned trial has a value, and did what it should.
_STATUSES: Final = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
_INTERRUPTED: Final = "confirmation · interrupted"
# Trials that are sent before that is noted: after a break the rest is sent.
_TOGETHER: Final = 200


class TrialsSoFar:
    """The trials of a search that have ended: the names of their metrics, and the best value."""

    def __init__(self, description: StudyDescription, trials: Iterable[TrialRecord]) -> None:
        self.metrics: set[str] = set()
        # Points of the best value by the number of trials that had ended.
        self.unsent: list[Metric] = []
        self._objective = description.objective
        # Then the trials count in the order in which the engine gets them, and not by time.
        self._by_number = bool(description.lag)
        self._waiting: dict[int, EndedTrial] = {}
        self._counted: set[int] = set()
        self._best: TrialRecord | None = None
        self.take(trials)

    def take(self, trials: Iterable[TrialRecord]) -> None:
        """Takes trials that have changed."""
        for trial in trials:
            if isinstance(trial, EndedTrial) and trial.state != "interrupted":
                self._waiting[trial.number] = trial
        for trial in sorted(self._waiting.values(), key=self._place):
            if self._by_number and trial.number > len(self._counted):
                break
            del self._waiting[trial.number]
            self._count(trial)

    def _place(self, trial: EndedTrial) -> tuple[int, int]:
        return (0 if self._by_number else trial.ended, trial.number)

    def _count(self, trial: EndedTrial) -> None:
        self._counted.add(trial.number)
        if trial.best is not None:
            self.metrics |= trial.best.metrics.keys()
        before = self._best
        best = self._best = best_trial([before, trial], self._objective)
        if best is None or best.value is None:
            return
        if before is None or (before.number, before.value) != (best.number, best.value):
            # Not the name of its trials' metric: sorted by it, it would be among them.
            name = f"study/best_{self._objective.metric}"
            self.unsent += metrics_of({name: best.value}, trial.ended, len(self._counted))


class Sender:
    """Sends the trials and confirmations of a study that changed after a revision."""

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
        # The new epochs of fits.
        self._points = points
        self._fits: dict[str, list[Fit]] = {}

    def send(self, searches: Sequence[Search], so_far: Mapping[int, TrialsSoFar]) -> int:
        """Sends what has changed; returns how many runs were written."""
        for fit in self._journal.fits(self._since):
            if fit.trial and fit.uuid != fit.trial:
                self._fits.setdefault(fit.trial, []).append(fit)
        runs, several, written = self._runs, len(searches) > 1, 0
        for search in searches:
            self._send_parent(search)
            attempts = self._journal.attempts(search.id, self._since)
            for start in range(0, len(attempts), _TOGETHER):
                some = attempts[start : start + _TOGETHER]
                runs.intend(each.trial.uuid for each in some)
                for attempt in some:
                    self._send_trial(search, attempt, several=several)
            # Fits of trials that go on, and trainings on all folds.
            for fit in [f for fits in self._fits.values() for f in fits if f.search == search.id]:
                if fit.trial in runs.ids and not runs.exports.is_left_out(fit.trial):
                    self._send_fit(search, fit, runs.ids[fit.trial])
            ended = so_far[search.id]
            ended.take(each.trial for each in attempts)
            if ended.unsent:
                runs.write(search.uuid, ended.unsent)
                ended.unsent = []
            written += len(attempts) + self._send_confirmations(search)
        # New epochs of what has not changed otherwise.
        for uuid in list(self._points):
            runs.write(uuid, self._metrics(uuid))
        return written

    def _send_parent(self, search: Search) -> None:
        """Makes the run of a study under one engine, above those of its trials."""
        description, runs = search.description, self._runs
        tagged = {
            **_origin(search),
            tags.KIND: "study",
            tags.ENGINE: description.engine,
        }
        runs.intend([search.uuid])
        _, made = runs.run(
            search.uuid, parent_name(description.name, description.engine), tagged, search.created
        )
        if made:
            runs.log_inputs(search.uuid, dataset_inputs(description))
            runs.write(search.uuid, params=params_of(settings(description)))
        if search.status == "RUNNING":
            runs.write(search.uuid, status="RUNNING")

    def _send_trial(self, search: Search, attempt: Attempt, *, several: bool) -> None:
        """Sends an attempt at a trial, and its fits if it has several."""
        trial, runs, description = attempt.trial, self._runs, search.description
        spec, result = trial.spec, trial.result
        of_defaults = spec.number == description.default_trial
        name = run_name(
            spec,
            result,
            of_defaults=of_defaults,
            engine=description.engine if several else "",
            folds=description.folds,
        )
        if trial.state == "interrupted" and result is None:
            name = name.replace("running", "interrupted")
        values = hyperparameters(description, spec)
        tagged = {
            **_origin(search),
            tags.PARENT: runs.ids[search.uuid],
            tags.KIND: "trial",
            tags.ENGINE: description.engine,
            tags.NUMBER: str(spec.number),
            **({tags.DEFAULTS: "yes"} if of_defaults else {}),
        }
        more: dict[str, str] = {tags.STATE: trial.state, tags.RUN_NAME: name}
        if trial.state != "running":
            more |= self._end_tags(description, trial, values, several=several)
        run, made = runs.run(trial.uuid, name, tagged | more, trial.started)
        # The number is what charts of the UI have on their axis.
        params = params_of({"trial": spec.number, **values}) if made else []
        if made and not description.data.made_by:
            runs.log_inputs(trial.uuid, dataset_inputs(description))
        fits = self._fits.pop(trial.uuid, [])
        if runs.exports.is_left_out(trial.uuid):
            return
        for fit in fits:
            self._send_fit(search, fit, run)
        metrics = self._metrics(trial.uuid)
        if trial.state == "running":
            runs.write(trial.uuid, metrics, params)
            return
        ended = trial.ended
        if isinstance(trial, EndedTrial):
            if trial.result.repeats:
                for epoch, means in self._means(trial).items():
                    metrics += metrics_of(means, ended, epoch)
            metrics += metrics_of(result_metrics(trial.result, description.objective), ended, 0)
            joined = {str(each["name"]): each["default"] for each in trial.result.joined}
            params += params_of({k: v for k, v in joined.items() if k not in values})
        runs.write(trial.uuid, metrics, params, more, _STATUSES[trial.state], ended)

    def _end_tags(
        self,
        description: StudyDescription,
        trial: TrialRecord,
        values: Mapping[str, Any],
        *,
        several: bool,
    ) -> dict[str, str]:
        """Returns the tags that a trial's run has from its end on."""
        if not isinstance(trial, EndedTrial):
            return {tags.REASON: "its process ended before it did"}
        command = reproduce_command(description, trial.number, self._store.root, several=several)
        return {
            **result_tags(trial.result),
            tags.NOTE: trial_note(trial.spec, values, trial.result, command),
            **({tags.VERIFIED: trial.verified} if trial.verified else {}),
        }

    def _send_fit(self, search: Search, fit: Fit, parent: str) -> None:
        """Sends a repeat or a fold of a trial."""
        runs, description, spec, result = self._runs, search.description, fit.spec, fit.result
        shown: TrialResult | None = result
        name = run_name(spec, shown, of_repeat=True, folds=description.folds)
        if fit.state == "interrupted" and result is None:
            name = name.replace("running", "interrupted")
        tagged = {
            **_origin(search),
            tags.PARENT: parent,
            tags.KIND: "repeat" if spec.fold is None else "fold",
            tags.ENGINE: description.engine,
            tags.NUMBER: str(spec.number),
            tags.REPEAT: str(spec.repeat),
        }
        more = {tags.STATE: fit.state, tags.RUN_NAME: name}
        more |= {} if result is None else result_tags(result)
        runs.intend([fit.uuid])
        values = hyperparameters(description, spec)
        _, made = runs.run(fit.uuid, name, tagged | more, fit.started)
        params = params_of({"trial": spec.number, **values}) if made else []
        metrics = self._metrics(fit.uuid)
        if fit.state == "running":
            runs.write(fit.uuid, metrics, params)
            return
        if result is not None:
            metrics += metrics_of(result_metrics(result, description.objective), fit.ended, 0)
        runs.write(fit.uuid, metrics, params, more, _STATUSES[fit.state], fit.ended)

    def _send_confirmations(self, search: Search) -> int:
        """Sends the confirmations of a study that changed, with their trainings."""
        written = 0
        for each in self._journal.confirmations(search.id):
            fits = self._journal.fits(self._since, confirmation=each.uuid)
            if each.revision > self._since or fits:
                self._send_confirmation(search, each, fits)
                written += 1 + len(fits)
        return written

    def _send_confirmation(
        self,
        search: Search,
        confirmation: ConfirmationRecord,
        fits: Sequence[Fit],
    ) -> None:
        runs = self._runs
        tagged = {**_origin(search), tags.ENGINE: search.description.engine}
        outcome, state = confirmation.outcome, confirmation.state
        name = f"confirmation · {state}"
        if outcome is not None:
            name = f"confirmation · trial {outcome.winner}"
            if outcome.confirmed is not None:
                metric = outcome.metric.removeprefix("val_")
                name += f" · {metric} {outcome.confirmed.value:.4g} on the test part"
        runs.intend([confirmation.uuid, *(fit.uuid for fit in fits)])
        above = {tags.PARENT: runs.ids[search.uuid], tags.KIND: tags.CONFIRMATION_KIND}
        run, made = runs.run(confirmation.uuid, name, {**tagged, **above}, confirmation.started)
        if made:
            options = json.loads(confirmation.plan)["options"]
            runs.write(confirmation.uuid, params=params_of(options))
        for fit in fits:
            self._send_training(search, fit, run, tagged)
        if outcome is None:
            runs.write(
                confirmation.uuid,
                tagged={tags.RUN_NAME: name},
                status=_STATUSES[state],
                ended=confirmation.ended or None,
            )
            return
        # It was resumed.
        runs.rename(confirmation.uuid, _INTERRUPTED, name)
        said = verdict_by(self._history(search), outcome)
        note = f"**{plain(said.text)}**\n\n{plain(' '.join(said.grounds))}"[: tags.LONGEST]
        runs.unless_deleted(
            confirmation.uuid,
            lambda: runs.client.log_text(run, to_json(outcome) + "\n", "confirmation.json"),
        )
        runs.write(
            confirmation.uuid,
            metrics_of(_numbers(outcome), confirmation.ended, 0),
            tagged={tags.RUN_NAME: name, tags.NOTE: note},
            status="FINISHED",
            ended=confirmation.ended,
        )

    def _send_training(
        self,
        search: Search,
        fit: Fit,
        parent: str,
        tagged: dict[str, str],
    ) -> None:
        runs, description, result = self._runs, search.description, fit.result
        outcome: str = fit.state
        # On all folds together there is nothing to validate on.
        shown = None if result is None or fit.spec.fold == -1 else result.best
        if shown is not None:
            outcome = f"{description.objective.metric} {shown.value:.4g}"
        above = {tags.PARENT: parent, tags.KIND: tags.TRAINING_KIND}
        name = f"{fit.name} · {outcome}"
        values = hyperparameters(description, fit.spec)
        _, made = runs.run(fit.uuid, name, {**tagged, **above}, fit.started)
        params = params_of({"seed": fit.spec.seed, **values}) if made else []
        metrics = self._metrics(fit.uuid)
        if result is not None:
            # Under other names than a trial's: sorted by them, it would be among the trials.
            found = {
                each if each.startswith("system/") else f"confirmation/{each}": value
                for each, value in result_metrics(result, description.objective).items()
                if shown is not None or each.startswith("system/")
            }
            metrics += metrics_of(found, fit.ended, 0)
        more = {tags.RUN_NAME: name}
        if result is not None and result.reason:
            more[tags.REASON] = result.reason[: tags.LONGEST]
        status = "" if fit.state == "running" else _STATUSES[fit.state]
        runs.write(fit.uuid, metrics, params, more, status, fit.ended or None)

    def _history(self, search: Search) -> StudyHistory:
        return histories_in(self._store, self._folder, search.description.engine)[0]

    def _metrics(self, fit: str) -> list[Metric]:
        """Returns the new metrics of a fit, once."""
        points = self._points.pop(fit, [])
        return [each for p in points for each in metrics_of(p.metrics, p.time, p.epoch)]

    def _means(self, trial: EndedTrial) -> dict[int, dict[str, float]]:
        """Returns the means over a trial's fits by epoch."""
        repeats = trial.result.repeats
        curves = self._journal.curves(each.uuid for each in repeats)
        folds = sum(each.fold is not None for each in repeats)
        return mean_epochs([curves.get(each.uuid, {}) for each in repeats], folds)


def _origin(search: Search) -> dict[str, str]:
    """Returns the tags with a run's source, author and commit."""
    commit = search.git.get("commit", "")
    return {**origin_tags(search.description), **({tags.COMMIT: commit} if commit else {})}


def _numbers(outcome: Confirmation) -> dict[str, float]:
    """Returns the numbers of a confirmation's outcome, for MLflow to show."""
    corrected = None if outcome.corrected is None else outcome.corrected.estimate
    intervals = {"corrected": corrected, "on_test": outcome.confirmed, "gain": outcome.gain}
    numbers = {"confirmation/reported": outcome.reported}
    for name, interval in intervals.items():
        if interval is not None:
            numbers |= {
                f"confirmation/{name}": interval.value,
                f"confirmation/{name}_low": interval.low,
                f"confirmation/{name}_high": interval.high,
            }
    return numbers


def parent_name(study: str, engine: str) -> str:
    """Returns the name of the run of a study under one engine."""
    return f"{study} ({engine})"
