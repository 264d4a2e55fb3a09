"""Compares a study in MLflow with the study's journal, which is read by SQL alone."""

import json
import math
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType

from tracking.mlflow import StudyExporter, to_mlflow

_STATUSES = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
Row = dict[str, Any]


class WatchedClient:
    """The client of an exporter. Calls `tell(name, after)` before and after each of its calls."""

    def __init__(self, exporter: StudyExporter, tell: Callable[[str, bool], None]) -> None:
        self._client, self._tell = exporter.destination.client, tell
        exporter.destination.client = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self._tell(name, False)
            answer = call(*arguments, **options)
            self._tell(name, True)
            return answer

        return watched if callable(call) else call


def rows(folder: Path, query: str) -> list[Row]:
    """Returns the rows of a query to a study's journal."""
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def experiment_of(client: MlflowClient, folder: Path) -> Experiment:
    """Returns a study's experiment. Fails if MLflow has none, or several."""
    (study,) = rows(folder, "SELECT uuid FROM study")
    (experiment,) = client.search_experiments(
        ViewType.ALL, filter_string=f"tags.`kerastudy.uuid` = '{study['uuid']}'"
    )
    return experiment


def runs_of(client: MlflowClient, folder: Path) -> dict[str, Run]:
    """Returns all runs of a study in MLflow by uuid. Fails if MLflow has a run twice."""
    experiment = experiment_of(client, folder)
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    by_uuid = {run.data.tags["kerastudy.uuid"]: run for run in runs}
    assert len(by_uuid) == len(runs), "MLflow has a run twice"
    return by_uuid


def check_equal(client: MlflowClient, folder: Path) -> None:
    """Fails if the runs, curves and champions in MLflow are not those of the journal."""
    runs = runs_of(client, folder)
    (study,) = rows(folder, "SELECT * FROM study")
    trials = {row["uuid"]: row for row in rows(folder, "SELECT * FROM trials")}
    parent = runs[study["run"]]
    assert set(runs) == {study["run"], *trials}
    _check_parent(parent, study)
    for trial in trials.values():
        run = runs[trial["uuid"]]
        _check_run(run, trial, parent)
        _check_trial(run, trial, json.loads(study["definition"]))
    # A trial's only fit has the trial's uuid. The curve of several fits is their mean.
    for fit in rows(folder, "SELECT * FROM fits WHERE uuid = trial"):
        epochs = rows(folder, f"SELECT * FROM epochs WHERE fit = {fit['id']} ORDER BY id")
        _check_curves(client, runs[fit["uuid"]], epochs)
    if study["status"] != "RUNNING":
        _check_champions(client, folder, runs)


def _check_parent(run: Run, study: Row) -> None:
    definition, tags = json.loads(study["definition"]), run.data.tags
    assert (run.info.status, run.info.start_time) == (study["status"], study["created"])
    assert (tags["kerastudy.kind"], tags["kerastudy.engine"]) == ("study", definition["engine"])
    assert run.data.params["seed"] == str(definition["seed"])
    if study["status"] != "RUNNING":
        assert run.info.end_time == study["ended"]
        assert tags.get("kerastudy.stopped", "") == study["stopped"]
    assert tags["mlflow.note.content"]


def _check_run(run: Run, row: Row, parent: Run) -> None:
    assert run.info.status == _STATUSES[row["state"]]
    assert run.info.start_time == row["started"]
    assert (run.info.end_time or 0) == (0 if row["state"] == "running" else row["ended"])
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.params, "each has its settings"


def _check_trial(run: Run, trial: Row, definition: Row) -> None:
    spec, result = json.loads(trial["spec"]), json.loads(trial["result"] or "null")
    params = run.data.params
    assert params["trial"] == str(trial["number"])
    exact = json.loads(run.data.tags["kerastudy.hyperparameters"])
    for name, value in spec["values"].items():
        assert repr(exact[name]) == repr(value)
        spelled = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, float):
            # The table of MLflow's UI shows all digits of a param.
            spelled = repr(float(format(value, ".3e")))
        assert params[to_mlflow(name)] == spelled.replace("\0", "\N{SYMBOL FOR NULL}")
    digests = sorted(source.dataset.digest for source in run.inputs.dataset_inputs)
    parts = definition["data"]["digests"]
    assert digests == sorted(parts[part][:36] for part in ("train", "validation"))
    assert run.data.tags["kerastudy.state"] == trial["state"]
    assert run.data.tags.get("kerastudy.verified", "") == trial["verified"]
    best = f"best_{definition['objective']['metric']}"
    if result is not None and result["best"] is not None:
        assert run.data.metrics[to_mlflow(best)] == result["best"]["value"]
        assert run.data.metrics["system/seconds"] == result["seconds"]
    else:
        assert best not in run.data.metrics


def _check_curves(client: MlflowClient, run: Run, epochs: list[Row]) -> None:
    expected: dict[str, list[tuple[int, float, int]]] = {}
    for row in epochs:
        for name, value in json.loads(row["metrics"]).items():
            if math.isfinite(value):
                point = (row["epoch"], value, row["time"])
                expected.setdefault(to_mlflow(name), []).append(point)
    for name, points in expected.items():
        history = client.get_metric_history(run.info.run_id, name)
        assert sorted((p.step, p.value, p.timestamp) for p in history) == sorted(points)
    others = {name for name in run.data.metrics if name not in expected}
    assert all(name.startswith(("best_", "system/")) for name in others), others


def _check_champions(client: MlflowClient, folder: Path, runs: dict[str, Run]) -> None:
    (study,) = rows(folder, "SELECT uuid FROM study")
    models = client.search_registered_models(f"tags.`kerastudy.uuid` = '{study['uuid']}'")
    champions = rows(folder, "SELECT * FROM champions WHERE NOT withdrawn")
    aliases = [(model.name, alias) for model in models for alias in model.aliases]
    assert len(aliases) == len(champions) <= 1 and len(models) <= 1
    logged = client.search_logged_models([experiment_of(client, folder).experiment_id])
    for (name, alias), champion in zip(aliases, champions, strict=True):
        assert alias == "champion"
        version = client.get_model_version_by_alias(name, alias)
        run = runs[champion["trial"]]
        assert version.tags["kerastudy.champion_run"] == run.info.run_id
        assert version.tags["kerastudy.trial"] == run.data.tags["kerastudy.trial"]
        assert version.description and version.status == "READY"
        (model,) = [model for model in logged if model.artifact_location == version.source]
        assert model.status == "READY"
        outputs = client.get_run(version.run_id or "").outputs.model_outputs
        assert [output.model_id for output in outputs].count(model.model_id) == 1
        _check_files(client, model.artifact_location, folder / champion["folder"])
    for model in models:
        versions = [v for v in client.search_model_versions() if v.name == model.name]
        assert len({version.source for version in versions}) == len(versions) == len(logged)


def _check_files(client: MlflowClient, place: str, saved: Path) -> None:
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as temporary:
        files = Path(
            download_artifacts(
                artifact_uri=place, dst_path=temporary, tracking_uri=client.tracking_uri
            )
        )
        names = {p.relative_to(saved) for p in saved.rglob("*") if p.is_file()}
        assert {p.relative_to(files) for p in files.rglob("*") if p.is_file()} == names
        for name in names:
            if name.name != "MLmodel":
                assert (files / name).read_bytes() == (saved / name).read_bytes()
