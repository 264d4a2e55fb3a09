"""What a study imports of its own is part of its code: found, told of when it changes, kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import ScriptedExecutor, describe, run_study

from studies.progress import NoProgress
from studies.user_code import commit_of, import_texts, own_modules, place_of, text_of
from tracking.history import StudyHistory, read_code
from tracking.records import CodeDescription


@pytest.fixture(autouse=True)
def imports(tmp_path: Path) -> Iterator[None]:
    """What a test imports of its own, and lets be imported, is forgotten after it."""
    yield
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(tmp_path))]
    ours = import_texts.__module__
    sys.meta_path[:] = [each for each in sys.meta_path if type(each).__module__ != ours]
    for name, module in list(sys.modules.items()):
        # A module whose attributes are made when asked for answers anything, a number too.
        own = getattr(module, "__dict__", {})
        places = [own.get("__file__"), *own.get("__path__", ())]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        file = root / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def found(root: Path, source: str) -> list[str]:
    return list(own_modules(root / "study.py", source))


def test_imports_of_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """In functions, in branches, in packages, by relative imports; none of them has run."""
    write(tmp_path, first="def f():\n    from pack import part\n", second="import first", third="")
    write(tmp_path, pack__part="from . import other\nfrom .deep.down import x\n", pack__other="")
    write(tmp_path, pack__deep__down="import json, keras, numpy.linalg as l\n", unused="")
    (tmp_path / "pack" / "__init__.py").write_text("")
    source = (
        "import second\nif False:\n    import importlib\n"
        "    importlib.import_module('third')\nimport nowhere.at_all\nfrom first import f\n"
    )
    assert found(tmp_path, source) == [
        "first.py",
        "pack/__init__.py",
        "pack/deep/down.py",
        "pack/other.py",
        "pack/part.py",
        "second.py",
        "third.py",
    ]
    assert text_of(tmp_path / "study.py", "second.py") == "import first"


def test_only_what_is_not_installed_counts(tmp_path: Path) -> None:
    """The study's folder may itself lie where packages do."""
    home = tmp_path / "site-packages" / "mine"
    write(home, helper="", env__installed="", lib__x="")
    (home / "env" / "pyvenv.cfg").write_text("")
    sys.path.append(str(home / "env"))
    sys.path.append(str(tmp_path / "elsewhere"))
    write(tmp_path / "elsewhere", other="")
    source = "import helper, installed, lib.x, other, json, numpy, kerastudy, studies.study"
    assert found(home, source) == ["helper.py", "lib/x.py"]
    # Python itself may be installed below a home that is a repository.
    assert own_modules(Path(sysconfig.get_path("stdlib")).parent / "mine.py", "import json") == {}


def test_the_repository_counts_and_links_are_followed(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write(repository, tuning__study="", models__net="")
    write(tmp_path / "shared", linked="")
    (repository / ".git").mkdir()
    (repository / "tuning" / "linked.py").symlink_to(tmp_path / "shared" / "linked.py")
    (tmp_path / "links").mkdir()
    through = tmp_path / "links" / "link.py"
    through.symlink_to(repository / "tuning" / "study.py")
    sys.path.append(str(repository))
    sys.path.append(str(repository / "tuning"))
    source = "import models.net, linked"
    assert found(repository / "tuning", source) == ["../models/net.py", "linked.py"]
    places = own_modules(through, source)
    assert list(places) == ["../models/net.py", "linked.py"]
    assert place_of(through, "../models/net.py").samefile(repository / "models" / "net.py")


def test_what_has_changed_is_named_as_far_as_both_records_know(tmp_path: Path) -> None:
    def code(source: str, path: str = "/here/study.py", **texts: str) -> CodeDescription:
        return CodeDescription.of(path, "", source, texts, study_name="mine", folder="/here")

    now = code("a", x="1", y="2")
    assert now.changes_since(now) == []
    assert now.changes_since(code("a", x="1", z="2")) == [
        "y (not imported before)",
        "z (no longer imported)",
    ]
    assert now.changes_since(code("b", x="0", y="2")) == ["study.py", "x"]
    # A notebook may import modules that the study does not use.
    assert code("a", "", x="1", y="2").changes_since(code("a", "", x="0", z="2")) == ["x"]
    # As recorded before modules were: the digest is the file's.
    old = CodeDescription("/here/study.py", "", "", code("a").digest)
    assert now.changes_since(old) == [] and now.same_as(old.digest)
    assert code("b", x="1").changes_since(old) == ["study.py"]
    assert code("a").digest == old.digest != now.digest


def test_a_recorded_text_runs_in_place_of_what_is_there(tmp_path: Path) -> None:
    """A package's too, and that of a file that is gone; others run as they are."""
    write(tmp_path, changed="X = 'now'", same="X = 'now'")
    write(tmp_path, pack____init__="", pack__inner="X = 'now'")
    sys.path.append(str(tmp_path))
    names = ("changed.py", "pack/inner.py", "gone.py", "away/deep/inner.py")
    import_texts({str(tmp_path / name): "X = 'then'\ndef f(): return X" for name in names})
    scope: dict[str, object] = {}
    imported = "changed, gone, pack.inner, away.deep.inner, same"
    exec(f"import {imported}\nfound = {imported}", scope)
    assert [module.X for module in scope["found"]] == [*["then"] * 4, "now"]  # type: ignore[attr-defined]
    texts = own_modules(tmp_path / "study.py", "import changed", texts={names[0]: "?"})
    assert texts == {"changed.py": "X = 'now'"}


class Said(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_launch_tells_which_module_has_changed_and_keeps_both_texts(tmp_path: Path) -> None:
    def launch(trials: int, code: CodeDescription) -> tuple[StudyHistory, str]:
        said = Said()
        executor = ScriptedExecutor(describe(trials=trials, code=code))
        return run_study(executor, store=tmp_path, progress=said), "\n".join(said.lines)

    def code(text: str) -> CodeDescription:
        texts = {"helper.py": text}
        return CodeDescription.of("/gone/study.py", "", "s", texts, study_name="", folder="")

    # As recorded before modules were.
    launch(1, CodeDescription("/gone/study.py", "", "s", hashlib.sha256(b"s").hexdigest()))
    assert "has changed" not in launch(2, code("X = 1"))[1]
    history, told = launch(3, code("X = 2"))
    assert "the study's code has changed since it was last launched (helper.py);" in told
    recorded = [read_code(history, trial.code_digest) for trial in history.trials]
    assert [each.source for each in recorded] == ["s"] * 3
    assert [each.texts for each in recorded] == [
        {},
        {"helper.py": "X = 1"},
        {"helper.py": "X = 2"},
    ]


def test_the_commit_and_what_it_lacks(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@localhost")
        subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True
        )

    def dirty(**texts: str) -> str:
        described = CodeDescription.of(
            str(tmp_path / "study.py"), "", "x", texts, study_name="", folder=""
        )
        known = commit_of(described)
        assert len(known["commit"]) == (40 if known["dirty"] else 0)
        return known["dirty"]

    write(tmp_path, study="x", helper="y")
    assert dirty() == "" or os.environ.get("GIT_DIR")
    git("init")
    git("add", "study.py")
    git("commit", "-m", "Begin")
    assert dirty() == "false"
    assert dirty(**{"helper.py": "y"}) == "true"
    write(tmp_path, study="changed")
    assert dirty() == "true"
