"""Writes runs of MLflow: metrics, params, tags and status, and reads which runs exist.

A tag of each run has the uuid under which the journal records the trial or the study.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tracking.mlflow import tags_and_names as tags
from tracking.mlflow.exporter_notes_and_lock import ExporterNotes
from tracking.mlflow.servers_and_databases import unless_missing
from tracking.mlflow.tags_and_names import tag_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

_PAGE: Final = 1000


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
