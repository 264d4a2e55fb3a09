"""Writes a study into MLflow: a parent run, and a child run for every attempt at a trial.

The order of the writes makes a study safe to kill. A child run is complete when it has its result
tag, which is written after all its metrics, before its status. When a study is resumed, a RUNNING
run with a result is closed, and one without is tried again.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from tracking import tags
from tracking.records import (
    EpochResult,
    Proposal,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.records.studies import sha256
from tracking.records.verified import DIFFERS
from tracking.runs.experiments import end_unmarked, make_experiment
from tracking.runs.mlflow_names import to_mlflow
from tracking.runs.run_contents import (
    code_path,
    dataset_inputs,
    definition_path,
    definition_tags,
    hyperparameters,
    manifest_path,
    params_of,
    result_metrics,
    result_tags,
    settings,
)
from tracking.runs.run_tables import make_writer
from tracking.runs.searching import search_runs
from tracking.runs.study_files import files_of
from tracking.store.atomic import remove_pieces, write_atomically
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, Run

_STATUS = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
# A long trial shows its curve while it runs; a short one is written in one go.
_SECONDS_BETWEEN_FLUSHES = 2.0


class StudyRuns:
    """The runs of one study under one engine, open for writing.

    Args:
        store: Where they are.
        experiment_id: MLflow's experiment of the study.
        parent_run_id: The parent run.
        description: The study's definition.

    Attributes:
        files: Where its trials' checkpoints and states are.
        written: The ids of the runs written to.
        on_written: Called with the id of each run after writing to it.
    """

    def __init__(
        self, store: Store, experiment_id: str, parent_run_id: str, description: StudyDescription
    ) -> None:
        self.store = store
        self.experiment_id = experiment_id
        self.parent_run_id = parent_run_id
        self.description = description
        self._client = store.client
        self._writer = make_writer(store, experiment_id)
        self._waiting: dict[str, list[Metric]] = {}
        self._named: dict[str, set[str]] = {}
        self._flushed: dict[str, float] = {}
        self._dataset = dataset_inputs(description)
        self.files = files_of(store, experiment_id, description.engine)
        self.written: set[str] = set()
        self.on_written: Callable[[str], None] = lambda run_id: None
        # Written runs that `on_written` has yet to get; None: it gets each at once.
        self._untold: list[str] | None = None

    @classmethod
    def create(
        cls, store: Store, description: StudyDescription, environment: Mapping[str, str]
    ) -> StudyRuns:
        """Makes the experiment if there is none, and a parent run.

        Raises:
            StudyDeletedError: If an experiment of this name was deleted in MLflow.
        """
        client = store.client
        name = description.name
        experiment_id = make_experiment(store, name)
        end_unmarked(store, experiment_id)
        run = client.create_run(
            experiment_id,
            run_name=f"{name} ({description.engine})",
            tags={
                tags.ENGINE: description.engine,
                tags.SPACE_DIGEST: description.space.digest,
                tags.DATA_DIGEST: description.data.digest,
                tags.CODE_DIGEST: description.code.digest,
                tags.SEED: str(description.seed),
                **tags.split_text(tags.ENVIRONMENT, json.dumps(environment)),
            },
        )
        runs = cls(store, experiment_id, run.info.run_id, description)
        runs.write_definition()
        client.log_batch(run.info.run_id, params=params_of(settings(description)))
        client.log_inputs(run.info.run_id, runs._dataset)
        # Last: a parent run without a definition is no study.
        client.set_tag(run.info.run_id, tags.KIND, "study")
        return runs

    def write_definition(self) -> None:
        """Writes the study's definition, and the file it came from, as artifacts."""
        from mlflow.entities import RunTag

        code, text = self.description.code, self.description.to_json()
        parent = self._client.get_run(self.parent_run_id)
        path = code_path(self.store, parent, code.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_pieces(path.parent.parent)
        remove_pieces(path.parent)
        # Each under its digest, to reproduce trials that ran from them.
        for content in (code.source, *code.texts.values()):
            if content:
                write_atomically(code_path(self.store, parent, sha256(content)), content)
        if code.texts:
            write_atomically(manifest_path(self.store, parent, code.digest), code.manifest)
        # In tags too, to restore a lost file from.
        changed = definition_tags(text, parent.data.tags)
        unread = ", ".join(self.description.unread)[: tags.LONGEST]
        if unread != parent.data.tags.get(tags.UNREAD, ""):
            changed[tags.UNREAD] = unread
        if changed:
            written = [RunTag(name, part) for name, part in changed.items()]
            self._client.log_batch(self.parent_run_id, tags=written)
        write_atomically(definition_path(self.store, parent), text)

    def set_running(self, further: Mapping[str, str] | None = None) -> None:
        """Marks the parent run as running, and as the last launched.

        Args:
            further: Tags to set; empty ones only replace others.
        """
        now = str(time.time_ns() // 1_000_000)
        found = self._client.get_run(self.parent_run_id).data.tags
        kept = tags.fewest(self.description.keep, found.get(tags.KEPT))
        self._client.set_tag(self.parent_run_id, tags.KEPT, kept)
        for name, text in (further or {}).items():
            if found.get(name, "") != text:
                self._client.set_tag(self.parent_run_id, name, text)
        self._client.set_tag(self.parent_run_id, tags.LAUNCHED, now)
        self._client.set_experiment_tag(self.experiment_id, tags.LAUNCHED, now)
        self._client.update_run(self.parent_run_id, status="RUNNING")
        self.on_written(self.parent_run_id)

    def close(self, status: str, note: str, ended_by: str, stopped: str) -> None:
        """Writes the summary that people read in the UI, and ends the parent run.

        Args:
            status: MLflow's FINISHED, KILLED (interrupted) or FAILED.
            note: Markdown; cut at 8,000 characters.
            ended_by: Why it ended, in one word.
            stopped: Why it ended, for people to read.
        """
        self._writer.settle()
        if len(note) > tags.LONGEST:
            note = note[: tags.LONGEST - 2] + "…"
        self._client.set_tag(self.parent_run_id, tags.NOTE, note)
        self._client.set_tag(self.parent_run_id, tags.ENDED_BY, ended_by)
        self._client.set_tag(self.parent_run_id, tags.STOPPED, stopped[: tags.LONGEST])
        self._client.set_terminated(self.parent_run_id, status)
        self._writer.close()
        self.on_written(self.parent_run_id)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Writes trials that begin or end within in one transaction, at the end."""
        untold: list[str] = []
        self._untold = untold
        try:
            with self._writer.together():
                yield
        finally:
            self._untold = None
        for run_id in dict.fromkeys(untold):
            self.on_written(run_id)

    def _written(self, run_id: str) -> None:
        self.written.add(run_id)
        if self._untold is None:
            self.on_written(run_id)
        else:
            self._untold.append(run_id)

    def begin_trial(
        self,
        spec: TrialSpec,
        proposal: Proposal,
        environment: Mapping[str, str],
        losses: int = 0,
    ) -> str:
        """Makes the child run of an attempt at a trial, before it trains; returns its id."""
        known = {} if proposal.known is None else {tags.KNOWN: str(proposal.known)}
        lost = {tags.LOSSES: str(losses)} if losses else {}
        attempt = f" (attempt {spec.attempt})" if spec.attempt > 1 else ""
        return self._begin(
            f"trial {spec.number}{attempt}",
            spec,
            {
                tags.PARENT: self.parent_run_id,
                tags.KIND: "trial",
                **tags.split_text(tags.ENVIRONMENT, json.dumps(environment)),
                **{tags.ENGINE_STATE + key: text for key, text in proposal.state.items()},
                **known,
                **lost,
            },
        )

    def begin_repeat(self, trial_run_id: str, spec: TrialSpec) -> str:
        """Makes the run of one of a trial's repeats, under the trial's; returns its id."""
        return self._begin(
            f"trial {spec.number}, repeat {spec.repeat}",
            spec,
            {
                tags.PARENT: trial_run_id,
                tags.KIND: "repeat",
                tags.REPEAT: str(spec.repeat),
            },
        )

    def _begin(self, name: str, spec: TrialSpec, further: Mapping[str, str]) -> str:
        description = self.description
        values = hyperparameters(description, spec)
        run_id = self._writer.begin(
            name,
            {
                tags.ENGINE: description.engine,
                tags.NUMBER: str(spec.number),
                tags.ATTEMPT: str(spec.attempt),
                tags.STATE: "running",
                tags.SEED: str(spec.seed),
                tags.SPACE_DIGEST: description.space.digest,
                tags.DATA_DIGEST: spec.data_digest,
                tags.CODE_DIGEST: description.code.digest,
                **tags.split_text(tags.SPEC, spec.to_json()),
                **further,
            },
            params_of(values),
            # The data of the trial's function is not known yet.
            [] if description.data.made_by else self._dataset,
        )
        self._waiting[run_id] = []
        self._named[run_id] = set(values)
        self._flushed[run_id] = time.monotonic()
        self._written(run_id)
        return run_id

    def log_epoch(self, run_id: str, epoch: EpochResult) -> None:
        """Records the metrics of an epoch, now or with later ones."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._waiting[run_id] += [
            Metric(to_mlflow(name), value, now, epoch.epoch)
            for name, value in epoch.metrics.items()
            # MLflow turns an infinity into 1.8e308, which then wins every sort.
            if math.isfinite(value)
        ]
        if time.monotonic() - self._flushed[run_id] > _SECONDS_BETWEEN_FLUSHES:
            self._flush(run_id)

    def finish_trial(self, run_id: str, result: TrialResult) -> None:
        """Writes the result of an attempt, and ends its run."""
        from mlflow.entities import Metric, RunTag

        now = time.time_ns() // 1_000_000
        metrics = self._waiting.pop(run_id, [])
        self._flushed.pop(run_id, None)
        of_trial = result_metrics(result, self.description.objective)
        metrics += [Metric(name, value, now, 0) for name, value in of_trial.items()]
        self._writer.log(
            run_id,
            metrics,
            self._joined(run_id, result),
            [RunTag(name, text) for name, text in result_tags(result).items()],
            _STATUS[result.state],
        )
        self._written(run_id)

    def _joined(self, run_id: str, result: TrialResult) -> list[Param]:
        """Returns the hyperparameters that joined the space, with their defaults."""
        named = self._named.pop(run_id, set())
        defaults = {str(p["name"]): p["default"] for p in result.joined}
        return params_of({name: value for name, value in defaults.items() if name not in named})

    def set_verified(self, run_id: str, text: str) -> None:
        """Records whether plain `model.fit` verified a finished trial."""
        self._writer.settle()
        self._client.set_tag(run_id, tags.VERIFIED, text[: tags.LONGEST])
        self._written(run_id)

    def differing_trials(self) -> list[int]:
        """Returns the trials of the study's present code that `model.fit` contradicts."""
        condition = f"tags.`{tags.VERIFIED}` LIKE '{DIFFERS}%'"
        found = search_runs(self._client, self.experiment_id, condition)
        same = self.description.code.same_as
        return sorted(
            int(run.data.tags[tags.NUMBER])
            for run in found
            if same(run.data.tags.get(tags.CODE_DIGEST, ""))
        )

    def log_best_so_far(self, count: int, value: float) -> None:
        """Adds a point to the parent's curve of the best value.

        Args:
            count: How many trials had finished by then. It is the point's step: MLflow shows the
                value at the highest step, which must be the best one.
            value: The best value.
        """
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._writer.log(self.parent_run_id, [Metric(self._best_name, value, now, count)])
        self._written(self.parent_run_id)

    def last_best_so_far(self) -> tuple[int, float] | None:
        """Returns the point of that curve with the highest step, and its value; None without."""
        points = self._client.get_metric_history(self.parent_run_id, self._best_name)
        if not points:
            return None
        last = max(points, key=lambda point: (point.step, point.timestamp))
        return last.step, last.value

    @property
    def _best_name(self) -> str:
        return to_mlflow(f"best_{self.description.objective.metric}")

    def close_left_running(self, trial: TrialRecord, losses: int | None = None) -> None:
        """Ends the run of an attempt whose process is gone.

        Args:
            trial: As recorded.
            losses: If its own process ended: how many of its attempts ended so.
        """
        self._writer.settle()
        if losses is not None:
            self._client.set_tag(trial.run_id, tags.LOSSES, str(losses))
        self._close_left_running(self._client.get_run(trial.run_id))

    def _close_left_running(self, run: Run) -> None:
        run_id = run.info.run_id
        # The record decides: it may have got a result just before the process ended.
        text = tags.join_text(run.data.tags, tags.RESULT)
        if text is not None:
            result = TrialResult.from_json(text)
            self._client.set_terminated(run_id, _STATUS[result.state])
        else:
            self._client.set_tag(run_id, tags.STATE, "interrupted")
            self._client.set_tag(run_id, tags.REASON, "its process ended before it did")
            self._client.set_terminated(run_id, "KILLED")
        self._written(run_id)

    def close_left_over(self, trials: Iterable[TrialRecord]) -> None:
        """Ends the runs of trials and repeats that a killed process left RUNNING."""
        of_trials = {trial.run_id for trial in trials}
        running = self._client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'")
        for run in running:
            # A trial's, or a repeat's, or that of an attempt before the last.
            parent = run.data.tags.get(tags.PARENT)
            if run.info.run_id in of_trials or parent in {self.parent_run_id, *of_trials}:
                self._close_left_running(run)

    def _flush(self, run_id: str) -> None:
        waiting, self._waiting[run_id] = self._waiting[run_id], []
        self._writer.log(run_id, waiting)
        self._flushed[run_id] = time.monotonic()
        self._written(run_id)
