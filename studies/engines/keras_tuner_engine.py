"""The `Engine` of Keras Tuner's oracles, and the checks whether an oracle can serve a study.

An oracle only proposes values and gets results. It writes nothing: each launch rebuilds it from the
record. Optuna prunes the trials, so they are kept in an Optuna study, too.

The checks import neither Keras Tuner nor TensorFlow.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from search_spaces import KerasTunerSpace, SearchSpace, SearchSpaceError
from search_spaces.errors import EngineError
from studies.definition import FACTOR, split_options
from studies.definition.seeds import sampler_seed
from studies.engines.engine_protocol import Curve, EngineSettings
from studies.engines.optuna_engine import OptunaTrials
from studies.library_internals.optuna_and_keras_tuner_internals import check_parts
from studies.library_internals.tensorflow_internals import silenced
from tracking.records import Proposal, TrialRecord, TrialResult, finished_trials

if TYPE_CHECKING:
    from studies.engines.keras_tuner_oracles import AskedOracle


class KerasTunerEngine(OptunaTrials):
    """An `Engine` that proposes no configuration twice, except when Hyperband promotes a trial."""

    def __init__(self, settings: EngineSettings) -> None:
        engine, options = split_options(settings.engine)
        self._seed = settings.seed
        super().__init__(settings)
        self._translation = KerasTunerSpace(settings.space)
        import_keras_tuner()
        from keras_tuner import oracles

        from studies.engines import keras_tuner_oracles as subclasses

        kinds: dict[str, tuple[Any, Any]] = {
            BAYESIAN: (subclasses.BayesianOracle, oracles.BayesianOptimizationOracle),
            HYPERBAND: (subclasses.HyperbandOracle, oracles.HyperbandOracle),
        }
        kind, theirs = kinds.get(engine, (subclasses.RandomOracle, oracles.RandomSearchOracle))
        common = subclasses.common_arguments(self._translation, settings.objective)
        check_parts(engine, theirs(objective=common["objective"]))
        # The driver stops at the study's number of trials, so the oracle itself needs no limit.
        limits: dict[str, Any] = {"max_trials": None}
        if engine == HYPERBAND:
            limits = {"max_epochs": settings.epochs, "hyperband_iterations": None, "factor": FACTOR}
        self._oracle: AskedOracle = kind(**{**limits, **options}, **common)
        self._oracle.translation, self._oracle.tried = self._translation, self.tried

    def restore(self, trials: Sequence[TrialRecord], curve: Curve) -> None:
        super().restore(trials, curve)
        finished = {trial.number: trial for trial in finished_trials(trials)}
        for trial in trials:
            self._oracle.insert(str(trial.number), trial.spec.values, trial.engine_state)
            if trial.number in finished:
                self._end_in_oracle(finished[trial.number].result)

    def ask(self, choice: Mapping[str, Any] | None = None) -> Proposal | None:
        number = self.count
        trial_id = str(number)
        declared = None if choice is None else self.declared(choice)
        proposed = self._oracle.propose(trial_id, sampler_seed(self._seed, number), declared)
        if proposed is None:
            return None
        values = self._translation.decode(proposed)
        state = self._oracle.state(trial_id, proposed)
        self._oracle.insert(trial_id, values, state)
        self.add(values, state)
        epochs = proposed.get(KerasTunerSpace.RESERVED + "epochs")
        return Proposal(number, values, state, epochs)

    def tell(self, number: int, result: TrialResult) -> None:
        super().tell(number, result)
        self._end_in_oracle(result)

    def _end_in_oracle(self, result: TrialResult) -> None:
        score = None if result.best is None else result.best.value
        usable = result.state != "infeasible" and score is not None and math.isfinite(score)
        self._oracle.end(str(result.number), score if usable else None)


BAYESIAN: Final = "keras-tuner:bayesian"
HYPERBAND: Final = "keras-tuner:hyperband"


def check_oracle(
    engine: str, options: Mapping[str, Any], pruner: str, space: SearchSpace, epochs: int
) -> None:
    """Raises EngineError if one of Keras Tuner's engines can't serve a study."""
    try:
        KerasTunerSpace(space)
    except SearchSpaceError as error:
        raise EngineError(str(error)) from None
    if engine == HYPERBAND:
        _check_hyperband(pruner, space, epochs)


def oracle_settings(engine: str) -> dict[str, str]:
    """Returns the types of an oracle's settings, by the settings' names."""
    return {
        BAYESIAN: {"num_initial_points": "int | None", "alpha": "float", "beta": "float"},
        HYPERBAND: {"factor": "int"},
    }.get(engine, {})


def _check_hyperband(pruner: str, space: SearchSpace, epochs: int) -> None:
    if "epochs" in space:
        raise EngineError(
            "Keras Tuner's Hyperband itself decides how many epochs a trial trains, but 'epochs' "
            "is in the search space",
            hint="Remove 'epochs' from the space and set the study's epochs to the most that a "
            "trial may train, or use another engine, such as keras-tuner:bayesian.",
        )
    if epochs < 2:
        raise EngineError(
            "Keras Tuner's Hyperband stops most trials early, and needs at least 2 epochs",
            received=epochs,
            hint="Set epochs to 2 or more, or use keras-tuner:random.",
        )
    if not space.dimensions:
        raise EngineError(
            "Keras Tuner's Hyperband needs a parameter that varies, and all parameters of the "
            "space are Fixed",
            hint="Use another engine, such as keras-tuner:random.",
        )
    if pruner != "none":
        raise EngineError(
            "Keras Tuner's Hyperband stops trials itself, so it takes no pruner",
            received=pruner,
            hint="Leave the pruner out, or use another engine, such as keras-tuner:random.",
        )


def import_keras_tuner() -> None:
    """Imports Keras Tuner without output, and leaves the environment variables as they were.

    Keras Tuner imports TensorFlow, which would reserve the GPU memory that workers need. So GPUs
    are hidden from TensorFlow, unless this process has imported TensorFlow before.
    """
    if "keras_tuner" in sys.modules:
        return
    first = "tensorflow" not in sys.modules
    settings = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if "keras" not in sys.modules:
        # The user's Keras settings may name a backend that is not installed.
        settings["KERAS_BACKEND"] = "tensorflow"
    before = {name: os.environ.pop(name) for name in settings if name in os.environ}
    os.environ.update(settings)
    try:
        with silenced() if first else nullcontext():
            import keras_tuner  # noqa: F401
            import tensorflow as tf

            if first:
                tf.config.set_visible_devices([], "GPU")
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update(before)
