"""Ray Tune with OptunaSearch and its MLflow callback, on a cluster: two trials at a time."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.job import Job, Recorder
from benchmarks.peers.ray_cluster import ADDRESS_VARIABLE
from benchmarks.peers.works import OBJECTIVE, WORKS, Parameter, Range, Whole
from benchmarks.peers.works_data import load

CONCURRENT = 2


def train(config: dict[str, Any], work: str, data: str, epochs: int) -> None:
    """Runs one trial; Ray calls it in a process of its own."""
    import keras

    (x, y), validation = load(Path(data))
    model = WORKS[work].build(config)

    class Report(keras.callbacks.Callback):  # type: ignore[misc]
        """Reports each epoch, with a checkpoint if it is the best so far."""

        best = float("-inf")

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            metrics = dict(logs or {})
            if metrics[OBJECTIVE] <= self.best:
                tune.report(metrics)
                return
            self.best = metrics[OBJECTIVE]
            with TemporaryDirectory() as folder:
                self.model.save(Path(folder) / "best.keras")
                tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))

    model.fit(
        x,
        y,
        batch_size=WORKS[work].batch_size,
        epochs=epochs,
        validation_data=validation,
        verbose=0,
        callbacks=[Report()],
    )


class Noting(tune.Callback):  # type: ignore[misc]
    """Notes when a trial is over."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """See Ray's callback."""
        best = trial.metric_analysis[OBJECTIVE]["max"]
        self._recorder.trial_ended(trial.config, trial.last_result["training_iteration"], best)


def domain(parameter: Parameter) -> Any:
    """Returns a hyperparameter in Ray's terms."""
    if isinstance(parameter, Range):
        return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)
    if isinstance(parameter, Whole):
        # Ray excludes the upper end.
        return tune.randint(parameter.low, parameter.high + 1)
    return tune.choice(list(parameter.values))


def main() -> None:
    """Runs the job."""
    job, recorder = Job.from_command_line(), Recorder()
    space = {parameter.name: domain(parameter) for parameter in job.work.space}
    ray.init(os.environ[ADDRESS_VARIABLE])
    tuner = tune.Tuner(
        tune.with_parameters(train, work=job.work.name, data=str(job.data), epochs=job.epochs),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode="max",
            search_alg=OptunaSearch(seed=job.seed),
            num_samples=job.trials,
            max_concurrent_trials=CONCURRENT,
        ),
        run_config=tune.RunConfig(
            storage_path=str(job.folder / "ray"),
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=1,
                checkpoint_score_attribute=OBJECTIVE,
                checkpoint_score_order="max",
            ),
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=job.tracking_uri,
                    experiment_name=job.work.name,
                    save_artifact=True,
                ),
                # This callback comes after MLflow's: a trial is over when its record is written.
                Noting(recorder),
            ],
        ),
    )
    tuner.fit()
    ray.shutdown()
    recorder.write(job.folder)


if __name__ == "__main__":
    main()
