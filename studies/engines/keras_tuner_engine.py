"""Keras Tuner's oracles behind the `Engine` seam.

An oracle only proposes and gets results: it trains nothing, writes nothing, and each launch
rebuilds it from the record. Trials are kept and pruned as for Optuna's engines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.to_keras_tuner import RESERVED, KerasTunerSpace
from studies.definition.engine_options import split_options
from studies.definition.seeds import sampler_seed
from studies.definition.settings import FACTOR
from studies.engines.engine import Curve, EngineSettings, was_told
from studies.engines.keras_tuner_import import import_keras_tuner
from studies.engines.keras_tuner_parts import BAYESIAN, GRID, HYPERBAND, check_oracle
from studies.engines.optuna_trials import OptunaTrials
from studies.libraries.keras_tuner_parts import check_parts
from tracking.records import Proposal, TrialRecord, TrialResult

if TYPE_CHECKING:
    from studies.engines.keras_tuner_oracles import AskedOracle


class KerasTunerEngine:
    """See `Engine`. Proposes no configuration twice, but for Hyperband's promotions.

    Raises:
        EngineError: If the engine cannot serve the study.
    """

    def __init__(self, settings: EngineSettings) -> None:
        engine, options = split_options(settings.engine)
        check_oracle(engine, settings.pruner, settings.space, settings.epochs)
        self._seed = settings.seed
        self._trials = OptunaTrials(settings)
        self._translation = KerasTunerSpace(settings.space, listed=engine == GRID)
        self._oracle = _make_oracle(engine, self._translation, settings, options)
        self._oracle.tried = self._trials.tried

    def restore(self, trials: Sequence[TrialRecord], curve: Curve, told: int | None = None) -> None:
        """See `Engine.restore`."""
        self._trials.restore(trials, curve, told)
        for trial in trials:
            self._oracle.insert(str(trial.number), trial.spec.values, trial.engine_state)
            if was_told(trial, told):
                self._end(trial.result)

    def ask(
        self, given: Mapping[str, Any] | None = None, known: int | None = None
    ) -> Proposal | None:
        """See `Engine.ask`."""
        number = self._trials.count
        trial_id = str(number)
        declared = None if given is None else self._trials.declared(given)
        proposed = self._oracle.propose(trial_id, sampler_seed(self._seed, number), declared)
        if proposed is None:
            return None
        values = self._translation.decode(proposed)
        state = self._oracle.state(trial_id, proposed)
        self._oracle.insert(trial_id, values, state)
        self._trials.add(values, state, known)
        past = proposed.get(RESERVED + "trial_id")
        return Proposal(
            number,
            values,
            state,
            epochs=proposed.get(RESERVED + "epochs"),
            goes_on_from=None if past is None else int(past),
            known=known,
        )

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `Engine.report`."""
        return self._trials.report(number, epoch, value)

    def tell(self, number: int, result: TrialResult) -> None:
        """See `Engine.tell`."""
        self._trials.tell(number, result)
        self._end(result)

    def may_continue(self, number: int) -> bool:
        """See `Engine.may_continue`.

        Also while the trial that continues it has not ended, which may have to start again.
        """
        return self._oracle.may_continue(str(number))

    def _end(self, result: TrialResult) -> None:
        score = None if result.best is None else result.best.value
        if result.state == "infeasible" or score is None or not math.isfinite(score):
            score = None
        self._oracle.end(str(result.number), score)


def _make_oracle(
    engine: str, translation: KerasTunerSpace, settings: EngineSettings, options: Mapping[str, Any]
) -> AskedOracle:
    import_keras_tuner()
    from keras_tuner import oracles

    from studies.engines.keras_tuner_oracles import (
        BayesianOracle,
        GridOracle,
        RandomOracle,
        common_arguments,
    )

    common = common_arguments(translation, settings.objective)
    own = {
        BAYESIAN: oracles.BayesianOptimizationOracle,
        GRID: oracles.GridSearchOracle,
        HYPERBAND: oracles.HyperbandOracle,
    }
    make_own = own.get(engine, oracles.RandomSearchOracle)
    check_parts(engine, make_own(objective=common["objective"]))
    oracle: AskedOracle
    if engine == HYPERBAND:
        from studies.engines.keras_tuner_hyperband import HyperbandOracle

        # No end: the driver stops at the study's number of trials.
        oracle = HyperbandOracle(
            max_epochs=settings.epochs,
            hyperband_iterations=None,
            **{"factor": FACTOR, **options},
            **common,
        )
    else:
        kind = {BAYESIAN: BayesianOracle, GRID: GridOracle}.get(engine, RandomOracle)
        oracle = kind(max_trials=None, **options, **common)
    oracle.translation = translation
    return oracle
