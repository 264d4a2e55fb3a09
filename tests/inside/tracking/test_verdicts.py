"""The verdict on a recorded study: its grounds, that it is never outdated, where it stands."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest
from handmade import make_spec, record_confirmation, record_trial, trial_record
from scripted import describe

import kerastudy as ks
from studies.commands import study_document, study_text
from studies.results import StudyResults
from tracking.history import (
    StudyHistory,
    champion_sentences,
    read_study,
    record_corrected,
    record_verified,
    study_verdict,
)
from tracking.journal import Champion, Journal
from tracking.mlflow import Pages, study_note
from tracking.records import Interval, Objective, Racer, TrialResult
from tracking.report import StudyData, belief, write_report
from tracking.statistics import SampleScores, corrected, write_scores
from tracking.store import Store
from tracking.study_summary import summary_of

SAMPLES = 200
PAGES = Pages("1", "parent")


def recorded(
    store: Store, name: str, epochs: list[dict[str, float]], **settings: Any
) -> StudyHistory:
    """Records a study with a trial of one epoch for each of these metrics."""
    objective = Objective("val_accuracy", "max")
    space = ks.SearchSpace(ks.Float("rate", 0.0, 1.0))
    described = describe(name=name, space=space, objective=objective, **settings)
    folder = store.folder_of(name) or store.new_folder(name)
    journal = Journal.begin(folder, described)
    for number, metrics in enumerate(epochs):
        record_trial(
            journal, make_spec(number, values={"rate": 0.5}, objective=objective), [metrics]
        )
    return read_study(store, name)


def study(
    store: Store, name: str, shares: list[float], scored: int = 99, **settings: Any
) -> StudyHistory:
    """Records trials that classify these shares of the samples rightly. The first have scores."""
    values = [scores_of(number, shares).value for number in range(len(shares))]
    history = recorded(store, name, [{"val_accuracy": value} for value in values], **settings)
    for number in range(len(shares))[:scored]:
        path = history.files.scores(number)
        write_scores(path, [scores_of(number, shares)], weights_sha256=f"{number:064x}")
    return history


def scores_of(number: int, shares: list[float]) -> SampleScores:
    random = np.random.default_rng(number)
    right = random.permutation(SAMPLES) < shares[number] * SAMPLES
    return SampleScores("val_accuracy", "mean", right.astype(np.float32), 1)


SHARES = [0.9, 0.91, 0.905, 0.92, 0.9, 0.915]


def test_a_verdict_corrects_the_trials_that_count(shared_store: Store) -> None:
    history = study(shared_store, "corrected", SHARES)
    # `model.fit` contradicts trial 3, so the next best is the best.
    record_verified(history, history.ended[3], "model.fit, differs: in epoch 1")
    history = read_study(shared_store, "corrected")
    assert history.best is not None and history.best.number == 5
    verdict = study_verdict(history)
    assert verdict.corrected is not None and verdict.reported == history.best.value
    assert (verdict.corrected.trials, verdict.corrected.samples) == (5, SAMPLES)
    scores = {number: [scores_of(number, SHARES)] for number in range(6) if number != 3}
    assert verdict.corrected == corrected(scores, "max", reported=verdict.reported)


def test_trials_without_scores_are_named(shared_store: Store) -> None:
    lacking = study_verdict(study(shared_store, "some lack them", SHARES, scored=4))
    assert lacking.grounds[-1] == "2 trials have no scores of samples, and did not count."
    best_lacks = study_verdict(study(shared_store, "the best lacks them", SHARES, scored=3))
    assert best_lacks.corrected is None
    assert "What to expect is unknown: trial 3, the best, has no scores" in best_lacks.text
    history = study(shared_store, "none has them", SHARES, scored=0)
    best = history.ended[3]
    for changes, why in (
        ({}, "the record has no scores of validation samples."),
        ({"unscored": "its loss is a sum"}, "of validation samples: its loss is a sum."),
        ({"scores_bytes": 400}, "their file can't be used. `kerastudy confirm` needs no scores."),
    ):
        trial = replace(best, result=replace(best.result, **changes))  # type: ignore[arg-type]
        assert why in study_verdict(replace(history, trials=(trial,))).text
    none = study(shared_store, "no values", [])
    assert study_verdict(none).text == "No trial has a value of val_accuracy yet."


def test_a_recorded_correction_is_used_only_for_the_same_trials(shared_store: Store) -> None:
    history = study(shared_store, "recorded", SHARES)
    computed = study_verdict(history).corrected
    record_corrected(history)
    history = read_study(shared_store, "recorded")
    assert study_verdict(history).corrected == computed
    # The number is read and not computed, so another number is believed.
    fields = json.loads(history.recorded_correction)
    fields["corrected"]["estimate"]["value"] = 0.5
    history = replace(history, recorded_correction=json.dumps(fields))
    changed = study_verdict(history).corrected
    assert changed is not None and changed.estimate.value == 0.5
    # This ends if a trial no longer counts, or a file of scores is gone.
    fewer = study_verdict(replace(history, trials=history.trials[:-1])).corrected
    assert fewer is not None and fewer.trials == len(SHARES) - 1 and fewer.estimate.value != 0.5
    history.files.scores(0).unlink()
    without = study_verdict(history).corrected
    assert without is not None and without.trials == len(SHARES) - 1


@pytest.mark.parametrize("direction", ["max", "min"])
def test_no_estimate_is_rounded_to_better_than_what_was_seen(
    shared_store: Store, direction: Any
) -> None:
    """The estimate of a single trial is near its value, so half of them would be."""
    crossed = 0
    for seed in range(12):
        values = np.random.default_rng(seed).gamma(2.0, size=100).astype(np.float32)
        scores = SampleScores("val_loss", "mean", values, 1)
        objective = Objective("val_loss", direction)
        name, space = f"{direction} {seed}", ks.SearchSpace(ks.Float("rate", 0.0, 1.0))
        described = describe(name=name, space=space, objective=objective)
        spec = make_spec(0, values={"rate": 0.5}, objective=objective)
        with Journal.begin(shared_store.new_folder(name), described) as journal:
            record_trial(journal, spec, [{"val_loss": scores.value}])
        history = read_study(shared_store, name)
        write_scores(history.files.scores(0), [scores], weights_sha256=f"{0:064x}")
        verdict, exact = study_verdict(history), corrected({0: [scores]}, direction).estimate
        assert verdict.expected is not None and verdict.reported is not None
        (text,), (before,) = (
            verdict.expected.numbers(verdict.expected.value),
            exact.numbers(exact.value),
        )
        assert not objective.is_better(float(text), than=verdict.reported)
        crossed += objective.is_better(float(before), than=verdict.reported)
        # It is less than one unit of the last digit worse than what may be said.
        worst = max(exact.value, verdict.reported, key=objective.sort_key)
        assert abs(float(text) - worst) < 10.0 ** -len(text.partition(".")[2])
    assert crossed > 2


RACE = (Racer(3, (0.9,) * 4, 2000, 1), Racer(1, (0.9, None, 0.9), 1000, 1))
OUTCOME: dict[str, Any] = {
    "metric": "val_accuracy",
    "direction": "max",
    "reported_trial": 3,
    "seeds": (1, 2, 3, 4),
    "default": Racer(-1, (0.89, None), 3000, 1),
    "confirmed": Interval(0.9012, 0.8711, 0.9303),
    "gain": Interval(0.0121, 0.0041, 0.0202),
    "test_samples": 300,
    "readings": 1,
    "test_seeds": (6, 7),
    "winner_on_test": (0.9, 0.91),
    "default_on_test": (0.89, 0.88),
}


def confirm(history: StudyHistory, race: Sequence[Racer] = RACE, **changes: Any) -> None:
    outcome = {**OUTCOME, "reported": history.best.value, **changes}
    with history.writing() as journal:
        record_confirmation(journal, history.description.name, race, **outcome)


def test_a_verdict_stands_everywhere_in_the_same_words(shared_store: Store) -> None:
    history = replace(study(shared_store, "confirmed", SHARES), status="FINISHED")

    def commands() -> dict[str, str]:
        return {command.name: command.text for command in summary_of(history).commands}

    assert commands()["confirm"] == f"study.confirm(store={str(shared_store.root)!r})"
    confirm(history, reported=0.9, time=1)
    verdict = study_verdict(history)
    assert "is older than the best trial: confirm the study again." in verdict.text
    estimate, outdated = verdict.grounds
    assert estimate == (
        "An estimate from 200 validation samples, corrected for the luck of being the best of 6 "
        "trials."
    )
    assert outdated in verdict.text
    # The last confirmation counts.
    confirm(history, time=2)
    assert "confirm" not in commands()
    expected = (
        "Expect 0.901 (0.871 to 0.930). Better than the default by 0.012 (0.004 to 0.020). "
        "The search saw 0.920."
    )
    results = StudyResults.of(history)
    document = study_document(history)["verdict"]
    assert results.verdict.text == expected == document["text"]
    assert [confirmation["time"] for confirmation in document["confirmations"]] == [1, 2]
    corrected = results.verdict.corrected
    assert results.verdict.confirmations[-1].winner == 3 and corrected is not None
    assert "This is the last of 2 confirmations." in results.verdict.grounds
    # Terminals and notebooks have a line for each of these.
    lines = dict(summary_of(history).expected)
    assert lines["expect"] == "0.901 (0.871 to 0.930 at 95 %): accuracy of trial 3 on new data"
    assert lines["default"] == (
        "0.885 with the default values on the same test samples. Better than the default by 0.012 "
        "(0.004 to 0.020)."
    )
    assert lines["seen"].startswith("trial 3: val_accuracy 0.92 at epoch 1 of 1, the best of 6 and")
    assert "0.901" not in study_note(replace(history, status="RUNNING"), PAGES)
    data = StudyData(history)
    assert data.summary.verdict.text == expected
    chart = belief(data).to_dict()
    assert chart["description"] == expected
    (rows,) = chart["datasets"].values()
    assert {row["place"]: row["value"] for row in rows} == {
        "seen while searching": pytest.approx(0.92),
        "estimated from that": corrected.estimate.value,
        "trial 3, new seeds": 0.9,
        # This is the last of its seeds.
        "test part": 0.91,
        "default, test part": 0.88,
    }


def test_every_face_has_every_fact(shared_store: Store) -> None:
    history = study(shared_store, "seen", SHARES, notes="Why.")
    confirm(history)
    # The names of some facts repeat, as trials fail for two reasons.
    failed = [
        trial_record(number, None).with_result(TrialResult(number, "infeasible", reason=reason))
        for number, reason in ((6, "it is NaN"), (7, "it is too large"))
    ]
    champion = Champion(history.trials[1].uuid, history.folder, "promoted: small", "")
    trials = (*history.trials, *failed)
    history = replace(history, trials=trials, registered=champion, status="FINISHED")
    summary, document = summary_of(history), study_document(history)
    assert [fact.name for fact in summary.facts].count("infeasible") == 2
    assert document["champion"].items() >= {"trial": 1, "promoted": "promoted: small"}.items()
    faces = (
        study_text(history),
        json.dumps(document, ensure_ascii=False),
        StudyResults.of(history)._repr_html_(),
        study_note(history, PAGES),
        write_report(history).read_text(encoding="utf-8").partition("<script")[0],
    )
    texts = [part.text for part in (*summary.facts, *summary.commands)]
    for face in map(words, faces):
        # The page has a field for each sentence on the defaults.
        assert [text for text in ". ".join(texts).split(". ") if words(text) not in face] == []


def words(face: str) -> str:
    """Returns the words of a text, without its markup and punctuation."""
    return " ".join(re.findall(r"\w+", unescape(re.sub(r"<[^>]*>", " ", face.casefold()))))


def test_ties_are_counted_and_go_to_the_lower_validation_loss(shared_store: Store) -> None:
    epochs = [(1.0, 0.3), (0.9, 0.1), (1.0, 0.2), (1.0, 0.4)]
    history = recorded(
        shared_store, "ties", [{"val_accuracy": value, "val_loss": loss} for value, loss in epochs]
    )
    assert [trial.number for trial in history.top(4)] == [2, 0, 3, 1]
    sentence = "The search saw 1. 3 trials reach that; trial 2 has the lowest validation loss."
    assert sentence in study_verdict(history).text


def test_the_champion_is_never_shown_with_the_verdict_on_another_trial(shared_store: Store) -> None:
    history = study(shared_store, "of one trial", SHARES)
    assert history.best is not None and history.best.number == 3
    address = "models:/of one trial@champion in MLflow"

    def with_champion(number: int, promoted: str) -> StudyHistory:
        uuid = history.trials[number].uuid
        folder = history.folder / "champion"
        champion = Champion(uuid, folder, promoted, "")
        return replace(history, registered=champion)

    before, values = study_verdict(history), [trial.value for trial in history.trials]
    assert champion_sentences(with_champion(3, ""), before) == (f"trial 3: {address}",)
    assert champion_sentences(with_champion(1, "promoted: small"), before) == (
        f"trial 1, promoted: small: {address}",
        f"Trial 1 has a validation value of {values[1]:.4g}, not confirmed; the best is trial 3.",
    )
    promoted = with_champion(0, "promoted: small")
    expectation = summary_of(promoted, before).expectation
    assert expectation is not None and "the champion is another trial, 0" in expectation.caption
    assert [trial.number for trial in promoted.leading(2)] == [0, 3]
    assert re.search(r"^ *0 .*\bchampion\b", study_text(promoted, top=1), re.MULTILINE)
    # Trial 2 wins, trials 1 and 3 raced, and trial 0 did not.
    race = (Racer(2, (0.9,) * 4), Racer(3, (0.89,) * 4), Racer(1, (0.9, None, 0.9)))
    confirm(history, race)
    after = study_verdict(history)
    sentences = champion_sentences(with_champion(2, "it won under new seeds"), after)
    assert sentences == (f"trial 2, it won under new seeds: {address}",)
    won = "Trial 2 won under new seeds: expect 0.901 (0.871 to 0.930) from it."
    for number, value in (
        (3, "0.92, and 0.89 under 4 new seeds."),
        (1, f"{values[1]:.4g}, and 0.9 under 2 new seeds."),
        (0, f"{values[0]:.4g}, not confirmed."),
    ):
        other = with_champion(number, "promoted")
        sentence = f"Trial {number} has a validation value of {value} {won}"
        assert champion_sentences(other, after) == (
            f"trial {number}, promoted: {address}",
            sentence,
        )
    assert sentence in " ".join(study_text(other).split())
    assert sentence in study_note(replace(other, status="FINISHED"), PAGES)
    assert sentence in dict(StudyData(other).summary.facts)["champion"]
