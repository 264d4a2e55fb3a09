"""Class weights: checked before any training, part of the record, and what resuming notices."""

import gc
import weakref
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from conformance.models import SPACE, dense
from doctored import launch
from handmade import describe
from in_mlflow import InMlflow

import kerastudy as ks
from search_spaces import BuilderError, StudyChangedError, StudyError
from studies.commands import study_text
from studies.data import Splits
from studies.definition import (
    resolve_class_weight,
    with_class_weight,
    without_class_weight,
)
from tracking.records import DataFindings
from tracking.study_summary import data_facts

X = np.random.default_rng(0).normal(size=(60, 12)).astype("float32")
Y = np.repeat([0, 1, 2], [10, 20, 30])


def load(y: np.ndarray = Y, **options: Any) -> Splits:
    return ks.datasets.arrays(X, y, **{"test": None, **options}).load()


def study(class_weight: Any, y: Any = Y, **fields: Any) -> ks.Study:
    data = ks.datasets.arrays(X, y, test=None, **fields.pop("options", {}))
    fields = {"build": dense, "space": SPACE, "trials": 2, "epochs": 2, **fields}
    return ks.Study("weighted", data=data, class_weight=class_weight, **fields)


def test_a_class_of_the_validation_part_alone_is_known() -> None:
    splits = load(validation=(X[:2], np.array([3, 0])))
    assert resolve_class_weight({3: 2.0}, splits) == {3: 2.0}


def test_only_the_training_part_is_weighted_and_kept_as_long_as_the_data() -> None:
    splits = load()
    weighted = with_class_weight(splits, {1: 5.0})
    np.testing.assert_array_equal(weighted.train.sample_weight, np.where(splits.train.y == 1, 5, 1))
    assert weighted.validation.sample_weight is None and weighted.digest == splits.digest
    assert with_class_weight(splits, {1: 5.0}) is weighted, "trainers keep data by its object"
    assert with_class_weight(splits, None) is splits
    gone = weakref.ref(weighted)
    del splits, weighted
    gc.collect()
    assert gone() is None


def test_probabilities_are_corrected_for_weights_as_bayes_says() -> None:
    odds = np.random.default_rng(1).dirichlet([1, 2, 3], 50)
    trained = odds * [1.0, 4.0, 0.5]
    trained /= trained.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(without_class_weight(trained, {1: 4.0, 2: 0.5}), odds)
    # Nothing is known about a class of weight 0.
    for nothing in (None, {}, {0: 1.0, 1: 1.0}, {2: 0.0, 1: 5.0}):
        assert without_class_weight(odds, nothing) is odds


# Refused


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("balance", "weights by class, such as .* or 'balanced'. Received: 'balance'"),
        ({}, "weights by class"),
        ([1.0, 5.0], r"weights by class.*Received: \[1\.0, 5\.0\]"),
        ({"a": 1.0}, "whole number of at least 0. Received: 'a'"),
        ({-1: 1.0}, "whole number of at least 0. Received: -1"),
        ({True: 1.0}, "whole number of at least 0. Received: True"),
        ({1: -2.0}, "of class 1 must be a finite number of at least 0. Received: -2.0"),
        ({1: float("nan")}, "Received: nan"),
        ({1: "5"}, "Received: '5'"),
    ],
    ids=str,
)
def test_wrong_class_weights_are_refused_at_once(class_weight: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study(class_weight)


@pytest.mark.parametrize(
    ("class_weight", "y", "options", "message"),
    [
        (
            {7: 2.0},
            Y,
            {},
            "classes that the data lacks: 7. The data has the classes 0, 1 and 2. Give",
        ),
        ({0: 0.0, 1: 0.0, 2: 0.0}, Y, {}, "all training samples the weight 0"),
        ({3: 2.0}, np.eye(3)[Y], {}, "lacks: 3"),
        ({0: 2.0}, X[:, 0], {}, r"targets that are classes.*float32 and shape \(48,\)"),
        ("balanced", Y - 1, {}, "targets that are classes"),
        ({0: 2.0}, X[:, :2], {}, "targets that are classes"),
        ({0: 2.0}, {"kind": Y}, {}, "for a single output, as in Keras.*arrays named 'kind'"),
        ("balanced", Y, {"sample_weight": np.ones(60)}, "can't be used together, as in Keras"),
        (lambda hp: "even", Y, {}, "class_weight must be weights by class"),
        (lambda hp: {1: 2.0}, np.linspace(0, 1, 60), {}, "needs targets that are classes"),
    ],
)
def test_class_weights_that_do_not_suit_the_data_are_refused_before_anything_runs(
    tmp_path: Path, class_weight: Any, y: Any, options: dict[str, Any], message: str
) -> None:
    def build(hp: Any) -> keras.Model:
        raise AssertionError("the builder was called")

    weighted_study = study(class_weight, y, build=build, options=options)
    with pytest.raises(StudyError, match=message):
        weighted_study.launch(store=tmp_path / "store", progress=False)
    assert not (tmp_path / "store").exists()


# A HyperModel that trains itself


class WithoutWeights(keras_tuner.HyperModel):  # type: ignore[misc]
    def build(self, hp: Any) -> keras.Model:
        return dense(hp)

    def fit(
        self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any, callbacks: Any
    ) -> Any:
        return model.fit(x, y, validation_data=validation_data, callbacks=callbacks, verbose=0)


def test_a_fit_that_takes_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match=r"WithoutWeights takes none.*\*\*kwargs"):
        study({0: 9.0}, build=WithoutWeights()).launch(store=tmp_path / "store", progress=False)


# The record


def test_weights_are_shown_by_the_names_of_classes() -> None:
    classes = {"y": {"train": {"no": 9, "yes": 3, "maybe": 1}}}
    looked = DataFindings("churn", "d", {"train": 13}, {}, classes)

    def shown(*weights: float) -> str:
        (fact,) = data_facts(describe(class_weight=dict(enumerate(weights)), looked=looked))
        return fact.text

    assert shown(1.0, 4.0, 2.5) == "of classes no: 1, yes: 4 and maybe: 2.5"
    assert shown(1.0, 4.0) == "of classes no: 1 and yes: 4; of others 1"


def test_class_weights_are_recorded_and_stay_the_studys(tmp_path: Path) -> None:
    history = launch(tmp_path, trials=2, class_weight={0: 1.0, 10: 5.5})
    assert history.description.class_weight == {0: 1.0, 10: 5.5}
    assert [t.spec.class_weight for t in history.trials] == [{0: 1.0, 10: 5.5}] * 2
    assert InMlflow(history).parent.data.params["class_weight"] == '{"0": 1.0, "10": 5.5}'
    assert "weights    of classes 0: 1 and 10: 5.5; of others 1" in study_text(history)
    for later in (None, {0: 1.0, 1: 4.0}):
        with pytest.raises(
            StudyChangedError, match=r"class_weight was \{0: 1\.0, 10: 5\.5\} and is"
        ):
            launch(tmp_path, trials=3, class_weight=later)
    assert len(launch(tmp_path, trials=3, class_weight={10: 5.5, 0: 1.0}).trials) == 3


def test_class_weights_may_depend_on_hyperparameters(tmp_path: Path) -> None:
    space = ks.SearchSpace(*SPACE, ks.Float("rare", 1.0, 9.0))
    definition = study(
        lambda hp: {0: hp["rare"]} if hp["rare"] > 3 else None, space=space, initial=[{"rare": 2.0}]
    )
    history = definition.launch(store=tmp_path, progress=False, verify="full")
    # The weights of the default values are not those of a trial without weights.
    assert [t.class_weight for t in history.ended] == [{0: 5.0}, None]
    assert [t.best_training[0].class_weight for t in history.ended] == [{0: 5.0}, None]
    assert history.description.unread == ()
    assert history.best.verified == "model.fit, identical"
