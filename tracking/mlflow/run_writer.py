"""Writes MLflow's runs: their params, metrics, tags and status. A tag has the journal's uuid."""

from __future__ import annotations

import contextlib
import getpass
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces import SearchSpace, complete
from tracking.mlflow import tags
from tracking.mlflow.exporter_notes import Exports
from tracking.mlflow.tags import axis_of, is_log, portable, spell, to_mlflow
from tracking.records import Objective, StudyDescription, TrialResult, TrialSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run


_PAGE: Final = 1000


class Runs:
    """The runs of a study's experiment.

    If a person deleted a run in MLflow, nothing more is written to it.
    """

    def __init__(self, client: MlflowClient, exports: Exports, experiment: str) -> None:
        self.client, self.experiment = client, experiment
        self.exports = exports
        # The tags that `create_run` has written, by uuid.
        self._tags: dict[str, dict[str, str]] = {}
        # The names of runs that have not ended. A person may have given another name.
        self._names: dict[str, str] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """MLflow's run ids by uuid."""
        return self.exports.runs

    def intend(self, uuids: Iterable[str]) -> None:
        """Notes the uuids of runs before they are made."""
        self.exports.intend(list(uuids))

    def begin(self, uuid: str, name: str, tagged: Mapping[str, str], started: int) -> bool:
        """Makes the run of a uuid, if there is none. `name` is its name until it ends.

        Returns True if the run has no params yet: then the next `write` must give them.
        """
        name = self._names[uuid] = portable(name)
        if uuid in self.ids:
            return not self.exports.has_begun(uuid)
        if self.exports.intends(uuid):
            # A killed process may have made the run, even twice.
            runs = search_runs(self.client, [self.experiment], f"tags.`{tags.UUID}` = '{uuid}'")
            for double in runs[1:]:
                self.client.delete_run(double.info.run_id)
            if runs:
                self.exports.made(uuid, runs[0].info.run_id)
                return True
        texts = {tags.UUID: uuid, **{key: portable(text) for key, text in tagged.items()}}
        run = self.client.create_run(self.experiment, started, texts, name)
        self._tags[uuid] = {**texts, tags.RUN_NAME: name}
        self.exports.made(uuid, run.info.run_id)
        return True

    def log_inputs(self, uuid: str, inputs: Sequence[DatasetInput]) -> None:
        """Adds data sets to a run. Call it before the first `write`."""
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
        """Adds metrics, params and tags to a run, if it exists; then sets its status.

        If a person has renamed the run, the name among the tags is not written.
        """
        run, has = self.ids.get(uuid), self._tags.pop(uuid, {})
        texts = {key: portable(text) for key, text in (tagged or {}).items()}
        new = {key: text for key, text in texts.items() if has.get(key) != text}
        # A run with entries in `_tags` is new, so nobody has renamed it.
        former = "" if has else self._names.get(uuid, "")
        if run is not None and self.unless_deleted(
            uuid, lambda: self._write(run, metrics, params, new, status, ended, former)
        ):
            self.exports.wrote(uuid)

    def delete(self, uuid: str) -> None:
        """Deletes a run in MLflow."""
        self.unless_deleted(uuid, lambda: self.client.delete_run(self.ids[uuid]))
        self.exports.forget_run(uuid)

    def unless_deleted(self, uuid: str, write: Callable[[], object]) -> bool:
        """Calls `write`, which writes to the run. Returns False if a person deleted the run.

        For a deleted run, later calls do nothing.
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

    def _name(self, run: str) -> str:
        return str(self.client.get_run(run).info.run_name)

    def _is_deleted(self, run: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client.get_run(run).info.lifecycle_stage == "deleted")
        except MlflowException as error:
            # `mlflow gc` removes deleted runs.
            return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")

    def _write(
        self,
        run: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tagged: Mapping[str, str],
        status: str,
        ended: int | None,
        former: str,
    ) -> None:
        from mlflow.entities import RunTag

        renamed = bool(former) and tags.RUN_NAME in tagged and self._name(run) != former
        texts = [
            RunTag(key, text)
            for key, text in tagged.items()
            if not (renamed and key == tags.RUN_NAME)
        ]
        # MLflow's client splits large batches.
        self.client.log_batch(run, metrics, params, texts)
        if status == "RUNNING":
            self.client.update_run(run, status)
        elif status:
            self.client.set_terminated(run, status, ended)


def metrics_of(metrics: Mapping[str, float], time: int, step: int) -> list[Metric]:
    """Returns the journal's metrics as MLflow's, without infinities and NaN.

    MLflow would turn an infinity into 1.8e308, which then wins every sort.
    """
    from mlflow.entities import Metric

    return [
        Metric(to_mlflow(name), value, time, step)
        for name, value in metrics.items()
        if math.isfinite(value)
    ]


def search_runs(client: MlflowClient, experiments: Sequence[str], condition: str) -> list[Run]:
    """Returns the runs of experiments, with deleted runs, the oldest first.

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


def dataset_inputs(description: StudyDescription) -> list[Any]:
    """Returns the training data and the validation data as inputs of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = description.data
    if not data.digest:
        # An objective function loads its own data.
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


def params_of(values: Mapping[str, Any]) -> list[Param]:
    """Returns values as MLflow's params, floats with four digits: the UI's table shows all."""
    from mlflow.entities import Param

    return [Param(to_mlflow(name), spell(_short(value))) for name, value in values.items()]


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def logarithms(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, float]:
    """Returns the logarithms of the active hyperparameters with a log scale, for charts."""
    logs = [parameter for parameter in space if is_log(parameter) and parameter.name in values]
    return {axis_of(parameter): math.log10(values[parameter.name]) for parameter in logs}


def hyperparameters(description: StudyDescription, spec: TrialSpec) -> dict[str, Any]:
    """Returns the params of a trial's run: epochs, batch size and hyperparameters."""
    extra = {"epochs": spec.epochs, "batch_size": spec.batch_size}
    if description.objective_function:
        # An objective function chooses its own epochs and batch size.
        extra = {}
    space, values = description.space, spec.values
    if description.discovered and not space.contains(values):
        # Hyperparameters joined the space after the trial began.
        values = complete(space, values)
    return {**extra, **space.resolve(values)}


def settings(description: StudyDescription) -> dict[str, Any]:
    """Returns the params of a study's parent run."""
    weights = description.class_weight
    return {
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": f"{description.objective.direction} {description.objective.metric}",
        **(
            {"objective_function": description.objective_function}
            if description.objective_function
            else {"epochs": description.epochs, "batch_size": description.batch_size}
        ),
        "seed": description.seed,
        "threads": description.threads,
        **({} if weights is None else {"class_weight": spell(weights)[: tags.LONGEST]}),
    }


def origin_tags(description: StudyDescription) -> dict[str, str]:
    """Returns the tags that MLflow shows as a run's source and author."""
    origin = {}
    if description.code.path:
        origin = {tags.SOURCE: description.code.path, tags.SOURCE_TYPE: "LOCAL"}
    # A user may have no name, as in many containers.
    with contextlib.suppress(OSError, KeyError):
        origin[tags.USER] = getpass.getuser()
    return origin


def result_metrics(result: TrialResult, objective: Objective) -> dict[str, float]:
    """Returns the metrics that a trial has as a whole, by their names for MLflow.

    Time, memory and model size are MLflow's "system metrics": the UI shows these on another page.
    Otherwise each would have a bar chart among the curves.
    """
    metrics: dict[str, float] = {"system/seconds": result.seconds}
    if result.peak_memory_bytes:
        metrics["system/peak_memory_bytes"] = result.peak_memory_bytes
    if result.model_parameters:
        metrics["system/model_parameters"] = result.model_parameters
    if result.best is not None:
        # The UI shows the last epoch's value of a metric, so the best value needs its own metric.
        name = f"best_{objective.metric}"
        metrics[name] = result.best.value
        if result.spread is not None:
            metrics[f"{name}_std"] = result.spread
    return metrics


def result_tags(result: TrialResult) -> dict[str, str]:
    """Returns the tags of a trial that has ended, without empty ones."""
    texts = {
        tags.STATE: result.state,
        tags.BEST_EPOCH: ""
        if result.best is None or result.of_no_epoch
        else str(result.best.epoch),
        tags.REASON: result.reason[: tags.LONGEST],
        tags.TRAINER: result.trainer,
        **_noted(result),
    }
    return {name: text for name, text in texts.items() if text}


def _noted(result: TrialResult) -> dict[str, str]:
    """Returns the tags with the `user_attrs` that an objective function set."""
    return {
        to_mlflow(f"user_attrs.{key}"): spell(value)[: tags.LONGEST]
        for key, value in result.user_attrs.items()
    }
