"""Each private name of a library taken away: trials come to the same bits, or it is told."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import streamed
from conformance.engine import SMALL, Played, make
from conformance.models import SPACE, by_hand, make_spec, make_study
from model_zoo import compiled, stack
from suite import exhaustive_but

from search_spaces import EngineError, Hyperparameters, StudyError
from studies.engines import keras_tuner_engine
from studies.library_internals import (
    keras_internals,
    keras_tuner_internals,
    optuna_internals,
    private_api_lookup,
    tensorflow_internals,
)
from studies.training import CompiledTrainer, begin_trial, run_trial, stateful_layers
from tracking.records import TrialTask

PARTS = {
    str(part): part
    for name in ("tensorflow", "keras")
    for part in private_api_lookup.private_parts(name)
}
PrivatePart = private_api_lookup.PrivatePart
SYMBOLICALLY = "keras.src.backend.compute_output_spec"
# Without these no program can be exact, or none can be made.
NEEDED_TO_COMPILE = {
    "tensorflow.python.eager.context.context",
    "tensorflow.python.eager.context.FunctionCallOptions",
    "Context.function_call_options",
    "Context.config",
    "tensorflow.python.ops.handle_data_util.get_resource_handle_data",
    "Operation._set_attr",
    "tensorflow.python.framework.op_def_registry.get",
    "tf.Variable._unique_id",
    "Variable._value",
    "Variable._autocast",
    "Optimizer._var_key",
    "Optimizer._trainable_variables",
    "Model._get_metrics_result_or_logs",
    SYMBOLICALLY,
}


assert set(PARTS) > NEEDED_TO_COMPILE


class Doubling(keras.layers.Layer):
    """A user's own layer: what it does to variables is unknown before it is called."""

    def call(self, x: Any) -> Any:
        return 2 * x


def with_own_layer(hp: Hyperparameters) -> keras.Model:
    return compiled(stack(Doubling(), keras.layers.Dropout(hp["rate"])))


def model(hp: Hyperparameters) -> keras.Model:
    """It needs every part that the compiled trainer does, but for one."""
    first = keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(1e-3), name="first")
    optimizer = keras.optimizers.AdamW(0.01)
    made = compiled(stack(first, keras.layers.GaussianDropout(hp["rate"])), optimizer, metrics=())
    optimizer.exclude_from_weight_decay([first.kernel])
    return made


@functools.cache
def trained_by_hand(build: Any) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    metrics, weights = by_hand(build, make_study(build).data.load(), make_spec(1))
    return metrics, weights[-1]


def take_away(part: PrivatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "name", f"{part.name}_of_another_version")


# Each is done without by itself: several at once are so too. One by one where all is run.
_DONE_WITHOUT = sorted(PARTS.keys() - NEEDED_TO_COMPILE)
EACH_TIME = [_DONE_WITHOUT[::2], _DONE_WITHOUT[1::2], [min(NEEDED_TO_COMPILE)]]


@pytest.mark.parametrize(
    "names",
    exhaustive_but(EACH_TIME, [*EACH_TIME[:2], *([name] for name in PARTS)]),
    ids=lambda names: names[0],
)
def test_without_private_parts_trials_come_to_the_same(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = names[0]
    build = with_own_layer if name == SYMBOLICALLY else model
    metrics, weights = trained_by_hand(build)
    for each in names:
        take_away(PARTS[each], monkeypatch)
    study, trainer = make_study(build), CompiledTrainer()
    # The second trial uses the program of the first one, which is checked then.
    for _ in range(1 if name in NEEDED_TO_COMPILE else 2):
        reported: list[Any] = []
        path = tmp_path / "best.weights.h5"
        task = TrialTask(make_spec(1), SPACE, path)

        def on_epoch(epoch: Any, reported: list[Any] = reported) -> Any:
            reported.append(epoch.metrics)
            return "continue"

        result = run_trial(study, study.data.load(), task, on_epoch, trainer)
        assert (result.state, reported) == ("complete", metrics), result.reason
        loaded = build(Hyperparameters(SPACE, {"rate": 0.3}))
        loaded.optimizer.build(loaded.trainable_variables)
        loaded.load_weights(path)
        assert all(map(np.array_equal, loaded.get_weights(), weights))
        if name in NEEDED_TO_COMPILE:
            assert result.trainer == "plain"
            assert f"lacks {PARTS[name]}" in result.trainer_reason
        else:
            assert (result.trainer, result.trainer_reason) == ("compiled", "")


def test_what_is_done_by_public_means_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(Hyperparameters(SPACE, {"rate": 0.3}))
    nested = keras.Sequential([keras.Input((4, 3), 8), keras.layers.LSTM(2, stateful=True)])
    outer = keras.Sequential([keras.Input((4, 3), 8), nested, keras.layers.Dense(1)])
    within = {id(layer) for layer in keras_internals.layers_within(outer)}
    for name in ("Layer._flatten_layers", "Model._compile_config", "KerasTensor._keras_history"):
        take_away(PARTS[name], monkeypatch)
    assert {id(layer) for layer in keras_internals.layers_within(outer)} >= within
    assert stateful_layers(outer) == nested.layers
    arguments = keras_internals.compile_arguments(made)
    assert arguments["loss"] == "sparse_categorical_crossentropy"
    assert arguments["optimizer"].get_config() == made.optimizer.get_config()
    assert keras_internals.made_by(made.outputs[0]) is None


def test_seeds_are_set_without_a_private_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn() -> list[Any]:
        begin_trial(5)
        layers = [keras.layers.Dense(2) for _ in range(2)]
        with tensorflow_internals.seeded(3):
            numbers = keras.random.normal((2,)).numpy().tolist()
        return [layer.name for layer in layers] + numbers

    wanted = drawn()
    for part in ("Context._seed", "keras.src.backend.common.global_state.set_global_attribute"):
        take_away(PARTS[part], monkeypatch)
        assert drawn() == wanted


def test_batches_need_what_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = streamed.study()
    take_away(PARTS["keras.src.trainers.data_adapters.data_adapter.DataAdapter"], monkeypatch)
    with pytest.raises(StudyError, match=r"version of Keras .*: keras .* lacks .*DataAdapter"):
        study.launch(store=tmp_path / "store", progress=False)
    with pytest.raises(private_api_lookup.MissingPartError):
        keras_internals.adapter_class()


assert keras_tuner_engine and keras_tuner_internals and optuna_internals


@pytest.mark.parametrize("part", private_api_lookup.private_parts("optuna"), ids=str)
def test_a_study_by_optuna_runs_without(part: PrivatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(part, monkeypatch)
    played = Played(make("optuna:tpe", "median", SMALL))
    played.play(12, infeasible=[2, 3])
    # One that is told anew.
    proposal = played.ask()
    assert proposal is not None
    for _ in range(2):
        played.engine.report(proposal.number, 1, 1.0)
    played.finish(proposal)


@pytest.mark.parametrize("part", private_api_lookup.private_parts("keras-tuner"), ids=str)
def test_an_oracle_without_it_is_refused(
    part: PrivatePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(part, monkeypatch)
    refused = []
    for engine in ("random", "bayesian", "hyperband"):
        try:
            Played(make(f"keras-tuner:{engine}", "none", SMALL)).play(2)
        except EngineError as error:
            assert f"lacks {part}" in str(error)
            refused.append(engine)
    assert len(refused) == (3 if part.owner == "Oracle" else 1)
