"""What a store holds of a study, and must hold however often its processes were killed.

Read with MLflow's client; only the points of metrics, for which MLflow asks its
database once a metric, all at once. What two undisturbed launches may differ in is left out: times,
ids, how many attempts a trial took.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sqlite3
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from tracking.history import read_study
from tracking.records import TrialSpec
from tracking.store import open_store

_FINISHED = ("complete", "pruned", "infeasible")
# Tags that hold times, ids or attempts, or are read in another way.
_OTHER_TAGS = (
    "mlflow.kerastudy.corrected",
    "mlflow.kerastudy.definition",
    # Of this repository, which may be edited while tests run.
    "mlflow.kerastudy.git_dirty",
    "mlflow.kerastudy.launched",
    "mlflow.kerastudy.losses",
    "mlflow.kerastudy.result",
    "mlflow.kerastudy.spec",
    "kerastudy.champion_run",
    # The time that a trial took, and the folder of the store.
    "mlflow.note.content",
    "mlflow.parentRunId",
    "mlflow.runName",
    "mlflow.source.",
    "mlflow.user",
    # How much of it there was time for.
    "kerastudy.verified",
    # It names a run.
    "mlflow.kerastudy.whole",
)
_TIMES = ("system/",)

# Every point of every metric by run: a step that was written twice shows.
Points = Mapping[str, Mapping[str, list[list[float]]]]


def read_record(root: Path, name: str, engine: str = "optuna:tpe") -> dict[str, Any]:
    """Returns the record of a study under one engine, as JSON has it."""
    uri = f"sqlite:///{(root / 'mlflow.db').as_posix()}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(name)
    runs = _runs(client, experiment.experiment_id)
    parents = [run for run in runs if run.data.tags.get("kerastudy.kind") == "study"]
    (parent,) = [run for run in parents if run.data.tags["kerastudy.engine"] == engine]
    points = _points(root)
    record = {
        "study": _study(parent, points, root),
        "definition": _definition(root, name, engine),
        "trials": _trials(runs, points, parent.info.run_id),
        "champion": _champion(client, name, experiment.experiment_id, runs),
        "files": _files(
            _study_folder(root, name, experiment.experiment_id) / engine.replace(":", "-")
        ),
    }
    return json.loads(json.dumps(record))


def left_behind(root: Path) -> list[str]:
    """Returns what a finished study must not leave: running runs, pieces of files, locks."""
    uri = f"sqlite:///{(root / 'mlflow.db').as_posix()}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = []
    for experiment in client.search_experiments():
        for run in _runs(client, experiment.experiment_id):
            kind = run.data.tags.get("kerastudy.kind", "unmarked")
            if run.info.status == "RUNNING":
                found.append(f"a {kind} run {run.info.run_name!r} is RUNNING")
            if run.data.tags.get("kerastudy.state") == "running":
                found.append(f"a {kind} run {run.info.run_name!r} is tagged running")
            if run.inputs is None:
                found.append(f"{run.info.run_name!r} has no inputs")
        models = client.search_logged_models([experiment.experiment_id])
        found += [f"a model is {m.status}" for m in models if str(m.status) != "READY"]
    for path in root.rglob("*"):
        relative = path.relative_to(root).as_posix()
        if path.name.startswith(("partial-", "unfinished-")):
            found.append(f"a piece of a file: {relative}")
        if relative.startswith("locks/") and path.suffix == ".json":
            found.append(f"a lock's holder: {relative}")
    return found


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Yields where two records differ, and in what."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            place = f"{where}/{key}"
            if key not in found:
                yield f"{place} is missing, expected {expected[key]!r:.300}"
            elif key not in expected:
                yield f"{place} is not expected: {found[key]!r:.300}"
            else:
                yield from differences(expected[key], found[key], place)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from differences(left, right, f"{where}[{i}]")
    elif expected != found:
        yield f"{where}: expected {expected!r:.300}, found {found!r:.300}"


def weights_in(path: Path | io.BytesIO) -> dict[str, str]:
    """Returns digests of the arrays in an HDF5 file, by their places in it."""
    found = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            array = np.asarray(item)
            text = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
            text.update(np.ascontiguousarray(array).tobytes())
            found[name] = text.hexdigest()

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def _runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id], order_by=["attributes.start_time ASC"], page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _study(parent: Run, points: Points, root: Path) -> dict[str, Any]:
    artifacts = Path(parent.info.artifact_uri.removeprefix("file://")) / "study"
    note = parent.data.tags.get("mlflow.note.content", "").replace(str(root), "STORE")
    note = re.sub(r"(?<=/runs/)[0-9a-f]{32}", "RUN", note)
    return {
        "status": parent.info.status,
        "note": note,
        "tags": _tags(parent),
        "corrected": _corrected(parent),
        "params": dict(parent.data.params),
        "metrics": points[parent.info.run_id],
        "inputs": _inputs(parent),
        "code": sorted(path.name for path in (artifacts / "code").iterdir()),
        "models": len(parent.outputs.model_outputs) if parent.outputs else 0,
    }


def _corrected(parent: Run) -> dict[str, Any] | None:
    """Returns what was recorded of the corrected value, but what it depends on: ids of runs."""
    if "mlflow.kerastudy.corrected" not in parent.data.tags:
        return None
    fields = json.loads(_joined(parent, "mlflow.kerastudy.corrected"))
    return {name: value for name, value in fields.items() if name != "key"}


def _definition(root: Path, name: str, engine: str) -> dict[str, Any]:
    """Returns the definition as it is read: what trials have shown later is in their results."""
    store = open_store(root)
    assert store is not None
    definition = json.loads(read_study(store, name, engine).description.to_json())
    for where in ("folder", "path"):
        definition["code"].pop(where, None)
    return definition


def _trials(runs: list[Run], points: Points, parent_id: str) -> dict[str, Any]:
    trials: dict[str, Any] = {}
    by_id = {run.info.run_id: run for run in runs}
    for run in runs:
        tags = run.data.tags
        if tags.get("mlflow.parentRunId") != parent_id:
            continue
        state = tags["kerastudy.state"]
        if state not in _FINISHED:
            # An attempt that was cut. What it has is not looked at; that it is closed, is.
            assert (state, run.info.status) == ("interrupted", "KILLED"), (state, run.info)
            continue
        number = tags["kerastudy.trial"]
        assert number not in trials, f"trial {number} has two runs with a result"
        trials[number] = _trial(run, points, by_id)
    return trials


def _trial(run: Run, points: Points, by_id: Mapping[str, Run]) -> dict[str, Any]:
    result = json.loads(_joined(run, "mlflow.kerastudy.result"))
    del result["seconds"], result["peak_memory_bytes"]
    repeats = []
    for repeat in result.get("repeats", []):
        del repeat["seconds"]
        repeats.append(_trial(by_id[repeat.pop("run_id")], points, by_id))
    return {
        "status": run.info.status,
        "spec": _without_attempt(_joined(run, "mlflow.kerastudy.spec")),
        "result": result,
        "repeats": repeats,
        "whole": _whole(run),
        "tags": _tags(run),
        "params": dict(run.data.params),
        "metrics": points[run.info.run_id],
        "inputs": _inputs(run),
    }


def _whole(run: Run) -> dict[str, Any] | None:
    """Returns the training of a cross-validated trial on all folds, if there is one."""
    if "mlflow.kerastudy.whole" not in run.data.tags:
        return None
    whole = json.loads(_joined(run, "mlflow.kerastudy.whole"))
    return {name: value for name, value in whole.items() if name not in ("run_id", "seconds")}


def _champion(
    client: MlflowClient, name: str, experiment_id: str, runs: list[Run]
) -> dict[str, Any]:
    numbers = {run.info.run_id: run.data.tags.get("kerastudy.trial") for run in runs}
    # What a search finds lacks aliases.
    versions = [
        client.get_model_version(name, each.version)
        for each in client.search_model_versions(f"name = '{name}'")
    ]
    models = {m.artifact_location: m for m in client.search_logged_models([experiment_id])}
    found = []
    for version in sorted(versions, key=lambda v: int(v.version)):
        tags = dict(version.tags)
        tags.pop("kerastudy.verified", None)
        # A version's tags name the run of the attempt that counts.
        assert numbers[tags.pop("kerastudy.champion_run")] == tags["kerastudy.trial"]
        model = models.pop(version.source)
        folder = Path(model.artifact_location.removeprefix("file://"))
        found.append(
            {
                "version": int(version.version),
                "aliases": list(version.aliases),
                "tags": tags,
                "description": re.sub(r"[0-9a-f]{32}", "ID", version.description),
                "status": version.status,
                "params": dict(model.params),
                "metrics": sorted([m.key, m.step, m.value] for m in model.metrics or []),
                "files": _model_files(folder),
            }
        )
    return {"versions": found, "models of no version": len(models)}


def _model_files(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = None
            if path.suffix == ".keras":
                with zipfile.ZipFile(path) as archive:
                    found[name] = weights_in(io.BytesIO(archive.read("model.weights.h5")))
    return found


def _files(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*")):
        found[path.name] = weights_in(path) if path.suffix == ".h5" else None
    return found


def _points(root: Path) -> Points:
    found: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    uri = f"{(root / 'mlflow.db').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        rows = database.execute(
            "SELECT run_uuid, key, step, value FROM metrics ORDER BY 1, 2, 3, 4"
        )
        for run_id, name, step, value in rows:
            if not name.startswith(_TIMES):
                found[run_id][name].append([step, value])
    return found


def _inputs(run: Run) -> list[str]:
    given = run.inputs.dataset_inputs if run.inputs else []
    return sorted(f"{each.dataset.name} {each.dataset.digest}" for each in given)


def _tags(run: Run) -> dict[str, str]:
    return {key: text for key, text in run.data.tags.items() if not key.startswith(_OTHER_TAGS)}


def _joined(run: Run, key: str) -> str:
    from tracking import join_text

    text = join_text(run.data.tags, key)
    assert text is not None, f"{run.info.run_name!r} has no {key}"
    return text


def _without_attempt(text: str) -> dict[str, Any]:
    fields = json.loads(TrialSpec.from_json(text).to_json())
    del fields["attempt"]
    return fields


def _study_folder(root: Path, name: str, experiment_id: str) -> Path:
    return root / "checkpoints" / f"{name}@{experiment_id}"
