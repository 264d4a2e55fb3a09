"""Sends a study's changed trials to MLflow, each trial as a run: params, metrics, tags and status.

The run of the study is the parent of the runs of trials. A tag of each run has the uuid under which
the journal records the trial or the study.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tracking.history.learning_curves import epoch_metrics
from tracking.journal import JournalReader, Point, StudyRecord
from tracking.mlflow import tags_and_names as tags
from tracking.mlflow.exporter_notes_and_lock import ExporterNotes
from tracking.mlflow.servers_and_databases import unless_missing
from tracking.mlflow.tags_and_names import axis_of, is_log, spell, tag_text, to_mlflow
from tracking.records import (
    EndedTrial,
    Objective,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    finished_trials,
)
from tracking.records.trial_records import best_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

_PAGE: Final = 1000
# A pruned trial is FINISHED, as it has a value. The UI shows FAILED in red.
_STATUSES: Final = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
# The uuids of this many runs are noted at a time, since each note is synced to disk.
_TOGETHER: Final = 200


class TrialsSoFar:
    """The metrics' names and the best value of the trials that have ended so far."""

    def __init__(self, objective: Objective, trials: Iterable[TrialRecord]) -> None:
        self.metrics: set[str] = set()
        # New best values that are not sent yet. They become metrics of the parent run, whose step
        # is the number of ended trials.
        self.unsent: list[Metric] = []
        self._objective = objective
        self._counted: set[int] = set()
        self._best: TrialRecord | None = None
        self.add(trials)

    def add(self, trials: Iterable[TrialRecord]) -> None:
        """Adds the trials that have ended, in the order of their ends."""
        for trial in sorted(finished_trials(trials), key=lambda trial: (trial.ended, trial.number)):
            self._counted.add(trial.number)
            if trial.best is not None:
                self.metrics |= trial.best.metrics.keys()
            before = self._best
            best = self._best = best_trial([before, trial], self._objective)
            if best is None or best.value is None:
                continue
            if before is None or (before.number, before.value) != (best.number, best.value):
                # If this metric had the name of a trial's metric, the UI would sort the parent run
                # among the trials.
                name = f"study/best_{self._objective.metric}"
                self.unsent += _metrics_of({name: best.value}, trial.ended, len(self._counted))


@dataclass
class TrialExporter:
    """Sends a study's trials that changed after the journal's revision `since`."""

    journal: JournalReader
    runs: RunWriter
    since: int
    points: dict[str, list[Point]]  # The unsent epochs of fits, by uuid.

    def send(self, study: StudyRecord, so_far: TrialsSoFar) -> int:
        """Sends the changes, and returns how many runs were written."""
        runs = self.runs
        self._send_parent(study)
        attempts = self.journal.attempts(self.since)
        for start in range(0, len(attempts), _TOGETHER):
            some = attempts[start : start + _TOGETHER]
            runs.notes.note_intended(trial.uuid for trial in some)
            for trial in some:
                self._send_trial(study, trial)
        so_far.add(attempts)
        if so_far.unsent:
            runs.write(study.run, so_far.unsent)
            so_far.unsent = []
        # The remaining epochs belong to trials that have no other change, or to fits that have no
        # run in MLflow: folds, repeats, and trainings of confirmations. `write` leaves these out.
        for uuid in list(self.points):
            runs.write(uuid, self._metrics(uuid))
        return len(attempts)

    def _send_parent(self, study: StudyRecord) -> None:
        """Sends to MLflow the run that is the parent of all trials."""
        description, runs = study.description, self.runs
        tagged = {**_origin(study), tags.KIND: "study", tags.ENGINE: description.engine}
        runs.notes.note_intended([study.run])
        name = f"{description.name} ({description.engine})"
        if runs.begin(study.run, name, tagged, study.created):
            runs.log_inputs(study.run, _dataset_inputs(description))
            runs.write(study.run, params=_params_of(_settings(description)))
        if study.status == "RUNNING":
            runs.write(study.run, status="RUNNING")

    def _send_trial(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Sends an attempt at a trial. If it has several fits, its curve is their mean."""
        runs, description, spec = self.runs, study.description, trial.spec
        values = _hyperparameters(description, spec)
        exact = json.dumps(values, ensure_ascii=False)
        tagged = {
            **_origin(study),
            tags.PARENT: runs.ids[study.run],
            tags.KIND: "trial",
            tags.VERIFIED: trial.verified,
            tags.ENGINE: description.engine,
            tags.NUMBER: str(spec.number),
            tags.STATE: trial.state,
            tags.DEFAULTS: "yes" if spec.number == description.default_trial else "",
            # JSON can't be read if it is cut.
            tags.HYPERPARAMETERS: exact if len(exact) <= tags.LONGEST else "",
        }
        params: list[Param] = []
        if runs.begin(trial.uuid, _run_name(description, spec), tagged, trial.started):
            # The UI's charts need the trial's number as a param, for an axis. The charts have no
            # log scale, so they draw the logarithms of hyperparameters with a log scale.
            logs = {
                axis_of(parameter): math.log10(spec.values[parameter.name])
                for parameter in description.space
                if is_log(parameter) and parameter.name in spec.values
            }
            params = _params_of({"trial": spec.number, **logs, **values})
            runs.log_inputs(trial.uuid, _dataset_inputs(description))
        metrics = self._metrics(trial.uuid)
        if trial.state == "running":
            runs.write(trial.uuid, metrics, params)
            return
        if isinstance(trial, EndedTrial):
            result = trial.result
            tagged |= _result_tags(result)
            params += _params_of({n: v for n, v in result.defaulted.items() if n not in values})
            if result.repeats:
                for epoch, means in epoch_metrics(self.journal.folder, trial).items():
                    metrics += _metrics_of(means, trial.ended, epoch)
            metrics += _metrics_of(_result_metrics(result, description.objective), trial.ended, 0)
        elif trial.state == "interrupted":
            tagged[tags.REASON] = "its process ended before the training did"
        runs.write(trial.uuid, metrics, params, tagged, _STATUSES[trial.state], trial.ended)

    def _metrics(self, fit: str) -> list[Metric]:
        """Removes the unsent epochs of a fit, and returns their metrics."""
        points = self.points.pop(fit, [])
        return [metric for p in points for metric in _metrics_of(p.metrics, p.time, p.epoch)]


def _run_name(description: StudyDescription, spec: TrialSpec) -> str:
    """Returns the name of a trial's run, such as ``#15``."""
    return f"#{spec.number}" + " defaults" * (spec.number == description.default_trial)


def _metrics_of(metrics: Mapping[str, float], time: int, step: int) -> list[Metric]:
    """Returns the journal's metrics as MLflow's, without infinities and NaN.

    MLflow would turn an infinity into 1.8e308, which then wins every sort.
    """
    from mlflow.entities import Metric

    return [
        Metric(to_mlflow(name), value, time, step)
        for name, value in metrics.items()
        if math.isfinite(value)
    ]


def _params_of(values: Mapping[str, Any]) -> list[Param]:
    """Returns values as MLflow's params.

    Floats are rounded to four digits, since the UI's table shows all digits of a param.
    """
    from mlflow.entities import Param

    return [
        Param(to_mlflow(name), spell(float(f"{value:.4g}") if isinstance(value, float) else value))
        for name, value in values.items()
    ]


def _dataset_inputs(description: StudyDescription) -> list[Any]:
    """Returns the training data and the validation data as inputs of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = description.data
    if not data.digest:
        # An objective function loads its own data, so the study has no data set.
        return []
    source = json.dumps({"source": data.source}, ensure_ascii=False)
    profile = json.dumps({"sizes": dict(data.sizes), **data.details}, ensure_ascii=False)
    return [
        DatasetInput(
            # MLflow allows 36 characters for a digest.
            Dataset(data.name, data.digests[part][:36], "local", source, None, profile),
            [InputTag("mlflow.data.context", context)],
        )
        for part, context in (("train", "training"), ("validation", "validation"))
    ]


def _hyperparameters(description: StudyDescription, spec: TrialSpec) -> dict[str, Any]:
    """Returns the params of a trial's run: epochs, batch size and hyperparameters."""
    space, values = description.space, spec.values
    if description.objective_function:
        # An objective function chooses its own epochs and batch size, so the run has no such
        # params.
        return dict(space.resolve(values))
    return {"epochs": spec.epochs, "batch_size": spec.batch_size, **space.resolve(values)}


def _settings(description: StudyDescription) -> dict[str, Any]:
    """Returns the params of a study's parent run."""
    values: dict[str, Any] = {
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": f"{description.objective.direction} {description.objective.metric}",
        "seed": description.seed,
        "threads": description.threads,
    }
    if description.objective_function:
        values["objective_function"] = description.objective_function
    else:
        values |= {"epochs": description.epochs, "batch_size": description.batch_size}
    if description.class_weight is not None:
        values["class_weight"] = description.class_weight
    return values


def _origin(study: StudyRecord) -> dict[str, str]:
    """Returns the tags that MLflow shows as a run's source, version and author."""
    path = study.description.code.path
    origin = {
        tags.SOURCE: path,
        tags.SOURCE_TYPE: "LOCAL" if path else "",
        tags.COMMIT: study.git,
    }
    # `getuser` fails if the user has no name, as in many containers.
    with contextlib.suppress(OSError, KeyError):
        origin[tags.USER] = getpass.getuser()
    return origin


def _result_metrics(result: TrialResult, objective: Objective) -> dict[str, float]:
    """Returns the metrics that have one value for the whole trial, by name.

    Time and model size get names of MLflow's "system metrics", which the UI shows on
    another page. Otherwise the UI would show a bar chart of each among the learning curves.
    """
    metrics: dict[str, float] = {"system/seconds": result.seconds}
    if result.model_parameters:
        metrics["system/model_parameters"] = result.model_parameters
    if result.best is not None:
        # The UI shows the last epoch's value of a metric, so the best value needs its own metric.
        name = f"best_{objective.metric}"
        metrics[name] = result.best.value
        if result.spread is not None:
            metrics[f"{name}_std"] = result.spread
    return metrics


def _result_tags(result: TrialResult) -> dict[str, str]:
    """Returns the tags of a trial that has ended."""
    best = None if result.of_no_epoch else result.best
    return {
        tags.BEST_EPOCH: "" if best is None else str(best.epoch),
        tags.REASON: result.reason,
        tags.TRAINER: result.trainer,
        **{
            to_mlflow(f"user_attrs.{key}"): spell(value) for key, value in result.user_attrs.items()
        },
    }


class RunWriter:
    """Writes the runs of a study's experiment.

    If a person deleted a run in MLflow, nothing more is written to the run.
    """

    def __init__(self, client: MlflowClient, notes: ExporterNotes, experiment: str) -> None:
        self.client, self.experiment, self.notes = client, experiment, notes
        # The tags that new runs got from `create_run`, by uuid.
        self._tags: dict[str, dict[str, str]] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """MLflow's run ids by uuid."""
        return self.notes.runs

    def begin(self, uuid: str, name: str, tagged: Mapping[str, str], started: int) -> bool:
        """Creates the run for a uuid, unless MLflow has this run already.

        Returns True if the run has no params yet. Then the next call of `write` must pass them all.
        """
        if uuid in self.ids:
            return not self.notes.is_written(uuid)
        if self.notes.may_exist(uuid):
            # Processes that were killed may have created the run once, or even twice.
            runs = search_runs(self.client, self.experiment, f"tags.`{tags.UUID}` = '{uuid}'")
            for double in runs[1:]:
                self.client.delete_run(double.info.run_id)
            if runs:
                self.notes.note_created(uuid, runs[0].info.run_id)
                return True
        texts = {tags.UUID: uuid, **_texts(tagged)}
        name = tag_text(name, tags.LONGEST_NAME)
        run = self.client.create_run(self.experiment, started, texts, name)
        self._tags[uuid] = texts
        self.notes.note_created(uuid, run.info.run_id)
        return True

    def log_inputs(self, uuid: str, inputs: Sequence[DatasetInput]) -> None:
        """Adds data sets to a run. Call it before the first `write`."""
        if inputs:
            self.unless_deleted(uuid, lambda: self.client.log_inputs(self.ids[uuid], inputs))

    def write(
        self,
        uuid: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tagged: Mapping[str, str] | None = None,
        status: str = "",
        ended: int | None = None,
    ) -> None:
        """Adds metrics, params and tags to a run, then sets its status.

        Does nothing if MLflow has no run of the uuid.
        """
        if uuid not in self.ids:
            return
        run, initial = self.ids[uuid], self._tags.pop(uuid, {})
        texts = _texts(tagged or {})
        texts = {key: text for key, text in texts.items() if initial.get(key) != text}

        def write() -> None:
            from mlflow.entities import RunTag

            # MLflow's client splits large batches.
            run_tags = [RunTag(key, text) for key, text in texts.items()]
            self.client.log_batch(run, metrics, params, run_tags)
            if status == "RUNNING":
                self.client.update_run(run, status)
            elif status:
                self.client.set_terminated(run, status, ended)

        if self.unless_deleted(uuid, write):
            self.notes.note_written(uuid)

    def delete(self, uuid: str) -> None:
        """Deletes a run in MLflow."""
        self.unless_deleted(uuid, lambda: self.client.delete_run(self.ids[uuid]))
        self.notes.forget_run(uuid)

    def unless_deleted(self, uuid: str, write: Callable[[], object]) -> bool:
        """Calls `write`, which writes to the run. Returns False if a person deleted the run.

        Once a run is known as deleted, `write` is not called.
        """
        from mlflow.exceptions import MlflowException

        if self.notes.is_deleted(uuid):
            return False
        try:
            write()
        except MlflowException as error:
            if error.get_http_status_code() >= 500 or not self._is_deleted(self.ids[uuid]):
                raise
            self.notes.note_deleted(uuid)
            return False
        return True

    def _is_deleted(self, run: str) -> bool:
        entity = unless_missing(lambda: self.client.get_run(run))
        # `mlflow gc` removes deleted runs for good. Then MLflow does not have them.
        return entity is None or entity.info.lifecycle_stage == "deleted"


def _texts(tagged: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags that have a text, in a form that MLflow accepts.

    The tag `STOPPED` is sent even without a text. A launch that was killed has no reason for its
    end, and must replace the reason of an earlier launch.
    """
    return {key: tag_text(text) for key, text in tagged.items() if text or key == tags.STOPPED}


def search_runs(client: MlflowClient, experiment: str, condition: str = "") -> list[Run]:
    """Returns the runs of an experiment, including deleted ones, the oldest first.

    `condition` is a filter in MLflow's syntax.
    """
    from mlflow.entities import ViewType

    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment],
            condition,
            run_view_type=ViewType.ALL,
            order_by=["attributes.start_time ASC"],
            page_token=token,
            max_results=_PAGE,
        )
        runs += page
        token = page.token
        if not token:
            return runs
