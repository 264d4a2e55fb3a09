"""The verdict on a recorded study: what it rests on, that it is never outdated, where it stands."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import pytest
from handmade import ENVIRONMENT, make_spec, record_trial
from scipy.stats import beta
from scripted import describe

import kerastudy as ks
from studies.commands import study_document, study_text
from studies.results import StudyResults
from tracking.history import (
    StudyHistory,
    StudyVerdict,
    champion_sentences,
    read_study,
    record_corrected,
    record_verified,
    study_verdict,
)
from tracking.journal import Champion, Journal
from tracking.mlflow import Pages, study_note
from tracking.records import Confirmation, Interval, Objective, Racer
from tracking.report import StudyData, belief
from tracking.scores import SampleScores, write_scores
from tracking.store import Store, files_of
from tracking.summary import summary_of

SAMPLES = 200
PAGES = Pages("1", "parent")


def study(store: Store, name: str, shares: list[float], scored: int = 99) -> StudyHistory:
    """A study whose trials classify these shares of the samples rightly; the first have scores."""
    objective = Objective("val_accuracy", "max")
    space = ks.SearchSpace(ks.Float("rate", 0.0, 1.0))
    described = describe(name=name, space=space, objective=objective)
    journal = Journal.begin(store.new_folder(described.name), described, ENVIRONMENT)
    for number, share in enumerate(shares):
        right = rights(number, share)
        spec = make_spec(number, values={"rate": 0.5}, objective=objective)
        record_trial(journal, spec, [{"val_accuracy": float(right.mean())}])
        if number < scored:
            scores = SampleScores("val_accuracy", "mean", right, 1)
            path = files_of(journal.folder, described.engine).scores(number)
            write_scores(path, [scores], weights_sha256=f"{number:064x}")
    return read_study(store, name)


def rights(number: int, share: float) -> np.ndarray:
    random = np.random.default_rng(number)
    return (random.permutation(SAMPLES) < share * SAMPLES).astype(np.float32)


def by_hand(shares: list[float], resamples: int = 4000) -> tuple[float, float, float]:
    """The bias correction as its paper describes it, a resample at a time, of other resamples.

    And the exact bounds: the lower one of the corrected, the upper one of the best value.
    """
    random, found = np.random.default_rng(99), []
    right = np.stack([rights(number, share) for number, share in enumerate(shares)])
    for _ in range(resamples):
        drawn = random.integers(0, SAMPLES, SAMPLES)
        left = np.setdiff1d(np.arange(SAMPLES), drawn)
        found.append(right[right[:, drawn].mean(axis=1).argmax()][left].mean())
    value, best = float(np.mean(found)), float(right.mean(axis=1).max())
    hits, most = SAMPLES * value, SAMPLES * best
    low = beta.ppf(0.025, hits, SAMPLES - hits + 1)
    return value, float(low), float(beta.ppf(0.975, most + 1, SAMPLES - most))


SHARES = [0.9, 0.91, 0.905, 0.92, 0.9, 0.915]


def test_it_corrects_the_trials_that_count(shared_store: Store) -> None:
    history = study(shared_store, "corrected", SHARES)
    # Contradicted by `model.fit`, so that the next best is the best.
    record_verified(history, history.ended[3], "model.fit, differs: in epoch 1")
    history = read_study(shared_store, "corrected")
    assert history.best is not None and history.best.number == 5
    found = study_verdict(history)
    assert found.corrected is not None and found.reported == history.best.value
    assert (found.corrected.trials, found.corrected.samples) == (5, SAMPLES)
    counted = [share if number != 3 else 0.0 for number, share in enumerate(SHARES)]
    estimate = found.corrected.estimate
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        by_hand(counted), abs=0.005
    )


def test_trials_without_scores_are_named(shared_store: Store) -> None:
    lacking = study_verdict(study(shared_store, "some lack them", SHARES, scored=4))
    assert lacking.grounds[-1] == "2 trials have no scores of samples, and did not count."
    best_lacks = study_verdict(study(shared_store, "the best lacks them", SHARES, scored=3))
    assert best_lacks.corrected is None
    assert "What to expect is unknown: trial 3, the best, has no scores" in best_lacks.text
    none = study_verdict(study(shared_store, "none has them", SHARES, scored=0))
    lack = "the record has no scores of validation samples."
    assert lack in none.text
    history = read_study(shared_store, "none has them")
    best = history.ended[3]
    why = replace(best, result=replace(best.result, unscored="its loss is a sum"))
    changed = replace(history, trials=(why,))
    assert "no scores of validation samples: its loss is a sum." in study_verdict(changed).text
    lost = replace(best, result=replace(best.result, scores_bytes=400))
    text = study_verdict(replace(history, trials=(lost,))).text
    assert "their file can't be used. `kerastudy confirm` needs none." in text


def test_a_study_without_values_has_a_verdict(shared_store: Store) -> None:
    history = study(shared_store, "no values", [])
    assert study_verdict(history).text == "No trial has a value of val_accuracy yet."
    one = study_verdict(study(shared_store, "one trial", [0.9]))
    assert one.text.startswith("Reported 0.90") and "there was no choice" in one.grounds[0]


def test_what_a_launch_recorded_is_used_only_for_the_same_trials(shared_store: Store) -> None:
    history = study(shared_store, "recorded", SHARES)
    computed = study_verdict(history).corrected
    record_corrected(history)
    assert study_verdict(history).corrected == computed
    # It is read, not computed: another number is believed.
    history = read_study(shared_store, "recorded")
    fields = json.loads(history.recorded_correction)
    fields["corrected"]["estimate"]["value"] = 0.5
    history = replace(history, recorded_correction=json.dumps(fields))
    changed = study_verdict(history).corrected
    assert changed is not None and changed.estimate.value == 0.5
    # Unless a trial does not count, a file of scores is gone, or the record is damaged.
    fewer = study_verdict(replace(history, trials=history.trials[:-1])).corrected
    assert fewer is not None and fewer.trials == len(SHARES) - 1 and fewer.estimate.value != 0.5
    history.files.scores(0).unlink()
    without = study_verdict(history).corrected
    assert without is not None and without.trials == len(SHARES) - 1
    damaged = replace(history, recorded_correction="{")
    assert study_verdict(damaged).corrected == without


def record_confirmation(history: StudyHistory, confirmation: Confirmation) -> None:
    journal = history.writing()
    uuid = journal.begin_confirmation('{"options": {}}')
    journal.end_confirmation(uuid, replace(confirmation, uuid=uuid))
    journal.close()


def confirmed(history: StudyHistory, **changes: Any) -> Confirmation:
    assert history.best is not None and history.best.value is not None
    made = Confirmation(
        study=history.description.name,
        engine=history.description.engine,
        uuid="",
        metric="val_accuracy",
        direction="max",
        reported_trial=history.best.number,
        reported=history.best.value,
        corrected=None,
        seeds=(1, 2, 3, 4),
        race=(Racer(3, (0.9,) * 4, 2000, 1), Racer(1, (0.9, None, 0.9), 1000, 1)),
        default=Racer(-1, (0.89, None), 3000, 1),
        winner=3,
        confirmed=Interval(0.9012, 0.8711, 0.9303),
        gain=Interval(0.0121, 0.0041, 0.0202),
        test_samples=300,
        readings=1,
        time=1,
        test_seeds=(6, 7),
        winner_on_test=(0.9, 0.91),
        default_on_test=(0.89, 0.88),
    )
    return replace(made, **changes)


def test_it_stands_everywhere_in_the_same_words(shared_store: Store) -> None:
    """And the last confirmation counts."""
    history = study(shared_store, "confirmed", SHARES)
    for time, value in ((1, 0.5), (2, 0.9012)):
        interval = Interval(value, value - 0.0301, value + 0.0301)
        record_confirmation(history, confirmed(history, confirmed=interval, time=time))
    expected = (
        "Reported 0.920. Expect 0.901 (0.871 to 0.931). Better than the default by 0.012 (0.004 to "
        "0.020)."
    )
    results = StudyResults.of(history)
    document = study_document(history)["verdict"]
    assert results.verdict.text == expected == document["text"]
    assert [each["confirmed"]["value"] for each in document["confirmations"]] == [0.5, 0.9012]
    assert results.confirmations[-1].winner == 3 and results.corrected is not None
    assert "This is the last of 2 confirmations." in results.verdict.grounds
    assert escape(expected) in results._repr_html_()
    assert expected in " ".join(study_text(history).split())
    assert expected in study_note(history, PAGES, "done") and expected not in study_note(
        history, PAGES
    )
    data = StudyData(history)
    assert data.summary.verdict.text == expected
    drawn = belief(data).to_dict()
    assert drawn["description"] == expected
    (rows,) = drawn["datasets"].values()
    assert {row["place"]: row["value"] for row in rows} == {
        "reported": pytest.approx(0.92),
        "corrected": results.corrected.estimate.value,
        "trial 3, new seeds": 0.9,
        # The last of its seeds.
        "confirmed, test part": 0.91,
        "default, test part": 0.88,
    }


def test_the_command_that_follows(shared_store: Store) -> None:
    history = study(shared_store, "next", SHARES)
    commands = {each.name: each.text for each in summary_of(history, shared_store.root).commands}
    assert commands["confirm"] == "kerastudy confirm next"
    record_confirmation(history, confirmed(history))
    assert "confirm" not in [each.name for each in summary_of(history).commands]


def test_ties_are_counted_and_go_to_the_lower_validation_loss(shared_store: Store) -> None:
    objective = Objective("val_accuracy", "max")
    space = ks.SearchSpace(ks.Float("rate", 0.0, 1.0))
    described = describe(name="ties", space=space, objective=objective)
    journal = Journal.begin(shared_store.new_folder(described.name), described, ENVIRONMENT)
    for number, (value, loss) in enumerate([(1.0, 0.3), (0.9, 0.1), (1.0, 0.2), (1.0, 0.4)]):
        spec = make_spec(number, values={"rate": 0.5}, objective=objective)
        record_trial(journal, spec, [{"val_accuracy": value, "val_loss": loss}])
    history = read_study(shared_store, "ties")
    assert [trial.number for trial in history.top(4)] == [2, 0, 3, 1]
    said = "Reported 1. 3 trials reach that; trial 2 has the lowest validation loss. "
    assert study_verdict(history).text.startswith(said)
    assert study_note(history, PAGES, "done").split("\n")[2].startswith(said)


def test_the_champion_is_never_shown_with_the_verdict_on_another_trial(shared_store: Store) -> None:
    history = study(shared_store, "of one trial", SHARES)
    assert history.best is not None and history.best.number == 3
    address = "models:/of one trial@champion: trial"

    def with_champion(number: int, promoted: str) -> StudyHistory:
        uuid = history.trials[number].uuid
        folder, engine = history.folder / "champion", history.description.engine
        champion = Champion(1, "champion", 1, engine, uuid, number, folder, promoted, {}, "")
        return replace(history, registered=champion)

    before, values = study_verdict(history), [trial.value for trial in history.trials]
    told = champion_sentences(with_champion(3, ""), before)
    assert told == (f"{address} 3",)
    assert champion_sentences(with_champion(1, "promoted: small"), before) == (
        f"{address} 1, promoted: small",
        f"Trial 1 has a validation value of {values[1]:.4g}, not confirmed; the best is trial 3.",
    )
    # Trial 2 wins, trials 1 and 3 raced, and trial 0 did not.
    race = (Racer(2, (0.9,) * 4), Racer(3, (0.89,) * 4), Racer(1, (0.9, None, 0.9)))
    record_confirmation(history, confirmed(history, winner=2, race=race))
    after = study_verdict(history)
    told = champion_sentences(with_champion(2, "it won under new seeds"), after)
    assert told == (f"{address} 2, it won under new seeds",)
    won = "Trial 2 won under new seeds: expect 0.901 (0.871 to 0.930) from it."
    for number, value in (
        (3, "0.92, and 0.89 under 4 new seeds."),
        (1, f"{values[1]:.4g}, and 0.9 under 2 new seeds."),
        (0, f"{values[0]:.4g}, not confirmed."),
    ):
        other = with_champion(number, "promoted")
        said = f"Trial {number} has a validation value of {value} {won}"
        assert champion_sentences(other, after) == (f"{address} {number}, promoted", said)
        assert said in " ".join(study_text(other).split())
        assert said in study_note(other, PAGES, "done")
        assert said in dict(StudyData(other).summary.facts)["model"]


def test_without_a_test_part_the_expected_value_is_the_best_trials(shared_store: Store) -> None:
    history = study(shared_store, "sealed", SHARES)
    race = (Racer(2, (0.9,) * 4), Racer(3, (0.89,) * 4))
    sealed = confirmed(history, winner=2, race=race, confirmed=None, gain=None)
    record_confirmation(history, replace(sealed, default=None))
    told = study_verdict(history).text
    assert "Trial 2 was best under 4 new seeds. Expect " in told and told.endswith(" of trial 3.")


def test_an_older_confirmation_is_no_ground(shared_store: Store) -> None:
    history = study(shared_store, "outdated", SHARES)
    record_confirmation(history, confirmed(history, reported=0.9))
    verdict = study_verdict(history)
    assert "is older than the best trial: confirm the study again." in verdict.text
    assert verdict.grounds == (
        "Corrected for the choice among 6 trials, on 200 validation samples.",
    )


def test_a_verdict_without_anything_is_short() -> None:
    assert StudyVerdict("val_loss", None, None).text == "No trial has a value of val_loss yet."
