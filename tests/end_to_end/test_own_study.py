"""Files of users: beside folders called like our packages, and scripts that launch as they run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from conformance.executor import STUDY_FILE
from user_commands import as_json, kerastudy, kerastudy_here, run, write_study


# How Python finds such modules, and theirs beside ours, is in `test_shipping`.
@pytest.mark.exhaustive
def test_changed_code_is_told_and_the_recorded_one_run_and_changed_data_is_not(
    tmp_path: Path,
) -> None:
    """Of what the study imports too. What it reads is not in the record.

    It is launched where Python finds the repository's folders first; reproducing its trial shows
    that a worker imports the right ones.
    """
    for name, text in {
        "studies/__init__.py": "from .units import units\nACTIVATION = 'relu'\n",
        "studies/units.py": "def units():\n    return 4, 16\n",
        "tracking/__init__.py": "RATE = 0.25\n",
        "search_spaces/__init__.py": "raise ImportError('theirs, which nothing imports')\n",
        "beside.py": "from studies import ACTIVATION, units\n",
        "data.py": f"FACTOR = 1\nSEED = int(open({str(tmp_path / 'seed.txt')!r}).read())\n",
        "seed.txt": "0",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    file = write_study(
        tmp_path,
        **{
            "import kerastudy as ks\n": "import kerastudy as ks\nfrom beside import units\n"
            "from data import FACTOR, SEED\nfrom studies import ACTIVATION\n"
            "from tracking import RATE\n",
            "default_rng(0)": "default_rng(SEED * FACTOR)",
            "ks.units(4, 16)": "ks.units(*units())",
            'activation="relu"': "activation=ACTIVATION",
            'hp["dropout"]': 'hp["dropout"] * RATE',
        },
    )
    options = ("--trials", "1", "--verify", "off", "--json")
    command = [sys.executable, "-m", "kerastudy", "launch", "study.py", *options]
    done = run(tmp_path, command, KERASTUDY_WORKERS="")
    # Where nobody gave a number: no more than there are trials.
    workers = r"^1 worker of 1 thread \(\d+ (cores?|GPUs?)\)$"
    assert re.search(workers, done.stderr, re.MULTILINE)

    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace("=ACTIVATION", '="tanh"'), encoding="utf-8")
    (tmp_path / "data.py").write_text("FACTOR = SEED = 2\n", encoding="utf-8")
    again = kerastudy_here(tmp_path, "reproduce", "작은 연구", "--json")
    assert as_json(again)["identical"] is True
    of_file, of_module = as_json(again)["notes"]
    for told in (of_file, " ".join(again.stderr.split())):
        assert "has changed since" in told
    assert of_module == "the imported 'data.py' has changed since; its recorded text is run"

    (tmp_path / "seed.txt").write_text("1")
    done = kerastudy_here(tmp_path, "reproduce", "작은 연구", expect=2)
    assert "The data has changed" in done.last and "--data" in done.last

    file.write_text(before, encoding="utf-8")
    arguments = ("launch", "study.py", "--trials", "2", "--executor", "in-process")
    refused = kerastudy_here(tmp_path, *arguments, expect=2)
    assert "the data differs" in refused.stderr and "--name" in refused.stderr
    assert "and so does the code: data.py" in " ".join(refused.stderr.split())


# How such files are loaded is in `test_scripts`.
@pytest.mark.exhaustive
def test_a_script_without_a_main_guard_launches_several_studies(tmp_path: Path) -> None:
    """In workers, which don't run it, and in its own process; reproducing one launches nothing."""
    start = STUDY_FILE.index("study = ks.Study(")
    study = STUDY_FILE[start:].replace("trials=4", "trials=2")
    second = study.replace("study = ", "other = ").replace("작은 연구", "another one")
    script = (
        STUDY_FILE[:start]
        + "print('the script runs')\n"
        + study
        + "history = study.launch(executor='worker', verify='off')\n"
        + "print(f'{history.best.best.value:.2f}', history.counts()['complete'])\n"
        + second
        + "print(other.launch(epochs=2, verify='off').counts()['complete'])\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = run(tmp_path, [sys.executable, "script.py"])
    assert "the script runs" not in done.stderr
    runs, first, other = done.stdout.splitlines()
    assert (runs, first.split()[1], other) == ("the script runs", "2", "2")
    again = as_json(kerastudy(tmp_path, "reproduce", "another one", "--json"))
    assert (again["identical"], again["epochs"]) == (True, 2)
