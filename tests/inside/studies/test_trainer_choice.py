"""Which trainer runs, with its reason in the record; training on all data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import two_sided
from conformance.models import SPACE, dense, make_study
from exact_training import spec_of, taken
from model_zoo import compiled, stack

import kerastudy as ks
from search_spaces import Hyperparameters, StudyError
from studies.commands import study_document, study_text
from studies.training import refit
from tracking.history import StudyHistory


def batch_watching(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
    return [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]


def watching_some_trials(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
    return [] if hp["rate"] == 0.3 else batch_watching(hp)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trainers") / "store"


def launch(folder: Path, name: str, build: Any = dense, trials: int = 2, **fields: Any) -> Any:
    study = make_study(build, **fields)
    options = {"progress": False, "verify": "off", "epochs": 2}
    return study.launch(name=name, store=folder, trials=trials, **options)


def test_what_a_builder_counts_is_set_back_and_the_record_says_which_trainer_it_was(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def build(hp: Hyperparameters) -> keras.Model:
        calls.append(0)
        return compiled(stack(*(keras.layers.Dense(4) for _ in range(len(calls)))))

    history: StudyHistory = launch(folder, "counting", build)
    results = [trial.result for trial in history.trials if trial.result is not None]
    # An input of 12 numbers, a layer of 4, and one of 3.
    assert [each.model_parameters for each in results] == [12 * 4 + 4 + 4 * 3 + 3] * 2
    assert [each.trainer for each in results] == ["compiled", "compiled"]
    assert caplog.text.count("calls (test_trainer_choice.py)") == 1
    assert "2 of 2 trials by compiled steps" in study_text(history)


# As where data comes in batches, see `test_streamed_studies`.
@pytest.mark.exhaustive
def test_what_can_not_be_compiled_is_trained_plainly_and_says_why(folder: Path) -> None:
    history = launch(folder, "watching", trials=1, callbacks=batch_watching)
    document = study_document(history)
    assert document["best"]["trainer"] == "plain"
    assert "LambdaCallback" in document["best"]["trainer_reason"]
    assert "LambdaCallback" in study_text(history)


class Own(keras_tuner.HyperModel):  # type: ignore[misc]
    def __init__(self, build: Any = dense) -> None:
        super().__init__()
        self.of_hp = build

    def build(self, hp: Any) -> keras.Model:
        return self.of_hp(hp)

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, **kwargs)


def test_an_unknown_trainer_is_told_with_its_near_match() -> None:
    with pytest.raises(StudyError, match=r"'plian'.*'plain'"):
        make_study(dense, trainer="plian")


HP = {"rate": 0.3, "l2": 1e-3, "lr": 0.01}


def study_on(data: Any, build: Any) -> ks.Study:
    return ks.Study("several", data=data, build=build, space=SPACE, objective="val_loss")


def test_several_inputs_and_outputs_with_weights_train_on_all_data() -> None:
    weights = np.random.default_rng(6).uniform(0.5, 2, two_sided.COUNT)
    data = two_sided.by_name(sample_weight=weights, validation=10, test=12)
    study, splits = study_on(data, lambda hp: two_sided.named(HP)), data.load()
    spec = replace(spec_of(), values={"rate": 0.3})
    model, joined, how = refit(study, splits, spec, Hyperparameters(SPACE, spec.values), epochs=2)
    assert (how.samples, how.steps, how.steps_before) == (50, 4, 3)

    parts = splits.train, splits.validation
    x, y = (
        {name: np.concatenate([of(part)[name] for part in parts]) for name in of(parts[0])}
        for of in (lambda part: part.x, lambda part: part.y)
    )
    weights = np.concatenate([part.sample_weight for part in parts])
    keras.utils.set_random_seed(spec.seed)
    by_hand = two_sided.named(HP)
    for epoch in (1, 2):
        order = ks.permutation(spec.seed, epoch, 50)
        for place, state in enumerate(ks.seed_states(by_hand)):
            state.assign([ks.epoch_seed(spec.seed, epoch, place), 0])
        by_hand.fit(
            taken(x, order),
            taken(y, order),
            sample_weight={name: weights[order] for name in y},
            batch_size=16,
            shuffle=False,
            verbose=0,
        )
    for made, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        assert np.array_equal(made, expected)
    assert splits.digests["test"] == joined.digests["test"], "it stays sealed"


def test_what_can_not_be_trained_on_all_data() -> None:
    def batch() -> Any:
        return iter([(np.ones((4, 12)), np.ones(4))])

    for data, build, told in (
        (ks.datasets.batches(batch, batch), dense, "can't be joined"),
        (two_sided.by_name(test=10), Own(), "its fit"),
    ):
        hp = Hyperparameters(SPACE, {"rate": 0.3})
        with pytest.raises(ks.errors.StudyError, match=told):
            refit(study_on(data, build), data.load(), spec_of(), hp, 2)
