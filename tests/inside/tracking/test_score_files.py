"""Scores of samples: their files, pooling them over folds, and their matrix."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from scripted import ScriptedExecutor, describe, run_study

from tracking.records import DataDescription
from tracking.statistics import (
    SampleScores,
    ScoresError,
    average,
    crossed,
    pooled,
    read_scores,
    score_matrix,
    trial_scores,
    write_scores,
)

RANDOM = np.random.default_rng(0)
HITS = (RANDOM.random(1001) < 0.9).astype(np.float32)
LOSSES = RANDOM.exponential(0.3, 1001).astype(np.float32)
WEIGHTS = RANDOM.random(1001).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns the path of a file of scores, in a folder that does not exist, with a space."""
    return tmp_path / "a folder" / "trial-00007.scores.safetensors"


def test_an_accuracy_takes_a_bit_a_sample_and_is_read_back_exactly(path: Path) -> None:
    write_scores(path, [SampleScores("val_accuracy", "mean", HITS, 3)], weights_sha256="a")
    (read,) = read_scores(path, weights_sha256="a")
    assert (read.metric, read.kind, read.epoch) == ("val_accuracy", "mean", 3)
    assert np.array_equal(read.values, HITS)
    assert path.stat().st_size < 1001 / 8 + 500
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ScoresError, match="belong to other weights"):
        read_scores(path, weights_sha256="b")


def test_a_loss_takes_four_bytes_a_sample_with_its_weights_once_for_all_epochs(path: Path) -> None:
    epochs = [
        SampleScores("val_loss", "mean", LOSSES * epoch, epoch, WEIGHTS, constant=0.25)
        for epoch in (1, 2, 3)
    ]
    write_scores(path, epochs)
    read = read_scores(path)
    assert path.stat().st_size < 1001 * (3 * 4 + 4) + 1000
    for epoch, scores in enumerate(read, start=1):
        assert scores.weights is not None and scores.epoch == epoch
        np.testing.assert_array_equal(scores.weights, WEIGHTS)
        by_hand = np.average(LOSSES * epoch, weights=WEIGHTS) + 0.25
        assert scores.value == pytest.approx(by_hand, rel=1e-5)


def test_missing_and_damaged_files_are_refused(path: Path) -> None:
    with pytest.raises(ScoresError, match="gone"):
        read_scores(path)
    write_scores(path, [SampleScores("val_accuracy", "mean", HITS, 3)])
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-20] ^= 4
    for damaged in (bytes(flipped), content[:-9], content[:40], b"", b"\x00" * 400):
        path.write_bytes(damaged)
        with pytest.raises(ScoresError):
            read_scores(path)


def test_the_average_of_trainings_has_the_mean_of_their_objectives() -> None:
    first = SampleScores("val_accuracy", "mean", HITS, 3)
    second = dataclasses.replace(first, values=1 - HITS, constant=0.5)

    assert average([first, second]).value == pytest.approx(0.5 + 0.25)
    assert average([first]) is first

    roots = [dataclasses.replace(first, kind="root_mean", values=v) for v in (LOSSES, LOSSES * 4)]
    counts = RANDOM.multinomial(1001, np.full(1001, 1 / 1001), 2)
    by_hand = [1.5 * np.sqrt(np.average(LOSSES, weights=weights)) for weights in counts]
    assert average(roots).of_resamples(counts) == pytest.approx(by_hand, rel=1e-6)


def scores(size: int, kind: Any = "mean", **fields: Any) -> SampleScores:
    return SampleScores("val_loss", kind, RANDOM.uniform(1, 2, size), 4, **fields)


def test_folds_of_one_size_are_pooled_as_one_mean() -> None:
    folds = [scores(7, constant=1.0), scores(7, constant=2.0), scores(6, constant=3.0)]
    pool = pooled(folds)
    values = np.concatenate([fold.values for fold in folds])
    assert (len(pool), pool.kind, pool.epoch) == (20, "mean", 4)
    assert pool.value == pytest.approx(values.mean() + 2.0)
    counts = RANDOM.multinomial(20, [1 / 20] * 20, 5)
    means = [np.repeat(values, row).mean() + 2.0 for row in counts]
    np.testing.assert_allclose(pool.of_resamples(counts), means)


@pytest.mark.parametrize(
    "folds",
    [
        [scores(9, "root_mean"), scores(8, "root_mean")],
        [scores(12), scores(3)],
        [scores(4, weights=np.array([1, 2, 3, 4])), scores(4)],
    ],
)
def test_other_folds_give_the_mean_of_what_each_gives(folds: list[SampleScores]) -> None:
    pool, size = pooled(folds), len(folds[0])
    assert len(pool) == size + len(folds[1])
    assert pool.value == pytest.approx(np.mean([fold.value for fold in folds]))
    counts = RANDOM.multinomial(len(pool), [1 / len(pool)] * len(pool), 6)
    # The draws have nothing of the first fold, of the second, or of any.
    counts[0, :size], counts[1, size:], counts[2] = 0, 0, 0
    by_hand = []
    for row in counts:
        parts = [
            folds[0].of_resamples(row[None, :size]),
            folds[1].of_resamples(row[None, size:]),
        ]
        sizes = row[:size].sum(), row[size:].sum()
        values = [part[0] for part, count in zip(parts, sizes, strict=True) if count]
        by_hand.append(np.mean(values) if values else np.nan)
    np.testing.assert_allclose(pool.of_resamples(counts), by_hand)


def test_a_trial_has_the_scores_of_the_epochs_that_all_its_folds_have(tmp_path: Path) -> None:
    folds = [{"train": 5, "validation": 5, "digest": ""}] * 2
    digests = {"train": "1" * 64, "validation": "2" * 64}
    sizes = {"train": 10, "validation": 10}
    data = DataDescription("made", "", "d", digests, sizes, {"folds": folds})
    description = describe(folds=2, cross_validation="2", trials=2, data=data)
    history = run_study(ScriptedExecutor(description), store=tmp_path)
    values_by_fold = {}
    for trial in history.ended:
        for fold, result in enumerate(trial.result.repeats):
            values = RANDOM.uniform(size=(4, 5)).astype("float16")
            values_by_fold[trial.number, fold] = values
            epochs = [SampleScores("val_loss", "mean", values[e], e + 1) for e in range(4)]
            path = history.files.scores(trial.number, fold)
            write_scores(path, epochs[: 3 + fold], weights_sha256=result.weights_sha256)
    scores_by_trial = trial_scores(history.files, history.holding)
    # The first fold has no scores of a trial's best epoch if that is its last.
    assert scores_by_trial and set(scores_by_trial) == {
        trial.number for trial in history.ended if trial.epoch != 4
    }
    for number, of_epochs in scores_by_trial.items():
        assert [scores.epoch for scores in of_epochs] == [1, 2, 3]
        for scores in of_epochs:
            expected = [values_by_fold[number, fold][scores.epoch - 1] for fold in (0, 1)]
            np.testing.assert_array_equal(scores.values, np.concatenate(expected))


def test_a_weighted_mean_varies_as_its_jackknife_says() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.random(400) < 0.95, np.exp(rng.normal(0, 0.8, 400))
    scores = SampleScores("accuracy", "mean", values, 1, weights, 0.25)
    interval = crossed(score_matrix([scores, scores]))
    without = (np.delete(np.stack([values, weights]), i, axis=1) for i in range(400))
    left_out = np.array([np.average(v, weights=w) + 0.25 for v, w in without])
    assert interval.mean == pytest.approx(np.average(values, weights=weights) + 0.25)
    # The jackknife: (n - 1) / n times the sum of the squared deviations.
    assert interval.of_samples == pytest.approx(399 * left_out.var(), rel=0.05)


@pytest.mark.parametrize("kind", ["mean", "root_mean"])
def test_groups_vary_as_a_jackknife_of_groups_says(kind: Literal["mean", "root_mean"]) -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 25, 400)
    values = rng.exponential(size=400) * (1 + rng.random(25)[groups])
    scores = SampleScores("loss", kind, values, 1, groups=groups)
    interval = crossed(score_matrix([scores, scores]))
    whole = (lambda x: np.sqrt(x.mean())) if kind == "root_mean" else np.mean
    left_out = np.array([whole(values[groups != group]) for group in range(25)])
    assert interval.samples == 25
    assert interval.of_samples == pytest.approx(24 * left_out.var(), rel=0.1)
