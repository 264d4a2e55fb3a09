"""What is wrong with a launch on Ray is told in one line, before Ray starts."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest
from user_commands import kerastudy_here

import kerastudy as ks
from studies.executors import silent


def refused(folder: Path, *options: str) -> str:
    done = kerastudy_here(folder, "launch", "digits", *options, expect=2)
    assert not list(folder.iterdir())
    *waited, line = done.stderr.splitlines()
    assert line.startswith("kerastudy: ") and not [w for w in waited if "Error" in w]
    return line


def test_ray_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "studies.executors.ray.cluster.find_spec",
        lambda name: None if name == "ray" else find_spec(name),
    )
    assert "pip install 'kerastudy[ray]'" in refused(tmp_path, "--executor", "ray")


def test_there_is_no_cluster_at_the_address(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        told = refused(tmp_path, "--executor", "ray", "--address", address)
    assert f"There is no Ray cluster at '{address}'" in told


@pytest.mark.parametrize(
    "options, words",
    [
        (["--gpus-per-trial", "1.5", "--executor", "ray"], "gpus_per_trial"),
        (["--cpus-per-trial", "0", "--executor", "ray"], "above 0. Received: 0"),
        (["--address", " ", "--executor", "ray"], "HOST:PORT"),
        (["--address", "nonsense", "--executor", "ray"], "Received: 'nonsense'. Leave it out"),
        (["--address", "head:70000", "--executor", "ray"], "Received: 'head:70000'"),
        (["--address", "ray://head:10001", "--executor", "ray"], "one of Ray's client"),
        (["--address", "auto"], "Add --executor ray"),
    ],
)
def test_options_that_can_not_be(tmp_path: Path, options: list[str], words: str) -> None:
    assert words in refused(tmp_path, *options)


def test_ray_prints_nothing_about_nodes_that_die(capsys: pytest.CaptureFixture[str]) -> None:
    """It would on standard output, where `--json` prints its document."""
    worker = pytest.importorskip("ray._private.worker")

    def die(node: str) -> str:
        told = {"lines": [f"{node} is dead"], "pid": "raylet", "is_err": False}
        worker.print_to_stdstream(told, ignore_prefix=False)
        return capsys.readouterr().out

    with silent():
        assert die("first") == ""
    assert "second is dead" in die("second")


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
        with pytest.raises(ks.errors.StudyError, match=r"can't be sent.*PicklingError"):
            study.launch(executor="ray", store=tmp_path / "store")
    with pytest.raises(ks.errors.StudyError, match="no effect with the executor 'worker'"):
        study.launch(executor="worker", ray=ks.RayOptions())
    with pytest.raises(ks.errors.StudyError, match="ray must be a RayOptions"):
        study.launch(ray={"address": "auto"})  # type: ignore[arg-type]
    assert not (tmp_path / "store").exists()
