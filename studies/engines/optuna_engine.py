"""The `Engine` of Optuna's samplers and pruners, and the Optuna study that has all trials.

The Optuna study is in memory, and each launch rebuilds it from the record. So it can't contradict
the record. With a database, Optuna would be five times as slow. Keras Tuner's engines also
keep their trials in an Optuna study, so that all studies are pruned in the same way.

Optuna's samplers ignore failed trials, so an infeasible trial is stored as a pruned trial that
violates a constraint. Pruners skip such a trial, because it has no value.

Optuna's TPE ranks infeasible trials below all feasible ones. But if the objective improves towards
a region of infeasible values, TPE keeps proposing values at the region's edge, and some of them are
infeasible. So `FeasibleTPESampler` multiplies TPE's score of a candidate by the probability that
the candidate is feasible, as in c-TPE (Watanabe and Hutter 2023, https://arxiv.org/abs/2211.14411).
The probability comes from two Parzen estimators: one of the feasible trials, one of the infeasible
ones. Without infeasible trials, the proposals are those of Optuna's TPE.

Importing this module imports Optuna.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces import OptunaSpace, canonical_json
from studies.definition import check_options, sampler_seed, split_options
from studies.engines.engine_protocol_and_checks import GRID, Curve, EngineSettings
from studies.library_internals import optuna_and_keras_tuner_internals as internals
from tracking.records import FINISHED_STATES, BestEpoch, Proposal, TrialRecord, TrialResult

_INFEASIBLE: Final = "constraints:feasible"
"""The attribute for a constraint named "feasible". In Optuna, a value above 0 violates it."""

_NOTING: Final = ("successive-halving", "hyperband")
"""Pruners that write attributes to each trial, and read the attributes to judge later trials."""

_QUASI_RANDOM = "optuna:quasi-random"


class OptunaTrials:
    """The part of an `Engine` that keeps its trials in an Optuna study, and prunes them.

    Attributes:
        space: The search space as Optuna's distributions.
        tried: The values of all trials, as canonical JSON.
        count: The number of trials, which is also the number of the next trial.
    """

    def __init__(self, settings: EngineSettings) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = OptunaSpace(settings.space)
        self.tried: set[str] = set()
        name_of_pruner, options = split_options(settings.pruner)
        self._takes_notes = name_of_pruner in _NOTING
        # When a trial is restored, a pruner in `_NOTING` judges the trial again, to write the
        # attributes. For this, the pruner needs to see the other trials only if one of its settings
        # is "auto". Otherwise the other trials are hidden from it, which saves time.
        self._sees_others = "auto" in options.values()
        self._storage = _Memory()
        # The number of steps of each fold, if trials have several folds.
        self._fold_steps = settings.epochs if settings.folds > 1 else None
        # An epoch's number minus the step that pruners get for it: 1 if steps begin at 0, else 0.
        self._ahead = int(settings.from_zero)
        self._study = optuna.create_study(
            study_name=settings.name,
            storage=self._storage,
            direction="maximize" if settings.objective.direction == "max" else "minimize",
            pruner=make_pruner(settings.pruner, settings.epochs * settings.folds),
        )
        self._study_id = self._storage.get_study_id_from_name(settings.name)
        self.count = 0

    def restore(self, trials: Sequence[TrialRecord], curve: Curve) -> None:
        for trial in trials:
            self.add(trial.spec.values, trial.engine_state)
            if trial.state in FINISHED_STATES:
                self._storage.alone = None if self._sees_others else trial.number
                for epoch, value in curve(trial).items():
                    if self._keep(trial.number, epoch, value) and self._takes_notes:
                        self._judge(trial.number)
                self._storage.alone = None
                self._end(trial.number, trial.state, trial.best)

    def declared(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of `choice` in the types and the order of the space."""
        resolved = self.space.space.resolve(choice)
        return {name: value for name, value in resolved.items() if name in choice}

    def add(self, values: Mapping[str, Any], state: Mapping[str, str]) -> None:
        """Adds a running trial."""
        params, distributions = self.space.encode(values)
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                system_attrs={key: json.loads(text) for key, text in state.items()},
            )
        )
        self._note(values)

    def sample(self, sampler: BaseSampler) -> dict[str, Any]:
        """Adds a running trial with values that Optuna's sampler proposes; returns the values."""
        self._study.sampler = sampler
        values = self.space.suggest(self._study.ask())
        self._note(values)
        return values

    def state(self, number: int) -> dict[str, str]:
        """Returns the texts to record with a trial. `add` gets them when the trial is restored."""
        attributes = self._trial(number).system_attrs
        return {key: json.dumps(value) for key, value in attributes.items()}

    def report(self, number: int, epoch: int, value: float) -> bool:
        return self._keep(number, epoch, value) and self._judge(number)

    def tell(self, number: int, result: TrialResult) -> None:
        self._end(number, result.state, result.best)

    def _note(self, values: Mapping[str, Any]) -> None:
        self.tried.add(canonical_json(values))
        self.count += 1

    def _keep(self, number: int, epoch: int, value: float) -> bool:
        """Stores the objective of a trial's epoch if it is finite; returns whether it is finite."""
        if not math.isfinite(value):
            return False
        step = epoch - self._ahead
        # A trial whose process died may report epochs again, so its former reports are dropped.
        self._storage.forget_from(self._id(number), step)
        self._storage.set_trial_intermediate_value(self._id(number), step, value)
        return True

    def _judge(self, number: int) -> bool:
        """Returns whether the pruner ends a trial."""
        return self._study.pruner.prune(self._study, self._in_present_fold(number))

    def _in_present_fold(self, number: int) -> FrozenTrial:
        """Returns a trial with only the steps of its present fold.

        Some pruners judge a trial by its best step. That step must not be one of an earlier fold,
        because the earlier fold may be easier.
        """
        trial = self._trial(number)
        if self._fold_steps is None or trial.last_step is None:
            return trial
        begin = (trial.last_step - 1) // self._fold_steps * self._fold_steps
        shortened = copy.copy(trial)
        shortened.intermediate_values = {
            step: value for step, value in trial.intermediate_values.items() if step > begin
        }
        return shortened

    def _end(self, number: int, state: str, best: BestEpoch | None) -> None:
        trial_id = self._id(number)
        # Optuna's samplers ignore failed trials, so infeasible trials are stored as pruned too.
        stored = TrialState.COMPLETE if state == "complete" else TrialState.PRUNED
        if state == "infeasible":
            self._storage.set_trial_system_attr(trial_id, _INFEASIBLE, 1.0)
        # A pruned trial has the value of its best epoch. Optuna itself would use the last epoch.
        values = None if best is None else [best.value]
        self._storage.set_trial_state_values(trial_id, stored, values)

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


class OptunaEngine(OptunaTrials):
    """An `Engine` whose proposals come from Optuna's samplers."""

    def __init__(self, settings: EngineSettings) -> None:
        self._engine, options = split_options(settings.engine)
        self._engine_with_options = settings.engine
        self._seed = int(options.get("seed", settings.seed))
        super().__init__(settings)
        # `ask` takes the next values from this iterator.
        self._grid = settings.space.grid() if self._engine == GRID else iter(())

    def ask(self, choice: Mapping[str, Any] | None = None) -> Proposal | None:
        number = self.count
        values: dict[str, Any] | None
        if choice is not None:
            values = self.declared(choice)
        elif self._engine == GRID:
            tried = self.tried
            values = next((v for v in self._grid if canonical_json(v) not in tried), None)
        elif self._engine == _QUASI_RANDOM:
            values = self._quasi_random(number)
        else:
            seed = sampler_seed(self._seed, number)
            # A sampler's draws depend on its earlier draws. A restored engine has not made these,
            # so each trial gets a new sampler with a seed of its own.
            sampler = make_sampler(self._engine_with_options, self.space, seed)
            values = self.sample(sampler)
            return Proposal(number, values, self.state(number))
        if values is None:
            return None
        self.add(values, {})
        return Proposal(number, values)

    def _quasi_random(self, number: int) -> dict[str, Any]:
        """Returns the values at a point of a scrambled Halton sequence.

        Optuna's QMCSampler is not used: it samples only parameters that are active in the first
        trial.
        """
        from scipy.stats import qmc

        space = self.space.space
        names = space.dimensions
        if not names:
            return space.defaults()
        sequence = qmc.Halton(len(names), scramble=True, rng=sampler_seed(self._seed, 0))
        if number:
            sequence.fast_forward(number)
        return space.from_unit(dict(zip(names, sequence.random(1)[0].tolist(), strict=True)))


_SAMPLERS: Final[Mapping[str, Callable[..., BaseSampler]]] = {
    "optuna:tpe": TPESampler,
    "optuna:cma-es": optuna.samplers.CmaEsSampler,
    "optuna:gp": optuna.samplers.GPSampler,
    "optuna:random": optuna.samplers.RandomSampler,
}


def make_sampler(engine: str, space: OptunaSpace, seed: int) -> BaseSampler:
    """Returns a sampler for one trial. `engine` may contain settings of the sampler."""
    name, options = split_options(engine)
    # The caller has already derived the argument `seed` from this setting.
    options.pop("seed", None)
    with warnings.catch_warnings():
        # Optuna warns that group=True is experimental. But without it, TPE would sample conditional
        # parameters independently, and not say so.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        if name == "optuna:tpe":
            jointly = options.get("multivariate", True) is not False and "group" not in options
            grouped = {"group": True} if jointly and space.space.conditional else {}
            options = {"seed": seed, "multivariate": True, "constant_liar": True, **options}
            if jointly and not grouped:
                return DeclaredTPESampler(space, **options)
            return FeasibleTPESampler(**{**grouped, **options})
        if name in ("optuna:cma-es", "optuna:gp"):
            return _SAMPLERS[name](**{"seed": seed, "warn_independent_sampling": False, **options})
        # `OptunaEngine` makes grid and quasi-random proposals without a sampler.
        return optuna.samplers.RandomSampler(seed=seed)


def sampler_settings(engine: str) -> dict[str, str]:
    """Returns the types of a sampler's settings, by the settings' names.

    Only settings whose values are numbers or words are included.
    """
    return {} if engine not in _SAMPLERS else _plain_settings(_SAMPLERS[engine])


def _plain_settings(kind: Any) -> dict[str, str]:
    """Returns the types of the arguments of a class, by the arguments' names.

    Only arguments whose values are numbers or words are included.
    """
    parameters = inspect.signature(kind).parameters.values()
    types = {parameter.name: str(parameter.annotation) for parameter in parameters}
    plain, other = re.compile(r"\b(int|float|bool|str)\b"), re.compile("Callable|dict|list")
    return {n: text for n, text in types.items() if plain.search(text) and not other.search(text)}


def make_pruner(pruner: str, epochs: int) -> BasePruner:
    """Returns a pruner; raises Optuna's ValueError for a wrong value of a setting."""
    name, options = split_options(pruner)
    pruners = optuna.pruners
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "median": (pruners.MedianPruner, {"n_startup_trials": 5}),
        "percentile": (pruners.PercentilePruner, {"percentile": 25.0, "n_startup_trials": 5}),
        "successive-halving": (
            pruners.SuccessiveHalvingPruner,
            {"min_resource": 1, "reduction_factor": 3},
        ),
        "hyperband": (pruners.HyperbandPruner, {"min_resource": 1, "max_resource": max(epochs, 2)}),
        "threshold": (pruners.ThresholdPruner, {}),
        "none": (pruners.NopPruner, {}),
    }
    kind, usual = kinds[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        check_options(f"the pruner {name}", _plain_settings(kind), options)
        return kind(**{**usual, **options})  # type: ignore[no-any-return]


_MOST: Final = 100
"""To save time, the probability uses only this many of the latest trials of each kind."""


class FeasibleTPESampler(TPESampler):
    """TPE that avoids regions where trials were infeasible."""

    _finished: tuple[list[FrozenTrial], list[FrozenTrial]] = [], []
    _asked: tuple[optuna.Study, dict[str, BaseDistribution]]

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Infeasible trials are stored as pruned trials. Looking through all pruned trials is
        # quick, because they are few.
        pruned = internals.trials_of(study, [TrialState.PRUNED])
        infeasible = [t for t in pruned if _INFEASIBLE in t.system_attrs]
        if infeasible:
            trials = internals.trials_of(study, [TrialState.COMPLETE, TrialState.PRUNED])
            feasible = [t for t in trials if _INFEASIBLE not in t.system_attrs]
            # TPE counts the best tenth of all trials as good, at most 25 trials. If fewer trials
            # are feasible, TPE would count infeasible ones as good, too. This call prevents it.
            internals.take_as_good(self, len(feasible))
            self._finished = feasible, infeasible
        self._asked = study, search_space
        return internals.sample(TPESampler, self, study, trial, search_space)

    def _compute_acquisition_func(
        self, samples: dict[str, np.ndarray], mpe_below: Any, mpe_above: Any
    ) -> np.ndarray:
        values: np.ndarray = internals.rank(TPESampler, self, samples, mpe_below, mpe_above)
        feasible, infeasible = self._finished
        if not infeasible:
            return values
        log_odds = self._log_density(infeasible, samples) - self._log_density(feasible, samples)
        # `log_odds` are the log odds that a candidate is infeasible. So log(1 / (1 + odds)) is the
        # log probability that it is feasible.
        values -= np.logaddexp(0.0, log_odds)
        return values

    def _log_density(
        self, trials: Sequence[FrozenTrial], samples: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the log density of trials at each candidate, weighted by the number of trials.

        The prior of the Parzen estimator counts as one more trial.
        """
        latest = list(trials[-_MOST:])
        study, search_space = self._asked
        estimator = internals.density_of(self, study, search_space, latest)
        density: np.ndarray = estimator.log_pdf(samples)
        return density + math.log(len(latest) + 1)


class DeclaredTPESampler(FeasibleTPESampler):
    """Samples the parameters of the declared space, which must have no conditions.

    Optuna's TPE looks through all trials for the parameters that they have in common. With 1,000
    trials, that takes 8 of the 22 ms of an `ask`. Without conditions, all trials have all
    parameters, so the search is unnecessary.
    """

    def __init__(self, space: OptunaSpace, **options: Any) -> None:
        super().__init__(**options)
        self._declared = space

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns the declared parameters, except those that have a single value."""
        declared = sorted(self._declared.distributions.items())
        return {name: d for name, d in declared if not d.single()}


# The prefix of the attributes that Optuna's successive halving and Hyperband write to trials.
_NOTED = "completed_rung_"


class _Memory(optuna.storages.InMemoryStorage):
    """Optuna's storage in memory, which can hide all trials but one.

    While `alone` is the number of a trial, all other trials are hidden. Pruners can't see them
    either, even if a pruner makes its own Optuna study to read the storage.
    """

    alone: int | None = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Any = None
    ) -> list[FrozenTrial]:
        if self.alone is None:
            return super().get_all_trials(study_id, deepcopy, states)
        # Don't look through all trials: there may be thousands.
        number = self.get_trial_id_from_study_id_trial_number(study_id, self.alone)
        alone = self.get_trial(number)
        return [alone] if states is None or alone.state in states else []

    def forget_from(self, trial_id: int, step: int) -> None:
        """Drops a trial's reports from `step` on, because the trial is trained again from there.

        If no report is left, the attributes that pruners wrote to the trial are dropped too.
        """
        trial = self.get_trial(trial_id)
        if trial.last_step is None or trial.last_step < step:
            return
        trial = copy.copy(trial)
        values = trial.intermediate_values.items()
        trial.intermediate_values = {s: value for s, value in values if s < step}
        if not trial.intermediate_values:
            attributes = trial.system_attrs.items()
            trial.system_attrs = {k: v for k, v in attributes if not k.startswith(_NOTED)}
        internals.put_trial(self, trial_id, trial)
