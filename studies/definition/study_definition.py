"""The class `StudyDefinition`, which has all settings of a study and checks them together.

Users make objects of its subclass `Study`, which can also be launched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from search_spaces import SearchSpace, Tailoring
from search_spaces import argument_checks as checks
from search_spaces.errors import DataError, StudyError
from search_spaces.texts import suggestion
from studies.data import CrossValidation, DescribedData, replaced_data
from studies.definition.engine_and_pruner_names import HYPERBAND, name_of_object, split_options
from studies.definition.launch_options_and_unrecorded_settings import LaunchOptions, StudySettings
from studies.definition.objective import (
    PRUNER,
    check_no_objective_settings,
    check_objective_study,
    make_objective,
)
from studies.library_internals import ranges_of_grid
from tracking.records import RecordedSettings, check_settings, settings_of


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyDefinition(RecordedSettings, StudySettings):
    """A study's definition. Its attributes are described at `Study`."""

    def __post_init__(self) -> None:
        """Checks the definition."""
        if grid := ranges_of_grid(self.engine):
            only, ranges = self.tailoring
            self._replace("tailoring", Tailoring(only, {**grid, **ranges}))
        for name in ("engine", "pruner"):
            value = getattr(self, name)
            if not isinstance(value, str) and value is not None:
                self._replace(name, name_of_object(name, value, self.epochs))
        if self.pruner is None:
            self._replace("pruner", "none" if self.objective_function is None else PRUNER)
        check_settings(self)
        if self.objective_function is not None:
            self._replace("objective", check_objective_study(self))
            # Code that asks for the builder, e.g. to record its file, gets the objective function.
            self._replace("build", self.objective_function)
        else:
            check_no_objective_settings(self)
        self._replace("objective", make_objective(self.objective))
        self._check_folds()
        self._check_space()

    def _check_folds(self) -> None:
        if self.cross_validation is None:
            return
        if isinstance(self.data, DescribedData) and self.data.in_batches:
            _refuse("its data comes in batches", "Take data from datasets.arrays")
        if callable(self.class_weight):
            _refuse("its class_weight is a function of hp", "Give weights, or 'balanced'")
        if self.repeats > 1:
            _refuse(f"it has repeats={self.repeats}", "Folds have seeds of their own already")

    def _check_space(self) -> None:
        if isinstance(self.data, DescribedData) and self.data.in_batches:
            self._check_no_batch_size()
        # An objective function itself chooses its epochs and its batch size.
        if self.space is None or self.objective_function is not None:
            return
        for parameter in self.space:
            if parameter.name in ("epochs", "batch_size"):
                values = parameter.grid_values() or [0]
                if parameter.when or not all(checks.is_whole(v) and v >= 1 for v in values):
                    raise StudyError.of_setting(
                        f"{parameter.name!r} in the search space",
                        "whole numbers of at least 1, without a condition, since every training "
                        "needs it",
                        repr(parameter),
                    )

    def _check_no_batch_size(self) -> None:
        default = RecordedSettings.batch_size
        received = "" if self.batch_size == default else f"batch_size={self.batch_size}"
        if self.space is not None and "batch_size" in self.space:
            received = "'batch_size' in the search space"
        if received:
            raise StudyError(
                f"The data of this study comes in batches, which have a size: {received} has no "
                "effect",
                hint="Leave it out, and make batches of the size that you want. To tune the size, "
                "take data from datasets.arrays.",
            )

    def with_space(self, space: SearchSpace) -> Self:
        """Returns the study with a space that already has the changes of `tailoring`."""
        return dataclasses.replace(self, space=space, tailoring=Tailoring())

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """Returns the study with the settings that a launch gives in place of the study's own."""
        for name, value in overrides.items():
            if name not in OVERRIDABLE:
                hint = suggestion(name, [*OVERRIDABLE, *settings_of(LaunchOptions)])
                raise StudyError(f"{name!r} cannot be given at launch", hint=hint)
            if name in ("epochs", "batch_size") and self.space is not None and name in self.space:
                raise StudyError(
                    f"{name!r} is a hyperparameter in this study's search space, so it cannot be "
                    "given as a setting",
                    received=value,
                    hint=f"Give it other values by --set, such as --set {name}={value}.",
                )
        folds = overrides.get("cross_validation")
        if isinstance(folds, CrossValidation) and folds.name:
            raise StudyError(
                f"{folds!r} can't be given only at launch, because the record does not hold it in "
                "full, so trials could not be reproduced",
                hint="Give it in the study: Study(cross_validation=…). A launch takes a number.",
            )
        if "data" in overrides and self.objective_function is not None:
            raise StudyError(
                f"The objective_function of the study {self.name!r} loads its data itself, so "
                "--data can't replace it",
                hint="Change the function, or let it read the file's name from a variable.",
            )
        replaced = dict(overrides)
        if isinstance(replaced.get("data"), str):
            try:
                replaced["data"] = replaced_data(replaced["data"], self.data)
            except DataError as error:
                raise error.of_kind(StudyError) from None
        engine = replaced.get("engine")
        # Hyperband itself stops trials. So the pruner in the study's file, which was chosen for
        # another engine, is dropped.
        if isinstance(engine, str) and split_options(engine)[0] == HYPERBAND:
            replaced.setdefault("pruner", "none")
        return dataclasses.replace(self, **replaced)

    def _replace(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


OVERRIDABLE = [name for name, setting in settings_of(StudyDefinition).items() if setting.at_launch]
"""The names of the settings that a launch may replace."""


def check_no_own_fit(study: StudyDefinition) -> None:
    """Raises StudyError for a cross-validated study whose HyperModel has its own `fit`.

    Such a `fit` may validate on other data than the fold's validation part.
    """
    if study.cross_validation is not None:
        _refuse("its HyperModel has its own fit", "Leave the fit out, so that model.fit trains")


def _refuse(why: str, what_to_do: str) -> NoReturn:
    raise StudyError(f"The study can't be cross-validated: {why}. {what_to_do}.")
