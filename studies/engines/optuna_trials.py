"""A study's trials in Optuna, for samplers and pruners.

The study is in memory, and is rebuilt from the record at each launch: that costs a fifth of what a
database does, and there is no second truth that could differ from MLflow's. Every engine keeps its
trials here, so that pruning is the same for all. For Optuna's dashboard the
record is exported; see `studies.exporting.optuna_export`.

An infeasible trial is stored as a pruned one that violates a constraint, as Optuna's samplers
ignore failed ones. Pruners skip it like a failed one, and it has no value to compare with.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.parameters.scalars import canonical_json
from search_spaces.to_optuna import OptunaSpace
from studies.definition.engine_options import split_options
from studies.engines.engine import Curve, EngineSettings, was_told
from studies.engines.optuna_parts import INFEASIBLE, NOTING, make_pruner
from tracking.records import BestEpoch, TrialRecord, TrialResult

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class OptunaTrials:
    """The trials of one study, numbered in the order in which they are added."""

    def __init__(self, settings: EngineSettings) -> None:
        import optuna

        from studies.engines.optuna_memory import Memory

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = OptunaSpace(settings.space)
        self.tried: set[str] = set()
        name_of_pruner, options = split_options(settings.pruner)
        self._prunes = name_of_pruner != "none"
        self._takes_notes = name_of_pruner in NOTING
        # The trials for the pruner's notes on a recorded trial: only itself, which takes no
        # longer with more trials, unless the pruner reads the others' results first.
        self._noted_by = None if "auto" in options.values() else 0
        self._storage = Memory()
        # In each fold, if trials have several.
        self._fold_steps = settings.epochs if settings.folds > 1 else None
        # By how much epochs are ahead of steps.
        self._ahead = int(settings.from_zero)
        # By number: see `Proposal.known`.
        self._known: dict[int, int] = {}
        self._study = optuna.create_study(
            study_name=settings.name,
            storage=self._storage,
            direction="maximize" if settings.objective.direction == "max" else "minimize",
            pruner=make_pruner(settings.pruner, settings.epochs * settings.folds),
        )
        self._study_id = self._storage.get_study_id_from_name(settings.name)
        self._count = 0

    @property
    def count(self) -> int:
        """The number of trials, which is the next one's number."""
        return self._count

    def restore(self, trials: Sequence[TrialRecord], curve: Curve, told: int | None) -> None:
        """Restores the trials of a record; see `Engine.restore`."""
        for trial in trials:
            self.add(trial.spec.values, trial.engine_state, trial.known)
            if was_told(trial, told):
                for epoch, value in curve(trial).items():
                    if self._keep(trial.number, epoch, value) and self._takes_notes:
                        self._judge(trial.number, self._noted_by)
                self._end(trial.number, trial.state, trial.best)

    def declared(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns values as they are declared: of their types, in their order.

        Raises:
            SearchSpaceError: If they are not in the space.
        """
        space = self.space.space
        space.validate(given)
        return {name: space[name].canonical(given[name]) for name in space.names if name in given}

    def add(self, values: Mapping[str, Any], state: Mapping[str, str], known: int | None) -> None:
        """Adds a trial that runs from now on."""
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
        """Adds a trial that Optuna's sampler proposes; returns its values."""
        self._study.sampler = sampler
        values = self.space.suggest(self._study.ask())
        self._note(values, known)
        return values

    def state(self, number: int) -> dict[str, str]:
        """Returns the state of a trial, for `add` on restore."""
        attributes = self._trial(number).system_attrs
        return {key: json.dumps(value) for key, value in attributes.items()}

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `Engine.report`."""
        if not self._keep(number, epoch, value) or not self._prunes:
            return False
        return self._judge(number, self._known.get(number))

    def tell(self, number: int, result: TrialResult) -> None:
        """See `Engine.tell`."""
        self._end(number, result.state, result.best)

    def _note(self, values: Mapping[str, Any], known: int | None) -> None:
        self.tried.add(canonical_json(values))
        if known is not None:
            self._known[self._count] = known
        self._count += 1

    def _keep(self, number: int, epoch: int, value: float) -> bool:
        """Keeps a trial's objective after an epoch, if it is finite; returns whether it is."""
        if not math.isfinite(value):
            return False
        step = epoch - self._ahead
        # A trial whose process died resumes from an earlier epoch than its last one.
        self._storage.forget_from(self._id(number), step)
        self._storage.set_trial_intermediate_value(self._id(number), step, value)
        return True

    def _judge(self, number: int, known: int | None) -> bool:
        """Asks the pruner about a trial; see `Proposal.known`."""
        with self._storage.hiding_from(number, known):
            return self._study.pruner.prune(self._study, self._in_present_fold(number))

    def _in_present_fold(self, number: int) -> FrozenTrial:
        """Returns a trial, of folds with the steps of the present one alone.

        Some pruners take a trial's best value at any step, and a first fold may be an easy one.
        """
        trial = self._trial(number)
        if self._fold_steps is None or trial.last_step is None:
            return trial
        begin = (trial.last_step - 1) // self._fold_steps * self._fold_steps
        shown = copy.copy(trial)
        shown.intermediate_values = {
            step: value for step, value in trial.intermediate_values.items() if step > begin
        }
        return shown

    def _end(self, number: int, state: str, best: BestEpoch | None) -> None:
        import optuna

        trial_id = self._id(number)
        held = optuna.trial.TrialState.COMPLETE
        if state != "complete":
            # Samplers read no failed trials.
            held = optuna.trial.TrialState.PRUNED
        if state == "infeasible":
            self._storage.set_trial_system_attr(trial_id, INFEASIBLE, 1.0)
        # A pruned trial counts with its best epoch; Optuna itself would use its last.
        self._storage.set_trial_state_values(trial_id, held, None if best is None else [best.value])

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
