"""MLflow is brought up to date beside a launch, in a process of its own; reading needs it not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from blobs import Launched, write_study
from in_mlflow import wait_for_exporters
from mlflow import MlflowClient
from mlflow.entities import ViewType
from user_commands import Answer, kerastudy_here, run

# As a user has it: neither MLflow nor the report is off.
ON = {"KERASTUDY_MLFLOW": "", "KERASTUDY_REPORT": ""}
HEAVY = {"mlflow", "tensorflow", "keras", "optuna", "pandas", "sqlalchemy"}
READ = """
import json, runpy, sys

for command in (["show", "blobs"], ["list"], ["compare", "blobs", "other"], ["diagnose", "blobs"]):
    sys.argv = ["kerastudy", *command, "--json"]
    try:
        runpy.run_module("kerastudy", run_name="__main__")
    except SystemExit as ended:
        assert not ended.code
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def launch(folder: Path, *arguments: str, **variables: str) -> Answer:
    options = ("--executor", "in-process", "--verify", "off", "--trials", "1")
    return kerastudy_here(
        folder, "launch", "my_study.py", *options, *arguments, **{**ON, **variables}
    )


def client_of(store: Path) -> MlflowClient:
    uri = f"sqlite:///{(store / 'mlflow.db').as_posix()}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_what_reads_the_record_imports_nothing_heavy(
    launched: Launched, copied_store: Path
) -> None:
    options = ("--executor", "in-process", "--verify", "off", "--trials", "1", "--name", "other")
    told = kerastudy_here(
        launched.folder, "launch", launched.file, *options, "--store", copied_store
    )
    told = run(
        launched.folder, [sys.executable, "-P", "-c", READ], KERASTUDY_STORE=str(copied_store)
    )
    assert not HEAVY.intersection(json.loads(told.stdout.splitlines()[-1]))


def test_a_launch_fills_mlflow_and_a_deletion_empties_it(tmp_path: Path) -> None:
    write_study(tmp_path)
    store = tmp_path / "kerastudy-store"
    told = launch(tmp_path, "--json")
    wait_for_exporters()
    assert "warning" not in told.stderr
    best = json.loads(told.stdout)["best"]
    client = client_of(store)
    experiment = client.get_experiment_by_name("blobs")
    runs = {
        run.data.tags["kerastudy.kind"]: run
        for run in client.search_runs([experiment.experiment_id])
    }
    assert {kind: run.info.status for kind, run in runs.items()} == {
        "study": "FINISHED",
        "trial": "FINISHED",
    }
    trial = runs["trial"]
    assert trial.data.metrics["best_val_accuracy"] == best["value"]
    points = client.get_metric_history(trial.info.run_id, "val_accuracy")
    assert sorted(point.step for point in points) == [1, 2]
    champion = client.get_model_version_by_alias("blobs", "champion")
    assert champion.tags["kerastudy.champion_run"] == trial.info.run_id
    page = (store / "blobs" / "report.html").read_text(encoding="utf-8")
    assert f"{best['value']:.4g}" in page
    sent = [file.path for file in client.list_artifacts(runs["study"].info.run_id)]
    assert "report.html" in sent

    told = kerastudy_here(tmp_path, "delete", "blobs", "--yes")
    assert not (store / "blobs").exists()
    assert client.get_experiment_by_name("blobs") is None
    assert not client.search_registered_models()
    (deleted,) = client.search_experiments(
        ViewType.DELETED_ONLY, filter_string="name LIKE 'blobs%'"
    )
    assert deleted.experiment_id == experiment.experiment_id
    # Its name is free for a new study.
    assert deleted.name.startswith("blobs (deleted ")


def test_a_launch_goes_on_without_mlflow_and_says_so_once(tmp_path: Path) -> None:
    write_study(tmp_path)
    store = tmp_path / "kerastudy-store"
    store.mkdir()
    (store / "mlflow.db").write_text("no database")
    told = launch(tmp_path, KERASTUDY_REPORT="off")
    wait_for_exporters()
    assert "val_accuracy" in told.stdout
    said = " ".join(told.stderr.split())
    assert said.count("warning: ") == said.count("mlflow.db") == 1, told.stderr
    assert "the journal has everything" in said and "Traceback" not in said
