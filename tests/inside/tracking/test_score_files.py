"""Files of the scores of samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tracking.scores import SampleScores, ScoresError, average, read_scores, write_scores

RANDOM = np.random.default_rng(0)
HITS = (RANDOM.random(1001) < 0.9).astype(np.float32)
LOSSES = RANDOM.exponential(0.3, 1001).astype(np.float32)
WEIGHTS = RANDOM.random(1001).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns the path of a file of scores, in a folder that does not exist, with a space."""
    return tmp_path / "a folder" / "trial-00007.scores.safetensors"


def test_an_accuracy_takes_a_bit_a_sample_and_is_read_back_exactly(path: Path) -> None:
    write_scores(path, [SampleScores("val_accuracy", "mean", HITS, 3)])

    (read,) = read_scores(path)

    assert (read.metric, read.kind, read.epoch) == ("val_accuracy", "mean", 3)
    assert np.array_equal(read.values, HITS)
    assert path.stat().st_size < 1001 / 8 + 500
    assert list(path.parent.iterdir()) == [path]


def test_a_loss_takes_two_bytes_a_sample_with_its_weights_once_for_all_epochs(path: Path) -> None:
    epochs = [
        SampleScores("val_loss", "mean", LOSSES * each, each, WEIGHTS, constant=0.25)
        for each in (1, 2, 3)
    ]
    write_scores(path, epochs)

    read = read_scores(path)

    assert path.stat().st_size < 1001 * (3 * 2 + 4) + 1000
    assert [each.epoch for each in read] == [1, 2, 3]
    for epoch, each in enumerate(read, start=1):
        assert each.weights is not None
        np.testing.assert_array_equal(each.weights, WEIGHTS)
        by_hand = np.average(LOSSES * epoch, weights=WEIGHTS) + 0.25
        assert each.value == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_half_precision_is_not_used_where_it_is_not_enough(path: Path, scale: float) -> None:
    write_scores(path, [SampleScores("val_loss", "mean", LOSSES * scale, 1)])

    (read,) = read_scores(path)

    assert np.array_equal(read.values, LOSSES * np.float32(scale))


def test_a_single_sample_is_read_back(path: Path) -> None:
    write_scores(path, [SampleScores("val_accuracy", "mean", np.ones(1), 1)])

    assert read_scores(path)[0].value == 1.0


def test_scores_of_other_weights_are_refused(path: Path) -> None:
    write_scores(path, [SampleScores("val_accuracy", "mean", HITS, 3)], weights_sha256="a")

    assert read_scores(path, weights_sha256="a")
    with pytest.raises(ScoresError, match="of other weights"):
        read_scores(path, weights_sha256="b")


def test_missing_and_damaged_files_are_refused(path: Path) -> None:
    with pytest.raises(ScoresError, match="gone"):
        read_scores(path)
    write_scores(path, [SampleScores("val_accuracy", "mean", HITS, 3)])
    written = path.read_bytes()
    flipped = bytearray(written)
    flipped[-20] ^= 4

    for damaged in (bytes(flipped), written[:-9], written[:40], b"", b"\x00" * 400):
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
    by_hand = [1.5 * np.sqrt(np.average(LOSSES, weights=each)) for each in counts]
    assert average(roots).of_resamples(counts) == pytest.approx(by_hand, rel=1e-6)
