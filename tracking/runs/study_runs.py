"""The parent run of a study, above the runs of its trials."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tracking import tags
from tracking.records import Repeat, StudyDescription, TrialRecord, TrialResult
from tracking.records.checks import DIFFERS
from tracking.records.studies import sha256
from tracking.runs.confirmation_runs import end_confirmation_run
from tracking.runs.experiments import end_unmarked, make_experiment
from tracking.runs.parents import parent_name, search_runs
from tracking.runs.run_contents import (
    code_path,
    definition_path,
    definition_tags,
    manifest_path,
    origin_tags,
    params_of,
    settings,
    to_mlflow,
    write_data_findings,
)
from tracking.runs.trial_runs import STATUSES, TrialRuns, interrupted_tags
from tracking.store.files import remove_pieces, write_atomically
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


class StudyRuns(TrialRuns):
    """The runs of one study under one engine, open for writing: the parent's and its trials'."""

    @classmethod
    def create(
        cls, store: Store, description: StudyDescription, environment: Mapping[str, str]
    ) -> StudyRuns:
        """Makes the experiment if there is none, and a parent run."""
        client = store.client
        name = description.name
        experiment_id = make_experiment(store, name)
        end_unmarked(store, experiment_id)
        run = client.create_run(
            experiment_id,
            run_name=parent_name(name, description.engine),
            tags={
                **origin_tags(description),
                tags.ENGINE: description.engine,
                tags.CODE_DIGEST: description.code.digest,
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
        if unread != (parent.data.tags.get(tags.UNREAD) or ""):
            changed[tags.UNREAD] = unread
        if changed:
            self._set_tags(changed)
        write_atomically(definition_path(self.store, parent), text)
        if self.description.looked is not None:
            write_data_findings(self.store, parent, self.description.looked)

    def set_running(self, further: Mapping[str, str] | None = None) -> None:
        """Marks the parent run as running, and as the last launched.

        Empty tags in `further` only replace others.
        """
        now = str(time.time_ns() // 1_000_000)
        found = self._client.get_run(self.parent_run_id).data.tags
        given = {**self.origin, **(further or {})}
        if given.get(tags.COMMIT):
            self.origin = {**self.origin, tags.COMMIT: given[tags.COMMIT]}
        changed = {name: text for name, text in given.items() if found.get(name, "") != text}
        kept = tags.fewest(self.description.keep, found.get(tags.KEPT))
        self._set_tags({**changed, tags.KEPT: kept, tags.LAUNCHED: now})
        self._client.set_experiment_tag(self.experiment_id, tags.LAUNCHED, now)
        self._client.update_run(self.parent_run_id, status="RUNNING")
        self.on_written(self.parent_run_id)

    def close(self, status: str, note: str, ended_by: str, stopped: str) -> None:
        """Writes the summary that people read in the UI, and ends the parent run.

        `status` is MLflow's FINISHED, KILLED (interrupted) or FAILED. The note is Markdown, cut at
        8,000 characters. `ended_by` says in one word, `stopped` for people to read, why it ended.
        """
        self._writer.settle()
        if len(note) > tags.LONGEST:
            note = note[: tags.LONGEST - 2] + "…"
        self._set_tags(
            {tags.NOTE: note, tags.ENDED_BY: ended_by, tags.STOPPED: stopped[: tags.LONGEST]}
        )
        self._client.set_terminated(self.parent_run_id, status)
        self._writer.close()
        self.on_written(self.parent_run_id)

    def set_whole(self, run_id: str, whole: Repeat) -> None:
        """Records that a cross-validated trial was trained on all folds together."""
        self._writer.settle()
        text = json.dumps(dataclasses.asdict(whole), sort_keys=True)
        # The first part last: without it there is none.
        for name, part in reversed(tags.split_text(tags.WHOLE, text).items()):
            self._client.set_tag(run_id, name, part)
        self._report(run_id)

    def release(self) -> None:
        """Closes the connection to the database, and ends no run."""
        self._writer.settle()
        self._writer.close()

    def touch(self, run_id: str) -> None:
        """Notes that a run was changed in another way than by this object."""
        self._report(run_id)

    def differing_trials(self) -> list[int]:
        """Returns the trials of the study's present code that `model.fit` contradicts."""
        condition = f"tags.`{tags.VERIFIED}` LIKE '{DIFFERS}%'"
        found = search_runs(self._client, self.experiment_id, condition)
        same = self.description.code.same_as
        return sorted(
            int(run.data.tags[tags.NUMBER])
            for run in found
            if same(run.data.tags.get(tags.CODE_DIGEST) or "")
        )

    def log_best_so_far(self, count: int, value: float) -> None:
        """Adds a point to the parent's curve of the best value.

        Its step is the number of trials that had finished by then: MLflow shows the value at the
        highest step, which must be the best one.
        """
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._writer.log(self.parent_run_id, [Metric(self._best_name, value, now, count)])
        self._report(self.parent_run_id)

    def last_best_so_far(self) -> tuple[int, float] | None:
        """Returns the point of that curve with the highest step, and its value; None without."""
        points = self._client.get_metric_history(self.parent_run_id, self._best_name)
        if not points:
            return None
        last = max(points, key=lambda point: (point.step, point.timestamp))
        return last.step, last.value

    @property
    def _best_name(self) -> str:
        # Not that of its trials' metric: sorted by it, the parent would be among them.
        return to_mlflow(f"study/best_{self.description.objective.metric}")

    def close_left_running(self, run_id: str) -> None:
        """Ends the run of an attempt, or of one of its trainings, that will get no result."""
        self._writer.settle()
        self._close_left_running(self._client.get_run(run_id))

    def _close_left_running(self, run: Run) -> None:
        from mlflow.entities import RunTag

        run_id = run.info.run_id
        # The record decides: it may have got a result just before the process ended.
        text = tags.join_text(run.data.tags, tags.RESULT)
        if text is not None:
            result = TrialResult.from_json(text)
            self._client.set_terminated(run_id, STATUSES[result.state])
        else:
            ended = interrupted_tags(str(run.info.run_name))
            self._client.log_batch(run_id, tags=[RunTag(*each) for each in ended.items()])
            self._client.set_terminated(run_id, "KILLED")
        self._report(run_id)

    def close_left_over(self, trials: Iterable[TrialRecord]) -> None:
        """Ends the runs of trials and repeats that a killed process left RUNNING."""
        of_trials = {trial.run_id for trial in trials}
        running = self._client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'")
        for run in running:
            # A trial's, or a repeat's, or that of an attempt before the last.
            parent = run.data.tags.get(tags.PARENT)
            if run.data.tags.get(tags.KIND) in (tags.CONFIRMATION_KIND, tags.TRAINING_KIND):
                end_confirmation_run(self.store, run)
            elif run.info.run_id in of_trials or parent in {self.parent_run_id, *of_trials}:
                self._close_left_running(run)

    def _set_tags(self, texts: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        written = [RunTag(name, text) for name, text in texts.items()]
        self._client.log_batch(self.parent_run_id, tags=written)
