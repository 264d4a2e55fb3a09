"""A saved model among the models that MLflow has logged, with its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracking import tags
from tracking.records import BestEpoch, EndedTrial
from tracking.registry.model_files import location_fault
from tracking.registry.registered_models import is_named
from tracking.registry.registrar import Registrar
from tracking.runs.champion_versions import ALIAS
from tracking.runs.run_contents import param_name, spell, to_mlflow

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel


def logged_model(
    there: Registrar,
    name: str,
    trial: EndedTrial,
    facts: Mapping[str, str],
    folder: Path,
    alias: str,
) -> LoggedModel:
    """Returns MLflow's complete model of the trial; makes it if there is none.

    Each refit gets another one.
    """
    from mlflow.entities import LoggedModelStatus
    from mlflow.models import Model

    client = there.client
    registered = {v.source for v in client.search_model_versions(is_named(name))}
    logged = None
    for before in client.search_logged_models(
        [there.experiment_id], f"source_run_id = '{there.parent_run_id}'"
    ):
        if alias == ALIAS and before.tags.get(tags.CHAMPION_RUN) == there.run(trial.run_id):
            logged = before
        elif before.artifact_location not in registered:
            # Of a trial that another one surpassed before it was registered.
            client.delete_logged_model(before.model_id)
    logged = logged or client.create_logged_model(
        there.experiment_id,
        name=alias,
        source_run_id=there.parent_run_id,
        tags=dict(facts),
        params={param_name(k): spell(v) for k, v in trial.spec.values.items()},
        model_type="keras",
    )
    if logged.status != LoggedModelStatus.READY or location_fault(logged.artifact_location):
        saved = Model.load(str(folder))
        saved.model_id, saved.run_id = logged.model_id, there.parent_run_id
        saved.artifact_path = logged.artifact_location
        saved.save(str(folder / "MLmodel"))
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    return logged


def log_metrics_of(
    there: Registrar, trial: EndedTrial, logged: LoggedModel, best: BestEpoch
) -> None:
    """Adds the model to the outputs of the parent run, and its metrics to the model.

    They are the points of the training's own run: as further ones they would be drawn again.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    client, parent = there.client, there.parent_run_id
    outputs = client.get_run(parent).outputs
    if logged.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=best.epoch)])
    known = {metric.key for metric in logged.metrics or []}
    repeats = trial.result.repeats if trial.whole is None else ()
    run_id = there.run(repeats[trial.result.best_repeat].run_id if repeats else trial.run_id)
    measured = [
        Metric(point.key, point.value, point.timestamp, point.step, model_id=logged.model_id)
        for name in map(to_mlflow, best.metrics)
        for point in client.get_metric_history(run_id, name)
        if point.step == best.epoch and name not in known
    ]
    if measured:
        client.log_batch(run_id, metrics=measured)
