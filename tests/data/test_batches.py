"""Data in batches: facts that are known before a training."""

import pickle
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import streamed
import tensorflow as tf
from streamed import validation_generator as validation
from suite import exhaustive_but

import kerastudy as ks

DataError = ks.errors.DataError
X = np.arange(40, dtype="float32").reshape(10, 4)
Y = np.arange(10) % 2


def load(train: Any, **options: Any) -> Any:
    return ks.datasets.batches(train, validation, **options).load()


@pytest.mark.parametrize("kind", exhaustive_but(["tf.data", "threads"], streamed.TRAINING))
def test_each_kind_is_read_to_its_end_and_known_by_its_values(kind: str) -> None:
    train, whole = streamed.TRAINING[kind], kind != "full batches"
    splits = load(train, test=validation)
    assert splits.digest == load(train, test=validation).digest != load(lambda: train(1)).digest
    assert splits.sizes == {"train": 44 if whole else 40, "validation": 20, "test": 20}
    described = splits.describe()["streams"]["train"]
    assert described["digest_of"] == f"all {6 if whole else 5} batches"
    assert splits.batch_size == streamed.SIZE and not splits.warnings
    assert splits.unseal_test().samples == 20
    with pytest.raises(ks.errors.NoTestPartError):
        load(train).unseal_test()


def test_the_same_batches_have_the_same_digest_whatever_they_come_as() -> None:
    data = ks.datasets.batches(streamed.py_dataset, validation)
    digest = load(streamed.generator).digest
    assert data.load().digest == digest == pickle.loads(pickle.dumps(data)).load().digest


def test_batches_of_folders_texts_and_several_arrays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        folder = tmp_path / f"class {number % 2}"
        folder.mkdir(exist_ok=True)
        keras.utils.save_img(folder / f"{number}.png", np.full((4, 4, 1), number * 30))

    def images(subset: str, seed: int = 1) -> tf.data.Dataset:
        return keras.utils.image_dataset_from_directory(
            *(tmp_path, "inferred", "int"),
            **{"color_mode": "grayscale", "batch_size": 3, "image_size": (4, 4), "seed": seed},
            **{"validation_split": 0.25, "subset": subset},
        )

    parts = partial(images, "training"), partial(images, "validation")
    splits = ks.datasets.batches(*parts).load()
    assert splits.sizes == {"train": 6, "validation": 2} and not splits.warnings
    # Keras itself prints how many files it found, in each epoch.
    assert capfd.readouterr().out == ""

    def named() -> tf.data.Dataset:
        texts = np.array(["a", "bc", "d"])
        return tf.data.Dataset.from_tensor_slices(({"b": X[:3], "a": texts}, Y[:3])).batch(2)

    head: Any = ks.datasets.batches(named, named).load().train.at_hand
    assert list(head.x) == ["a", "b"] and head.x["a"].tolist() == [b"a", b"bc"]


@pytest.mark.parametrize("targets", [False, True])
def test_three_arrays_of_one_kind_may_be_samples_alone(targets: bool) -> None:
    def three() -> Iterator[Any]:
        yield X, X + 1, X + 2

    head: Any = ks.datasets.batches(three, three, targets=targets).load().train.at_hand
    assert head.has_targets == targets and np.shape(head.x) == ((10, 4) if targets else (3, 10, 4))


def test_processes_of_a_folder_read_the_data_once(tmp_path: Path) -> None:
    readings: list[int] = []

    def train() -> Iterator[Any]:
        readings.append(1)
        yield X, Y

    first, second = (ks.datasets.batches(train, validation).load_shared(tmp_path) for _ in range(2))
    assert first.digest == second.digest
    assert len(readings) == 2, "twice by the first, to see whether it is the same"


# Warnings


class Shuffling(streamed.Batches):
    def on_epoch_end(self) -> None:
        order = np.random.default_rng().permutation(len(self.x))
        self.x, self.y = self.x[order], self.y[order]


def shuffled() -> tf.data.Dataset:
    """Shuffles like `keras.utils.image_dataset_from_directory`, which does so with a seed too."""
    pairs = tf.data.Dataset.from_tensor_slices((streamed.X, streamed.Y))
    return pairs.shuffle(44, 123).batch(8)


def random() -> Iterator[Any]:
    yield np.random.default_rng().normal(size=(4, 4)).astype("float32"), Y[:4]


def endless() -> Iterator[Any]:
    while True:
        yield X, Y


@pytest.mark.parametrize(
    ("train", "options", "words"),
    [
        (random, {}, "not the same each time.*parameter seed"),
        (None, {}, "not the same each time.*Pass the function that makes it: train=lambda"),
        (Shuffling(X, Y), {}, "Pass the function that makes it: train=lambda"),
        (shuffled, {}, ""),
        (endless, {}, "The training .* more than 128 batches.* pass steps_per_epoch"),
        (endless, {"steps_per_epoch": 3}, ""),
        (shuffled, {"test": endless}, r"The test .* If it has no end, end it, by take\(\)"),
        (shuffled, {"test": random}, "The test .*Use no random operations"),
    ],
)
def test_data_without_an_end_or_repetition_gets_a_warning(
    train: Any, options: dict[str, Any], words: str
) -> None:
    splits = load(shuffled() if train is None else train, **options)
    text = " ".join(splits.warnings)
    assert len(splits.warnings) == bool(words) and re.search(words, text)
    if "not the same" in text:
        part = splits.describe()["streams"]["test" if "test" in options else "train"]
        assert part["digest_of"] == "types and shapes alone"


def test_a_seed_goes_to_training_data_alone_and_a_given_one_stays() -> None:
    seeds: list[int | None] = []

    def either(seed: int | None = None) -> Iterator[Any]:
        seeds.append(seed)
        return validation()

    assert ks.datasets.batches(partial(either, seed=7), either).load().sizes["validation"] == 20
    assert set(seeds) == {7, None}
    no_signature = partial(iter, [(X, Y)])
    assert load(no_signature).sizes["train"] == len(X)
    assert load(streamed.tf_data, steps_per_epoch=6).sizes["train"] == 44
