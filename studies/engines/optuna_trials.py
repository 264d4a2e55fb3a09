"""A study's trials as Optuna holds them: what pruners decide by, and what is exported.

The study is in memory, rebuilt from the record at each launch: that costs a fifth of what a
database does, and there is no second truth that could differ from MLflow's. Finished trials are
also written to Optuna's own storage (see `optuna_export`). Every engine keeps its trials here,
whoever proposed them, so that pruning and Optuna's dashboard are the same for all.

An infeasible trial is held as a pruned one that violates a constraint, as Optuna's samplers read
no failed ones. Pruners pass it over as they would a failed one, and it has no value that anything
could be compared with. Exported it is a failed one.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces import SearchSpace
from search_spaces.optuna_space import OptunaSpace
from search_spaces.scalars import canonical_json
from studies.engine_options import split_options
from studies.engines.engine import Curve, was_told
from studies.engines.optuna_export import OptunaExport
from studies.engines.optuna_parts import INFEASIBLE, exported_state, held_state, make_pruner
from tracking.records import FINISHED_STATES, BestEpoch, Objective, TrialRecord, TrialResult

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class OptunaTrials:
    """The trials of one study, numbered in the order in which they are added.

    Args:
        name: The study's name.
        space: What may be tried.
        objective: What is optimized.
        pruner: One of ``settings.PRUNERS``.
        epochs: The most epochs that a trial can train.
        export: Where finished trials are also written.

    Attributes:
        space: The space as it is put to Optuna.
        tried: The values of all trials, as canonical JSON.
    """

    def __init__(
        self,
        *,
        name: str,
        space: SearchSpace,
        objective: Objective,
        pruner: str,
        epochs: int,
        export: OptunaExport | None,
    ) -> None:
        import optuna

        from studies.engines.optuna_memory import Memory

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = OptunaSpace(space)
        self.tried: set[str] = set()
        self._export = export
        self._prunes = split_options(pruner)[0] != "none"
        self._storage = Memory()
        # By number: see `Proposal.known`.
        self._known: dict[int, int] = {}
        self._exported: set[int] = set()
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction="maximize" if objective.direction == "max" else "minimize",
            pruner=make_pruner(pruner, epochs),
        )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._count = 0

    @property
    def count(self) -> int:
        """How many trials there are: the number of the next one."""
        return self._count

    def restore(self, trials: Sequence[TrialRecord], curve: Curve, told: int | None) -> None:
        """Takes up the trials of a record; see `Engine.restore`."""
        finished = [t for t in trials if t.state in FINISHED_STATES]
        stored = self._export.matching(finished, self._values_of) if self._export else {}
        self._exported = set(stored)
        for trial in trials:
            if not was_told(trial, told):
                self.add(trial.spec.values, trial.engine_state, trial.known)
            elif trial.number in stored:
                self._study.add_trial(_as_held(stored[trial.number]))
                self._note(trial.spec.values, trial.known)
            else:
                self._replay(trial, curve)
                self._write_through(trial.number)

    def declared(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns values as they are declared: of their types, in their order.

        Raises:
            SearchSpaceError: If they are not in the space.
        """
        space = self.space.space
        space.validate(given)
        return {name: space[name].canonical(given[name]) for name in space.names if name in given}

    def add(self, values: Mapping[str, Any], state: Mapping[str, str], known: int | None) -> None:
        """Adds a trial that runs from now on.

        Args:
            values: Its values, in the space.
            state: What the engine notes of it, each text in JSON.
            known: See `Proposal.known`.
        """
        import optuna

        params, distributions = self.space.encode(values)
        self._study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=params,
                distributions=distributions,
                system_attrs={key: json.loads(text) for key, text in state.items()},
            )
        )
        self._note(values, known)

    def sample(self, sampler: BaseSampler, known: int | None) -> dict[str, Any]:
        """Adds a trial that a sampler of Optuna's proposes; returns its values."""
        self._study.sampler = sampler
        values = self.space.suggest(self._study.ask())
        self._note(values, known)
        return values

    def state(self, number: int) -> dict[str, str]:
        """Returns what is noted of a trial, as it is handed to `add` on restore."""
        attributes = self._trial(number).system_attrs
        return {key: json.dumps(value) for key, value in attributes.items()}

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `Engine.report`."""
        if not math.isfinite(value):
            return False
        # A trial whose process died begins again, from an earlier epoch than it had come to.
        self._storage.forget_from(self._id(number), epoch)
        self._storage.set_trial_intermediate_value(self._id(number), epoch, value)
        if not self._prunes:
            return False
        with self._storage.hiding_from(number, self._known.get(number)):
            return self._study.pruner.prune(self._study, self._trial(number))

    def tell(self, number: int, result: TrialResult, attributes: Mapping[str, str]) -> None:
        """See `Engine.tell`."""
        self._attribute(number, attributes)
        self._end(number, result.state, result.best)
        self._write_through(number)

    def _note(self, values: Mapping[str, Any], known: int | None) -> None:
        self.tried.add(canonical_json(values))
        if known is not None:
            self._known[self._count] = known
        self._count += 1

    def _replay(self, trial: TrialRecord, curve: Curve) -> None:
        """Plays a finished trial again, epoch by epoch: some pruners take notes as they go."""
        self.add(trial.spec.values, trial.engine_state, trial.known)
        for epoch, value in curve(trial).items():
            self.report(trial.number, epoch, value)
        self._attribute(trial.number, trial.attributes)
        self._end(trial.number, trial.state, trial.best)

    def _end(self, number: int, state: str, best: BestEpoch | None) -> None:
        trial_id = self._id(number)
        if state == "infeasible":
            self._storage.set_trial_system_attr(trial_id, INFEASIBLE, 1.0)
        # A pruned trial counts with its best epoch, where Optuna itself would take its last.
        values = None if best is None else [best.value]
        self._storage.set_trial_state_values(trial_id, held_state(state), values)

    def _attribute(self, number: int, attributes: Mapping[str, str]) -> None:
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(self._id(number), name, value)

    def _values_of(self, trial: FrozenTrial) -> dict[str, Any]:
        return self.space.decode(trial.params)

    def _write_through(self, number: int) -> None:
        if self._export is not None and number not in self._exported:
            self._export.add(_as_exported(self._trial(number)))

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def _as_held(exported: FrozenTrial) -> FrozenTrial:
    """Returns a trial of the export as the study in memory holds it."""
    import optuna

    if exported.state != optuna.trial.TrialState.FAIL:
        return exported
    held = copy.copy(exported)
    held.state = held_state("infeasible")
    held.system_attrs = {**exported.system_attrs, INFEASIBLE: 1.0}
    return held


def _as_exported(held: FrozenTrial) -> FrozenTrial:
    """Returns a finished trial as a person is to see it in Optuna's own storage."""
    if INFEASIBLE not in held.system_attrs:
        return held
    exported = copy.copy(held)
    exported.state = exported_state("infeasible")
    exported.system_attrs = {k: v for k, v in held.system_attrs.items() if k != INFEASIBLE}
    return exported
