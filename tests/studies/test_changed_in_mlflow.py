"""Studies that were renamed, deleted in whole or in part, and restored in MLflow's UI.

The UI calls what is called here. Nothing is written over, nothing valid is moved away, and
whoever asks is told.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import settle
from doctored import CODE, Said, kinds
from handmade import contents
from mlflow import MlflowClient
from scripted import ScriptedExecutor, describe, run_study
from suite import exhaustive_but

from search_spaces import StudyDeletedError, StudyError, StudyNotFoundError, TrackingError
from studies.again import unsound_checkpoints
from studies.doctor import diagnose
from tracking import tags
from tracking.history import StudyHistory, find_engines, read_study, study_names
from tracking.runs import study_experiments
from tracking.store import Store, open_store

TRIALS = 6


class Saving(ScriptedExecutor):
    def save_champion(self, spec: Any, checkpoint: Path, space: Any, folder: Path) -> Any:
        import zipfile

        from mlflow.models import Model

        (folder / "data").mkdir(parents=True)
        Model().save(str(folder / "MLmodel"))
        with zipfile.ZipFile(folder / "data" / "model.keras", "w") as archive:
            archive.write(checkpoint, "model.weights.h5")
        return {}


def go_on(
    folder: Path, name: str = "mini", said: Said | None = None, **settings: Any
) -> StudyHistory:
    description = describe(
        **{"name": name, "trials": TRIALS, "code": CODE, "keep": None, **settings}
    )
    return run_study(Saving(description), store=folder, progress=said or Said())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    go_on(folder)
    settle(folder / "mlflow.db")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    opened = open_store(tmp_path / "store")
    assert opened is not None
    return opened


def checkpoints(store: Store) -> dict[str, str]:
    return contents(store.root / "checkpoints")


def check_whole(history: StudyHistory, trials: int = TRIALS) -> None:
    """All its trials are there, with the weights that were written, and its champion."""
    assert history.counts()["complete"] == trials
    for trial in history.trials:
        assert not dict(unsound_checkpoints(history, trial))
    assert history.best is not None and history.model_uri(history.best)


def delete_parent(client: MlflowClient, history: StudyHistory) -> Callable[[], object]:
    client.delete_run(history.parent_run_id)
    return lambda: client.restore_run(history.parent_run_id)


def delete_parent_and_children(client: MlflowClient, history: StudyHistory) -> Callable[[], object]:
    runs = [history.parent_run_id, *(trial.run_id for trial in history.trials)]
    for run in runs:
        client.delete_run(run)
    return lambda: [client.restore_run(run) for run in runs]


def delete_last_child(client: MlflowClient, history: StudyHistory) -> Callable[[], object]:
    run = history.trials[-1].run_id
    client.delete_run(run)
    return lambda: client.restore_run(run)


def delete_experiment(client: MlflowClient, history: StudyHistory) -> Callable[[], object]:
    client.delete_experiment(history.experiment_id)
    return lambda: client.restore_experiment(history.experiment_id)


def delete_mark_of_parent(client: MlflowClient, history: StudyHistory) -> Callable[[], object]:
    client.delete_tag(history.parent_run_id, tags.KIND)
    return lambda: diagnose(history.store.root, fix=True)


@pytest.mark.parametrize(
    ("delete", "told"),
    [
        pytest.param(
            *(delete_parent, "mlflow runs restore --run-id"), marks=pytest.mark.exhaustive
        ),
        (delete_parent_and_children, "mlflow runs restore --run-id"),
        (delete_last_child, "mlflow runs restore --run-id"),
        (delete_experiment, "mlflow experiments restore --experiment-id"),
        (delete_mark_of_parent, "kerastudy doctor --fix"),
    ],
)
def test_what_is_deleted_is_told_and_goes_on_once_restored(
    store: Store,
    delete: Callable[[MlflowClient, StudyHistory], Callable[[], object]],
    told: str,
) -> None:
    history = read_study(store, "mini")
    before = checkpoints(store)
    restore = delete(store.client, history)
    if delete is not delete_last_child:
        with pytest.raises(StudyDeletedError) as shown:
            read_study(store, "mini")
        assert told in str(shown.value) and "'mini'" in str(shown.value)
    for settings in ({}, {"trials": 9}, {"epochs": 7}):
        with pytest.raises((TrackingError, StudyError)) as refused:
            go_on(store.root, **settings)
        assert told in str(refused.value) or "epochs" in settings
    if delete is not delete_mark_of_parent:
        diagnosis = diagnose(store.root, fix=True)
        texts = [f.how for f in diagnosis.left] + list(diagnosis.deleted.values())
        assert any(told in text for text in texts)
        assert {f.kind for f in diagnosis.findings} <= {"record", "champion"}
    assert checkpoints(store) == before, "nothing is written over or moved away"
    restore()
    check_whole(read_study(store, "mini"))
    assert diagnose(store.root, fix=True).left == []
    check_whole(go_on(store.root, trials=8), trials=8)


def test_a_renamed_study_goes_on_under_its_new_name_beside_a_new_one(store: Store) -> None:
    history = read_study(store, "mini")
    store.client.rename_experiment(history.experiment_id, "old mini")
    before = checkpoints(store)
    check_whole(read_study(store, "old mini"))
    assert study_names(store) == ["old mini"]
    assert read_study(store, "old mini").description.name == "old mini"
    with pytest.raises(StudyNotFoundError, match="It was renamed, to 'old mini'"):
        read_study(store, "mini")
    assert diagnose(store.root, fix=True).findings == ()
    assert diagnose(store.root).findings == ()
    assert checkpoints(store) == before

    said = Said()
    new = go_on(store.root, "mini", said, seed=7)
    assert [line for line in said.lines if "renamed to 'old mini'" in line and "--name" in line]
    check_whole(new)
    check_whole(read_study(store, "old mini"))
    assert new.champion_model != read_study(store, "old mini").champion_model == "mini"
    check_whole(go_on(store.root, "old mini", trials=8), trials=8)
    check_whole(go_on(store.root, "mini", seed=7, trials=7), trials=7)
    assert before.items() <= checkpoints(store).items()
    diagnosis = diagnose(store.root, fix=True)
    assert diagnosis.left == [] and "orphan" not in kinds(diagnosis)


def test_a_study_is_renamed_and_held_while_it_runs(store: Store) -> None:
    """Its lock goes with the experiment; another launch of it is refused under each name."""
    refused: list[str] = []

    def rename(spec: Any) -> None:
        experiment = store.client.get_experiment_by_name("mini")
        if experiment is not None:
            store.client.rename_experiment(experiment.experiment_id, "new mini")
            with pytest.raises(Exception, match="Another process is running") as told:
                go_on(store.root, "new mini", trials=9)
            refused.append(str(told.value))

    executor = Saving(describe(name="mini", trials=9, code=CODE, keep=None), rename)
    run_study(executor, store=store.root, progress=Said())
    assert len(refused) == 1
    check_whole(read_study(store, "new mini"), trials=9)


@pytest.mark.exhaustive
def test_a_purged_study_leaves_files_that_no_new_study_takes_for_its_own(store: Store) -> None:
    """MLflow gives the id of the last experiment again once that is purged."""
    from click.testing import CliRunner
    from mlflow.cli import cli

    history = read_study(store, "mini")
    store.client.delete_experiment(history.experiment_id)
    assert list(diagnose(store.root).deleted) == ["mini"]
    purge = ["gc", "--backend-store-uri", store.mlflow_uri, "--tracking-uri", store.mlflow_uri]
    result = CliRunner().invoke(cli, [*purge, "--experiment-ids", history.experiment_id])
    assert result.exit_code == 0, result.output
    kept = set(checkpoints(store).values())
    assert "orphan" in kinds(diagnose(store.root))
    said = Said()
    new = go_on(store.root, "another", said, seed=3)
    assert new.experiment_id == history.experiment_id, "or this shows nothing"
    assert [line for line in said.lines if "purged" in line]
    check_whole(new)
    assert new.champion_model == "another", "and not the model that is left of the purged one"
    assert kept <= set(contents(store.root).values()), "they are in orphans/"
    diagnose(store.root, fix=True)
    check_whole(read_study(store, "another"))


def rename_model(client: MlflowClient, history: StudyHistory) -> None:
    client.rename_registered_model("mini", "in use")


def delete_alias(client: MlflowClient, history: StudyHistory) -> None:
    client.delete_registered_model_alias("mini", "champion")


def delete_version(client: MlflowClient, history: StudyHistory) -> None:
    client.delete_model_version("mini", "1")


def delete_model(client: MlflowClient, history: StudyHistory) -> None:
    client.delete_registered_model("mini")


def delete_marks_of_model(client: MlflowClient, history: StudyHistory) -> None:
    for tag in list(client.get_registered_model("mini").tags):
        client.delete_registered_model_tag("mini", tag)
    for tag in list(client.get_model_version("mini", "1").tags):
        client.delete_model_version_tag("mini", "1", tag)


@pytest.mark.parametrize(
    "change",
    exhaustive_but(
        [rename_model, delete_version],
        [rename_model, delete_alias, delete_version, delete_model, delete_marks_of_model],
    ),
)
def test_the_registered_model_follows_or_is_registered_again(
    store: Store, change: Callable[[MlflowClient, StudyHistory], None]
) -> None:
    history = read_study(store, "mini")
    change(store.client, history)
    read_study(store, "mini")
    assert diagnose(store.root, fix=True).left == []
    check_whole(go_on(store.root))
    after = read_study(store, "mini")
    assert after.champion_model == ("in use" if change is rename_model else "mini")
    assert len(store.client.search_registered_models()) == 1
    version = store.client.get_model_version_by_alias(after.champion_model, "champion")
    assert (Path(version.source.removeprefix("file://")) / "MLmodel").is_file()


@pytest.mark.exhaustive
@pytest.mark.parametrize("each", [3, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_any_tag_may_be_deleted(store: Store, each: int) -> None:
    """Of the parent run, a trial's run or the experiment, one at a time; or each third."""
    history = read_study(store, "mini")
    before = checkpoints(store)
    client = store.client
    for run_id in (history.parent_run_id, history.trials[2].run_id):
        for tag, value in [*client.get_run(run_id).data.tags.items()][::each]:
            client.delete_tag(run_id, tag)
            study_names(store)
            for read in (find_engines, read_study):
                try:
                    read(store, "mini")
                except StudyNotFoundError as error:
                    assert tag in str(error) or "parent" in tag.lower(), (tag, error)
            diagnose(store.root)
            client.set_tag(run_id, tag, value)
    experiment = client.get_experiment(history.experiment_id)
    for tag, value in [*experiment.tags.items()][::each]:
        client.delete_experiment_tag(history.experiment_id, tag)
        assert study_names(store) == ["mini"]
        check_whole(read_study(store, "mini"))
        assert diagnose(store.root, fix=True).left == []
        client.set_experiment_tag(history.experiment_id, tag, value)
    client.delete_tag(history.parent_run_id, tags.ENGINE)
    check_whole(go_on(store.root))
    assert diagnose(store.root, fix=True).left == []
    assert client.get_run(history.parent_run_id).data.tags[tags.ENGINE] == "optuna:tpe"
    assert checkpoints(store) == before


def test_names_that_differ_in_case_only_have_folders_of_their_own(store: Store) -> None:
    other = go_on(store.root, "Mini", seed=9)
    folders = {h.files.folder.parent.name.lower() for h in (other, read_study(store, "mini"))}
    assert len(folders) == 2
    locks = [path.name.lower() for path in (store.root / "locks").glob("*.lock")]
    assert len(locks) == len(set(locks))


def test_a_record_that_leads_out_of_the_store_is_left_alone(store: Store, tmp_path: Path) -> None:
    """As one that somebody else made may: nothing is written or moved there."""
    import sqlite3
    from contextlib import closing

    victim = tmp_path / "victim"
    (victim / "artifacts" / "study").mkdir(parents=True)
    (victim / "optuna-tpe").mkdir()
    for name in ("optuna-tpe/trial-00077.weights.h5", "partial-1-x", "artifacts/study/partial-1-y"):
        (victim / name).write_bytes(b"precious")
    before = contents(victim)
    history = read_study(store, "mini")
    with closing(sqlite3.connect(store.root / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?",
            ((victim / "artifacts").as_uri(), history.parent_run_id),
        )
    diagnosis = diagnose(store.root, fix=True)
    assert any(str(victim) in finding.what for finding in diagnosis.left)
    assert contents(victim) == before
    with closing(sqlite3.connect(store.root / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE experiments SET name = ? WHERE experiment_id = ?",
            ("../../victim", int(history.experiment_id)),
        )
    client = store.client
    client.set_tag(history.parent_run_id, tags.ENGINE, "../../../victim")
    parent = client.get_run(history.parent_run_id)
    text = tags.join_text(parent.data.tags, tags.DEFINITION) or ""
    for key in [key for key in parent.data.tags if key.startswith(tags.DEFINITION)]:
        client.delete_tag(parent.info.run_id, key)
    hostile = text.replace('"name": "mini"', '"name": "../../victim"')
    for key, part in tags.split_text(tags.DEFINITION, hostile).items():
        client.set_tag(parent.info.run_id, key, part)
    client.delete_experiment_tag(history.experiment_id, tags.NAME)
    diagnose(store.root, fix=True)
    assert contents(victim) == before
    assert len(study_experiments(store)) == 1


def test_a_store_reached_by_a_link_is_the_same_store(store: Store, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(store.root)
    opened = open_store(link)
    assert opened is not None and opened.root == store.root
    history = read_study(store, "mini")
    with (
        opened.lock_study("mini", history.experiment_id),
        pytest.raises(Exception, match="Another process is running"),
    ):
        go_on(link)
    check_whole(go_on(link, trials=7), trials=7)
    assert dataclasses.replace(read_study(store, "mini"), store=opened).counts()["total"] == 7


def test_a_study_whose_run_was_deleted_is_listed_so_beside_the_others(store: Store) -> None:
    from command_line import kerastudy_here

    go_on(store.root, "another", trials=1)
    store.client.delete_run(read_study(store, "mini").parent_run_id)
    told = kerastudy_here("list", "--store", store.root, cwd=store.root)
    assert told.code == 0
    assert "1 complete" in told.out and "mini: The run 'mini (optuna:tpe)'" in told.out
    told = kerastudy_here("show", "mini", "--store", store.root, cwd=store.root)
    assert told.code == 2 and "mlflow runs restore" in told.last
