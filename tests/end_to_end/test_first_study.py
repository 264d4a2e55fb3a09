"""Launch, look, reproduce: what the README promises, on the study that comes along."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from user_commands import as_json, kerastudy, write_study


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The catalog's study with five trials, in a folder with a space and Korean letters."""
    folder = tmp_path_factory.mktemp("내 연구 폴더") / "my project"
    folder.mkdir()
    return folder, as_json(kerastudy(folder, "launch", "digits", "--trials", "5", "--json"))


def test_launch_gives_what_show_shows(digits: tuple[Path, Any]) -> None:
    folder, launched = digits
    shown = as_json(kerastudy(folder, "show", "digits", "--json"))
    assert shown == launched
    assert shown["study"] == "digits"
    assert shown["trials"]["total"] == 5
    assert shown["best"]["value"] > 0.8
    assert Path(shown["best"]["checkpoint"]).is_file()
    assert shown["best"]["model_uri"] == "models:/digits@champion"
    assert shown["status"] == "FINISHED"


def test_text_names_the_best_and_the_commands(digits: tuple[Path, Any]) -> None:
    folder, launched = digits
    best = launched["best"]
    # The store is named where it is not the one that a command finds there.
    found = kerastudy(folder, "show", "digits").stdout
    assert f"kerastudy reproduce digits --trial {best['trial']}\n" in found
    store = ["--store", str(folder / "kerastudy-store")]
    text = kerastudy(folder.parent, "show", "digits", *store).stdout
    assert (
        f"trial {best['trial']}: val_accuracy {best['value']:.6g} at epoch {best['epoch']}" in text
    )
    assert "kerastudy ui digits --store '" in text
    assert f"kerastudy reproduce digits --trial {best['trial']} --store '" in text


def test_the_best_trial_is_reproduced_in_a_new_process(digits: tuple[Path, Any]) -> None:
    folder, launched = digits
    again = as_json(kerastudy(folder, "reproduce", "digits", "--json"))
    assert again["identical"] is True
    assert again["trial"] == launched["best"]["trial"]
    assert again["epochs"] == launched["best"]["epochs"]
    assert again["max_difference"] == 0.0
    assert again["weights_sha256"]["recorded"] == again["weights_sha256"]["reproduced"] != ""
    assert again["environment_differences"] == []


def test_and_after_the_store_was_moved(digits: tuple[Path, Any], tmp_path: Path) -> None:
    folder, launched = digits
    moved = tmp_path / "옮긴 곳"
    shutil.copytree(folder / "kerastudy-store", moved)
    shutil.move(folder / "kerastudy-store", folder / "hidden")
    try:
        again = as_json(kerastudy(tmp_path, "reproduce", "digits", "--store", str(moved), "--json"))
        shown = as_json(kerastudy(tmp_path, "show", "digits", "--store", str(moved), "--json"))
        script = (
            "import mlflow, mlflow.keras, sys\n"
            f"mlflow.set_tracking_uri({shown['tracking_uri']!r})\n"
            "model = mlflow.keras.load_model('models:/digits@champion')\n"
            "import kerastudy as ks\n"
            "part = ks.datasets.digits().load().validation\n"
            "print(model.evaluate(part.x, part.y, batch_size=64, verbose=0)[1])\n"
        )
        loaded = subprocess.run(
            [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True
        )
    finally:
        shutil.move(folder / "hidden", folder / "kerastudy-store")
    assert again["identical"] is True
    assert Path(shown["best"]["checkpoint"]).is_relative_to(moved)
    assert loaded.returncode == 0, loaded.stderr
    assert float(loaded.stdout) == pytest.approx(launched["best"]["value"], abs=1e-6)


def test_going_on_registers_a_better_champion_only(
    digits: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, launched = digits
    store = tmp_path / "store"
    shutil.copytree(folder / "kerastudy-store", store)
    more = as_json(
        kerastudy(folder, "launch", "digits", "--trials", "7", "--store", str(store), "--json")
    )
    assert more["trials"]["total"] == 7
    assert more["best"]["value"] >= launched["best"]["value"]
    assert more["best"]["model_uri"] == "models:/digits@champion"


class TestOwnStudy:
    """A study file of a user's, whose repository has folders called like our packages."""

    @pytest.fixture(scope="class")
    @classmethod
    def repository(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp("repository")
        for file, text in {
            "studies/__init__.py": "from .units import units\nACTIVATION = 'relu'\n",
            "studies/units.py": "def units():\n    return 4, 16\n",
            "tracking/__init__.py": "RATE = 0.25\n",
            "search_spaces/__init__.py": "raise ImportError('theirs, which nothing imports')\n",
            "beside.py": "from studies import ACTIVATION, units\n",
        }.items():
            (root / file).parent.mkdir(exist_ok=True)
            (root / file).write_text(text, encoding="utf-8")
        write_study(
            root,
            **{
                "import kerastudy as ks\n": "import kerastudy as ks\nfrom beside import units\n"
                "from studies import ACTIVATION\nfrom tracking import RATE\n",
                "ks.units(4, 16)": "ks.units(*units())",
                'activation="relu"': "activation=ACTIVATION",
                'hp["dropout"]': 'hp["dropout"] * RATE',
            },
        )
        return root

    @pytest.mark.parametrize(
        "module",
        [
            ["-m", "kerastudy"],
            pytest.param(["-P", "-m", "kerastudy"], marks=pytest.mark.exhaustive),
        ],
    )
    def test_launches_from_there(self, repository: Path, module: list[str]) -> None:
        store = repository / f"store{len(module)}"
        arguments = ["launch", "study.py", "--trials", "1", "--store", str(store), "--json"]
        done = subprocess.run(
            [sys.executable, *module, *arguments], cwd=repository, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert as_json(done)["study"] == "작은 연구"

    @pytest.mark.exhaustive
    def test_a_script_without_a_main_guard(self, repository: Path) -> None:
        """It launches its study, and its best trial reproduces from the record."""
        text = (repository / "study.py").read_text(encoding="utf-8")
        (repository / "script.py").write_text(
            text + "\nhistory = study.launch(store='by script', trials=2, progress=False)\n"
            "print(history.best.number, history.best.best.value)\n",
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=repository, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        store = ["--store", "by script"]
        best = as_json(kerastudy(repository, "show", "작은 연구", *store, "--json"))["best"]
        assert done.stdout.split() == [str(best["trial"]), repr(best["value"])]
        again = kerastudy(repository, "reproduce", "작은 연구", *store, "--json")
        assert as_json(again)["identical"] is True

    def test_a_changed_file_is_told_and_the_recorded_one_run(self, repository: Path) -> None:
        file = repository / "study.py"
        text = file.read_text(encoding="utf-8")
        kerastudy(repository, "launch", "study.py", "--trials", "1", "--store", "changed")
        file.write_text(text.replace("=ACTIVATION", '="tanh"'), encoding="utf-8")
        try:
            done = kerastudy(repository, "reproduce", "작은 연구", "--store", "changed", "--json")
        finally:
            file.write_text(text, encoding="utf-8")
        assert as_json(done)["identical"] is True
        assert "has changed since" in done.stderr
        assert "has changed since" in as_json(done)["notes"][0]

    def test_a_changed_module_is_told_and_changed_data_not_run(self, repository: Path) -> None:
        """Of what the study imports the recorded text runs; what it reads is not in the record."""
        module, seed = repository / "data.py", repository / "seed.txt"
        seed.write_text("0")
        module.write_text(f"FACTOR = 1\nSEED = int(open({str(seed)!r}).read())\n")
        write_study(
            repository,
            "with_data.py",
            **{
                "default_rng(0)": "default_rng(SEED * FACTOR)",
                "import keras\n": "import keras\nfrom data import FACTOR, SEED\n",
            },
        )
        kerastudy(repository, "launch", "with_data.py", "--trials", "1", "--store", "data store")
        module.write_text("FACTOR = SEED = 2\n")
        store = ["--store", "data store"]
        again = as_json(kerastudy(repository, "reproduce", "작은 연구", *store, "--json"))
        assert again["identical"] is True
        assert again["notes"] == [
            "the imported 'data.py' has changed since; its recorded text is run"
        ]
        seed.write_text("1")
        done = kerastudy(repository, "reproduce", "작은 연구", *store, "--json", expect=1)
        assert as_json(done)["identical"] is False
        assert "the data has changed" in as_json(done)["notes"][-1]
        again = kerastudy(repository, "launch", "with_data.py", "--trials", "2", *store, expect=2)
        assert "the data differs" in again.stderr and "--name" in again.stderr
        assert "and so does the code: data.py" in " ".join(again.stderr.split())
