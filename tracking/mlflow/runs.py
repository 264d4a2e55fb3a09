"""Runs at a destination: found and made by the uuids of the journal, written, left alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tracking.mlflow import tags
from tracking.mlflow.exports import Exports
from tracking.mlflow.names import portable, run_title, to_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

# A batch of the client's holds 1,000 things at most, of which 100 params and 100 tags.
_BATCH: Final = 1000
_LAST_BATCH: Final = 800
_MOST_PARAMS: Final = 100
_MOST_TAGS: Final = 100
_PAGE: Final = 1000


class Runs:
    """The runs of a study's experiment at a destination.

    A run that a person deleted there is left so, and what belongs to it is not sent any more.
    """

    def __init__(self, client: MlflowClient, exports: Exports, experiment: str) -> None:
        self.client, self.experiment = client, experiment
        self.exports = exports
        # The tags that runs were made with: they are not written again.
        self._tags: dict[str, dict[str, str]] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """The runs' ids by uuid."""
        return self.exports.runs

    def intend(self, uuids: Iterable[str]) -> None:
        """Notes that runs are going to be made."""
        self.exports.intend(list(uuids))

    def run(
        self, uuid: str, name: str, tagged: Mapping[str, str], started: int
    ) -> tuple[str, bool]:
        """Returns the run of a uuid, which is made if there is none.

        And whether it is new: the next `write` must give its params.
        """
        known = self.ids.get(uuid, "")
        if known:
            return known, not self.exports.has_begun(uuid)
        if self.exports.intends(uuid):
            # A process that was killed may have made it, and even twice.
            runs = search_runs(self.client, [self.experiment], f"tags.`{tags.UUID}` = '{uuid}'")
            for double in runs[1:]:
                self.client.delete_run(double.info.run_id)
            if runs:
                self.exports.made(uuid, runs[0].info.run_id)
                return str(runs[0].info.run_id), True
        name = run_title(name)
        texts = {tags.UUID: uuid, **{key: portable(text) for key, text in tagged.items()}}
        run = self.client.create_run(self.experiment, started, texts, name)
        self._tags[uuid] = {**texts, tags.RUN_NAME: name}
        self.exports.made(uuid, run.info.run_id)
        return str(run.info.run_id), True

    def log_inputs(self, uuid: str, inputs: Sequence[DatasetInput]) -> None:
        """Adds data sets to a run, before its first `write`."""
        if inputs:
            run = self.ids[uuid]
            self.unless_deleted(uuid, lambda: self.client.log_inputs(run, inputs))

    def write(
        self,
        uuid: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tagged: Mapping[str, str] | None = None,
        status: str = "",
        ended: int | None = None,
    ) -> None:
        """Adds to a run that there is, and ends it if a status is given, which is written last."""
        run, has = self.ids.get(uuid), self._tags.pop(uuid, {})
        texts = {
            key: run_title(text) if key == tags.RUN_NAME else portable(text)
            for key, text in (tagged or {}).items()
        }
        new = {key: text for key, text in texts.items() if has.get(key) != text}
        if self.exports.has_ended(uuid):
            # From its end on, its name is a person's.
            new.pop(tags.RUN_NAME, None)
        if run is not None and self.unless_deleted(
            uuid, lambda: self._write(run, metrics, params, new, status, ended)
        ):
            self.exports.wrote(uuid, ended=status not in ("", "RUNNING"))

    def rename(self, uuid: str, former: str, name: str) -> None:
        """Renames a run, unless a person gave it a name."""
        if uuid in self.ids and self.client.get_run(self.ids[uuid]).info.run_name == former:
            run = self.ids[uuid]
            self.unless_deleted(uuid, lambda: self.client.set_tag(run, tags.RUN_NAME, name))

    def delete(self, uuid: str) -> None:
        """Deletes a run, which the journal does not have any more."""
        self.unless_deleted(uuid, lambda: self.client.delete_run(self.ids[uuid]))
        self.exports.forget_run(uuid)

    def unless_deleted(self, uuid: str, write: Callable[[], object]) -> bool:
        """Writes to a run, and returns whether that was done.

        A run that a person has deleted there is left alone from now on.
        """
        from mlflow.exceptions import MlflowException

        if self.exports.is_left_out(uuid):
            return False
        try:
            write()
        except MlflowException as error:
            if error.get_http_status_code() >= 500 or not self._is_deleted(self.ids[uuid]):
                raise
            self.exports.leave_out_run(uuid)
            return False
        return True

    def _is_deleted(self, run: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client.get_run(run).info.lifecycle_stage == "deleted")
        except MlflowException as error:
            # It was purged.
            return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")

    def _write(
        self,
        run: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tagged: Mapping[str, str],
        status: str,
        ended: int | None,
    ) -> None:
        from mlflow.entities import RunTag

        texts = [RunTag(key, text) for key, text in tagged.items()]
        while len(params) > _MOST_PARAMS:
            self.client.log_batch(run, params=params[:_MOST_PARAMS])
            params = params[_MOST_PARAMS:]
        while len(texts) > _MOST_TAGS:
            self.client.log_batch(run, tags=texts[:_MOST_TAGS])
            texts = texts[_MOST_TAGS:]
        while len(metrics) > _LAST_BATCH:
            self.client.log_batch(run, metrics=metrics[:_BATCH])
            metrics = metrics[_BATCH:]
        if metrics or params or texts:
            self.client.log_batch(run, metrics, params, texts)
        if status == "RUNNING":
            self.client.update_run(run, status)
        elif status:
            self.client.set_terminated(run, status, ended)


def metrics_of(metrics: Mapping[str, float], time: int, step: int) -> list[Metric]:
    """Returns metrics for MLflow, those that are finite.

    Their names are the journal's, and get MLflow's spelling here. MLflow turns an infinity into
    1.8e308, which then wins every sort.
    """
    from mlflow.entities import Metric

    return [
        Metric(to_mlflow(name), value, time, step)
        for name, value in metrics.items()
        if math.isfinite(value)
    ]


def search_runs(client: MlflowClient, experiments: Sequence[str], condition: str) -> list[Run]:
    """Returns the runs of experiments, deleted ones too, the oldest first.

    `condition` is a filter in MLflow's syntax.
    """
    from mlflow.entities import ViewType

    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            list(experiments),
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
