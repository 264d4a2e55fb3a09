"""The class `Study`, which users make: settings, and methods to launch it and read its record."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never, TypeVar

from search_spaces.errors import StudyError
from search_spaces.texts import near_match, suggestion
from studies.definition import StudyDefinition
from tracking.records import settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from studies.champion import Promotion, Reproduction
    from studies.definition import ExecutorName, RayOptions, Verify
    from studies.results import StudyResults
    from tracking.records import (
        Confirmation,
        Evaluation,
    )

_Kind = TypeVar("_Kind")


def _refusing_unknown(kind: type[_Kind]) -> type[_Kind]:
    """Makes a dataclass refuse an unknown argument and suggest the nearest setting."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
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
        name: The name in the store and in MLflow. It may have spaces, and letters of any script.
        data: The data to train and validate on, from `kerastudy.datasets`.
        build: A function that takes the hyperparameters and returns a compiled Keras model, or a
            `keras_tuner.HyperModel`. Functions written for Keras Tuner (`build(hp)`) or Optuna
            (`create_model(trial)`) work, too.
        space: The search space. Parameters named ``epochs`` and ``batch_size`` are used in
            training. Hyperparameters that only the builder declares are tuned, too. None: the space
            has the hyperparameters that the builder declares.
        objective: A metric that the model logs, or an `Objective` for a metric of your own, or of
            one of several outputs.
        trials: The number of trials, at least 1. After a launch that was stopped, the next launch
            runs the trials that are missing.
        epochs: The number of epochs of each trial, at least 1. It is ignored if the space has a
            parameter named ``epochs``.
        batch_size: The number of samples per step, at least 1. It is ignored if the space has a
            parameter named ``batch_size``, or if the data comes in batches.
        seed: A number from 0 to 2**32 - 1. The same seed gives the same study.
        engine: The name of an engine, such as ``"optuna:tpe"``, perhaps with settings, such as
            ``"optuna:tpe,n_startup_trials=20"``. Or an Optuna sampler or a Keras Tuner oracle, as
            an object or a class. The study reads the object's class and settings, and does not use
            the object itself.
        pruner: The name of a pruner, such as ``"median"`` or ``"median,n_warmup_steps=3"``, or an
            Optuna pruner. ``"none"``: every trial is trained to its end. None: ``"none"``, but
            ``"median"`` for an objective function, as in Optuna.
        callbacks: A list of Keras callbacks, of which each training gets copies. Or a function that
            takes the hyperparameters and returns new callbacks.
        class_weight: The weight of each class in training, as in `model.fit`. A class without a
            weight has the weight 1. ``"balanced"``: the weights follow from the training part, by
            scikit-learn's rule. Or a function of the hyperparameters that returns one of these.
            The model must have a single output of classes, and the data must not come in batches.
        objective_function: A function like Optuna's ``objective(trial)``, which takes the place of
            data and builder. It loads data, trains models and returns a number. Its calls of
            `model.fit` are recorded. To find the search space, kerastudy runs the function up to
            its first call of `model.fit`.
        direction: Whether to ``"maximize"`` or ``"minimize"`` the number of an objective function.
            None: minimize, as in Optuna.
        initial: The hyperparameters of the first trials: a list with a dict for each trial, or a
            JSON file with such a list. Hyperparameters that a dict lacks get their defaults. Or
            ``"study:NAME"``: the best ten trials of another study in the store. Trials whose
            hyperparameters are not in this space are skipped. If ``try_defaults`` is set, these
            trials follow trial 0.
        tailoring: Changes of the space, as by ``--only`` and ``--set``:
            ``kerastudy.Tailoring(ranges={"dropout": "0.1..0.5"})``.
        cross_validation: A number of folds, or a way to split, such as
            ``kerastudy.splits.forward(5)``. The data, without its test part, is split into folds,
            and a trial trains a new model for each fold. The trial's value is the objective's mean
            over the folds, at the epoch where this mean is best. A pruned trial has no value. The
            champion is one more model with the best trial's hyperparameters. It is trained on the
            data of all folds, up to the trial's best epoch. ``class_weight="balanced"`` counts the
            samples of all folds.
        repeats: The number of trainings of each trial, at least 1. They have different seeds, and
            the trial's value is the mean of their values.
        timeout: The time limit of a launch in seconds, above 0. Trials that run at that time are
            still finished. Time in which the computer sleeps does not count. None: no limit.
        trial_timeout: The time limit of a training in seconds, above 0. A training that takes
            longer stops at the end of the present epoch, and its best epoch counts.
        stop_at: A value of the objective. A trial that reaches it ends the study.
        patience: The study ends when this many finished trials in a row, at least 1, have brought
            no better value.
        try_defaults: Whether trial 0 has the space's defaults. Its value shows the gain of tuning.
            A study that is resumed keeps the choice of its first launch.
        keep: How many of the best trials keep their checkpoints. None: all trials.
        threads: The number of TensorFlow's threads for each trial. With another number, the last
            bits of the results change. None: 1, or the number that TensorFlow already uses in this
            process.
        trainer: ``"auto"``: the faster compiled trainer, if it gives the same bits as `model.fit`.
            ``"plain"``: always `model.fit`.
        notes: The purpose of the study. The MLflow UI shows it.

    Raises:
        StudyError: If a setting is not as described.
    """

    def __repr__(self) -> str:
        """Returns one line: the study's name, objective, hyperparameters, engine and trials."""
        space = "a space to discover"
        if self.space is not None:
            space = f"{len(self.space.names)} hyperparameters"
        metric = getattr(self.objective, "metric", self.objective)
        return f"<study {self.name!r}: {metric}, {space}, {self.engine}, {self.trials} trials>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Never:
            """Raises AttributeError, with a suggestion if `.history()` has such an attribute."""
            from studies.results import StudyResults

            text = f"'Study' has no attribute {name!r}."
            if not name.startswith("_"):
                if name in dir(StudyResults):
                    text += f" Its results in the store have it: .history().{name}"
                elif near := near_match(name, dir(StudyResults)):
                    text += f" {near} Its results in the store have that: .history()"
            raise AttributeError(text, name=name, obj=self)

    def _repr_html_(self) -> str:
        from studies.results import definition_html

        return definition_html(self)

    def launch(
        self,
        *,
        store: str | Path | None = None,
        executor: ExecutorName | None = None,
        workers: int | None = None,
        progress: bool = True,
        tracking_uri: str | None = None,
        verify: Verify = "some",
        retry_infeasible: bool = False,
        report: bool | None = None,
        ray: RayOptions | None = None,
        **overrides: Any,
    ) -> StudyResults:
        """Runs the study, or resumes it, until all its trials are done.

        Args:
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            executor: Where trials run: ``"in-process"``, ``"worker"`` (worker processes) or
                ``"ray"`` (a Ray cluster). None: ``"worker"`` if ``workers`` is given, ``"ray"`` if
                ``ray`` is given, else ``"in-process"``.
            workers: The number of trials to run at the same time, at least 1, each in a worker
                process. None, with ``executor="worker"``: the number in the environment variable
                ``KERASTUDY_WORKERS``, or as many as suit the machine and the study.
            progress: Whether to show progress on standard error.
            tracking_uri: The address of an MLflow server that also gets the study, such as
                ``"http://127.0.0.1:5000"``. ``"off"``: no server. None: the server of the last
                launch, or of ``MLFLOW_TRACKING_URI``.
            verify: How many epochs of the best trial are trained again by plain `model.fit`, and
                compared, before the trial is registered as the champion. ``"full"``: all epochs.
                ``"some"``: all epochs, or only the first epochs if training all again would take
                longer than a tenth of the launch. ``"off"``: none.
            retry_infeasible: Whether to train infeasible trials again, with the same values. Mend
                the cause first.
            report: Whether to write the report of ``kerastudy report``. None: yes, unless
                ``KERASTUDY_REPORT`` is ``"off"``.
            ray: The Ray cluster, and the resources that a trial reserves there. None, with
                ``executor="ray"``: the cluster at ``RAY_ADDRESS``.
            **overrides: Settings of the study to replace, such as ``trials=100``.

        Returns:
            The recorded study, as ``kerastudy show`` shows it.

        Raises:
            StudyError: If the study cannot be run as defined.
            TrackingError: If the store cannot be used, or has the study with another definition.
            KeyboardInterrupt: If Ctrl-C or SIGTERM stopped the launch. Launch again to resume.
        """
        options = locals()
        from studies.definition import LaunchOptions
        from studies.launching import launch_study
        from studies.results import StudyResults
        from studies.user_code import launched_while_loading

        missing = launched_while_loading(self)
        if missing is not None:
            return missing  # type: ignore[return-value]
        settings = LaunchOptions(**{name: options[name] for name in settings_of(LaunchOptions)})
        return StudyResults.of(*launch_study(self, settings, overrides))

    def history(self, *, store: str | Path | None = None) -> StudyResults:
        """Returns the study's record in the store.

        Args:
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

        Raises:
            StudyNotFoundError: If the store does not have the study.
        """
        from studies.results import StudyResults, read_study

        return StudyResults.of(read_study(self.name, store=store), self)

    def reproduce(
        self,
        trial: int | None = None,
        *,
        store: str | Path | None = None,
        progress: bool = True,
    ) -> Reproduction:
        """Trains a trial of the study again in a new process, and compares the results bit for bit.

        Plain `model.fit` trains the trial. So "identical" means that Keras alone gives the same
        bits.

        This method runs the present code of this object, for example in a notebook, whose code is
        not recorded. The command ``kerastudy reproduce`` runs the recorded code.

        Args:
            trial: The trial's number. None: the champion, or if there is none, the best trial.
            store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
            progress: Whether to show progress on standard error.

        Returns:
            The comparison. `Reproduction.identical` says whether both trainings gave the same bits.

        Raises:
            StudyError: If the study can't be loaded in the new process, or if its data has changed.
            TrackingError: If the store has no such study or trial.
        """
        from studies.champion import opened, reproduce

        with opened(self, store, progress=progress) as recorded:
            return reproduce(recorded, trial)

    def evaluate(self, trial: int | None = None, **options: Any) -> Evaluation:
        """Evaluates the champion, or a trial, on the sealed test part; see `kerastudy.evaluate`.

        Args:
            trial: The trial's number. None: the champion.
            **options: Options of `kerastudy.evaluate`: ``store``, ``progress``.
        """
        from studies.champion import evaluate

        return evaluate(self, trial, **options)

    def confirm(self, **options: Any) -> Confirmation:
        """Trains the best trials again under new seeds; see `kerastudy.confirm`.

        Args:
            **options: Options of `kerastudy.confirm`: ``top``, ``seeds``, ``budget``, ``store`` and
                others.
        """
        from studies.champion import confirm

        return confirm(self, **options)

    def promote(self, trial: int | None = None, **options: Any) -> Promotion:
        """Registers the checkpoint of a trial as the champion; see `kerastudy.promote`.

        Args:
            trial: The trial's number. None: the best trial.
            **options: Options of `kerastudy.promote`: ``reason``, ``store`` and others.
        """
        from studies.champion import promote

        return promote(self, trial, **options)
