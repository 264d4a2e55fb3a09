"""A study's definition as a value: data, builder, space, objective, engine, budget, seed.

Everything below a launch sees this. Users hold a `Study`, which can also be launched.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from search_spaces import (
    Hyperparameters,
    SearchSpace,
    Tailoring,
    is_keras_tuners,
    space_of_keras_tuners,
)
from search_spaces.errors import DataError, StudyError, suggestion
from studies.data import (
    CrossValidation,
    DescribedData,
    Grouped,
    check_cross_validation,
    replaced_data,
)
from studies.definition.class_weights import check_class_weight
from studies.definition.engine_options import (
    checked_option,
    name_of_object,
    split_options,
    with_options,
)
from studies.definition.objective import (
    PRUNER,
    check_no_objective_settings,
    check_objective_engine,
    check_objective_study,
    check_overrides,
    make_objective,
)
from studies.definition.seeds import check_seed
from studies.definition.settings import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_ENGINE,
    DEFAULT_EPOCHS,
    DEFAULT_PRUNER,
    DEFAULT_TRAINER,
    check_callbacks,
    check_count,
    check_engine,
    check_initial,
    check_pruner,
    check_seconds,
    check_stop_at,
    check_trainer,
    is_count,
)
from tracking.records import Objective
from tracking.store.folder import check_study_name

Builder = Any
"""A function of the hyperparameters, or an object with such a method `build`."""
CallbackBuilder = Callable[[Hyperparameters], Sequence[Any]]
DataBuilder = Callable[[Hyperparameters], DescribedData]
ClassWeights = Mapping[int, float] | str | None

_HYPERBAND = "keras-tuner:hyperband"
_AS_DECLARED = Tailoring()

# Settings that a launch may replace.
OVERRIDABLE = (
    "name",
    "engine",
    "engine_options",
    "pruner",
    "pruner_options",
    "trials",
    "epochs",
    "batch_size",
    "seed",
    "keep",
    "repeats",
    "try_defaults",
    "cross_validation",
    "initial",
    "tailoring",
    "trainer",
    "deterministic",
    "timeout",
    "stop_at",
    "patience",
    "trial_timeout",
    "direction",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyDefinition:
    """A study's definition. Its attributes are described at `Study`."""

    name: str = field(kw_only=False)
    data: DescribedData | DataBuilder | None = None
    build: Builder = None
    objective_function: Callable[[Any], Any] | None = None
    direction: str | None = None
    space: SearchSpace | Any | None = None
    objective: str | Objective = "val_loss"
    trials: int = 20
    epochs: int = DEFAULT_EPOCHS
    batch_size: int = DEFAULT_BATCH_SIZE
    seed: int = 0
    engine: Any = DEFAULT_ENGINE
    pruner: Any = None
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    keep: int | None = 10
    threads: int | None = None
    callbacks: CallbackBuilder | None = None
    trainer: str = DEFAULT_TRAINER
    repeats: int = 1
    try_defaults: bool = True
    cross_validation: CrossValidation | int | None = None
    initial: Sequence[Mapping[str, Any]] | str | os.PathLike[str] = ()
    tailoring: Tailoring = _AS_DECLARED
    optimizer: Any = None
    loss: Any = None
    metrics: Sequence[Any] | Mapping[str, Any] | None = None
    class_weight: ClassWeights | Callable[[Hyperparameters], ClassWeights] = None
    deterministic: bool = False
    timeout: float | None = None
    stop_at: float | None = None
    patience: int | None = None
    trial_timeout: float | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        """Checks the definition."""
        self._replace("name", check_study_name(self.name))
        if self.objective_function is not None:
            self._replace("objective", check_objective_study(self))
            # What the code of the study is, and what errors name.
            self._replace("build", self.objective_function)
        else:
            check_no_objective_settings(self)
            self._check_parts()
        if self.pruner is None:
            self._replace("pruner", DEFAULT_PRUNER if self.objective_function is None else PRUNER)
        self._check_space()
        self._check_settings()

    def _check_parts(self) -> None:
        if not isinstance(self.data, DescribedData) and not callable(self.data):
            raise StudyError(
                "A study's data must come from kerastudy.datasets: datasets.arrays(x, y), "
                "datasets.npz(path), datasets.table(path, target=...), datasets.batches(train, "
                "validation) or datasets.digits(); or "
                f"be a function of hp that returns such data. Received: {self.data!r:.200}"
            )
        if not callable(self.build) and not callable(getattr(self.build, "build", None)):
            raise StudyError(
                "A study's build must be a function of hp, or a keras_tuner.HyperModel. "
                f"Received: {self.build!r:.200}"
            )
        if self.callbacks is not None:
            check_callbacks(self.callbacks)

    def _check_settings(self) -> None:
        for name in ("trials", "epochs", "batch_size", "repeats"):
            check_count(name, getattr(self, name))
        for name in ("keep", "threads", "patience"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("timeout", "trial_timeout"):
            if getattr(self, name) is not None:
                check_seconds(name, getattr(self, name))
        if self.stop_at is not None:
            check_stop_at(self.stop_at)
        for name in ("deterministic", "try_defaults"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise StudyError(f"{name} must be True or False. Received: {value!r}.")
        check_seed(self.seed)
        self._replace("cross_validation", cross_validation_of(self))
        self._replace("objective", make_objective(self.objective))
        self._replace("engine", self._named("engine", check_engine))
        if self.objective_function is not None:
            check_objective_engine(self)
        self._replace("pruner", self._named("pruner", check_pruner))
        self._replace("trainer", check_trainer(self.trainer))
        self._replace("initial", check_initial(self.initial))
        if not callable(self.class_weight):
            self._replace("class_weight", check_class_weight(self.class_weight))
        self._check_training_parameters()

    def _named(self, what: str, check: Callable[[object], str]) -> str:
        """Returns the name of the engine or the pruner, with its settings."""
        given, options = getattr(self, what), getattr(self, f"{what}_options")
        if not isinstance(given, str) and given is not None:
            given = name_of_object(what, given, self.epochs)
        name, before = split_options(check(given))
        for key, value in options.items():
            checked_option(key, value)
        self._replace(f"{what}_options", {})
        return with_options(name, {**before, **options})

    def _check_space(self) -> None:
        if is_keras_tuners(self.space):
            self._replace("space", space_of_keras_tuners(self.space))
        if self.space is not None and not isinstance(self.space, SearchSpace):
            raise StudyError(
                "A study's space must be a SearchSpace, a keras_tuner.HyperParameters, or None to "
                f"find it by tracing the builder. Received: {self.space!r:.200}"
            )

    def with_space(self, space: SearchSpace) -> Self:
        """Returns the study with a tailored space."""
        return dataclasses.replace(self, space=space, tailoring=_AS_DECLARED)

    def with_objective(self, objective: Objective) -> Self:
        """Returns the study with its objective's direction, found by a model."""
        return dataclasses.replace(self, objective=objective)

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """Returns the study with some settings replaced."""
        unknown = sorted(set(overrides) - {*OVERRIDABLE, "data"})
        if unknown:
            hint = suggestion(unknown[0], [*OVERRIDABLE, "data"])
            raise StudyError(f"{unknown[0]!r} cannot be given at launch. {hint}")
        for name in ("epochs", "batch_size"):
            if name in overrides and self.space is not None and name in self.space:
                value = overrides[name]
                raise StudyError(
                    f"{name!r} is a hyperparameter in this study's search space, so it cannot be "
                    f"given as a setting. Received: {value!r}. Give it other values by --set, "
                    f"such as --set {name}={value}."
                )
        check_replaced(overrides)
        check_overrides(overrides, self)
        replaced = dict(overrides)
        if isinstance(replaced.get("data"), str):
            try:
                replaced["data"] = replaced_data(replaced["data"], self.data)
            except DataError as error:
                raise StudyError(str(error)) from None
        engine = replaced.get("engine")
        if (
            isinstance(engine, str)
            and split_options(engine)[0] == _HYPERBAND
            and "pruner" not in replaced
        ):
            # The file's pruner is for the file's engine; Hyperband stops trials itself.
            replaced["pruner"] = "none"
        return dataclasses.replace(self, **replaced)

    def _check_training_parameters(self) -> None:
        if isinstance(self.data, DescribedData) and self.data.in_batches:
            given = "" if self.batch_size == DEFAULT_BATCH_SIZE else f"batch_size={self.batch_size}"
            if self.space is not None and "batch_size" in self.space:
                given = "'batch_size' in the search space"
            if given:
                raise StudyError(
                    "The data of this study comes in batches, which have a size of their own. "
                    f"Received: {given}. Leave it out, and make batches of that size; a size to "
                    "tune needs data from datasets.arrays."
                )
        for name in ("epochs", "batch_size"):
            # An objective function reads them itself.
            if self.space is None or name not in self.space or self.objective_function is not None:
                continue
            parameter = self.space[name]
            values = parameter.grid_values()
            if parameter.when or values is None or not all(is_count(v) for v in values):
                raise StudyError(
                    f"{name!r} in the search space must be whole numbers of at least 1, without "
                    f"a condition, since the training uses it. Received: {parameter!r}."
                )

    def _replace(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def cross_validation_of(study: StudyDefinition) -> CrossValidation | None:
    """Returns how a study splits its data into folds, or None."""
    try:
        how = check_cross_validation(study.cross_validation)
    except DataError as error:
        raise StudyError(str(error)) from None
    if how is None:
        return None
    data: object = study.data
    if not isinstance(data, DescribedData):
        _refuse("a function of hp makes its data", "Give data that is the same for all trials")
    if data.in_batches:
        _refuse("its data comes in batches", "Take data from datasets.arrays")
    if callable(study.class_weight):
        _refuse("its class_weight is a function of hp", "Give weights, or 'balanced'")
    if study.repeats > 1:
        _refuse(
            f"it has repeats={study.repeats}",
            "Folds have seeds of their own already; kerastudy.splits.repeated draws them again",
        )
    return how


def check_replaced(overrides: Mapping[str, Any]) -> None:
    """Refuses groups that only a launch gives: the record does not hold them."""
    if isinstance(overrides.get("cross_validation"), Grouped):
        raise StudyError(
            "Groups can't be given at launch alone, as the record does not hold them, and trials "
            "could not be reproduced. Give them in the study: Study(cross_validation=…)."
        )


def check_no_own_fit(study: StudyDefinition) -> None:
    """Refuses a HyperModel that trains by itself: it may need validation data of its own."""
    if study.cross_validation is not None:
        _refuse("its HyperModel has its own fit", "Leave the fit out: then model.fit trains it")


def _refuse(why: str, what_to_do: str) -> NoReturn:
    raise StudyError(f"The study can't be cross-validated: {why}. {what_to_do}.")
