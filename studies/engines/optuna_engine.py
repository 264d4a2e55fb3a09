"""Optuna's samplers and pruners behind the `Engine` seam.

The study that the sampler reads is in memory, rebuilt from the record at each launch: asking
costs a fifth of what it costs on a database, and there is no second truth that could differ from
MLflow's. Finished trials are also written to Optuna's own storage (see `optuna_export`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces import SearchSpace
from search_spaces.optuna_space import OptunaSpace
from search_spaces.scalars import canonical_json
from studies.engines.engine import Curve
from studies.engines.optuna_export import OptunaExport
from studies.engines.optuna_parts import (
    check_sampler,
    make_pruner,
    make_sampler,
    optuna_state,
)
from studies.seeds import sampler_seed
from tracking.records import FINISHED_STATES, Objective, Proposal, TrialRecord, TrialResult

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_QUASI_RANDOM = "optuna:quasi-random"
_GRID = "optuna:grid"


class OptunaEngine:
    """See `Engine`.

    Args:
        name: The study's name.
        engine: One of ``settings.ENGINES``.
        pruner: One of ``settings.PRUNERS``.
        space: What may be tried.
        objective: What is optimized.
        epochs: The most epochs that a trial can train.
        seed: The study's seed.
        export: Where finished trials are also written.

    Raises:
        EngineError: If the engine cannot serve the space.
    """

    def __init__(
        self,
        *,
        name: str,
        engine: str,
        pruner: str,
        space: SearchSpace,
        objective: Objective,
        epochs: int,
        seed: int,
        export: OptunaExport | None = None,
    ) -> None:
        import optuna

        check_sampler(engine, space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._engine, self._space, self._seed = engine, space, seed
        self._objective = objective
        self._optuna_space = OptunaSpace(space)
        self._export = export
        self._prunes = pruner != "none"
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction="maximize" if objective.direction == "max" else "minimize",
            pruner=make_pruner(pruner, epochs),
        )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._asked = 0
        self._tried: set[str] = set()
        # One walk over the grid, gone on with at each ask.
        self._grid = space.grid() if engine == _GRID else iter(())

    def restore(self, trials: Sequence[TrialRecord], curve: Curve) -> None:
        """See `Engine.restore`."""
        finished = [t for t in trials if t.state in FINISHED_STATES]
        stored = self._export.matching(finished, self._values_of) if self._export else {}
        for trial in trials:
            self._tried.add(canonical_json(trial.spec.values))
            if trial.number in stored:
                self._study.add_trial(stored[trial.number])
            elif trial.state in FINISHED_STATES:
                self._replay(trial, curve)
                self._write_through(trial.number)
            else:
                self._add_running(trial.spec.values, trial.engine_state)
        self._asked = len(trials)

    def ask(self, given: Mapping[str, Any] | None = None) -> Proposal | None:
        """See `Engine.ask`."""
        number = self._asked
        if given is not None or self._engine in (_QUASI_RANDOM, _GRID):
            chosen = given if given is not None else self._unsampled(number)
            if chosen is None:
                return None
            values = dict(chosen)
            self._add_running(values, {})
        else:
            seed = sampler_seed(self._seed, number)
            # A sampler for each trial: what it draws must not depend on what was drawn before.
            self._study.sampler = make_sampler(self._engine, self._optuna_space, seed)
            values = self._optuna_space.suggest(self._study.ask())
        self._asked += 1
        attributes = self._trial(number).system_attrs
        return Proposal(number, values, {k: json.dumps(v) for k, v in attributes.items()})

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `Engine.report`."""
        if not math.isfinite(value):
            return False
        self._storage.set_trial_intermediate_value(self._id(number), epoch, value)
        return self._prunes and self._study.pruner.prune(self._study, self._trial(number))

    def tell(self, number: int, result: TrialResult, attributes: Mapping[str, str]) -> None:
        """See `Engine.tell`."""
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(self._id(number), name, value)
        # A pruned trial counts with its best epoch, where Optuna itself would take its last.
        values = None if result.best is None else [result.best.value]
        self._storage.set_trial_state_values(self._id(number), optuna_state(result.state), values)
        self._write_through(number)

    def may_go_on(self, number: int) -> bool:
        """See `Engine.may_go_on`. Every trial here starts anew."""
        return False

    def _unsampled(self, number: int) -> dict[str, Any] | None:
        return self._next_of_grid() if self._engine == _GRID else self._quasi_random(number)

    def _next_of_grid(self) -> dict[str, Any] | None:
        """Returns the next configuration that no trial has had, or None."""
        for values in self._grid:
            if canonical_json(values) not in self._tried:
                return values
        return None

    def _quasi_random(self, number: int) -> dict[str, Any]:
        """Returns a point of a scrambled Halton sequence, in the sampling scale of the space.

        Optuna's own QMCSampler fixes its space by the first trial, which it draws at random, and
        so leaves conditional parameters out.
        """
        from scipy.stats import qmc

        names = self._space.dimensions
        if not names:
            return self._space.defaults()
        sequence = qmc.Halton(len(names), scramble=True, rng=sampler_seed(self._seed, 0))
        if number:
            sequence.fast_forward(number)
        return self._space.from_unit(dict(zip(names, sequence.random(1)[0].tolist(), strict=True)))

    def _add_running(self, values: Mapping[str, Any], state: Mapping[str, str]) -> None:
        import optuna

        params, distributions = self._optuna_space.encode(values)
        self._tried.add(canonical_json(values))
        self._study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=params,
                distributions=distributions,
                system_attrs={key: json.loads(text) for key, text in state.items()},
            )
        )

    def _replay(self, trial: TrialRecord, curve: Curve) -> None:
        """Plays a finished trial again, epoch by epoch: some pruners take notes as they go."""
        self._add_running(trial.spec.values, trial.engine_state)
        for epoch, value in curve(trial).items():
            self.report(trial.number, epoch, value)
        values = None if trial.best is None else [trial.best.value]
        state = optuna_state(trial.state)
        self._storage.set_trial_state_values(self._id(trial.number), state, values)

    def _values_of(self, trial: FrozenTrial) -> dict[str, Any]:
        return self._optuna_space.decode(trial.params)

    def _write_through(self, number: int) -> None:
        if self._export is not None:
            self._export.add(self._trial(number))

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
