"""Out-of-fold scores of cross-validated trials, against numpy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedExecutor, describe, run_study

from studies.progress import NoProgress
from tracking.history import trial_scores
from tracking.records import DataDescription
from tracking.scores import SampleScores, pooled, write_scores

random = np.random.default_rng(0)


def scores(size: int, kind: Any = "mean", **fields: Any) -> SampleScores:
    return SampleScores("val_loss", kind, random.uniform(1, 2, size), 4, **fields)


def test_folds_of_one_size_are_pooled_as_one_mean() -> None:
    folds = [scores(7, constant=1.0), scores(7, constant=2.0), scores(6, constant=3.0)]
    found = pooled(folds)
    values = np.concatenate([each.values for each in folds])
    assert (len(found), found.kind, found.epoch) == (20, "mean", 4)
    assert found.value == pytest.approx(values.mean() + 2.0)
    counts = random.multinomial(20, [1 / 20] * 20, 5)
    means = [np.repeat(values, drawn).mean() + 2.0 for drawn in counts]
    np.testing.assert_allclose(found.of_resamples(counts), means)


@pytest.mark.parametrize(
    "folds",
    [
        [scores(9, "root_mean"), scores(8, "root_mean")],
        [scores(12), scores(3)],
        [scores(4, weights=np.array([1, 2, 3, 4])), scores(4)],
    ],
)
def test_other_folds_give_the_mean_of_what_each_gives(folds: list[SampleScores]) -> None:
    found, size = pooled(folds), len(folds[0])
    assert len(found) == size + len(folds[1])
    assert found.value == pytest.approx(np.mean([each.value for each in folds]))
    counts = random.multinomial(len(found), [1 / len(found)] * len(found), 6)
    # Nothing drawn of the first fold; of the second; of any.
    counts[0, :size], counts[1, size:], counts[2] = 0, 0, 0
    by_hand = []
    for drawn in counts:
        parts = [
            folds[0].of_resamples(drawn[None, :size]),
            folds[1].of_resamples(drawn[None, size:]),
        ]
        sizes = drawn[:size].sum(), drawn[size:].sum()
        kept = [part[0] for part, count in zip(parts, sizes, strict=True) if count]
        by_hand.append(np.mean(kept) if kept else np.nan)
    np.testing.assert_allclose(found.of_resamples(counts), by_hand)


@pytest.mark.parametrize("drawings", [1, 2])
def test_a_trial_has_the_scores_of_the_epochs_that_all_its_folds_have(
    tmp_path: Path, drawings: int
) -> None:
    count = 2 * drawings
    folds = [{"train": 5, "validation": 5, "digest": ""}] * count
    digests = {"train": "1" * 64, "validation": "2" * 64}
    data = DataDescription(
        "made", "", "d", digests, {"train": 10, "validation": 10}, {"folds": folds}
    )
    description = describe(folds=count, cross_validation="2", trials=2, data=data)
    history = run_study(ScriptedExecutor(description), store=tmp_path, progress=NoProgress())
    written = {}
    for trial in history.ended:
        for fold, recorded in enumerate(trial.result.repeats):
            values = random.uniform(size=(4, 5)).astype("float16")
            written[trial.number, fold] = values
            each = [SampleScores("val_loss", "mean", values[e], e + 1) for e in range(4)]
            path = history.files.scores(trial.number, fold)
            write_scores(path, each[: 3 + fold], weights_sha256=recorded.weights_sha256)
    found = trial_scores(history)
    for trial in history.ended:
        if trial.epoch == 4:
            assert trial.number not in found, "the first fold has no scores of its best epoch"
            continue
        assert [each.epoch for each in found[trial.number]] == [1, 2, 3]
        for each in found[trial.number]:
            wanted = [written[trial.number, fold][each.epoch - 1] for fold in (0, 1)]
            np.testing.assert_array_equal(each.values, np.concatenate(wanted))
    assert found
