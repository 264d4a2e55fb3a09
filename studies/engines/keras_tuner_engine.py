"""The `Engine` of Keras Tuner's oracles, and the subclasses of oracles that it uses.

An oracle only proposes values and gets results. It writes nothing: each launch rebuilds it from the
record. Optuna prunes the trials, so they are kept in an Optuna study, too.

In Keras Tuner, `create_trial` calls an oracle's `populate_space`, which proposes values. But
`create_trial` and `end_trial` write files, print, and stop the search after some failures or
repeated values. So `KerasTunerEngine` calls `propose`, `insert` and `end` of the subclasses
instead. An oracle that is restored from the record equals one that was never interrupted.

Importing this module imports Keras Tuner, and with it TensorFlow.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from keras_tuner import HyperParameters, Oracle, oracles
from keras_tuner import Objective as KerasTunerObjective
from keras_tuner.engine.trial import Trial, TrialStatus
from threadpoolctl import threadpool_limits

from search_spaces import KerasTunerSpace, SearchSpace, canonical_json
from studies.definition import FACTOR, HYPERBAND, sampler_seed, split_options
from studies.engines.engine_protocol_and_checks import BAYESIAN, Curve, EngineSettings
from studies.engines.optuna_engine import OptunaTrials
from studies.library_internals import (
    check_parts,
    random_values,
    start_bracket,
    vectors_of,
)
from tracking.records import Objective, Proposal, TrialRecord, TrialResult, finished_trials


class KerasTunerEngine(OptunaTrials):
    """An `Engine` that proposes no configuration twice, except when Hyperband promotes a trial."""

    def __init__(self, settings: EngineSettings) -> None:
        engine, options = split_options(settings.engine)
        self._seed = settings.seed
        super().__init__(settings)
        self._translation = KerasTunerSpace(settings.space)
        kinds: dict[str, tuple[Any, Any]] = {
            BAYESIAN: (_BayesianOracle, oracles.BayesianOptimizationOracle),
            HYPERBAND: (_HyperbandOracle, oracles.HyperbandOracle),
        }
        kind, theirs = kinds.get(engine, (_RandomOracle, oracles.RandomSearchOracle))
        common = _common_arguments(self._translation, settings.objective)
        check_parts(engine, theirs(objective=common["objective"]))
        # The driver stops at the study's number of trials, so the oracle itself needs no limit.
        limits: dict[str, Any] = {"max_trials": None}
        if engine == HYPERBAND:
            limits = {"max_epochs": settings.epochs, "hyperband_iterations": None, "factor": FACTOR}
        self._oracle: _AskedOracle = kind(**{**limits, **options}, **common)
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


_LISTED: Final = 10_000
"""In a finite space, `_untried_values` chooses among at most this many configurations."""
_DRAWS: Final = 100_000
"""In an infinite space, `_untried_values` returns None after this many draws."""


class _AskedOracle:
    """A mixin with the methods and attributes that the oracles of this module share."""

    translation: KerasTunerSpace
    # The values of all trials, as canonical JSON. The engine owns this set, and adds to it.
    tried: set[str]

    # Keras Tuner's Oracle has these attributes.
    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]
    objective: Any
    populate_space: Callable[[str], dict[str, Any]]
    _seed_state: int

    def propose(self, trial_id: str, seed: int, choice: Mapping[str, Any] | None) -> Any:
        """Returns the values of the next trial in Keras Tuner's form, or None if there is none.

        If `choice` is given, the next trial has these values.
        """
        if choice is not None:
            return self.translation.encode(choice)
        # The seed is set here, because the constructor of Keras Tuner's `Oracle` would replace the
        # seed 0 by a random one.
        self._seed_state = seed
        return self.populate_space(trial_id).get("values")

    def state(self, trial_id: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Returns texts to record with a trial. `insert` gets them when the trial is restored."""
        return {}

    def insert(self, trial_id: str, values: Mapping[str, Any], state: Mapping[str, str]) -> None:
        """Adds a running trial with its recorded `values`, which have their declared types.

        The oracle's own proposal may differ from `values` in the last bits. The proposal is not
        recorded, so a restored oracle has only `values`. So every oracle gets `values`.
        """
        hyperparameters = HyperParameters()
        hyperparameters.values = self.translation.encode(values)
        trial = Trial(hyperparameters, trial_id, TrialStatus.RUNNING)
        self.trials[trial_id] = self.ongoing_trials[trial_id] = trial

    def end(self, trial_id: str, score: float | None) -> None:
        trial = self.ongoing_trials.pop(trial_id)
        trial.score = score
        trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED

    def _duplicate(self, values: Mapping[str, Any]) -> bool:
        """Overrides Keras Tuner's check, which does not know the trials in `tried`."""
        return canonical_json(self.translation.decode(values)) in self.tried

    def _random_values(self) -> dict[str, Any] | None:
        """Overrides Keras Tuner's method, which gives up after 20 values that were tried before."""
        values = random_values(Oracle, self)
        if values is not None:
            return values
        untried = _untried_values(self.translation.space, self.tried, self._seed_state)
        return None if untried is None else self.translation.encode(untried)


def _untried_values(space: SearchSpace, tried: set[str], seed: int) -> dict[str, Any] | None:
    """Returns a random configuration that has not been tried, or None if it finds none."""
    generator = random.Random(seed)
    if all(parameter.count is not None for parameter in space):
        untried = (values for values in space.grid() if canonical_json(values) not in tried)
        candidates = list(itertools.islice(untried, _LISTED))
        return generator.choice(candidates) if candidates else None
    for _ in range(_DRAWS):
        values = space.from_unit({name: generator.random() for name in space.dimensions})
        if canonical_json(values) not in tried:
            return values
    return None


class _RandomOracle(_AskedOracle, oracles.RandomSearchOracle):  # type: ignore[misc]
    """Random search."""


class _BayesianOracle(_AskedOracle, oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """Bayesian optimization by a Gaussian process.

    The first feasible trials, three for each dimension, are random. Infeasible trials are ignored.
    """

    def propose(self, trial_id: str, seed: int, choice: Mapping[str, Any] | None) -> Any:
        self._random_state = np.random.RandomState(seed)
        self.gpr.random_state = seed
        # With matrices this small, several threads are slower, and can change the last bits.
        with threadpool_limits(1), warnings.catch_warnings():
            # scikit-learn warns of a length scale at the end of its range, or of a variance rounded
            # below 0. Both are common with few trials, and users can't prevent them.
            warnings.filterwarnings("ignore", module="sklearn")
            return super().propose(trial_id, seed, choice)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes random values if Keras Tuner's proposal was tried before."""
        response: dict[str, Any] = super().populate_space(trial_id)
        if response.get("values") is not None and self._duplicate(response["values"]):
            response = self._random_populate_space()
        return response

    def _vectorize_trials(self) -> tuple[Any, Any]:
        """Fits the Gaussian process before it predicts the results of running trials.

        Keras Tuner's method predicts with the fit of the last `ask`. A restored oracle has no such
        fit, and would propose other values.
        """
        everything = self.trials, self.ongoing_trials
        trials, ongoing = everything
        if ongoing:
            self.trials = {key: trial for key, trial in trials.items() if key not in ongoing}
            self.ongoing_trials = {}
            try:
                self.gpr.fit(*vectors_of(oracles.BayesianOptimizationOracle, self))
            finally:
                self.trials, self.ongoing_trials = everything
        return vectors_of(oracles.BayesianOptimizationOracle, self)


def _common_arguments(translation: KerasTunerSpace, objective: Objective) -> dict[str, Any]:
    """Returns the arguments that all of Keras Tuner's oracles take."""
    return {
        "objective": KerasTunerObjective(objective.metric, objective.direction),
        "hyperparameters": translation.hyperparameters(),
        "allow_new_entries": False,
        "tune_new_entries": False,
        # `propose` sets a seed for each trial. Without this seed, the constructor would draw one.
        "seed": 1,
    }


_BRACKET: Final = "hyperband/bracket"
"""The key under which a trial's state has the number of the trial's bracket. A study's brackets are
numbered from 0. Keras Tuner's own key is no help: its value is the number of the newest bracket,
even if the trial was promoted in an older bracket."""

_ROUND: Final = KerasTunerSpace.RESERVED + "round"
_PAST: Final = KerasTunerSpace.RESERVED + "trial_id"


class _HyperbandOracle(_AskedOracle, oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband, in which trials without a value don't block their bracket.

    In Keras Tuner, a failed trial leaves its rung incomplete, and the next rung waits for ever.
    Here, a failed trial keeps its place with the worst score. If a rung has too few usable trials
    to fill the next rung, blanks take the other places. A blank is a trial that is never trained:
    it exists only in the oracle, and has the worst score. So every bracket reaches its last rung.

    A blank takes no place from a running trial: Keras Tuner promotes from a rung only if the next
    rung has places for all running trials, too.
    """

    # Keras Tuner's HyperbandOracle has these attributes.
    _brackets: list[dict[str, Any]]
    _current_bracket: int
    _current_iteration: int

    def __init__(self, **arguments: Any) -> None:
        # All brackets of the study. Keras Tuner's `_brackets` has only the incomplete ones. Keras
        # Tuner's constructor is called last, because it adds the first bracket to this list.
        self._all_brackets: list[dict[str, Any]] = []
        self._unusable: set[str] = set()
        super().__init__(**arguments)

    def propose(self, trial_id: str, seed: int, choice: Mapping[str, Any] | None) -> Any:
        """Proposes the next trial.

        A trial with the values of `choice` takes the next place in the first rung of a bracket.
        """
        self._seed_state = seed
        if choice is not None:
            return self._place(trial_id, choice)
        while True:
            values = self.populate_space(trial_id).get("values")
            if values is None:
                bracket = self._open_bracket()
                if bracket is None or not self._usable_in(bracket):
                    return None
                # The space is exhausted. A blank trial takes a place in the first rung, so that the
                # rung gets full, and its best trials are promoted.
                bracket["rounds"][0].append({"past_id": None, "id": self._blank()})
            elif values.get(_PAST) in self._unusable:
                self._replace_id(trial_id, self._blank())
            else:
                return values

    def state(self, trial_id: str, values: Mapping[str, Any]) -> dict[str, str]:
        state = {
            name: json.dumps(v)
            for name, v in values.items()
            if name.startswith(KerasTunerSpace.RESERVED)
        }
        number, _ = self._place_of(trial_id)
        return {**state, _BRACKET: json.dumps(number)}

    def insert(self, trial_id: str, values: Mapping[str, Any], state: Mapping[str, str]) -> None:
        """Adds a trial. A recorded trial gets its former place in its bracket."""
        super().insert(trial_id, values, state)
        number, rung = json.loads(state[_BRACKET]), json.loads(state[_ROUND])
        while len(self._all_brackets) <= number:
            self._increment_bracket_num()
            self._start_new_bracket()
        infos = self._all_brackets[number]["rounds"][rung]
        if all(info["id"] != trial_id for info in infos):
            past = json.loads(state[_PAST]) if _PAST in state else None
            infos.append({"past_id": past, "id": trial_id})

    def end(self, trial_id: str, score: float | None) -> None:
        worst = math.inf if self.objective.direction == "min" else -math.inf
        super().end(trial_id, worst if score is None else score)
        if score is None:
            self._unusable.add(trial_id)

    def _start_new_bracket(self) -> None:
        start_bracket(oracles.HyperbandOracle, self)
        self._all_brackets.append(self._brackets[-1])

    def _place(self, trial_id: str, choice: Mapping[str, Any]) -> dict[str, Any]:
        bracket = self._open_bracket()
        if bracket is None:
            self._increment_bracket_num()
            self._start_new_bracket()
            bracket = self._all_brackets[-1]
        bracket["rounds"][0].append({"past_id": None, "id": trial_id})
        place = {
            "epochs": self._get_epochs(bracket["bracket_num"], 0),
            "initial_epoch": 0,
            "bracket": self._current_bracket,
            "round": 0,
        }
        reserved = {KerasTunerSpace.RESERVED + name: number for name, number in place.items()}
        return {**self.translation.encode(choice), **reserved}

    def _open_bracket(self) -> dict[str, Any] | None:
        """Returns the newest bracket if its first rung has places left, else None."""
        newest = self._all_brackets[-1]
        size = self._get_size(newest["bracket_num"], 0)
        return newest if len(newest["rounds"][0]) < size else None

    def _usable_in(self, bracket: Mapping[str, Any]) -> bool:
        return any(info["id"] not in self._unusable for info in bracket["rounds"][0])

    def _blank(self) -> str:
        trial_id = f"blank {len(self.trials)}"
        super().insert(trial_id, self.translation.space.defaults(), {})
        self.end(trial_id, None)
        return trial_id

    def _replace_id(self, trial_id: str, by: str) -> None:
        number, rung = self._place_of(trial_id)
        for info in self._all_brackets[number]["rounds"][rung]:
            if info["id"] == trial_id:
                info["id"] = by

    def _place_of(self, trial_id: str) -> tuple[int, int]:
        """Returns the number of a trial's bracket, and its rung."""
        return next(
            (number, rung)
            for number, bracket in enumerate(self._all_brackets)
            for rung, infos in enumerate(bracket["rounds"])
            if any(info["id"] == trial_id for info in infos)
        )
