"""The `Study` that users make: its definition and its methods."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never, TypeVar, get_args

from search_spaces import checks
from search_spaces.errors import StudyError, suggestion
from studies.definition import StudyDefinition, check_engine
from tracking.records import Objective, TrainerName

if TYPE_CHECKING:
    from pathlib import Path

    from studies.champion import Promotion, Reproduction
    from studies.definition import AtTheEnd, ExecutorName, RayOptions, Verify
    from studies.results.study_results import StudyResults
    from tracking.records.checks import Confirmation, Evaluation

_Kind = TypeVar("_Kind")


def _refusing_unknown(kind: type[_Kind]) -> type[_Kind]:
    """Makes a dataclass refuse an unknown argument and suggest the nearest setting."""
    names = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    initialize = kind.__init__

    @functools.wraps(initialize)
    def checked(self: _Kind, *args: Any, **settings: Any) -> None:
        for name in settings:
            if name not in names:
                raise StudyError(f"A study has no setting {name!r}", hint=suggestion(name, names))
        initialize(self, *args, **settings)

    kind.__init__ = checked  # type: ignore[method-assign, assignment]
    return kind


@_refusing_unknown
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Study(StudyDefinition):
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
        name: The name in the store, MLflow and the registry, in any script; it may have spaces.
        data: The data to train and validate on. Or a function of the hyperparameters that returns
            data, for example with a window's length. It may declare hyperparameters, like a
            builder.
        build: A function that takes the hyperparameters and returns a compiled Keras model, also
            one written for Keras Tuner (`build(hp)`) or Optuna (`create_model(trial)`); or a
            `keras_tuner.HyperModel`.
        space: The search space, or a `keras_tuner.HyperParameters`. The training itself also uses
            parameters named ``epochs`` and ``batch_size``. Hyperparameters that only the builder
            declares are tuned too. None: found by tracing the builder, see `discover`.
        objective: A metric that the model logs; an `Objective` for a metric of your own.
        trials: Trials in total, at least 1; launching again resumes up to this number.
        epochs: Epochs of a trial, at least 1, unless ``epochs`` is in the space.
        batch_size: Samples per step, at least 1, unless ``batch_size`` is in the space, or the
            data comes in batches.
        seed: 0 to 2**32 - 1. Same seed, same study.
        engine: Such as ``"optuna:tpe"``, or with settings ``"optuna:tpe,n_startup_trials=20"``. Or
            one of Optuna's samplers or Keras Tuner's oracles, as an object or a class: its kind and
            its settings are used.
        pruner: Such as ``"median"`` or ``"median,n_warmup_steps=3"``; ``"none"`` trains every trial
            to its end. Or one of Optuna's pruners. None: no pruner, but the median for an objective
            function, as in Optuna.
        callbacks: A function that takes the hyperparameters and returns new Keras callbacks.
        compile: Arguments that replace those of the builder's `model.compile`: ``optimizer``,
            ``loss`` and ``metrics``, such as ``{"optimizer": "adam"}``. Each trial gets copies.
        class_weight: How much the samples of each class count in training, and in training only,
            as in `model.fit`: weights by class, 1 for a class without one; or ``"balanced"``,
            by scikit-learn's rule from the training part. For a single output of classes. Or a
            function of the hyperparameters that returns one of these.
        objective_function: A function of a trial in place of data and builder, as Optuna's
            ``objective(trial)``: it loads its data, trains its models and returns a number. Its
            calls of `model.fit` are recorded; its space is found by running it up to the first
            such call.
        direction: ``"maximize"`` or ``"minimize"`` the number of an objective function; None:
            minimize, as in Optuna.
        initial: Values of the next trials, or of the first ones without ``try_defaults``; missing
            values are the defaults. A list of values by name; a JSON or CSV file of these, also the
            CSV file of ``kerastudy export --as csv`` or Optuna's ``trials_dataframe().to_csv(…)``
            (its best ten trials); or ``"study:NAME"``, the best ten trials of another study in the
            store. Trials that are not in this space are skipped.
        tailoring: Changes of the space, as by ``--only`` and ``--set``:
            ``kerastudy.Tailoring(ranges={"dropout": "0.1..0.5"})``.
        cross_validation: A number of folds, or a way to split, such as
            ``kerastudy.splits.forward(5)``. Each trial is then trained on each fold of all data but
            the test part, each under a seed of its own, and its value is the mean over folds at the
            best epoch that they have in common. The champion is the best trial's configuration,
            trained on all of that data up to that epoch. A pruned trial has no value.
            ``class_weight="balanced"`` counts the samples of all folds.
        repeats: Trainings of each trial, at least 1, each under a seed of its own. A trial's value
            is then their mean.
        timeout: Seconds, above 0, that a launch may take. Time in which the computer sleeps
            does not count. None: no limit.
        trial_timeout: Seconds, above 0, that a training may take. A longer training stops at the
            end of its epoch, and keeps its best epoch. If the epoch does not end, the worker
            process is ended, and the trial is infeasible.
        stop_at: Value of the objective at which the study ends before its trials are done.
        patience: Finished trials, at least 1, without a better value after which the study ends.
        try_defaults: Whether trial 0 has the space's defaults, which show the gain of tuning. The
            engine gets its result too. A recorded study keeps its first choice.
        deterministic: Whether a study with several workers must not depend on timing: trial k then
            depends only on the results of trials up to k minus the number of workers, for proposals
            and pruning. A study with one worker never depends on timing.
        keep: Number of checkpoints to keep, those of the best trials; None keeps all.
        threads: TensorFlow's threads per trial. It changes bits, so it belongs to the study.
            None: 1, or the threads that TensorFlow already uses in this process.
        trainer: ``"auto"``, the faster trainer where it is exact, or ``"plain"`` (`model.fit`).
            Both give the same bits.
        notes: The purpose of the study; shown in the MLflow UI.

    Raises:
        StudyError: If a setting is not as described.
    """

    def __repr__(self) -> str:
        """Returns one line: the study's name, objective, hyperparameters, engine and trials."""
        objective = self.objective
        metric = objective.metric if isinstance(objective, Objective) else objective
        space = "a space to discover"
        if self.space is not None:
            space = f"{len(self.space.names)} hyperparameters"
        return f"<study {self.name!r}: {metric}, {space}, {self.engine}, {self.trials} trials>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Never:
            """Raises AttributeError; its text points to the results if they have the attribute."""
            from studies.results.study_results import StudyResults

            text = f"'Study' has no attribute {name!r}."
            if not name.startswith("_") and name in dir(StudyResults):
                text += f" The results of its store have it: .history().{name}"
            raise AttributeError(text, name=name, obj=self)

    def _repr_html_(self) -> str:
        from studies.results.markup import definition_markup

        return definition_markup(self)

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
        report: bool | None = None,
        ray: RayOptions | None = None,
        any_hardware: bool = False,
        **overrides: Any,
    ) -> StudyResults:
        """Runs the study, or resumes it, until it has its trials.

        Args:
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            executor: ``"in-process"``; ``"worker"`` for processes of their own; or ``"ray"`` for a
                Ray cluster. None: ``"worker"`` if ``workers`` is given, ``"ray"`` if ``ray`` is.
            workers: Trials to run at once, at least 1, each in a worker process; None, with
                ``executor="worker"``: ``KERASTUDY_WORKERS``, or as many as suit the machine and
                the study.
            progress: Whether to show progress on standard error.
            at_the_end: ``"finish"`` running trials when ``timeout``, ``stop_at`` or ``patience``
                ends the study, or ``"cut"`` them after their present epoch, from where the next
                launch resumes them.
            tracking_uri: Address of an MLflow server, such as ``"http://127.0.0.1:5000"``, that
                gets the study too; None: as in the last launch, or in ``MLFLOW_TRACKING_URI``;
                ``"off"``: none.
            verify: How much of the best trial is trained once more, by plain `model.fit`, and
                compared before it is registered: ``"full"``, all its epochs; ``"some"``, its first
                ones if all would take longer than a tenth of the launch; ``"off"``, none.
            retry_infeasible: Whether to train infeasible trials again, with the same values, after
                you mended why they failed.
            report: Whether to write a report of the study, as ``kerastudy report`` makes it, beside
                its record; None: unless ``KERASTUDY_REPORT`` is ``"off"``.
            ray: The Ray cluster, and a trial's resources there; None, with ``executor="ray"``: a
                Ray of this machine alone.
            any_hardware: Whether trials may run on other hardware than the study was begun on. Bits
                may differ then, and the record says so.
            **overrides: Settings of the study to replace, such as ``trials=100``.

        Returns:
            The recorded study, as ``kerastudy show`` shows it.

        Raises:
            StudyError: If the study cannot be run as defined.
            TrackingError: If the store cannot be used, or has the study with another definition.
            KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it; launch again to resume.
        """
        from studies.definition import LaunchOptions
        from studies.results.study_results import StudyResults
        from studies.running import launch_study
        from studies.user_code import launched_while_loading

        missing = launched_while_loading(self)
        if missing is not None:
            return missing  # type: ignore[return-value]
        options = LaunchOptions(
            store=store,
            executor=executor,
            workers=workers,
            progress=progress,
            at_the_end=at_the_end,
            tracking_uri=tracking_uri,
            verify=verify,
            retry_infeasible=retry_infeasible,
            report=report,
            ray=ray,
            any_hardware=any_hardware,
        )
        return StudyResults.of(*launch_study(self, options, overrides))

    def history(
        self, *, store: str | Path | None = None, engine: str | None = None
    ) -> StudyResults:
        """Returns what is recorded of the study.

        Args:
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            engine: Which of its engines; None for the one with the best trial of all.

        Raises:
            StudyNotFoundError: If it was not launched there.
        """
        from studies.results.study_results import StudyResults, read_study

        return StudyResults.of(read_study(self.name, store=store, engine=engine), self)

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

        The trial is trained by plain `model.fit`, so that "identical" means that Keras alone gives
        these bits.

        This uses the study of this process, for notebooks, whose code is not in the record. For
        studies in files, ``kerastudy reproduce`` needs the record alone.

        Args:
            trial: The trial's number; None for the best.
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            engine: The engine that proposed the trial, if the study was launched with several; None
                for the engine of the best trial.
            trainer: ``"plain"``, or ``"compiled"`` to use the compiled trainer.
            progress: Whether to show progress on standard error.

        Returns:
            The outcome; `Reproduction.identical` says whether it is the same.

        Raises:
            StudyError: If the study can't be loaded in the new process, or can't be compiled as
                asked.
            TrackingError: If the store has no such study or trial.
        """
        from studies.champion import reproduce_study

        return reproduce_study(
            self,
            trial,
            store=store,
            engine=None if engine is None else check_engine(engine),
            trainer=checks.choice("trainer", trainer, get_args(TrainerName), StudyError),
            progress=progress,
        )

    def evaluate(self, trial: int | None = None, **options: Any) -> Evaluation:
        """Evaluates the champion, or a trial, on the sealed test part; see `kerastudy.evaluate`.

        Args:
            trial: Its number; None for the champion.
            **options: Options of `kerastudy.evaluate`: ``store``, ``engine``, ``progress``.
        """
        from studies.champion import evaluate

        return evaluate(self, trial, **options)

    def confirm(self, **options: Any) -> Confirmation:
        """Checks the study's choice by training its best trials again; see `kerastudy.confirm`.

        Args:
            **options: Options of `kerastudy.confirm`: ``top``, ``seeds``, ``budget``, ``store`` and
                others.
        """
        from studies.champion.confirm import confirm

        return confirm(self, **options)

    def promote(self, trial: int | None = None, **options: Any) -> Promotion:
        """Registers the checkpoint of a trial as the champion; see `kerastudy.promote`.

        Args:
            trial: Its number; None for the best.
            **options: Options of `kerastudy.promote`: ``reason``, ``refit``, ``store`` and others.
        """
        from studies.champion import promote

        return promote(self, trial, **options)
