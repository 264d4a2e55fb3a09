"""Evaluated, promoted, served: judged by Keras alone, on data read by hand."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from exported import rows
from handmade import record_reading
from in_mlflow import InMlflow, wait_for_exporters
from kinds_study import Kinds
from stores import history_at
from user_commands import as_json
from worker_here import recorded_workers_here

import kerastudy as ks


def champion_of(kinds: Kinds) -> Any:
    return ks.load_model("kinds", store=kinds.store)


def test_the_champion_on_the_test_part(kinds: Kinds) -> None:
    module = kinds.module()
    samples, kinds_of_samples = module["test"]
    labels = (kinds_of_samples == "small").astype(int)
    model = champion_of(kinds)
    x_test = samples.to_numpy()
    by_hand = model.evaluate(x_test, labels, batch_size=16, verbose=0, return_dict=True)

    # Another study has read the same test part before.
    digest = module["study"].data.load().digests["test"]
    history = history_at(kinds.store, "kinds")
    record_reading(history, "another", 8, digest)
    page = history.folder / "report.html"
    page.write_text("Sealed: not read yet.", encoding="utf-8")
    answer = kinds.run("evaluate", "kinds", "--json")
    # There is a report, so it is renewed.
    wait_for_exporters()
    assert "read 2 times" in page.read_text(encoding="utf-8")
    page.unlink()
    warning = " ".join(answer.stderr.split())
    assert "read once before, last by another trial 8 on 2023-11-1" in warning
    assert "intervals are of 97.5 % instead of 95 %" in warning

    reading = as_json(answer)
    assert reading["trial"] == kinds.trials[0]["trial"] and reading["samples"] == 50
    assert reading["level"] == pytest.approx(1 - 0.05 / 2)
    assert [earlier["study"] for earlier in reading["earlier"]] == ["another"]
    for name, value in by_hand.items():
        measured = reading["metrics"][name]
        assert measured["value"] == pytest.approx(value, rel=1e-5)
        assert measured["low"] <= value <= measured["high"]
    assert reading["metrics"]["loss"]["validation"] == kinds.trials[0]["value"]
    _, recorded = rows(history.folder, "SELECT digest, content FROM evaluations ORDER BY id")
    assert (recorded["digest"], json.loads(recorded["content"])) == (
        digest,
        {name: value for name, value in reading.items() if name not in ("earlier", "flaws")},
    )
    counts = np.bincount(labels)
    assert reading["guess"]["share"] == pytest.approx(counts.max() / 50)
    text = kinds.run("evaluate", "kinds", COLUMNS="80").stdout
    assert f"is right in {100 * counts.max() / 50:g} % of these samples" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "98.3 % interval" in text
    with contextlib.chdir(kinds.folder), recorded_workers_here():
        again = ks.read_study("kinds").evaluate(progress=False)
    values = {name: measured.value for name, measured in again.metrics.items()}
    assert values == {name: measured["value"] for name, measured in reading["metrics"].items()}
    assert "accuracy" in text


def test_promoted(kinds: Kinds) -> None:
    best, worst = kinds.trials[0]["trial"], kinds.trials[-1]["trial"]
    before = champion_of(kinds).get_weights()
    options = ("--trial", str(worst), "--reason", "it is small", "--json")
    promotion = as_json(kinds.run("promote", "kinds", *options))
    assert promotion["champion"] == "models:/kinds@champion"
    history = ks.read_study("kinds", store=kinds.store)
    trial = history.trial(worst)
    assert history.is_champion(trial)
    in_mlflow = InMlflow(history)
    assert len(in_mlflow.client.search_model_versions("name = 'kinds'")) == 1
    assert in_mlflow.champion.tags["kerastudy.promoted"] == "promoted: it is small"
    # The verdict is on the best trial, which is another one.
    worth = (
        f"Trial {worst} has a validation value of {kinds.trials[-1]['value']:.4g}, not confirmed"
    )
    assert any(note.startswith(worth) for note in promotion["notes"])

    # Its weights were not kept, so model.fit trained it again.
    assert trial.verified in ("model.fit, identical", "model.fit, trained by it")
    output = kinds.run("show", "kinds").stdout
    assert f"trial {worst}, promoted: it is small: models:/kinds@champion" in output
    assert f"trial {worst} of kinds" in kinds.run("export", "kinds", "--as", "keras").stdout

    # A later launch keeps this champion and says so, until it may choose again.
    promoted = champion_of(kinds).get_weights()
    later = " ".join(kinds.launch(2).stderr.split())
    assert f"trial {worst} stays the champion (promoted: it is small)" in later
    output = " ".join(kinds.run("show", "kinds").stdout.split())
    assert f"trial {worst}, promoted: it is small: models:/kinds@champion" in output
    assert all(map(np.array_equal, champion_of(kinds).get_weights(), promoted))
    assert "launches choose the champion again" in kinds.run("promote", "kinds").stdout
    kinds.launch(2)
    history = ks.read_study("kinds", store=kinds.store)
    assert history.is_champion(history.trial(best))
    assert all(map(np.array_equal, champion_of(kinds).get_weights(), before))
    in_mlflow = InMlflow(history)
    assert in_mlflow.champion.tags["kerastudy.trial"] == str(best)
    assert len(in_mlflow.client.search_model_versions("name = 'kinds'")) == 2
