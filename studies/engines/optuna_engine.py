"""The `Engine` of Optuna's samplers and pruners, and the Optuna study that has all trials.

The Optuna study is in memory, and each launch rebuilds it from the record. So it can't contradict
the record. An Optuna study in a database would take five times as long. Keras Tuner's engines also
keep their trials in an Optuna study, so that all studies are pruned in the same way.

Optuna's samplers ignore failed trials, so an infeasible trial is stored as a pruned trial that
violates a constraint. Pruners skip such a trial, because it has no value.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces import Float, Int, OptunaSpace, SearchSpace, canonical_json
from search_spaces.errors import EngineError
from studies.definition import check_options, split_options
from studies.definition.seeds import sampler_seed
from studies.engines.engine_protocol import Curve, EngineSettings
from tracking.records import FINISHED_STATES, BestEpoch, Proposal, TrialRecord, TrialResult

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

INFEASIBLE: Final = "constraints:feasible"
"""The attribute for a constraint named "feasible". In Optuna, a value above 0 violates it."""

_NOTING: Final = ("successive-halving", "hyperband")
"""Pruners that write attributes to each trial, and read the attributes to judge later trials."""

_QUASI_RANDOM = "optuna:quasi-random"
_GRID = "optuna:grid"


class OptunaTrials:
    """The part of an `Engine` that keeps its trials in an Optuna study, and prunes them.

    Attributes:
        space: The search space as Optuna's distributions.
        tried: The values of all trials, as canonical JSON.
        count: The number of trials, which is also the number of the next trial.
    """

    def __init__(self, settings: EngineSettings) -> None:
        import optuna

        from studies.engines.optuna_subclasses import Memory

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = OptunaSpace(settings.space)
        self.tried: set[str] = set()
        name_of_pruner, options = split_options(settings.pruner)
        self._takes_notes = name_of_pruner in _NOTING
        # When a trial is restored, a pruner in `_NOTING` judges the trial again, to write the
        # attributes. For this, the pruner needs to see the other trials only if one of its settings
        # is "auto". Otherwise the other trials are hidden from it, which saves time.
        self._sees_others = "auto" in options.values()
        self._storage = Memory()
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
        import optuna

        trial_id, states = self._id(number), optuna.trial.TrialState
        # Optuna's samplers ignore failed trials, so infeasible trials are stored as pruned too.
        stored = states.COMPLETE if state == "complete" else states.PRUNED
        if state == "infeasible":
            self._storage.set_trial_system_attr(trial_id, INFEASIBLE, 1.0)
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
        self._grid = settings.space.grid() if self._engine == _GRID else iter(())

    def ask(self, choice: Mapping[str, Any] | None = None) -> Proposal | None:
        number = self.count
        values: dict[str, Any] | None
        if choice is not None:
            values = self.declared(choice)
        elif self._engine == _GRID:
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


def make_sampler(engine: str, space: OptunaSpace, seed: int) -> BaseSampler:
    """Returns a sampler for one trial. `engine` may contain settings of the sampler."""
    import optuna

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
            from studies.engines.optuna_subclasses import (
                DeclaredTPESampler,
                FeasibleTPESampler,
            )

            if jointly and not grouped:
                return DeclaredTPESampler(space, **options)
            return FeasibleTPESampler(**{**grouped, **options})
        if name == "optuna:cma-es":
            return optuna.samplers.CmaEsSampler(
                **{"seed": seed, "warn_independent_sampling": False, **options}
            )
        # `OptunaEngine` makes grid and quasi-random proposals without a sampler.
        return optuna.samplers.RandomSampler(seed=seed)


def sampler_settings(engine: str) -> dict[str, str]:
    """Returns the types of a sampler's settings, by the settings' names.

    Only settings whose values are numbers or words are included.
    """
    import optuna

    samplers: dict[str, Any] = {
        "optuna:tpe": optuna.samplers.TPESampler,
        "optuna:cma-es": optuna.samplers.CmaEsSampler,
        "optuna:random": optuna.samplers.RandomSampler,
    }
    return {} if engine not in samplers else plain_settings(samplers[engine])


def plain_settings(kind: Any) -> dict[str, str]:
    """Returns the types of the arguments of a class, by the arguments' names.

    Only arguments whose values are numbers or words are included.
    """
    parameters = inspect.signature(kind).parameters.values()
    types = {parameter.name: str(parameter.annotation) for parameter in parameters}
    plain, other = re.compile(r"\b(int|float|bool|str)\b"), re.compile("Callable|dict|list")
    return {n: text for n, text in types.items() if plain.search(text) and not other.search(text)}


def check_sampler(engine: str, space: SearchSpace) -> None:
    """Raises EngineError if one of Optuna's engines can't serve a space."""
    if engine == _GRID:
        for parameter in space:
            if parameter.count is None:
                raise EngineError(
                    "The grid engine needs finitely many values, and "
                    f"{parameter.name!r} is continuous",
                    hint="Give this parameter a step, or use optuna:quasi-random.",
                )
    if engine == "optuna:cma-es" and not any(isinstance(p, (Float, Int)) for p in space):
        raise EngineError(
            "The CMA-ES engine needs at least one Float or Int in the space, and there is none",
            hint="Use optuna:tpe.",
        )


def make_pruner(pruner: str, epochs: int) -> BasePruner:
    """Returns a pruner; raises Optuna's ValueError for a wrong value of a setting."""
    import optuna

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
        check_options(f"The pruner {name}", plain_settings(kind), options)
        return kind(**{**usual, **options})  # type: ignore[no-any-return]
