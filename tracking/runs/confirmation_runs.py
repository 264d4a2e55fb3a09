"""The runs of a confirmation: its own, and one for each training below it.

They are no trials: readers of trials know them by their kind, or by lacking a trial's spec.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tracking import tags
from tracking.records import EpochResult, StudyDescription, TrialResult, TrialSpec
from tracking.records.checks import Confirmation
from tracking.runs.parents import search_runs
from tracking.runs.run_contents import (
    hyperparameters,
    local_artifacts,
    origin_tags,
    params_of,
    result_metrics,
)
from tracking.runs.run_writer import WaitingMetrics, make_writer
from tracking.runs.trial_runs import STATUSES
from tracking.store.files import remove_pieces, write_atomically
from tracking.store.folder import Store

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Metric, Run

OUTCOME_FILE: Final = "confirmation.json"
"""The artifact of a confirmation's run that has its outcome."""


@dataclass
class _Open:
    """A training's run that has begun."""

    name: str
    metrics: WaitingMetrics = field(default_factory=WaitingMetrics)


class ConfirmationRuns:
    """Writes the runs of a confirmation, while this process holds the study."""

    def __init__(
        self, store: Store, experiment_id: str, parent_run_id: str, description: StudyDescription
    ) -> None:
        self.store, self._client = store, store.client
        self._experiment_id, self._parent = experiment_id, parent_run_id
        self._description = description
        self._writer = make_writer(store, experiment_id)
        self._open: dict[str, _Open] = {}
        self.run_id = ""
        # Called with the id of each run after writing to it.
        self.on_written: Callable[[str], None] = lambda run_id: None

    def begin(self, plan: str, unfinished: str = "") -> None:
        """Makes the confirmation's run, or resumes an unfinished one of the same plan."""
        self.end_left_running()
        if unfinished:
            self.run_id = unfinished
            self._client.update_run(unfinished, status="RUNNING", name="confirmation · running")
            self.on_written(unfinished)
            remove_pieces(self.artifacts)
            return
        self.run_id = self._writer.begin(
            "confirmation · running",
            {
                **self._common(self._parent, tags.CONFIRMATION_KIND),
                **tags.split_text(tags.PLAN, plan),
            },
            params_of(json.loads(plan)["options"]),
            [],
        )
        self.on_written(self.run_id)

    @property
    def artifacts(self) -> Path:
        """The folder of its artifacts, which exists."""
        folder = local_artifacts(self.store, self._client.get_run(self.run_id))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def begin_training(self, spec: TrialSpec, name: str, what: Mapping[str, Any]) -> str:
        """Makes the run of a training before it trains; returns its id.

        People see the name, such as ``"#12 · seed 2"``; `what` identifies the training in the
        record.
        """
        values = hyperparameters(self._description, spec)
        run_id = self._writer.begin(
            f"{name} · running",
            {
                **self._common(self.run_id, tags.TRAINING_KIND),
                **tags.split_text(tags.TRAINING, json.dumps(dict(what))),
            },
            params_of({"trial": what["trial"], "seed": spec.seed, **values}),
            [],
        )
        self._open[run_id] = _Open(name)
        self.on_written(run_id)
        return run_id

    def log_epoch(self, run_id: str, epoch: EpochResult) -> None:
        """Records the metrics of an epoch, now or with later ones."""
        metrics = self._open[run_id].metrics
        if metrics.add(epoch):
            self._writer.log(run_id, metrics.take())
            self.on_written(run_id)

    def finish_training(self, run_id: str, result: TrialResult, *, valued: bool = True) -> None:
        """Writes the result of a training, and ends its run.

        `valued`: its best value is one of the objective.
        """
        from mlflow.entities import Metric, RunTag

        run, now, metric = self._open.pop(run_id), _now(), self._description.objective.metric
        shown = result if valued else replace(result, best=None)
        outcome = result.state if shown.best is None else f"{metric} {shown.best.value:.4g}"
        # Under other names than a trial's: sorted by them, it would be among the trials.
        found = {
            name if name.startswith("system/") else f"confirmation/{name}": value
            for name, value in result_metrics(shown, self._description.objective).items()
        }
        written = {
            tags.RUN_NAME: f"{run.name} · {outcome}",
            tags.REASON: result.reason[: tags.LONGEST],
            **tags.split_text(tags.TRAINED, result.to_json()),
        }
        self._writer.log(
            run_id,
            [*run.metrics.take(), *(Metric(name, value, now, 0) for name, value in found.items())],
            [],
            [RunTag(name, text) for name, text in written.items() if text],
            STATUSES[result.state],
        )
        self.on_written(run_id)

    def give_up_training(self, run_id: str) -> None:
        """Ends the run of a training that has no result."""
        self._writer.settle()
        run = self._open.pop(run_id, None)
        name = "confirmation training" if run is None else run.name
        self._client.set_tag(run_id, tags.RUN_NAME, f"{name} · interrupted")
        self._client.set_terminated(run_id, "KILLED")
        self.on_written(run_id)

    def finish(self, found: Confirmation, note: str = "") -> None:
        """Records the outcome, with a description in Markdown, and ends the run."""
        from mlflow.entities import RunTag

        self._writer.settle()
        text, metric = found.to_json(), found.metric
        write_atomically(self.artifacts / OUTCOME_FILE, text + "\n")
        told = ""
        if found.confirmed is not None:
            told = f" · {metric.removeprefix('val_')} {found.confirmed.value:.4g} on the test part"
        written = {
            tags.RUN_NAME: f"confirmation · trial {found.winner}{told}",
            tags.NOTE: note[: tags.LONGEST],
            **tags.split_text(tags.CONFIRMATION, text),
        }
        given = [RunTag(name, each) for name, each in written.items() if each]
        self._writer.log(self.run_id, _metrics(found), [], given, "FINISHED")
        self._writer.close()
        self.on_written(self.run_id)

    def stop(self) -> None:
        """Ends the runs of a confirmation that was interrupted; it can be resumed."""
        for run_id in list(self._open):
            self.give_up_training(run_id)
        self._writer.settle()
        self._client.set_tag(self.run_id, tags.RUN_NAME, "confirmation · interrupted")
        self._client.set_terminated(self.run_id, "KILLED")
        self._writer.close()
        self.on_written(self.run_id)

    def end_left_running(self) -> None:
        """Ends runs of confirmations that a killed process left RUNNING."""
        kinds = (tags.CONFIRMATION_KIND, tags.TRAINING_KIND)
        for run in search_runs(self._client, self._experiment_id, "attributes.status = 'RUNNING'"):
            if run.data.tags.get(tags.KIND) in kinds:
                end_confirmation_run(self.store, run)

    def _common(self, parent: str, kind: str) -> dict[str, str]:
        return {
            **origin_tags(self._description),
            tags.PARENT: parent,
            tags.KIND: kind,
            tags.ENGINE: self._description.engine,
        }


def end_confirmation_run(store: Store, run: Run) -> None:
    """Ends a run of a confirmation that a killed process left RUNNING."""
    name = str(run.info.run_name).replace("running", "interrupted")
    store.client.set_tag(run.info.run_id, tags.RUN_NAME, name)
    store.client.set_terminated(run.info.run_id, "KILLED")


def _metrics(found: Confirmation) -> list[Metric]:
    """Returns the numbers of an outcome, for MLflow to show."""
    from mlflow.entities import Metric

    corrected = None if found.corrected is None else found.corrected.estimate
    intervals = {"corrected": corrected, "on_test": found.confirmed, "gain": found.gain}
    numbers = {"confirmation/reported": found.reported}
    for name, interval in intervals.items():
        if interval is not None:
            numbers |= {
                f"confirmation/{name}": interval.value,
                f"confirmation/{name}_low": interval.low,
                f"confirmation/{name}_high": interval.high,
            }
    now = _now()
    return [Metric(k, v, now, 0) for k, v in numbers.items() if math.isfinite(v)]


def _now() -> int:
    return time.time_ns() // 1_000_000
