"""Which trainer runs, with its reason in the record; training on all data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from conformance.models import dense, make_study
from exact_training import spec_of, taken

import kerastudy as ks
from search_spaces import Hyperparameters, StudyError
from studies.commands import study_document, study_text
from studies.training import refit
from tracking.history import StudyHistory


def batch_watching(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
    return [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trainers") / "store"


def launch(folder: Path, name: str, trials: int = 2, **fields: Any) -> StudyHistory:
    study = make_study(dense, **fields)
    options = {"progress": False, "verify": "off", "epochs": 2}
    return study.launch(name=name, store=folder, trials=trials, **options)


def test_the_record_says_which_trainer_it_was(folder: Path) -> None:
    history = launch(folder, "said", trials=1)
    assert history.ended[0].result.trainer == "compiled"
    assert "compiled for 1 of 1 trials" in study_text(history)


# Every trainer's tests show the bits.
@pytest.mark.exhaustive
def test_both_trainers_leave_the_same_bits(folder: Path) -> None:
    histories = [launch(folder, name, trainer=name) for name in ("auto", "plain")]
    trainers = [trial.result.trainer for h in histories for trial in h.trials if trial.result]
    assert trainers == [*["compiled"] * 2, *["plain"] * 2]
    first, other = [
        [(t.best, t.result.weights_sha256) for t in h.trials if t.result] for h in histories
    ]
    assert other == first


# As where data comes in batches, see `test_streamed_studies`.
@pytest.mark.exhaustive
def test_what_can_not_be_compiled_is_trained_plainly_and_says_why(folder: Path) -> None:
    history = launch(folder, "watching", trials=1, callbacks=batch_watching)
    document = study_document(history)
    assert document["best"]["trainer"] == "plain"
    assert "LambdaCallback" in document["best"]["trainer_reason"]
    assert "LambdaCallback" in study_text(history)


def test_what_a_builder_counts_is_set_back_before_each_fit(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def build(hp: Hyperparameters) -> keras.Model:
        calls.append(0)
        layers = [keras.layers.Dense(4) for _ in range(len(calls))]
        model = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
        model.compile(keras.optimizers.Adam(hp["learning_rate"]), "sparse_categorical_crossentropy")
        return model

    space, data = ks.SearchSpace(ks.learning_rate()), make_study(dense).data
    study = ks.Study("counting", data=data, build=build, space=space)
    history = study.launch(store=folder, trials=2, epochs=1, verify="off")
    results = [trial.result for trial in history.trials if trial.result is not None]
    # An input of 12 numbers, a layer of 4, and one of 3.
    assert [each.model_parameters for each in results] == [12 * 4 + 4 + 4 * 3 + 3] * 2
    assert [each.trainer for each in results] == ["compiled", "compiled"]
    assert caplog.text.count("calls (test_trainer_choice.py)") == 1


def test_an_unknown_trainer_is_told_with_its_near_match() -> None:
    with pytest.raises(StudyError, match=r"'plian'.*'plain'"):
        make_study(dense, trainer="plian")


random = np.random.default_rng(6)
X = {"a": random.normal(size=(60, 3)).astype("float32"), "b": random.normal(size=(60, 2))}
Y = {"left": random.normal(size=60).astype("float32"), "right": random.normal(size=(60, 1))}
W = random.uniform(0.5, 2, 60)


def build(hp: Any) -> Any:
    import keras

    inputs = {name: keras.Input((array.shape[1],), name=name) for name, array in X.items()}
    joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = {name: keras.layers.Dense(1, name=name)(joined) for name in Y}
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(hp["rate"]), loss="mse")
    return model


def study_on(data: Any, build: Any = build) -> ks.Study:
    space = ks.SearchSpace(ks.Float("rate", 0.01, 0.1))
    return ks.Study("several", data=data, build=build, space=space, objective="val_loss")


def test_several_inputs_and_outputs_with_weights() -> None:
    import keras

    data = ks.datasets.arrays(X, Y, sample_weight=W, test=10)
    study, splits, spec = study_on(data), data.load(), replace(spec_of(), values={"rate": 0.05})
    assert study.space is not None
    hp = Hyperparameters(study.space, spec.values)
    model, joined, how = refit(study, splits, spec, hp, epochs=2)
    assert (how.samples, how.steps, how.steps_before) == (50, 4, 3)

    train, validation = splits.train, splits.validation
    x = {name: np.concatenate([train.x[name], validation.x[name]]) for name in X}
    y = {name: np.concatenate([train.y[name], validation.y[name]]) for name in Y}
    weights = np.concatenate([train.sample_weight, validation.sample_weight])
    keras.utils.set_random_seed(spec.seed)
    by_hand = build({"rate": 0.05})
    for epoch in (1, 2):
        order = ks.permutation(spec.seed, epoch, 50)
        by_hand.fit(
            taken(x, order),
            taken(y, order),
            sample_weight={name: weights[order] for name in Y},
            batch_size=16,
            shuffle=False,
            verbose=0,
        )
    for made, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        assert np.array_equal(made, expected)
    assert splits.digests["test"] == joined.digests["test"], "it stays sealed"


def test_what_can_not_be_trained_on_all_data() -> None:

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return build(hp)

        def fit(self, hp: Any, model: Any, *arguments: Any, **options: Any) -> Any:
            return model.fit(*arguments, **options)

    batches = ks.datasets.batches(
        lambda: iter([(np.ones((4, 2)), np.ones(4))]), lambda: iter([(np.ones((4, 2)), np.ones(4))])
    )
    arrays = ks.datasets.arrays(X, Y, test=10)
    for study, told in (
        (study_on(batches), "can't be joined"),
        (study_on(arrays, Own()), "its fit"),
    ):
        assert study.space is not None
        hp = Hyperparameters(study.space, {"rate": 0.05})
        with pytest.raises(ks.errors.StudyError, match=told):
            refit(study, study.data.load(), spec_of(), hp, 2)
