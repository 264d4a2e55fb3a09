"""Targets of `kerastudy launch`: only Python files are run."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import StudyFileError
from studies.user_code import resolve_target


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("my_study.py", "text.npz", "note.ipynb", "study.txt", "all/first.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("import kerastudy as ks\nstudy = ks.Study('mine')\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("text.npz", "'text.npz'.*no Python file.*my_study.py:variable"),
        ("text.npz:study", "'text.npz'.*no Python file.*my_study.py:variable"),
        ("note.ipynb", r"'note.ipynb'.*no Python file.*study\.launch\(\)"),
        ("study.txt:study", "'study.txt'.*no Python file.*my_study.py:variable"),
        ("gone.ipynb", r"no study file.*'gone.ipynb'.*study\.launch\(\)"),
        ("all", "'all' is a folder.*Name a file"),
        ("empty", "'empty' is a folder.*Name a file"),
        ("my_study", "'my_study'.*Did you mean 'my_study.py'"),
        ("my_studi.py", "'my_studi.py'.*Did you mean 'my_study.py'"),
        ("no/where.py", "no study file.*'no/where.py'.*catalog name"),
        ("digitz", "'digitz'.*Did you mean 'digits'"),
        ("", "empty.*catalog name"),
    ],
)
def test_other_targets_are_refused(target: str, words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        resolve_target(target)


@pytest.mark.parametrize("variable", ["", "study"])
def test_a_python_file_is_a_target(folder: Path, variable: str) -> None:
    target = resolve_target("my_study.py" + (variable and f":{variable}"))
    assert (target.path, target.variable) == (str(folder / "my_study.py"), variable)
