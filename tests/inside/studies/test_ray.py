"""Trials run on a Ray cluster. Its nodes are processes of this machine, of one CPU each."""

import contextlib
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
import pytest
from conformance.executor import STUDY_FILE, ExecutorConformance, Open
from killing import NAME, Launch
from killing import STUDY_FILE as SLOW_STUDY
from study_record import differences, left_behind, read_record
from user_commands import kerastudy, kerastudy_here

import kerastudy as ks
from studies import executors
from studies.definition import LaunchOptions, RayOptions
from studies.executors import ray_workers
from studies.launching import run_study
from studies.progress import NoProgress
from studies.user_code import Target, load_study

# A Ray cluster of several nodes on this machine, of one CPU each.

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
HEAD = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
_ATTEMPTS = 4


@contextmanager
def ray_cluster(nodes: int, *, connect: bool = True) -> Iterator[Any]:
    """Yields a cluster whose head is one of the nodes. If `connect`, this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    # The path is short, because the paths of sockets in it must be.
    folder = tempfile.mkdtemp(prefix="ks-", dir="/tmp")
    # Ray notes the latest cluster of a machine in this folder, and does not create it.
    os.mkdir(os.path.join(folder, "ray"))
    with mock.patch.dict(os.environ, RAY_TMPDIR=folder):
        cluster = Cluster(initialize_head=True, head_node_args={**HEAD, "temp_dir": folder})
    try:
        for _ in range(nodes - 1):
            add_node(cluster)
        cluster.wait_for_nodes()
        if connect:
            ray.init(cluster.address, log_to_driver=False, logging_level="error")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def add_node(cluster: Any, **options: Any) -> Any:
    """Starts a node, and does not wait until it is ready.

    Ray gives up after half a minute, as on a busy machine. Then the start is tried again.
    """
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(Exception):
            return cluster.add_node(wait=False, **NODE, **options)
    return cluster.add_node(wait=False, **NODE, **options)


def worker_processes() -> list[psutil.Process]:
    """Returns the worker processes on the nodes of this process's clusters."""
    workers = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        if any("worker_main.py" in word for word in words):
            # The workers of a local launch have another parent.
            parent = process.parent()
            if parent is not None and "ray::" in " ".join(parent.cmdline()):
                workers.append(process)
    return workers


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster that this process is connected to, of two nodes."""
    pytest.importorskip("ray")
    with ray_cluster(2) as cluster:
        yield cluster


@contextmanager
def on_ray(file: Path, shared: Path | None = None) -> Iterator[executors.RayPool]:
    with tempfile.TemporaryDirectory() as folder, executors.connected(RayOptions()) as there:
        load = executors.LoadStudy(Target(str(file)), shared or Path(folder))
        started = executors.RayWorkers(load, cluster=there, trials=None, workers=1, on_output=print)
        try:
            started.load()
            yield started.pool
        finally:
            started.close()


class TestRay(ExecutorConformance):
    """One worker."""

    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls, cluster: Any) -> Open:
        return on_ray


def test_a_study_on_ray_is_that_of_this_process(tmp_path: Path, cluster: Any) -> None:
    """The judges are metrics, weights, checkpoints and proposals, trial by trial and bit by bit."""
    file, data = tmp_path / "study.py", tmp_path / "data.npz"
    y = np.arange(150) % 3
    x = (np.random.default_rng(0).normal(size=(150, 4)) + y[:, None]).astype("float32")
    np.savez(data, x_train=x, y_train=y)
    # The first two trials end early.
    text = STUDY_FILE.replace("trials=4,", 'trials=3, pruner="threshold,upper=1.1",')
    text = text.replace('arrays(x, y, name="made up")', f"npz({str(data)!r})")
    file.write_text(text, encoding="utf-8")
    study, code = load_study(Target(str(file)))
    here = executors.InProcessExecutor(executors.Session.open(study, code, None))
    if here.description.threads != 1:
        pytest.skip("TensorFlow has more threads in this process")
    off = {"verify": "off", "report": False}
    with on_ray(file) as pool:
        options = LaunchOptions(store=tmp_path / "ray", **off)
        run_study(pool, options, progress=NoProgress())
    run_study(here, LaunchOptions(store=tmp_path / "here", **off), progress=NoProgress())
    actual, expected = (read_record(tmp_path / name, "작은 연구") for name in ("ray", "here"))
    for part in ("trials", "champion", "files"):
        assert not unlike(expected[part], actual[part]), part
    states = [trial["state"] for trial in actual["trials"].values()]
    assert states == ["pruned", "pruned", "complete"]


def unlike(expected: Any, actual: Any) -> list[str]:
    # A trial that was resumed has the scores of its best epoch alone. Whether a trial writes a file
    # of weights depends on the trials that ended before it.
    timing = ("scores", "/checkpoint_sha256:")
    return [
        text for text in differences(expected, actual) if not any(word in text for word in timing)
    ]


# Bad input, before any training.


def refusal(folder: Path, *options: str, target: str = "digits") -> str:
    before = sorted(folder.iterdir())
    answer = kerastudy_here(folder, "launch", target, *options, expect=2)
    assert sorted(folder.iterdir()) == before
    assert answer.last.startswith("kerastudy: ") or len(answer.stderr.splitlines()) > 1
    return " ".join(answer.stderr.split())


def test_an_unfit_cluster(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    ray = ("--executor", "ray", "--workers", "1")
    more = ("--cpus-per-trial", "4", "--gpus-per-trial", "2")
    error = refusal(tmp_path, *ray, *more, target="study.py")
    assert "No node of the Ray cluster has 4 CPUs and 2 GPUs for a trial" in error
    assert "Its nodes have: 1 CPU and 0 GPUs" in error
    ours = ray_workers.installed_versions()
    monkeypatch.setattr(ray_workers, "installed_versions", lambda: {**ours, "keras": "3.99.0"})
    error = refusal(tmp_path, *ray, target="study.py")
    assert re.search(rf"the node \S+ \(\w+\) has keras {ours['keras']} \(here 3.99.0\)", error)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--gpus-per-trial", "1.5", "--executor", "ray"], "--gpus-per-trial must"),
        (["--address", "ray://head:10001", "--executor", "ray"], "of Ray's client"),
        (["--address", "auto", "--executor", "worker"], "no effect with the executor 'worker'"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: list[str], words: str) -> None:
    assert words in refusal(tmp_path, *options)


def test_a_node_without_the_disk_of_the_store(tmp_path: Path, cluster: Any) -> None:
    (tmp_path / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    message = r"the node \S+ \(\w+\) does not see the folder '/nowhere'.*--store"
    with (
        pytest.raises(ks.errors.KerastudyError, match=message),
        on_ray(tmp_path / "study.py", Path("/nowhere")),
    ):
        pass


def test_ray_without_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray").shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert "Give --address auto" in refusal(tmp_path, "--executor", "ray")


def test_ray_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "studies.executors.ray_cluster.find_spec",
        lambda name: None if name == "ray" else find_spec(name),
    )
    assert "pip install 'kerastudy[ray]'" in refusal(tmp_path, "--executor", "ray")


def test_there_is_no_cluster_at_the_address(tmp_path: Path) -> None:
    """A process that is connected already does not look for another cluster."""
    pytest.importorskip("ray").shutdown()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        error = refusal(tmp_path, "--executor", "ray", "--address", address)
    assert f"There is no Ray cluster at '{address}'" in error


def test_a_study_that_can_not_be_sent(tmp_path: Path) -> None:
    """Its callback holds something of this process."""
    pytest.importorskip("ray")
    with (tmp_path / "log").open("w") as held:
        study = ks.Study(
            "held",
            data=ks.datasets.digits(),
            build=lambda hp: None,
            callbacks=lambda hp: [held.write("epoch")],
        )
        message = r"'held' can't be sent.*PicklingError.*'in-process'"
        with pytest.raises(ks.errors.StudyError, match=message):
            study.launch(executor="ray", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


# What dies on a cluster: nodes, the driver, the head. Each study is that of local workers.

TRIALS, WORKERS = 30, 3
USUAL = (
    *("--store", "store", "--trials", str(TRIALS), "--workers", str(WORKERS)),
    *("--engine", "optuna:random", "--pruner", "none", "--verify", "off"),
)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of three nodes, for other processes."""
    pytest.importorskip("ray")
    with ray_cluster(3, connect=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The record of the study on as many workers of this machine."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "study.py").write_text(SLOW_STUDY, encoding="utf-8")
    kerastudy(folder, "launch", "study.py", *USUAL)
    return read_record(folder / "store", NAME)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(SLOW_STUDY, encoding="utf-8")
    return tmp_path


def launch(folder: Path, cluster: Any, *arguments: str, **more: str) -> Launch:
    """Launches the study on a cluster."""
    return Launch(folder, "--address", cluster.address, *USUAL, *arguments, **more)


def check(folder: Path, expected: Any) -> None:
    assert not unlike(expected, read_record(folder / "store", NAME))
    assert not left_behind(folder / "store")
    assert not [*folder.glob("store/kerastudy-data-*")]
    # Ray's lines on nodes that die are not on standard output, where `--json` prints.
    printed = (folder / "printed").read_text()
    assert "raylet" not in printed, printed


@pytest.mark.exhaustive
def test_a_node_that_dies_at_ten_instants(folder: Path, nodes: Any, expected: Any) -> None:
    """Another node joins each time, and is used. Four workers wait for a place at first."""
    draw = random.Random(16)
    # Only after half a minute is a worker said to wait, so the study must take longer.
    longer = ("--store", "other", "--trials", "500")
    running = launch(folder, nodes, "--workers", "4", *longer)
    waits = "1 of 4 workers wait for resources (1 CPU each); the cluster has 3 CPUs in all"
    assert running.wait_until(lambda: waits in running.lines), running.lines
    workers = worker_processes()
    running.process.kill()
    running.end()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert workers and not alive
    running = launch(folder, nodes)
    kills = sorted(draw.randrange(TRIALS - 2) for _ in range(10))
    for trials in kills:
        assert running.wait_until(lambda n=trials: running.begun and running.ended >= n)
        assert running.lasts(time.monotonic() + draw.uniform(0.0, 1.0))
        nodes.remove_node(draw.choice([*nodes.worker_nodes]), allow_graceful=False)
        add_node(nodes)
    assert running.end() == 0, running.lines
    check(folder, expected)


@pytest.mark.exhaustive
def test_the_head_is_gone(folder: Path, expected: Any) -> None:
    """The study stops in one line, and is resumed elsewhere: here by local workers."""
    with ray_cluster(2, connect=False) as cluster:
        running = launch(folder, cluster)
        assert running.wait_until(lambda: running.begun and running.ended >= 3)
        for name in ("gcs_server", "raylet"):
            for process in cluster.head_node.all_processes.get(name, ()):
                os.kill(process.process.pid, signal.SIGKILL)
        assert running.end() == 2
        assert "does not answer any more" in running.lines[-1], running.lines
        # The study's own trial 6 raises, if the head is there long enough.
        output = "\n".join(running.lines)
        assert output.count("Traceback") == output.count("trial 6 raised"), output
    kerastudy(folder, "launch", "study.py", *USUAL)
    check(folder, expected)
