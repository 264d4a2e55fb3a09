"""One side: a commit, its environment, and what it says of the studies that it runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from golden import compare

HERE = Path(__file__).parent
ROOT = HERE.parent
SECONDS = 900


@dataclass(frozen=True)
class Subject:
    """A study that both sides run.

    Attributes:
        name: The study's name.
        target: Its file in `subjects`, and the variable.
        arguments: Arguments of its launch.
        also: Trials to reproduce besides the best one.
        has: A state, and how many trials at least must end in it for the study to be of use.
        killed: Whether its first launch is killed.
        further: Other commands that are compared.
        report: Whether the report's text is compared.
    """

    name: str
    target: str
    arguments: tuple[str, ...] = ("--workers", "1")
    also: tuple[int, ...] = ()
    has: tuple[str, int] = ("complete", 2)
    killed: bool = False
    further: tuple[tuple[str, ...], ...] = ()
    report: bool = False


CONFIRM = ("confirm", "--top", "3", "--budget", "5", "--workers", "1")
OBJECTIVE = ("--trials", "5", "--pruner", "none", "--workers", "1")
# With several workers, proposals depend on timing, unless they ignore results.
REPEATABLE = ("--engine", "optuna:random", "--pruner", "none")
SUBJECTS = (
    Subject("tpe", "engines.py:tpe", report=True, further=(CONFIRM, ("evaluate",))),
    Subject("cma-es", "engines.py:cma_es"),
    Subject("grid", "engines.py:grid", has=("complete", 6)),
    Subject("hyperband", "engines.py:hyperband"),
    Subject("bayesian", "engines.py:bayesian"),
    Subject("pruned", "engines.py:pruned", has=("pruned", 1)),
    Subject("folds", "engines.py:folds"),
    Subject("repeats", "engines.py:repeats"),
    Subject("infeasible", "broken_off.py:infeasible", has=("infeasible", 2)),
    Subject("killed", "broken_off.py:killed", also=(3,), killed=True),
    Subject("workers", "engines.py:workers", ("--workers", "2", *REPEATABLE)),
    Subject("in-process", "engines.py:in_process", ("--executor", "in-process")),
    Subject("table", "table.py:study"),
    Subject("batches", "batches.py:study"),
    Subject("objective", "objective.py:study", OBJECTIVE),
    Subject("hypermodel", "hypermodel.py:study"),
)
# Options of every launch whose version has them. By default, the clock decides how long trials
# are compared with model.fit.
LAUNCH = {"--verify": ("--verify", "full"), "--tracking-uri": ("--tracking-uri", "off")}


class Side:
    """A commit that runs studies, each after the other, in a store of its own."""

    def __init__(self, name: str, environment: Path, folder: Path) -> None:
        """Prepares the folder.

        Args:
            name: What messages call it.
            environment: Where its Python is.
            folder: A new folder for study files, the store, and what commands print.
        """
        self.name = name
        self.folder = folder
        self._bin = environment / "bin"
        shutil.copytree(HERE / "subjects", folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "tmp").mkdir()
        (folder / "printed").mkdir()
        ours = ("KERASTUDY_", "MLFLOW_", "PYTHON", "COLUMNS")
        self._variables = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self._variables |= {
            "COLUMNS": "80",
            "TMPDIR": str(folder / "tmp"),
            "KERASTUDY_REPORT": "off",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        self.documents: dict[str, dict[str, Any]] = {}

    def run(self, subjects: list[Subject], say: Callable[[str], None]) -> None:
        """Runs studies, and then reads the whole store."""
        help_text = self._run("help", ["launch", "--help"])[1]
        fixed = [word for name, words in LAUNCH.items() if name in help_text for word in words]
        for subject in subjects:
            began = time.monotonic()
            self.documents[subject.name] = self._study(subject, fixed)
            say(f"{self.name:7}{subject.name:12}{time.monotonic() - began:4.0f} s")
        code, text = self._run("collect", [], program=["python", str(HERE / "collect.py"), "store"])
        if code != 0:
            raise RuntimeError(f"{self.name}: reading its store failed: {self._where('collect')}")
        collected = json.loads(text)
        self.places = {str(self.folder): "<folder>", **collected["ids"]}
        self.documents["packages"] = collected["packages"]
        for subject in subjects:
            # Differences are shown in this order: first those of trials, then those of commands.
            document = collected["studies"].get(subject.name, {}) | self.documents[subject.name]
            self.documents[subject.name] = document
            lines = [compare.text_of(line, self.places) for line in document.pop("report", [])]
            document["report"] = dict(Counter(lines))

    def short_of(self, subject: Subject) -> str:
        """Returns why a study is of no use for the comparison, or an empty text."""
        document = self.documents[subject.name]
        state, least = subject.has
        trials = document.get("trial", {}).values()
        count = sum(str(trial.get("state")).rpartition(".")[2].lower() == state for trial in trials)
        if document["launch"]["exit"] != 0:
            return f"launch ended with {document['launch']['exit']}: {self._where(subject.name)}"
        if subject.killed and not document["launch"]["killed"]:
            return "no trial came to the point at which it is killed"
        return "" if count >= least else f"{count} {state} trials instead of {least} or more"

    def _study(self, subject: Subject, fixed: list[str]) -> dict[str, Any]:
        launch = ["launch", subject.target, *subject.arguments, *fixed]
        document: dict[str, Any] = {"launch": {}}
        if subject.killed:
            document["launch"]["killed"] = self._killed(launch)
        document["launch"]["exit"] = self._run(subject.name, launch)[0]
        again = document["reproduce"] = {"best": self._document("reproduce", subject.name)}
        for trial in subject.also:
            again[str(trial)] = self._document("reproduce", subject.name, "--trial", str(trial))
        for command, *options in subject.further:
            document[command] = self._document(command, subject.name, *options)
        document["show"] = self._document("show", subject.name)
        if subject.report:
            document["report"] = self._report(subject.name)
        return document

    def _killed(self, launch: list[str]) -> bool:
        """Launches, and kills all its processes once a trial waits in its third epoch."""
        stop, stopped = self.folder / "stop", self.folder / "stopped"
        stop.touch()
        with open(self._where("killed first"), "w") as printed:
            process = subprocess.Popen(
                [self._bin / "kerastudy", *launch, "--store", "store"],
                **self._options(printed),
                stdout=printed,
                start_new_session=True,
            )
            until = time.monotonic() + SECONDS
            while not stopped.exists() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            killed = process.poll() is None and stopped.exists()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        stop.unlink()
        stopped.unlink(missing_ok=True)
        return killed

    def _document(self, command: str, study: str, *options: str) -> dict[str, Any]:
        code, text = self._run(f"{study} {command}", [command, study, *options, "--json"])
        try:
            return {"exit": code, **json.loads(text)}
        except ValueError:
            return {"exit": code, "text": text}

    def _report(self, study: str) -> list[str]:
        """Returns the lines of text of the report."""
        self._run(f"{study} report", ["report", study, "--output", "report.html", "--no-open"])
        lines = _Lines()
        file = self.folder / "report.html"
        lines.feed(file.read_text(encoding="utf-8") if file.exists() else "")
        return lines.texts

    def _run(
        self, name: str, arguments: list[str], program: list[str] | None = None
    ) -> tuple[int, str]:
        """Runs a command; returns its exit code, and what it printed on standard output."""
        command = program or ["kerastudy", *arguments]
        if not program and "--help" not in arguments:
            command += ["--store", "store"]
        with open(self._where(name), "w") as printed:
            process = subprocess.run(
                [str(self._bin / command[0]), *command[1:]],
                **self._options(printed),
                stdout=subprocess.PIPE,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            printed.write(process.stdout)
        return process.returncode, process.stdout

    def _options(self, printed: Any) -> dict[str, Any]:
        return {
            "cwd": self.folder,
            "env": self._variables,
            "stdin": subprocess.DEVNULL,
            "stderr": printed,
        }

    def _where(self, name: str) -> Path:
        return self.folder / "printed" / f"{name.replace(' ', '-')}.txt"


class _Lines(HTMLParser):
    """The texts of a page that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style", "svg")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "svg")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.texts.append(" ".join(data.split()))


def tree_of(commit: str) -> str:
    """Returns the tree of a commit.

    Raises:
        ValueError: If the repository has no such commit.
    """
    tree = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}", check=False)
    if not tree:
        raise ValueError(f"this repository has no commit or tag {commit!r}; `git tag` lists tags")
    return tree


def working_tree() -> str:
    """Returns a tree of the files as they are, committed or not."""
    index = str(ROOT / "build" / "golden" / "index")
    _git("read-tree", "HEAD", index=index)
    _git("add", "--all", index=index)
    return _git("write-tree", index=index)


def is_dirty() -> bool:
    """Returns whether there are changes that are not committed."""
    return bool(_git("status", "--porcelain"))


def _git(*arguments: str, check: bool = True, index: str | None = None) -> str:
    process = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        env=os.environ | ({} if index is None else {"GIT_INDEX_FILE": index}),
        stdout=subprocess.PIPE,
        text=True,
        check=check,
    )
    return process.stdout.strip()


# Files that are not installed: a change of these needs no new environment.
NOT_INSTALLED = (
    *(".ci", "benchmarks", "changes", "docs", "examples", "golden", "scripts", "tests"),
    *(".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "README.ko.md", "README.md"),
)


def environment_of(tree: str, say: Callable[[str], None]) -> Path:
    """Returns the environment of a tree with its constraints, made now if there is none."""
    files = [line.split("\t") for line in _git("ls-tree", tree).splitlines()]
    key = f"{sys.version} {[file for file in files if file[1] not in NOT_INSTALLED]}"
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    place = ROOT / "build" / "golden" / "environments" / name
    if (place / "complete").exists():
        return place
    say(f"making an environment of tree {tree[:12]}")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", tree], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    source = place / "source"
    source.mkdir()
    subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip, uv, python = (str(place / "bin" / name) for name in ("pip", "uv", "python"))
    what = ["-c", str(source / "constraints.txt"), str(source)]
    # uv takes a tenth of pip's time. pip serves where uv can't be installed.
    subprocess.run([pip, "install", "-q", "uv"], check=False)
    fast = [uv, "pip", "install", "-q", "--python", python, *what]
    if not Path(uv).exists() or subprocess.run(fast, check=False).returncode != 0:
        subprocess.run([pip, "install", "-q", *what], check=True)
    (place / "complete").touch()
    return place
