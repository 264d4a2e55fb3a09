"""The exporter's process fills MLflow beside a launch. Commands that read do not import MLflow."""

import json
import sys
from pathlib import Path

from exported import check_equal
from handmade import record_study
from in_mlflow import open_store_client, wait_for_exporters
from mlflow.entities import ViewType
from stores import store_at
from study_file import Launched
from user_commands import Answer, as_json, kerastudy_here, run

import kerastudy as ks

# The tests' environment turns MLflow and the report off. A user's environment does not.
ON = {"KERASTUDY_MLFLOW": "", "KERASTUDY_REPORT": ""}
HEAVY = {"mlflow", "tensorflow", "keras", "optuna", "pandas", "sqlalchemy"}
READ = """
import json, runpy, sys

commands = ["show", "blobs"], ["list"], ["compare", "blobs", "other"], ["diagnose", "blobs"]
for command in (*commands, ["doctor"]):
    sys.argv = ["kerastudy", *command, "--json"]
    try:
        runpy.run_module("kerastudy", run_name="__main__")
    except SystemExit as ended:
        # The doctor exits with 1, as the study that was recorded by hand lacks its files.
        assert not ended.code or command == ["doctor"]
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def test_commands_that_read_the_record_import_nothing_heavy(
    blobs: Launched, copied_store: Path
) -> None:
    accuracy = ks.Objective("val_accuracy", "max")
    record_study(copied_store, "other", [0.5], objective=accuracy).close()
    answer = run(
        blobs.folder, [sys.executable, "-P", "-c", READ], KERASTUDY_STORE=str(copied_store)
    )
    assert not HEAVY.intersection(json.loads(answer.stdout.splitlines()[-1]))


def launch(blobs: Launched, store: Path, **more: str) -> Answer:
    """Launches the finished study again, with MLflow and the report. It trains nothing."""
    options = ("--executor", "in-process", "--verify", "off", "--json", "--store", store)
    answer = kerastudy_here(blobs.folder, "launch", blobs.file, *options, **{**ON, **more})
    wait_for_exporters()
    return answer


def test_a_launch_fills_mlflow_and_a_deletion_empties_it(
    blobs: Launched, copied_store: Path
) -> None:
    answer = launch(blobs, copied_store)
    assert "warning" not in answer.stderr
    again, before = as_json(answer), blobs.document
    assert (again["trials"], again["best"]["uuid"]) == (before["trials"], before["best"]["uuid"])
    folder, client = copied_store / "blobs", open_store_client(store_at(copied_store))
    check_equal(client, folder)
    experiment = client.get_experiment_by_name("blobs")
    (study,) = client.search_runs([experiment.experiment_id], "tags.`kerastudy.kind` = 'study'")
    assert "report.html" in [file.path for file in client.list_artifacts(study.info.run_id)]
    version = client.get_model_version_by_alias("blobs", "champion")
    assert version.run_id == study.info.run_id
    # The verdict changes, so a link leads to it.
    assert "[The study](#/experiments/" in version.description
    assert version.tags["epoch"] == str(again["best"]["epoch"])
    (file,) = copied_store.glob("mlartifacts/**/requirements.txt")
    fixed = dict(line.split("==") for line in file.read_text().split())
    assert {"keras", "tensorflow"} <= fixed.keys()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{again['best']['value']:.4g}" in page

    kerastudy_here(blobs.folder, "delete", "blobs", "--yes", "--store", copied_store)
    assert not folder.exists()
    assert client.get_experiment_by_name("blobs") is None
    assert not client.search_registered_models()
    (deleted,) = client.search_experiments(
        ViewType.DELETED_ONLY, filter_string="name LIKE 'blobs%'"
    )
    assert deleted.experiment_id == experiment.experiment_id
    # The name is free for a new study.
    assert deleted.name.startswith("blobs (deleted ")


def test_a_launch_goes_on_without_mlflow_and_says_so_once(
    blobs: Launched, copied_store: Path
) -> None:
    (copied_store / "mlflow.db").write_text("no database")
    # A launch waits ten seconds for MLflow. On a busy machine, the import alone may take longer.
    launches = (launch(blobs, copied_store, KERASTUDY_REPORT="off") for _ in range(5))
    answer = next(answer for answer in launches if "in the background" not in answer.stderr)
    assert as_json(answer)["best"]["uuid"] == blobs.document["best"]["uuid"]
    text = " ".join(answer.stderr.split())
    assert text.count("warning: ") == text.count("mlflow.db") == 1, answer.stderr
    assert "the journal has everything" in text and "Traceback" not in text
