"""A study file of a user's, whose repository has folders called like our packages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from user_commands import as_json, kerastudy_here, run, write_study


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for file, text in {
        "studies/__init__.py": "from .units import units\nACTIVATION = 'relu'\n",
        "studies/units.py": "def units():\n    return 4, 16\n",
        "tracking/__init__.py": "RATE = 0.25\n",
        "search_spaces/__init__.py": "raise ImportError('theirs, which nothing imports')\n",
        "beside.py": "from studies import ACTIVATION, units\n",
        "data.py": f"FACTOR = 1\nSEED = int(open({str(root / 'seed.txt')!r}).read())\n",
        "seed.txt": "0",
    }.items():
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    write_study(
        root,
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
    return root


def launch(repository: Path, store: str, *options: str, executor: tuple[str, ...] = ()) -> None:
    command = (
        *options,
        "-m",
        "kerastudy",
        "launch",
        "study.py",
        "--trials",
        "1",
        "--verify",
        "off",
    )
    done = run(
        repository,
        [sys.executable, *command, "--store", store, "--json", *executor],
        KERASTUDY_WORKERS="",
    )
    assert as_json(done)["study"] == "작은 연구"
    if not executor:
        # Where nobody gave a number: no more than there are trials.
        workers = r"^1 worker of 1 thread \(\d+ (cores?|GPUs?)\)$"
        assert re.search(workers, done.stderr, re.MULTILINE)


@pytest.mark.exhaustive
def test_it_launches_where_python_does_not_look_there(repository: Path) -> None:
    launch(repository, "another store", "-P")


@pytest.mark.exhaustive
def test_changed_code_is_told_and_the_recorded_one_run_and_changed_data_is_not(
    repository: Path,
) -> None:
    """Of what the study imports too. What it reads is not in the record.

    It is launched where Python finds the repository's folders first; reproducing its trial shows
    that a worker imports the right ones.
    """
    launch(repository, "store", executor=("--executor", "in-process"))
    file, module, seed = (repository / name for name in ("study.py", "data.py", "seed.txt"))
    texts = {each: each.read_text(encoding="utf-8") for each in (file, module, seed)}
    store = ("--store", "store")
    try:
        file.write_text(texts[file].replace("=ACTIVATION", '="tanh"'), encoding="utf-8")
        module.write_text("FACTOR = SEED = 2\n", encoding="utf-8")
        again = kerastudy_here(repository, "reproduce", "작은 연구", *store, "--json")
        assert as_json(again)["identical"] is True
        of_file, of_module = as_json(again)["notes"]
        assert "has changed since" in of_file and "has changed since" in " ".join(
            again.stderr.split()
        )
        assert of_module == "the imported 'data.py' has changed since; its recorded text is run"

        seed.write_text("1")
        done = kerastudy_here(repository, "reproduce", "작은 연구", *store, "--json", expect=1)
        assert as_json(done)["identical"] is False
        assert "the data has changed" in as_json(done)["notes"][-1]

        file.write_text(texts[file], encoding="utf-8")
        arguments = ("launch", "study.py", "--trials", "2", "--executor", "in-process", *store)
        refused = kerastudy_here(repository, *arguments, expect=2)
        assert "the data differs" in refused.stderr and "--name" in refused.stderr
        assert "and so does the code: data.py" in " ".join(refused.stderr.split())
    finally:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
