"""The way of an epoch from the trainer's callback to the pruner is the one that the page shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

from blobs import STUDY_FILE
from pages import ROOT
from user_commands import kerastudy

# Python runs it at the start of each process: it notes who calls, and calls on.
OBSERVING = """
import functools
import json
import os
import sys
from multiprocessing.connection import Connection


def noting(method, passes):
    @functools.wraps(method)
    def noted(*arguments):
        answer = method(*arguments)
        if passes(*arguments, answer):
            frame, callers = sys._getframe(1), []
            while frame is not None:
                callers.append((frame.f_code.co_filename, frame.f_code.co_name))
                frame = frame.f_back
            with open(os.environ["CALLS"], "a", encoding="utf-8") as file:
                file.write(json.dumps([method.__name__, callers[::-1]]) + "\\n")
        return answer

    return noted


def is_epoch(message):
    if type(message).__name__ != "EpochResult":
        return False
    # The driver has made its pruner by now.
    if "optuna" in sys.modules:
        pruner = sys.modules["optuna"].pruners.MedianPruner
        if "prune" not in vars(pruner):
            pruner.prune = noting(pruner.prune, lambda *_: True)
    return True


Connection.send = noting(Connection.send, lambda connection, message, _: is_epoch(message))
Connection.recv = noting(Connection.recv, lambda connection, message: is_epoch(message))
"""
TRAINERS = ("studies/training/plain.py", "studies/training/programs/")
# Their calls have returned before the pruner is asked.
CALLED_ON_THE_WAY = {"studies/running/running_trial.py"}


def on_the_page() -> list[str]:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("## The way of an epoch\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)


def modules_within(callers: list[tuple[str, str]]) -> tuple[str, ...]:
    """Returns our modules that were called by a trainer, or by the wait of `run_jobs`."""
    ours = [
        (Path(file).relative_to(ROOT).as_posix(), function)
        for file, function in callers
        if Path(file).is_relative_to(ROOT) and "site-packages" not in file
    ]
    begins = [
        place
        for place, (module, function) in enumerate(ours, start=1)
        if module.startswith(TRAINERS)
        or (module, function) == ("studies/executors/jobs.py", "_wait")
    ]
    return tuple(module for module, _ in ours[begins[-1] :])


def test_the_way_on_the_page_is_the_real_one(tmp_path: Path) -> None:
    """Few samples validate, so that scores of more than the best epoch are kept."""
    (tmp_path / "sitecustomize.py").write_text(OBSERVING, encoding="utf-8")
    (tmp_path / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    calls, path = tmp_path / "calls", f"{tmp_path}:{ROOT}"
    options = ["--workers", "1", "--pruner", "median", "--verify", "off"]
    kerastudy(tmp_path, "launch", "study.py", *options, PYTHONPATH=path, CALLS=str(calls))
    ways: dict[str, set[tuple[str, ...]]] = {}
    for line in calls.read_text(encoding="utf-8").splitlines():
        name, callers = json.loads(line)
        ways.setdefault(name, set()).add(modules_within(callers))
    # Each epoch goes the same way.
    [sent], [received], [judged] = ways["send"], ways["recv"], ways["prune"]
    way = list(dict.fromkeys((*sent, *received, *judged)))
    page = on_the_page()
    assert [module for module in page if module not in CALLED_ON_THE_WAY] == way
    assert len(page) <= 10
