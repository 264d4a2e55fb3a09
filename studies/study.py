"""The Study: data, model builder, search space, objective, engine, budget and seed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.keras_tuner_declarations import is_keras_tuners, space_of_keras_tuners
from search_spaces.tailoring import Tailoring
from studies.class_weights import check_class_weight
from studies.data import AnyDataset, DataError, Dataset, StreamedDataset, datasets
from studies.engine_objects import name_of_object
from studies.engine_options import checked_option, split_options, with_options
from studies.errors import StudyError, near_matches
from studies.objective import make_objective
from studies.seeds import check_seed
from studies.setting_checks import (
    check_count,
    check_initial,
    check_seconds,
    check_target,
    is_count,
)
from studies.settings import (
    DEFAULT_ENGINE,
    DEFAULT_PRUNER,
    DEFAULT_TRAINER,
    check_engine,
    check_pruner,
    check_trainer,
    check_verify,
)
from tracking.names import check_study_name
from tracking.records import Objective

if TYPE_CHECKING:
    from pathlib import Path

    from studies.budget import AtTheEnd
    from studies.executors import ExecutorName
    from studies.reproduction import Reproduction
    from studies.settings import Verify
    from tracking.history import StudyHistory
    from tracking.records import TrainerName

_Kind = TypeVar("_Kind")

Builder = Any
"""A function of the hyperparameters, or an object with such a method `build`."""
CallbackBuilder = Callable[[Hyperparameters], Sequence[Any]]
DataBuilder = Callable[[Hyperparameters], AnyDataset]
ClassWeights = Mapping[int, float] | str | None

DEFAULT_EPOCHS = 20
DEFAULT_BATCH_SIZE = 32
_HYPERBAND = "keras-tuner:hyperband"
_AS_DECLARED = Tailoring()

# What may be given at launch instead of in the study file.
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
    "initial",
    "tailoring",
    "trainer",
    "deterministic",
    "timeout",
    "target",
    "patience",
    "trial_timeout",
)


def _refusing_unknown(kind: type[_Kind]) -> type[_Kind]:
    """Makes a dataclass say what may be meant by an argument that it does not have."""
    known = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    initialize = kind.__init__

    @functools.wraps(initialize)
    def checked(self: _Kind, *args: Any, **given: Any) -> None:
        for name in given:
            if name not in known:
                raise StudyError(f"A study has no setting {name!r}.{near_matches(name, known)}")
        initialize(self, *args, **given)

    kind.__init__ = checked  # type: ignore[method-assign, assignment]
    return kind


@_refusing_unknown
@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A tuning study: a plain object in a plain Python file.

    Example:
        ```python
        import kerastudy as ks
        import keras

        def build(hp):
            model = keras.Sequential([
                keras.layers.Input((64,)),
                keras.layers.Dense(64, activation="relu"),
                keras.layers.Dropout(hp["dropout"]),
                keras.layers.Dense(10, activation="softmax"),
            ])
            model.compile(keras.optimizers.Adam(hp["learning_rate"]),
                          loss="sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        study = ks.Study(
            "digits", data=ks.datasets.digits(), build=build,
            space=ks.SearchSpace(ks.learning_rate(), ks.dropout()),
            objective="val_accuracy", trials=40, epochs=20,
        )
        ```

    Attributes:
        name: What the store, MLflow and the registry call it; any script, spaces too.
        data: What to train and validate on. Or a function of the hyperparameters that returns it,
            if it depends on them, such as on a window's length. It may declare some, as a builder
            may.
        build: Takes the hyperparameters, returns a compiled Keras model: a function, one written
            for Keras Tuner (`build(hp)`) or Optuna (`create_model(trial)`) as it is, or a
            `keras_tuner.HyperModel`.
        space: What may be tried. Parameters named ``epochs`` and ``batch_size`` are also used
            by the training itself. Or a `keras_tuner.HyperParameters`. What the builder declares
            beside it is tuned too. None: found by tracing the builder, see `discover`.
        objective: A metric that the model logs; an `Objective` for one that Keras lacks. Keras's
            own may have a name of yours.
        trials: Trials in total, at least 1; launching again goes on to this number.
        epochs: Epochs of a trial, at least 1, unless ``epochs`` is in the space.
        batch_size: Samples per step, at least 1, unless ``batch_size`` is in the space, or the
            data comes in batches.
        seed: 0 to 2**32 - 1. Same seed, same study.
        engine: Such as ``"optuna:tpe"``. Or one of Optuna's samplers or Keras Tuner's oracles, as
            an object or a class: its kind and its settings are taken, see `engine_objects`.
        pruner: Such as ``"median"``; ``"none"`` trains every trial to its end. Or one of Optuna's.
        engine_options: Settings of the engine by name, such as ``{"n_startup_trials": 20}``. They
            become a part of its name, by which the record knows it.
        pruner_options: Likewise of the pruner, such as ``{"n_warmup_steps": 3}``.
        keep: Checkpoints to keep: those of the best so many trials; None keeps all.
        threads: TensorFlow's threads per trial. It changes bits, so it belongs to the study.
            None: 1, or what TensorFlow already uses if it runs in this process.
        callbacks: Takes the hyperparameters, returns a list of new Keras callbacks.
        trainer: What trains: ``"auto"``, ``"compiled"`` (an error where that is not exact) or
            ``"plain"`` (`model.fit`). They come to the same bits.
        repeats: Trainings of each trial, at least 1, each under a seed of its own. A trial's value
            is then their mean.
        initial: Values of the first trials; what one leaves out has its default.
        tailoring: What of the space varies, is fixed, or has another range: what ``--only``,
            ``--fix`` and ``--set`` give.
        optimizer: Compiles the model with it, in place of the builder's own: a name, or an
            optimizer that each trial gets a copy of.
        loss: Likewise.
        metrics: Likewise.
        class_weight: How much the samples of each class count in training, and in training only,
            as in `model.fit`: weights by class, where one without counts 1, or ``"balanced"``,
            by scikit-learn's rule from the training part. For a single output of classes. Or a
            function of the hyperparameters that returns one of these.
        deterministic: Whether a study with several workers must depend on no timing: trial k is
            then proposed, and pruned, by what trials up to k minus the number of workers came to.
            With one worker it is so anyway.
        timeout: Seconds, above 0, that a launch may take; time in which the computer sleeps, or
            the launch is stopped (SIGSTOP), does not count. None: as long as it takes.
        target: Value of the objective at which the study ends, its trials done or not.
        patience: Finished trials, at least 1, without a better value after which it ends.
        trial_timeout: Seconds that a training may take, likewise. At the next epoch's end it is
            cut, with its best epoch; one that does not come to that is ended with its worker
            process, and infeasible.
        notes: What the study is for; shown in the MLflow UI.

    Raises:
        StudyError: If any of these is not as described. Its text says what was received.
    """

    name: str = field(kw_only=False)
    data: AnyDataset | DataBuilder
    build: Builder
    space: SearchSpace | Any | None = None
    objective: str | Objective = "val_loss"
    trials: int = 20
    epochs: int = DEFAULT_EPOCHS
    batch_size: int = DEFAULT_BATCH_SIZE
    seed: int = 0
    engine: Any = DEFAULT_ENGINE
    pruner: Any = DEFAULT_PRUNER
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    keep: int | None = 10
    threads: int | None = None
    callbacks: CallbackBuilder | None = None
    trainer: str = DEFAULT_TRAINER
    repeats: int = 1
    initial: Sequence[Mapping[str, Any]] = ()
    tailoring: Tailoring = _AS_DECLARED
    optimizer: Any = None
    loss: Any = None
    metrics: Sequence[Any] | Mapping[str, Any] | None = None
    class_weight: ClassWeights | Callable[[Hyperparameters], ClassWeights] = None
    deterministic: bool = False
    timeout: float | None = None
    target: float | None = None
    patience: int | None = None
    trial_timeout: float | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        """Checks the definition."""
        self._replace("name", check_study_name(self.name))
        if not isinstance(self.data, Dataset | StreamedDataset) and not callable(self.data):
            raise StudyError(
                "A study's data must come from kerastudy.datasets: datasets.arrays(x, y), "
                "datasets.npz(path), datasets.batches(train, validation) or datasets.digits(); or "
                f"be a function of hp that returns such data. Received: {self.data!r:.200}"
            )
        if not callable(self.build) and not callable(getattr(self.build, "build", None)):
            raise StudyError(
                "A study's build must be a function of hp, or a keras_tuner.HyperModel. "
                f"Received: {self.build!r:.200}"
            )
        self._check_space()
        if self.callbacks is not None and not callable(self.callbacks):
            raise StudyError(
                "A study's callbacks must be a function of hp that returns a list of new "
                f"callbacks: they keep state, so trials can't share them. "
                f"Received: {self.callbacks!r:.200}"
            )
        for name in ("trials", "epochs", "batch_size", "repeats"):
            check_count(name, getattr(self, name))
        for name in ("keep", "threads", "patience"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("timeout", "trial_timeout"):
            if getattr(self, name) is not None:
                check_seconds(name, getattr(self, name))
        if self.target is not None:
            check_target(self.target)
        if not isinstance(self.deterministic, bool):
            raise StudyError(
                f"deterministic must be True or False. Received: {self.deterministic!r}."
            )
        try:
            check_seed(self.seed)
        except ValueError as error:
            raise StudyError(str(error)) from None
        self._replace("objective", make_objective(self.objective))
        self._replace("engine", self._named("engine", check_engine))
        self._replace("pruner", self._named("pruner", check_pruner))
        self._replace("trainer", check_trainer(self.trainer))
        self._replace("initial", check_initial(self.initial))
        if not callable(self.class_weight):
            self._replace("class_weight", check_class_weight(self.class_weight))
        self._check_training_parameters()

    def _named(self, what: str, check: Callable[[object], str]) -> str:
        """Returns the name of the engine or the pruner with its settings, which are then in it."""
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

    def with_space(self, space: SearchSpace) -> Study:
        """Returns the study with a space that is tailored already.

        Raises:
            StudyError: If ``epochs`` or ``batch_size`` in it can't be used by the training.
        """
        return dataclasses.replace(self, space=space, tailoring=_AS_DECLARED)

    def with_objective(self, objective: Objective) -> Study:
        """Returns the study with its objective's direction, once a model has told it."""
        return dataclasses.replace(self, objective=objective)

    def with_overrides(self, overrides: Mapping[str, Any]) -> Study:
        """Returns the study with some settings replaced.

        Args:
            overrides: Values by name, of `OVERRIDABLE`; ``data`` may be the path of an npz file.

        Raises:
            StudyError: If one is not a setting that can be replaced, or its value is wrong.
        """
        unknown = sorted(set(overrides) - {*OVERRIDABLE, "data"})
        if unknown:
            hint = near_matches(unknown[0], [*OVERRIDABLE, "data"])
            raise StudyError(f"{unknown[0]!r} cannot be given at launch.{hint}")
        for name in ("epochs", "batch_size"):
            if name in overrides and self.space is not None and name in self.space:
                value = overrides[name]
                raise StudyError(
                    f"{name!r} is a hyperparameter in this study's search space, so it cannot be "
                    f"given as a setting. Received: {value!r}. Fix it by --fix {name}={value}, or "
                    "give it other values by --set."
                )
        replaced = dict(overrides)
        if isinstance(replaced.get("data"), str):
            try:
                replaced["data"] = datasets.npz(replaced["data"])
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

    def launch(
        self,
        *,
        store: str | Path | None = None,
        executor: ExecutorName | None = None,
        workers: int | None = None,
        progress: bool = True,
        at_the_end: AtTheEnd = "finish",
        tracking_uri: str | None = None,
        verify: Verify = "some",
        retry_infeasible: bool = False,
        **overrides: Any,
    ) -> StudyHistory:
        """Runs the study, or goes on with it, until it has its trials.

        Args:
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            executor: ``"in-process"``, or ``"worker"`` for processes of their own; None: the
                latter if ``workers`` is given.
            workers: Trials to run at once, at least 1, each in a worker process; None, with
                ``executor="worker"``: ``KERASTUDY_WORKERS``, or as many as suit the machine and
                the study.
            progress: Whether to show progress on standard error.
            at_the_end: What becomes of trials that run when ``timeout``, ``target`` or ``patience``
                ends the study: ``"finish"``, or ``"cut"`` after their present epoch, from where
                the next launch goes on with them.
            tracking_uri: Address of an MLflow server, such as ``"http://127.0.0.1:5000"``, that is
                to have the study too; None: the one of the launch before, or of
                ``MLFLOW_TRACKING_URI``; ``"off"``: none.
            verify: How much of the best trial is trained once more, by plain `model.fit`, and
                compared before it is registered: ``"full"``, all its epochs; ``"some"``, its first
                ones if all would take longer than a tenth of the launch; ``"off"``, none.
            retry_infeasible: Whether trials that were infeasible are trained again, with the same
                values: for when what made them fail is mended.
            **overrides: Settings to replace: `OVERRIDABLE`.

        Returns:
            The study as recorded: what ``kerastudy show`` shows, as an object.

        Raises:
            StudyError: If the study cannot be run as defined.
            TrackingError: If the store cannot be used, or has the study with another definition.
            KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it; launch again to go on.
        """
        from studies.launching import launch_study
        from studies.self_launching import launched_while_loading

        passed_over = launched_while_loading(self)
        if passed_over is not None:
            return passed_over
        return launch_study(
            self.with_overrides(overrides),
            defined_name=self.name,
            store=store,
            executor=executor,
            workers=workers,
            progress=progress,
            at_the_end=at_the_end,
            tracking_uri=tracking_uri,
            verify=check_verify(verify),
            retry_infeasible=retry_infeasible,
        )

    def reproduce(
        self,
        trial: int | None = None,
        *,
        store: str | Path | None = None,
        engine: str | None = None,
        trainer: TrainerName = "plain",
        progress: bool = True,
    ) -> Reproduction:
        """Runs a trial of the study again in a new process, and compares bit for bit.

        By plain `model.fit`, so that what is identical is what Keras by itself comes to.

        With the study as it is here: for notebooks, whose code is not in the record. Studies of
        files are reproduced from the record alone by ``kerastudy reproduce``.

        Args:
            trial: Its number; None for the best.
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            engine: The engine that proposed it, if the study was launched with several; None for
                that of the best trial.
            trainer: ``"plain"``, or ``"compiled"`` to run it by the compiled trainer.
            progress: Whether to show progress on standard error.

        Returns:
            What came of it; `Reproduction.identical` says whether it is the same.

        Raises:
            StudyError: If the study can't be loaded in the new process, or is to be compiled and
                can't be.
            TrackingError: If the store has no such study or trial.
        """
        from studies.reproduction import reproduce_study

        return reproduce_study(
            self,
            trial,
            store=store,
            engine=None if engine is None else check_engine(engine),
            trainer=check_trainer(trainer),
            progress=progress,
        )

    def _check_training_parameters(self) -> None:
        if isinstance(self.data, StreamedDataset):
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
            if self.space is None or name not in self.space:
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
