"""What dies on a Ray cluster: workers, nodes, the driver, the head. The study is the same.

Nodes are processes of this machine. Each study is compared with the one of local workers.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import study_record
from killing import NAME, STUDY_FILE, Launch
from ray_cluster import add_node, ray_cluster, worker_processes
from user_commands import KERASTUDY, environment, kerastudy

import studies
from benchmarks.peers.measuring import measure
from benchmarks.peers.ray_cluster import ray_cluster as peers_cluster

pytestmark = pytest.mark.exhaustive

TRIALS, WORKERS = 30, 3
USUAL = (
    *("--store", "store", "--trials", str(TRIALS), "--workers", str(WORKERS)),
    *("--deterministic", "--verify", "off"),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    with ray_cluster(3, connect=False) as found:
        yield found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The record of the study on as many workers of this machine."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    kerastudy(folder, "launch", "study.py", *USUAL)
    return study_record.read_record(folder / "store", NAME)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    return tmp_path


def launch(folder: Path, cluster: Any, *arguments: str, **more: str) -> Launch:
    """Launches the study on a cluster; None: on a Ray that starts with it."""
    there = [] if cluster is None else ["--address", cluster.address]
    process = subprocess.Popen(
        [
            *(*KERASTUDY, "launch", "study.py", "--executor", "ray", *there, *USUAL),
            *arguments,
        ],
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=(folder / "printed").open("a"),
        stderr=subprocess.PIPE,
        text=True,
    )
    return Launch(process)


def check(folder: Path, expected: Any) -> None:
    found = study_record.read_record(folder / "store", NAME)
    unlike = study_record.differences(expected, found)
    # A trial that was resumed has the scores of its best epoch alone.
    assert not [each for each in unlike if "scores" not in each]
    assert not study_record.left_behind(folder / "store")
    # Ray would print twenty lines for each node that dies.
    printed = (folder / "printed").read_text()
    assert "raylet" not in printed, printed


def test_a_node_that_dies_at_ten_instants(folder: Path, cluster: Any, expected: Any) -> None:
    """Another one joins each time: it is used."""
    draw = random.Random(16)
    running = launch(folder, cluster)
    kills = sorted(draw.randrange(TRIALS - 2) for _ in range(10))
    for trials in kills:
        assert running.wait_until(lambda n=trials: running.begun and running.ended >= n)
        assert running.lasts(time.monotonic() + draw.uniform(0.0, 1.0))
        cluster.remove_node(draw.choice([*cluster.worker_nodes]), allow_graceful=False)
        add_node(cluster)
    assert running.end() == 0, running.lines
    check(folder, expected)


def test_workers_that_die(folder: Path, cluster: Any, expected: Any) -> None:
    running = launch(folder, cluster)
    for trials in (1, 5):
        assert running.wait_until(lambda n=trials: running.begun and running.ended >= n)
        random.Random(trials).choice(worker_processes()).kill()
    assert running.end() == 0, running.lines
    assert any("ended by signal 9" in line for line in running.lines)
    check(folder, expected)


def test_the_driver_is_killed(folder: Path, cluster: Any, expected: Any) -> None:
    """No worker outlives it for long; the next launch resumes, to the same study."""
    running = launch(folder, cluster)
    assert running.wait_until(lambda: running.begun and running.ended >= 4)
    before = worker_processes()
    assert before
    running.process.kill()
    running.end()
    _, alive = psutil.wait_procs(before, timeout=30)
    assert not alive
    assert launch(folder, cluster).end() == 0
    check(folder, expected)


def test_without_a_cluster_ray_starts_and_ends_with_the_launch(folder: Path, expected: Any) -> None:
    """However that ends. Ray says nothing, and leaves no token for the user's own clusters."""
    home = folder / "home"
    home.mkdir()
    running = launch(folder, None, HOME=str(home))
    assert running.wait_until(lambda: running.begun and running.ended >= 3)
    started = psutil.Process(running.process.pid).children(recursive=True)
    raylet = next(each for each in started if "raylet" in each.name())
    token = Path(raylet.environ()["RAY_AUTH_TOKEN_PATH"])
    assert not any(path.stat().st_mode & 0o077 for path in (token, token.parent))
    running.process.kill()
    running.end()
    # Agents of Ray look five times for its other processes, a minute and a half in all.
    _, alive = psutil.wait_procs(started, timeout=180)
    assert not alive
    again = launch(folder, None, HOME=str(home))
    assert again.end() == 0, again.lines
    # Other lines are of trials that fail as they should.
    ours = ("starting Ray", f"{WORKERS} workers of 1 thread (Ray: ")
    named = [line for line in again.lines if re.search(r"\bray\b|raylet|pid=", line, re.IGNORECASE)]
    assert not [line for line in named if not line.startswith((*ours, "  File "))]
    assert not (home / ".ray").exists()
    check(folder, expected)


def test_the_path_of_the_environment_has_a_space(folder: Path, expected: Any) -> None:
    """A Ray of the launch's own starts all the same; why another is not there is told."""
    place = folder / "an environment"
    venv.create(place, symlinks=True)
    packages = next(place.glob("lib/python*/site-packages"))
    paths = [str(Path(studies.__file__).parents[1]), *(p for p in sys.path if "site-" in p)]
    (packages / "paths.pth").write_text("\n".join(paths), encoding="utf-8")
    python = str(place / "bin" / "python")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                python,
                "-P",
                "-m",
                "kerastudy",
                "launch",
                "study.py",
                "--executor",
                "ray",
                *arguments,
            ],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
        )

    done = run(*USUAL)
    assert done.returncode == 0, done.stderr
    found = study_record.read_record(folder / "store", NAME)
    unlike = study_record.differences(expected["trials"], found["trials"])
    assert not [each for each in unlike if "scores" not in each]
    refused = run("--address", "127.0.0.1:9")
    assert refused.returncode == 2
    told = refused.stderr.splitlines()[-1]
    assert "There is no Ray cluster at '127.0.0.1:9'" in told
    assert "'ray start --head --block' ends at once, as the path has a space" in told


def test_a_benchmark_ends_when_its_head_has_died(tmp_path: Path) -> None:
    """A system of others would wait for ever."""
    environment = dict(os.environ)
    with peers_cluster(1, environment, tmp_path / "ray.log") as cluster:
        children = psutil.Process(cluster.process.pid).children(recursive=True)
        for each in children:
            if "gcs_server" in each.name():
                each.kill()
        with pytest.raises(RuntimeError, match=r"the head of its Ray cluster, .* has died"):
            measure(
                ["sleep", "600"],
                folder=tmp_path,
                environment=environment,
                log=tmp_path / "log",
                cluster=cluster,
            )


def test_a_node_that_joins_is_used(folder: Path, cluster: Any) -> None:
    """Four workers of which three have a place say what they wait for, until a node joins."""
    running = launch(folder, cluster, "--workers", "4")
    waits = "1 of 4 workers wait for resources (1 CPU each); the cluster has 3 CPUs in all"
    assert running.wait_until(lambda: waits in running.lines), running.lines
    assert running.wait_until(lambda: running.begun)
    node = add_node(cluster)
    assert running.wait_until(lambda: len(worker_processes()) == 4), running.lines
    assert running.end() == 0, running.lines
    cluster.remove_node(node)


def test_a_node_that_lacks_a_file_is_left_out(folder: Path, cluster: Any) -> None:
    """A line says what it lacks."""
    reads = 'if "KERASTUDY_TEST_BARE" in os.environ:\n    open("/nowhere/data.npz")\n'
    text = STUDY_FILE.replace("\nimport time\n", f"\nimport os\nimport time\n\n{reads}")
    (folder / "study.py").write_text(text, encoding="utf-8")
    node = add_node(cluster, env_vars={"KERASTUDY_TEST_BARE": "1"})
    running = launch(folder, cluster, "--workers", "4")
    assert running.end() == 0, running.lines
    # The terminal wraps it.
    told = " ".join(line.strip() for line in running.lines)
    assert told.count("'/nowhere/data.npz' (This was on the node") == 1, told
    assert "continuing with 3 of the workers: The study file" in told
    cluster.remove_node(node)


def test_without_the_files_of_the_driver(tmp_path: Path, cluster: Any, expected: Any) -> None:
    """The study's file and its modules travel: a node does not see this folder."""
    code = tmp_path / "code"
    (code / "parts").mkdir(parents=True)
    (code / "parts" / "numbers.py").write_text("MOST = 8\n", encoding="utf-8")
    text = STUDY_FILE.replace("ks.units(4, 8)", "ks.units(4, MOST)")
    text = text.replace("import time\n", "import time; from parts.numbers import MOST\n")
    (code / "study.py").write_text(text, encoding="utf-8")
    script = (
        "import os, sys\n"
        "from studies.executors.ray import workers\n"
        "started = workers.RayWorkers.__init__\n"
        "def moved(*given, **named):\n"
        "    started(*given, **named)\n"
        f"    os.rename({str(code)!r}, {str(tmp_path / 'away')!r})\n"
        "workers.RayWorkers.__init__ = moved\n"
        "from studies.commands import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", script, "launch", str(code / "study.py"), *USUAL),
            *("--executor", "ray", "--address", cluster.address),
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = study_record.read_record(tmp_path / "store", NAME)
    differing = study_record.differences(expected["trials"], found["trials"])
    assert not [each for each in differing if not each.partition(":")[0].endswith("/code")]


def test_the_head_is_gone(folder: Path, expected: Any) -> None:
    """The study stops in one line, and is resumed elsewhere: here by local workers."""
    with ray_cluster(2, connect=False) as cluster:
        running = launch(folder, cluster)
        assert running.wait_until(lambda: running.begun and running.ended >= 3)
        for name in ("gcs_server", "raylet"):
            for each in cluster.head_node.all_processes.get(name, ()):
                os.kill(each.process.pid, signal.SIGKILL)
        assert running.end() == 2
        assert "does not answer any more" in running.lines[-1], running.lines
        # The study's own trial 6 raises, if the head is there long enough.
        said = "\n".join(running.lines)
        assert said.count("Traceback") == said.count("trial 6 raised"), said
    kerastudy(folder, "launch", "study.py", *USUAL)
    check(folder, expected)
