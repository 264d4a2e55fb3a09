"""The peers' searches, as their documentation has them, until one trial reaches the target.

    python -m benchmarks.time_to_target.peers SYSTEM TARGET --work dense --data … --folder … …

No peer logs to MLflow here; kerastudy does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.job import Job, Recorder
from benchmarks.peers.optuna_space import suggest
from benchmarks.peers.works import OBJECTIVE, WORKS
from benchmarks.peers.works_data import load


class Search:
    """Notes the trials of a search, and ends the process once one reaches the target."""

    def __init__(self, job: Job, target: float) -> None:
        self.job = job
        self._target, self._recorder = target, Recorder()

    def trial_ended(self, values: Mapping[str, Any], epochs: int, best: float) -> None:
        """Notes a trial."""
        self._recorder.trial_ended(values, epochs, best)
        if best >= self._target:
            self._recorder.write(self.job.folder)
            # The search would go on, and Ray and Keras Tuner have no way to end one from inside.
            os._exit(0)


def _optuna(search: Search, pruner: str) -> None:
    import keras
    import optuna

    job = search.job
    (x, y), validation = load(job.data)
    pruners = {"none": optuna.pruners.NopPruner(), "median": optuna.pruners.MedianPruner()}

    def objective(trial: optuna.Trial) -> float:
        keras.utils.clear_session()
        values = suggest(trial, job.work)

        def report(epoch: int, logs: Mapping[str, float]) -> None:
            trial.report(logs[OBJECTIVE], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        history = job.work.build(values).fit(
            x,
            y,
            batch_size=job.work.batch_size,
            epochs=job.epochs,
            validation_data=validation,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
        )
        best: float = max(history.history[OBJECTIVE])
        search.trial_ended(values, len(history.epoch), best)
        return best

    sampler = optuna.samplers.TPESampler(seed=job.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruners[pruner])
    study.optimize(objective, n_trials=job.trials)


def _keras_tuner(search: Search, name: str) -> None:
    import keras
    import keras_tuner

    from benchmarks.peers.random_search import value

    job = search.job
    (x, y), validation = load(job.data)

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        return job.work.build({p.name: value(hp, p) for p in job.work.space})

    kind = {"Hyperband": keras_tuner.Hyperband, "Bayesian": keras_tuner.BayesianOptimization}[name]
    length = {"max_epochs": job.epochs} if name == "Hyperband" else {"max_trials": job.trials}

    class Noting(kind):  # type: ignore[misc, valid-type]
        """Notes the trials that end; the rest is Keras Tuner's."""

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            search.trial_ended(trial.hyperparameters.values, trial.best_step, trial.score)

    tuner = Noting(
        build,
        objective=OBJECTIVE,
        seed=job.seed + 1,
        directory=job.folder,
        project_name=job.work.name,
        **length,
        **({"hyperband_iterations": 100} if name == "Hyperband" else {}),
    )
    epochs = {} if name == "Hyperband" else {"epochs": job.epochs}
    tuner.search(
        x, y, batch_size=job.work.batch_size, validation_data=validation, verbose=0, **epochs
    )


def _train_on_ray(config: dict[str, Any], work: str, data: str, epochs: int) -> None:
    import keras
    from ray import tune

    (x, y), validation = load(Path(data))
    WORKS[work].build(config).fit(
        x,
        y,
        batch_size=WORKS[work].batch_size,
        epochs=epochs,
        validation_data=validation,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: tune.report(logs))],
    )


def _ray(search: Search) -> None:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    from benchmarks.peers.ray_tune import CONCURRENT, domain

    job = search.job

    class Noting(tune.Callback):  # type: ignore[misc]
        """Notes the trials that end."""

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            best = trial.metric_analysis[OBJECTIVE]["max"]
            search.trial_ended(trial.config, trial.last_result["training_iteration"], best)

    tune.Tuner(
        tune.with_parameters(
            _train_on_ray, work=job.work.name, data=str(job.data), epochs=job.epochs
        ),
        param_space={parameter.name: domain(parameter) for parameter in job.work.space},
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode="max",
            scheduler=ASHAScheduler(max_t=job.epochs),
            num_samples=job.trials,
            max_concurrent_trials=CONCURRENT,
        ),
        run_config=tune.RunConfig(
            storage_path=str(job.folder / "ray"), callbacks=[Noting()], verbose=0
        ),
    ).fit()


SEARCHES: dict[str, tuple[str, Callable[[Search], None]]] = {
    "optuna": ("Optuna TPE", lambda search: _optuna(search, "none")),
    "optuna-median": ("Optuna TPE, median pruner", lambda search: _optuna(search, "median")),
    "keras-tuner-hyperband": (
        "Keras Tuner Hyperband",
        lambda search: _keras_tuner(search, "Hyperband"),
    ),
    "keras-tuner-bayesian": (
        "Keras Tuner Bayesian",
        lambda search: _keras_tuner(search, "Bayesian"),
    ),
    "ray-asha": ("Ray Tune ASHA", _ray),
}


if __name__ == "__main__":
    system, target = sys.argv.pop(1), float(sys.argv.pop(1))
    SEARCHES[system][1](Search(Job.from_command_line(), target))
