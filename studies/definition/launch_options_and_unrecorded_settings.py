"""Declares the options of a launch, and settings of a study that can't be recorded as they are.

Such settings are e.g. data and callbacks. `tracking.records.recorded_settings` declares the other
settings of a study, and explains what a declaration is. This module imports no library, so that
``kerastudy launch --help`` is quick.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError
from studies.definition.engine_and_pruner_names import check_engine, check_pruner
from studies.definition.objective import DIRECTIONS, check_objective
from tracking.records import (
    ADVANCED,
    BUDGET,
    DEFAULT_ENGINE,
    OUTPUT,
    SEARCH,
    TUNE,
    WHERE,
    check_settings,
    declaration,
    setting,
)

if TYPE_CHECKING:
    from search_spaces import Hyperparameters, SearchSpace, Tailoring
    from studies.data import CrossValidation, DescribedData
    from tracking.records import Objective

Builder = Any
"""A function of the hyperparameters, or an object whose method `build` is such a function."""
CallbackBuilder = Callable[["Hyperparameters"], Sequence[Any]]
ClassWeights = Mapping[int, float] | str | None

OF_A_STUDY: Final = "study:"
"""The prefix in ``--start-with study:NAME``, which starts with the best trials of study NAME."""


def _study_name(name: str, value: Any, *, error: checks.Error) -> str:
    from tracking.store import check_study_name

    return check_study_name(value)


def _data(name: str, value: Any, *, error: checks.Error) -> DescribedData:
    from studies.data import DescribedData

    expected = (
        "from kerastudy.datasets: datasets.arrays(x, y), datasets.npz(path), "
        "datasets.table(path, target=...), datasets.batches(train, validation) or datasets.digits()"
    )
    of_hp = "Code that depends on hp, such as a window's length, belongs in the builder."
    hint = of_hp if callable(value) else ""
    return checks.instance(name, value, error, DescribedData, expected, hint)


def _build(name: str, value: Any, *, error: checks.Error) -> Any:
    if callable(value) or callable(getattr(value, "build", None)):
        return value
    raise error.of_setting(name, "a function of hp, or a keras_tuner.HyperModel", value)


def _space(name: str, value: Any, *, error: checks.Error) -> SearchSpace:
    from search_spaces import SearchSpace

    expected = "a SearchSpace, or None to find it by tracing the builder"
    inline = "Declare the hyperparameters in the builder, and tailor them by --set and --only."
    hint = inline if hasattr(value, "conditional_scope") else ""
    return checks.instance(name, value, error, SearchSpace, expected, hint)


def _engine(name: str, value: Any, *, error: checks.Error) -> str:
    return check_engine(value)


def _pruner(name: str, value: Any, *, error: checks.Error) -> str:
    return check_pruner(value)


def _callbacks(name: str, value: Any, *, error: checks.Error) -> Any:
    """Returns a function of hp. A list becomes a function that returns copies of its callbacks."""
    if callable(value):
        return value
    hint = ""
    if isinstance(value, (list, tuple)):
        try:
            # The copies made here stay as they are, even if the callbacks are used elsewhere.
            return partial(_copies, copy.deepcopy(list(value)))
        except Exception as fault:
            hint = f"Write a function of hp, as these can't be copied for each trial: {fault}."
    expected = "a list of Keras callbacks, or a function of hp that returns new ones"
    raise error.of_setting(name, expected, value, hint)


def _copies(callbacks: list[Any], hp: Hyperparameters) -> list[Any]:
    # Callbacks keep state, so trials can't share them.
    return copy.deepcopy(callbacks)


def _class_weight(name: str, value: Any, *, error: checks.Error) -> Any:
    from studies.definition.class_weights import check_class_weight

    return value if callable(value) else check_class_weight(value)


def _objective_function(name: str, value: Any, *, error: checks.Error) -> Any:
    if callable(value) and not isinstance(value, type):
        return value
    raise error.of_setting(name, "a function of a trial that returns a number", value)


def check_initial(
    name: str, value: Any, *, error: checks.Error = StudyError
) -> tuple[dict[str, Any], ...] | str:
    """Checks `initial`: the hyperparameters of a study's first trials, or where to read them.

    A text that begins with "study:" names another study. Any other text is the path of a file.
    """
    if isinstance(value, (str, os.PathLike)) and os.fspath(value) not in ("", OF_A_STUDY):
        return str(os.fspath(value))
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if is_list and all(isinstance(values, Mapping) for values in value):
        return tuple(map(dict, value))
    expected = (
        "a list of values by name, such as [{'learning_rate': 0.01}]; a JSON file of these; "
        "or study:NAME, for the best trials of another study"
    )
    raise error.of_setting(name, expected, value)


def _as_declared() -> Tailoring:
    from search_spaces import Tailoring

    return Tailoring()


def _tailoring(name: str, value: Any, *, error: checks.Error) -> Tailoring:
    from search_spaces import Tailoring

    expected = "a Tailoring, such as Tailoring(ranges={'dropout': '0.1..0.5'})"
    return checks.instance(name, value, error, Tailoring, expected)


def _cross_validation(name: str, value: Any, *, error: checks.Error) -> CrossValidation:
    from studies.data import check_cross_validation

    return check_cross_validation(name, value, error)


@dataclass(frozen=True, kw_only=True, eq=False)
class StudySettings:
    """A study's settings that are not recorded as they are, e.g. data. `Study` describes them."""

    name: str = field(
        kw_only=False,
        metadata=declaration(
            "Another name for the study, which then starts as a new study.", _study_name, TUNE
        ),
    )
    data: DescribedData | None = setting(
        None, "The data. --data replaces it by the data in a file.", _data
    )
    build: Builder = setting(
        None, "A function of hp that returns a compiled Keras model.", _build, at_launch=False
    )
    space: SearchSpace | None = setting(
        None,
        "The search space; left out, it is found by tracing the builder.",
        _space,
        at_launch=False,
    )
    objective: str | Objective = setting(
        "val_loss", "The metric to optimize.", check_objective, at_launch=False, another_study=True
    )
    engine: Any = setting(
        DEFAULT_ENGINE,
        "The engine that proposes trials, such as optuna:tpe; see above.",
        _engine,
        SEARCH,
        another_study=True,
    )
    pruner: Any = setting(
        None,
        "The pruner that stops bad trials early, such as median; see above.",
        _pruner,
        SEARCH,
        another_study=True,
    )
    callbacks: CallbackBuilder | Sequence[Any] | None = setting(
        None,
        "A list of Keras callbacks, or a function of hp that makes them.",
        _callbacks,
        at_launch=False,
    )
    class_weight: ClassWeights | Callable[[Hyperparameters], ClassWeights] = setting(
        None,
        "How much the samples of each class count in training.",
        _class_weight,
        at_launch=False,
        another_study=True,
    )
    objective_function: Callable[[Any], Any] | None = setting(
        None,
        "In place of data and builder: a function of a trial that returns a number.",
        _objective_function,
        at_launch=False,
    )
    direction: str | None = setting(
        None,
        "Whether to maximize or minimize an objective function.  [default: minimize]",
        partial(checks.choice, names=DIRECTIONS),
        TUNE,
        reads=tuple(DIRECTIONS),
    )
    initial: Sequence[Mapping[str, Any]] | str | os.PathLike[str] = setting(
        (),
        "Values of the next trials: a JSON file, or the best ten trials of another study.",
        check_initial,
        TUNE,
        option="--start-with",
        reads="FILE|study:NAME",
        another_study=True,
    )
    tailoring: Tailoring = field(
        default_factory=_as_declared,
        metadata=declaration("Changes of the space, as by --set and --only.", _tailoring),
    )
    cross_validation: CrossValidation | int | None = setting(
        None,
        "Cross-validate with this number of folds. The test part is in no fold.",
        _cross_validation,
        BUDGET,
        option="--folds",
        reads=int,
        another_study=True,
    )
    threads: int | None = setting(
        None,
        "TensorFlow's threads of a trial.",
        checks.whole_number,
        at_launch=False,
        another_study=True,
    )
    trainer: str = setting(
        "auto",
        "How trials are trained: auto, or plain (model.fit).",
        partial(checks.choice, names=("auto", "plain")),
    )


ExecutorName = Literal["in-process", "worker", "ray"]
Verify = Literal["full", "some", "off"]
"""How much of the best trial's training `model.fit` repeats before the model is registered."""

_HOST_AND_PORT: Final = re.compile(r"[^\s/]+:(\d+)")


def check_address(name: str, value: Any, *, error: checks.Error = StudyError) -> str:
    """Checks the form of a Ray cluster's address, without a connection to the cluster."""
    if isinstance(value, str):
        match = _HOST_AND_PORT.fullmatch(value)
        if value == "auto" or (match and 0 < int(match[1]) < 2**16):
            return value
    raise error.of_setting(
        "The address of a Ray cluster",
        "'auto' on a machine of the cluster, or 'HOST:PORT' of its head",
        value,
        "This address is of Ray's client or job server." if "://" in str(value) else "",
    )


def _gpus(name: str, value: Any, *, error: checks.Error) -> float:
    if checks.is_real(value) and (0 <= value <= 1 or (value > 1 and value == int(value))):
        return value
    raise error.of_setting(name, "a whole number, or a share of one GPU such as 0.5", value)


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """A Ray cluster, and the resources of each trial on it.

    Attributes:
        address: The address of the cluster: ``"auto"`` for the cluster that this machine belongs
            to, or ``"HOST:PORT"`` of the cluster's head. None: the address in ``RAY_ADDRESS``.
        cpus_per_trial: The CPUs that Ray reserves for a trial, above 0. None: as many as the trial
            has threads.
        gpus_per_trial: The GPUs that Ray reserves for a trial, or a share of one, such as 0.5.
            None: 1 if the cluster has GPUs.

    Raises:
        StudyError: If an option is not valid.
    """

    address: str | None = setting(
        None,
        "The Ray cluster: auto, or HOST:PORT of its head.  [default: $RAY_ADDRESS]",
        check_address,
        WHERE,
    )
    cpus_per_trial: float | None = setting(
        None,
        "CPUs that Ray reserves for a trial.  [default: its threads]",
        checks.positive_number,
        WHERE,
    )
    gpus_per_trial: float | None = setting(
        None,
        "GPUs for a trial, such as 1 or 0.5.  [default: 1 if the cluster has GPUs]",
        _gpus,
        WHERE,
    )

    def __post_init__(self) -> None:
        """Checks the options."""
        check_settings(self)


def check_workers(workers: int | None, executor: str | None) -> None:
    """Checks the number of workers, which must be None if the executor is "in-process"."""
    if workers is not None:
        checks.whole_number("workers", workers, StudyError)
        if executor == "in-process":
            raise StudyError(
                "The executor 'in-process' runs one training at a time, in this process, so it "
                "takes no number of workers",
                received=workers,
                hint="Leave one of the two out.",
            )


def _server(name: str, value: Any, *, error: checks.Error) -> str:
    from tracking.mlflow import check_server

    return check_server(value)


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """The options of a launch. `Study.launch` describes them."""

    store: str | Path | None = setting(
        None,
        "The store's folder, as by --store.",
        partial(checks.instance, kind=(str, os.PathLike), expected="the path of a folder"),
    )
    executor: ExecutorName | None = setting(
        None,
        "Where trials run: in worker processes, in this one, or on a Ray cluster.  "
        "[default: ray if an option of Ray is given, else worker]",
        partial(checks.choice, names=get_args(ExecutorName)),
        WHERE,
        reads=("worker", "in-process", "ray"),
    )
    workers: int | None = setting(
        None,
        "Trials to run at once.  [default: $KERASTUDY_WORKERS, or what suits the machine]",
        checks.whole_number,
        WHERE,
    )
    progress: bool = setting(True, "Whether to show progress; --quiet shows none.", checks.truth)
    tracking_uri: str | None = setting(
        None,
        "An MLflow server that gets a copy of the study, such as http://127.0.0.1:5000, or off.  "
        "[default: the server of the last launch, or $MLFLOW_TRACKING_URI]",
        _server,
        WHERE,
    )
    verify: Verify = setting(
        "some",
        "Train the best trial again by model.fit before it is registered: in full, for at most a "
        "tenth of the launch's time, or not at all.",
        partial(checks.choice, names=get_args(Verify)),
        ADVANCED,
        reads=get_args(Verify),
    )
    retry_infeasible: bool = setting(
        False,
        "Train infeasible trials again, once you have mended what made them fail.",
        checks.truth,
        ADVANCED,
    )
    report: bool | None = setting(
        None,
        "Whether to write a report of the study.  [default: unless $KERASTUDY_REPORT is off]",
        checks.truth,
        OUTPUT,
        option="--report/--no-report",
    )
    ray: RayOptions | None = setting(
        None,
        "The Ray cluster, and a trial's resources there.",
        partial(
            checks.instance,
            kind=RayOptions,
            expected="a RayOptions, such as RayOptions(address='auto')",
        ),
    )

    def __post_init__(self) -> None:
        """Checks the options."""
        check_settings(self)
        if self.ray is not None and self.executor not in (None, "ray"):
            raise StudyError(
                f"Options of a Ray cluster have no effect with the executor {self.executor!r}",
                hint="Leave them out, or use the executor 'ray'.",
            )
        check_workers(self.workers, self.executor)

    @property
    def reports(self) -> bool:
        """Whether the launch writes a report."""
        if self.report is not None:
            return self.report
        return os.environ.get("KERASTUDY_REPORT", "") not in ("off", "0")

    @property
    def place(self) -> Path:
        """The store's folder."""
        from tracking.store import default_store_path

        return default_store_path() if self.store is None else Path(self.store)

    def runs_in(self, otherwise: ExecutorName) -> ExecutorName:
        """Returns the executor that the options choose, or ``otherwise`` if they choose none."""
        if self.executor is not None:
            return self.executor
        if self.ray is not None:
            return "ray"
        return otherwise if self.workers is None else "worker"
