"""Data that comes in batches: what is accepted, what is known of it, what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import streamed
import tensorflow as tf
from suite import exhaustive_but

import kerastudy as ks
from search_spaces import DataError
from studies.training import configure_tensorflow

X = np.arange(40, dtype="float32").reshape(10, 4)
Y = np.arange(10) % 2


@pytest.fixture(autouse=True)
def deterministic() -> None:
    configure_tensorflow(None)


def validation() -> Iterator[Any]:
    yield X[:4], Y[:4]
    yield X[4:7], Y[4:7]


def load(train: Any, **options: Any) -> Any:
    return ks.datasets.batches(train, validation, **options).load()


def of(*batches: Any) -> Any:
    """A function that gives these batches."""
    return lambda: iter(batches)


# What is known


@pytest.mark.parametrize(
    "kind", exhaustive_but(["tf.data", "threads", "generator"], streamed.TRAINING)
)
def test_each_kind_is_read_ahead_to_its_end_and_known_by_its_values(kind: str) -> None:
    train, whole = streamed.TRAINING[kind], kind != "full batches"
    splits, again = load(train), load(train)
    assert splits.digest == again.digest != load(lambda: train(1)).digest
    assert splits.sizes == {"train": 44 if whole else 40, "validation": 7}
    assert splits.train.profile.digest_of == f"all {6 if whole else 5} batches"
    assert splits.batch_size == streamed.SIZE and splits.train.first(3).x.shape == (3, 12)
    assert not splits.warnings


def test_the_same_batches_have_the_same_digest_whatever_they_come_as() -> None:
    digests = {load(train).digest for train in (streamed.py_dataset, streamed.generator)}
    assert len(digests) == 1


def test_what_is_not_the_same_each_time_is_known_by_types_and_shapes() -> None:
    random = np.random.default_rng()

    def train() -> Any:
        return iter([(random.normal(size=(4, 3)).astype("float32"), Y[:4])])

    splits = load(train)
    assert splits.digest == load(train).digest
    assert splits.describe()["streams"]["train"]["digest_of"] == "types and shapes alone"
    assert len(splits.warnings) == 1 and "parameter seed" in splits.warnings[0]


def test_what_shuffles_itself_is_to_be_given_by_the_function_that_makes_it() -> None:
    """As `keras.utils.image_dataset_from_directory` does, with a seed too."""

    def shuffled() -> tf.data.Dataset:
        return (
            tf.data.Dataset.from_tensor_slices((streamed.X, streamed.Y)).shuffle(44, 123).batch(8)
        )

    of_train, of_validation = ks.datasets.batches(shuffled(), shuffled()).load().warnings
    assert "function that makes it: train=lambda: " in of_train
    assert "function that makes it: validation=lambda: " in of_validation
    assert not ks.datasets.batches(shuffled, shuffled).load().warnings


def test_image_folders_are_read_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Keras prints how many files it found: at each reading, that is in each epoch."""
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

    dataset = ks.datasets.batches(partial(images, "training"), partial(images, "validation"))
    splits = dataset.load()
    assert splits.sizes == {"train": 6, "validation": 2}
    assert not splits.warnings
    assert capfd.readouterr().out == ""
    images("training")
    assert "Found 8 files" in capfd.readouterr().out


def test_texts_and_several_arrays_are_batches_too() -> None:
    texts = np.array(["a", "bc", "d"])

    def train() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(({"b": X[:3], "a": texts}, Y[:3])).batch(2)

    splits = ks.datasets.batches(train, train).load()
    assert list(splits.train.at_hand.x) == ["a", "b"]
    assert splits.train.at_hand.x["a"].tolist() == [b"a", b"bc"]
    assert splits.sizes["train"] == 3


def test_data_of_which_nothing_tells_an_end_comes_with_a_warning() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield X, Y

    warnings = (
        ks.datasets.batches(endless, endless, test=endless, validation_steps=3).load().warnings
    )
    said = (
        "data has no known length, and did not end within its first 128 batches. If it has no end,"
    )
    assert warnings == [
        f"The training {said} pass steps_per_epoch.",
        f"The test {said} end it, by take().",
    ]


def test_processes_of_a_folder_look_at_the_data_once(tmp_path: Path) -> None:
    read: list[int] = []

    def train() -> Iterator[Any]:
        read.append(1)
        yield X, Y

    first, second = (ks.datasets.batches(train, validation).load_shared(tmp_path) for _ in range(2))
    assert first.digest == second.digest
    assert len(read) == 2, "twice by the first, to see whether it is the same"


def test_a_seed_that_was_given_stays() -> None:
    def train(seed: int) -> Iterator[Any]:
        seeds.append(seed)
        yield X, Y

    seeds: list[int] = []
    load(partial(train, seed=7))
    assert set(seeds) == {7}


def test_a_description_shows_and_pickles_what_it_was_made_of() -> None:
    data = ks.datasets.batches(streamed.tf_data, streamed.validation_generator, steps_per_epoch=3)
    assert repr(data) == (
        "datasets.batches(<the function tf_data>, <the function validation_generator>, "
        "steps_per_epoch=3)"
    )
    before = data.load()
    assert pickle.loads(pickle.dumps(data)).load().digest == before.digest
    with pytest.raises(DataError, match=r"train is a tf\.data\.Dataset itself"):
        pickle.dumps(ks.datasets.batches(streamed.tf_data(1), validation))


def test_the_test_part_comes_out_by_unsealing_alone() -> None:
    splits = load(streamed.generator, test=validation)
    assert splits.unseal_test().profile.samples == 7
    with pytest.raises(DataError, match="no test part"):
        load(streamed.generator).unseal_test()


# Refused when it is described


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (validation(), r"train must be a function.*generator.*pass train=batches, not"),
        (iter([(X, Y)]), "list_iterator. Each epoch reads it"),
        ((X, Y), r"Received: an object of type tuple. Arrays go to datasets.arrays"),
        (X, "Arrays go to datasets.arrays"),
        (None, "Received: None"),
        (lambda folder, seed: None, "missing a required argument: 'folder'. It gets nothing but"),
    ],
    ids=["generator", "iterator", "pair", "array", "nothing", "arguments"],
)
def test_what_can_not_be_read_again_and_again_is_refused_at_once(train: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ks.datasets.batches(train, validation)


def test_validation_takes_no_seed() -> None:
    with pytest.raises(DataError, match=r"generator, which can't be called: missing .*'seed'"):
        ks.datasets.batches(streamed.generator, streamed.generator)

    def either(seed: int | None = None) -> Iterator[Any]:
        assert seed is None
        return validation()

    assert ks.datasets.batches(streamed.generator, either).load().sizes["validation"] == 7


@pytest.mark.parametrize("steps", [0, -1, True, 2.0, "3"])
def test_steps_are_whole_numbers(steps: Any) -> None:
    with pytest.raises(DataError, match=r"steps_per_epoch must be a whole number.*Received"):
        ks.datasets.batches(validation, validation, steps_per_epoch=steps)
    with pytest.raises(DataError, match=r"validation_steps must be a whole number"):
        ks.datasets.batches(validation, validation, validation_steps=steps)


# Refused when it is read


def broken() -> Iterator[Any]:
    """After the batches that Keras looks at by itself."""
    yield from [(X, Y)] * 2
    raise ValueError("file 17 is broken")


_once = iter([(X, Y), (X, Y), (X, Y)])


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (of(), "training data can't be read: ValueError.*at least one batch"),
        (lambda: None, "gives the training data must return .* Received: None"),
        (lambda: (X, Y), "Received: an object of type tuple"),
        (lambda: X, "Received: an object of type ndarray"),
        (lambda: _once, "must return a new iterable of batches each time"),
        (of((X,)), "validation data has other arrays than the training data"),
        (
            lambda: tf.data.Dataset.from_tensor_slices((X, X, X, Y)).batch(2),
            r"must be \(x, y\).*Received: 4 entries.*targets=False",
        ),
        (lambda: tf.data.Dataset.from_tensor_slices((X, Y)), r"y of.*single value.*by batch\(32\)"),
        (of(*zip(X, Y, strict=True)), r"can't be read: .*It seems to come sample by sample"),
        (of(([X, X], Y)), "can't be read: .*a tuple or a dict of arrays, not as a list"),
        (of((X, Y[:5])), "y of batch 1 of the training data has shape .5,., and there are 10"),
        (of((X, Y), (X * np.nan, Y)), "x of batch 2 of the training data holds 40 NaN"),
        (
            lambda: iter([(tf.ragged.constant([[1], [2, 3]]), Y[:2])]),
            "x of batch 1.*holds a RaggedTensor",
        ),
        (of((X, {"a": Y})), "validation data has other arrays than the training data"),
        (lambda: streamed.without_end(1), "training data has no end. Pass steps_per_epoch"),
        (broken, "read: InvalidArgumentError: ValueError: file 17 is broken. Read a"),
    ],
    ids=[
        "empty", "nothing", "pair", "array", "once", "without targets", "four", "samples",
        "generator of samples", "list of inputs", "lengths",
        "not a number", "ragged", "other arrays", "endless", "raises",
    ],
)  # fmt: skip
def test_what_nothing_can_be_trained_on_is_refused(train: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(train)


def test_more_steps_than_there_are_batches_are_refused() -> None:
    with pytest.raises(DataError, match="training data has 6 batches, but an epoch must read 7"):
        load(streamed.tf_data, steps_per_epoch=7)
    assert load(streamed.tf_data, steps_per_epoch=6).sizes["train"] == 44
