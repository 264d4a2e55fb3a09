"""Where trials run: on a Ray cluster. Its nodes are processes of this machine, of one CPU each."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance.executor import STUDY_FILE, ExecutorConformance, Open
from ray_cluster import add_node, ray_cluster, worker_processes
from study_record import differences, read_record
from user_commands import kerastudy_here

from studies.definition import LaunchOptions, RayOptions
from studies.executors import InProcessExecutor, RayPool, RayWorkers, Session, connected
from studies.executors.ray import host
from studies.progress import NoProgress
from studies.running import run_study
from studies.user_code import Target, load_study
from tracking.records import Decision, EpochResult


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    with ray_cluster(2) as found:
        yield found


@contextmanager
def on_ray(file: Path, workers: int = 1) -> Iterator[RayPool]:
    with tempfile.TemporaryDirectory() as shared, connected(RayOptions()) as there:
        started = RayWorkers(
            Target(str(file)),
            cluster=there,
            overrides={},
            data="",
            trials=None,
            threads=None,
            workers=workers,
            shared=Path(shared),
            on_output=print,
        )
        try:
            started.load()
            yield started.pool
        finally:
            started.close()


# A whole study runs there each time, below, with trials that end early, and one that is lost.
@pytest.mark.exhaustive
class TestRay(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        return on_ray


def test_a_study_is_that_of_this_process_though_a_worker_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trial by trial, bit by bit: metrics, weights, checkpoints, and what the engine proposed."""
    file, data = tmp_path / "study.py", tmp_path / "data.npz"
    x = np.random.default_rng(0).normal(size=(90, 6)).astype("float32")
    np.savez(data, x_train=x, y_train=(x.sum(axis=1) > 0).astype("int64"))
    # The first two trials end early, the third has its process killed in its second epoch.
    pruner = 'pruner="threshold,upper=0.8"'
    text = STUDY_FILE.replace("trials=4,", f"trials=6, deterministic=True, {pruner},")
    text = text.replace('arrays(x, y, name="made up")', f"npz({str(data)!r})")
    file.write_text(text, encoding="utf-8")
    study, code = load_study(Target(str(file)))
    here = InProcessExecutor(Session.open(study, code, None))
    if here.description.threads != 1:
        pytest.skip("TensorFlow has more threads in this process")
    off = {"verify": "off", "report": False}
    with on_ray(file, workers=2) as pool:
        killing = KillsOne(pool)
        options = LaunchOptions(store=tmp_path / "ray", **off)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(pool, "wait", killing.wait)
            run_study(pool, options, progress=NoProgress(), workers=2)
        assert killing.killed
    run_study(here, LaunchOptions(store=tmp_path / "here", **off), progress=NoProgress(), workers=2)
    found, expected = (read_record(tmp_path / name, "작은 연구") for name in ("ray", "here"))
    for part in ("trials", "champion", "files"):
        unlike = differences(expected[part], found[part])
        # A trial that was resumed has the scores of its best epoch alone.
        assert not [each for each in unlike if "scores" not in each], part
    assert "pruned" in {trial["state"] for trial in found["trials"].values()}


@pytest.mark.exhaustive
def test_a_node_that_reads_other_data_is_left_out(
    tmp_path: Path,
    cluster: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Data is read on each node, and compared by digest."""
    other = "\nimport os\nx = x + ('KERASTUDY_TEST_OTHER' in os.environ)\n\ndef build("
    text = STUDY_FILE.replace("\ndef build(", other).replace("trials=4,", "trials=40,")
    (tmp_path / "study.py").write_text(text, encoding="utf-8")
    node = add_node(cluster, env_vars={"KERASTUDY_TEST_OTHER": "1"})
    options = LaunchOptions(store=tmp_path / "store", verify="off", report=False)
    with on_ray(tmp_path / "study.py", workers=3) as pool:
        run_study(pool, options, progress=NoProgress(), workers=3)
    cluster.remove_node(node)
    told = capsys.readouterr().out
    assert "continuing with 2 of the workers: on the node " in told, told
    assert "has changed while it ran (its data" in told, told


class KillsOne:
    """Kills a worker process when the third trial reports its second epoch."""

    def __init__(self, pool: RayPool) -> None:
        self._wait, self.killed = pool.wait, False

    def wait(self, handler: Any, seconds: float | None = None) -> None:
        take = handler.on_epoch

        def on_epoch(epoch: EpochResult) -> Decision:
            if (epoch.number, epoch.epoch) == (2, 2) and not self.killed:
                self.killed = True
                worker_processes()[0].kill()
            return take(epoch)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(handler, "on_epoch", on_epoch)
            self._wait(handler, seconds)


# Bad input, before any training.


def test_resources_that_no_node_has(tmp_path: Path) -> None:
    told = refused(tmp_path, "--cpus-per-trial", "4", "--gpus-per-trial", "2")
    assert "No node of the Ray cluster has 4 CPUs and 2 GPUs for a trial" in told
    assert "Its nodes have: 1 CPU and 0 GPUs" in told


def test_versions_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = host.installed_versions()
    monkeypatch.setattr(host, "installed_versions", lambda: {**ours, "keras": "3.99.0"})
    told = refused(tmp_path)
    assert re.search(rf"the node \S+ \(\w+\) has keras {ours['keras']} \(here 3.99.0\)", told)


def refused(folder: Path, *options: str) -> str:
    (folder / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    done = kerastudy_here(
        folder, "launch", "study.py", "--executor", "ray", "--workers", "1", *options, expect=2
    )
    assert not (folder / "kerastudy-store").exists()
    return " ".join(done.stderr.split())
