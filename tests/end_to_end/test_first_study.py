"""Launch, look, reproduce: what the README promises, on the study that comes along."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import mlflow
import pexpect
import pytest
from in_mlflow import InMlflow
from rich.cells import cell_len
from stores import history_at
from user_commands import KERASTUDY, as_json, environment, kerastudy_here

import kerastudy as ks


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The catalog's study with two trials, in a folder with a space and Korean letters.

    `test_wheel` launches with workers.
    """
    folder = tmp_path_factory.mktemp("내 연구 폴더") / "my project"
    folder.mkdir()
    options = ("--executor", "in-process", "--trials", "2", "--verify", "off", "--json")
    return folder, as_json(kerastudy_here(folder, "launch", "digits", *options))


def test_launch_gives_what_show_shows(digits: tuple[Path, Any]) -> None:
    folder, launched = digits
    shown = as_json(kerastudy_here(folder, "show", "digits", "--json"))
    assert shown == launched
    assert shown["study"] == "digits"
    assert shown["trials"]["total"] == 2
    assert shown["best"]["value"] > 0.8
    assert Path(shown["best"]["checkpoint"]).is_file()
    assert shown["best"]["model_uri"] == "models:/digits@champion"
    assert shown["status"] == "FINISHED"


def test_text_names_the_best_and_the_commands(digits: tuple[Path, Any]) -> None:
    folder, launched = digits
    best = launched["best"]
    # The store is named where it is not the one that a command finds there.
    found = kerastudy_here(folder, "show", "digits").stdout
    assert found.endswith("\n           kerastudy confirm digits\n")
    store = ["--store", str(folder / "kerastudy-store")]
    text = kerastudy_here(folder.parent, "show", "digits", *store).stdout
    assert (
        f"trial {best['trial']}: val_accuracy {best['value']:.6g} at epoch {best['epoch']}" in text
    )
    assert "kerastudy ui digits --store '" in text
    assert text.splitlines()[-1].startswith("           kerastudy confirm digits --store '")


def reproduced_at_a_terminal(folder: Path, arguments: list[str], launched: Any) -> Any:
    """Returns the JSON document; the terminal shows how each epoch compares."""
    command = f"{shlex.join([*KERASTUDY, *arguments])} > again.json"
    shown, status = pexpect.run(
        f"/bin/sh -c {shlex.quote(command)}",
        cwd=str(folder),
        env=environment(TERM="xterm", COLUMNS="80"),
        encoding="utf-8",
        withexitstatus=True,
        timeout=120,
    )
    assert status == 0, shown
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "\n", shown).splitlines()
    assert max(map(cell_len, lines)) <= 80
    epochs = range(1, launched["best"]["epochs"] + 1)
    for epoch in epochs:
        found = rf"trial +\d+ +[▁-█]+ +epoch +{epoch}/\d+  val_accuracy 0\.\d+  identical so far"
        assert any(re.match(found, line) for line in lines), (epoch, lines)
    return json.loads((folder / "again.json").read_text(encoding="utf-8"))


def test_the_best_trial_is_reproduced_in_a_new_process_wherever_the_store_is(
    digits: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, launched = digits
    moved = tmp_path / "옮긴 곳"
    shutil.copytree(folder / "kerastudy-store", moved)
    store = ("--store", str(moved), "--json")
    shutil.move(folder / "kerastudy-store", folder / "hidden")
    try:
        again = reproduced_at_a_terminal(tmp_path, ["reproduce", "digits", *store], launched)
        shown = as_json(kerastudy_here(tmp_path, "show", "digits", *store))
        in_mlflow = InMlflow(history_at(moved, "digits"))
        mlflow.set_tracking_uri(shown["tracking_uri"])
        model = mlflow.keras.load_model("models:/digits@champion")
        recorded = {
            "run": in_mlflow.run(shown["best"]["uuid"]).data.tags["kerastudy.verified"],
            "version": in_mlflow.champion.tags["kerastudy.verified"],
            "note": in_mlflow.parent.data.tags["mlflow.note.content"],
        }
    finally:
        mlflow.set_tracking_uri(None)
        shutil.move(folder / "hidden", folder / "kerastudy-store")
    best = launched["best"]
    assert (again["identical"], again["trainer"]) == (True, "plain")
    assert (again["trial"], again["epochs"]) == (best["trial"], best["epochs"])
    assert again["max_difference"] == 0.0
    assert {*again["weights_sha256"].values()} == {best["weights_sha256"]}
    assert len(best["weights_sha256"]) == 64
    assert again["environment_differences"] == []
    assert Path(shown["best"]["checkpoint"]).is_relative_to(moved)
    # And that is recorded, where people look.
    day = time.strftime("%Y-%m-%d")
    said = f"reproduced bit for bit by model.fit, all {best['epochs']} epochs, on {day}"
    assert shown["best"]["verified"] == said
    assert recorded["run"] == recorded["version"] == said
    assert said in recorded["note"] and "kerastudy reproduce" not in recorded["note"]
    text = kerastudy_here(tmp_path, "show", "digits", "--store", moved, COLUMNS="200").stdout
    assert re.search(rf"^checked +{said}$", text, re.M) and "kerastudy reproduce" not in text
    part = ks.datasets.digits().load().validation
    value = model.evaluate(part.x, part.y, batch_size=64, verbose=0)[1]
    assert value == pytest.approx(best["value"], abs=1e-6)
