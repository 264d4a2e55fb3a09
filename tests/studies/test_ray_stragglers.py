"""A slow node of a Ray cluster does not hold up a study. Nodes are processes of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import study_record
from killing import NAME, STUDY_FILE
from ray_cluster import NODE, ray_cluster
from user_commands import KERASTUDY, environment, kerastudy

pytestmark = pytest.mark.exhaustive

USUAL = ("--store", "store", "--trials", "6", "--workers", "3", "--deterministic")
SLEEPS = "time.sleep(0.06)"
# On the slow node, the second epoch never ends. Until it begins, the others wait: none is late.
WAITS = """
            while "KERASTUDY_TEST_SLOW" in os.environ and epoch == 1:
                open({mark!r}, "w").close()
                time.sleep(1)
            while not os.path.exists({mark!r}) and "KERASTUDY_TEST_SLOW" not in os.environ:
                time.sleep(0.1)
"""


def test_a_node_whose_epoch_never_ends_does_not_hold_up_the_study(tmp_path: Path) -> None:
    """It is that of local workers, bit by bit. Without a second worker it would not end."""
    pytest.importorskip("ray")
    here, there = tmp_path / "here", tmp_path / "there"
    waits = WAITS.format(mark=str(tmp_path / "mark")).strip()
    code = STUDY_FILE.replace("import time", "import os\nimport time", 1)
    code = code.replace(SLEEPS, waits).replace('pruner="median"', 'pruner="none"')
    for folder in (here, there):
        folder.mkdir()
        (folder / "study.py").write_text(code, encoding="utf-8")
    with ray_cluster(2) as cluster, (tmp_path / "log").open("w+") as log:
        cluster.add_node(**NODE, env_vars={"KERASTUDY_TEST_SLOW": "1"})
        command = (*KERASTUDY, "launch", "study.py", *USUAL, "--verify", "off")
        done = subprocess.run(
            [*command, "--executor", "ray", "--address", cluster.address],
            cwd=there,
            env=environment(),
            stderr=log,
        )
    said = (tmp_path / "log").read_text()
    assert done.returncode == 0, said
    assert "and the first to finish counts" in said
    kerastudy(here, "launch", "study.py", *USUAL, "--verify", "off")
    expected, found = (study_record.read_record(each / "store", NAME) for each in (here, there))
    for part in ("trials", "champion", "files"):
        assert not [*study_record.differences(expected[part], found[part])], part
    assert not study_record.left_behind(there / "store")
