"""Keras Tuner's RandomSearch as in its guide: it writes its own files, and no MLflow."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner

from benchmarks.peers.job import Job, Recorder
from benchmarks.peers.works import OBJECTIVE, Parameter, Range, Whole
from benchmarks.peers.works_data import load


def value(hp: keras_tuner.HyperParameters, parameter: Parameter) -> Any:
    """Returns the value of a hyperparameter, and declares it."""
    name = parameter.name
    if isinstance(parameter, Range):
        sampling = "log" if parameter.log else "linear"
        return hp.Float(name, parameter.low, parameter.high, sampling=sampling)
    if isinstance(parameter, Whole):
        return hp.Int(name, parameter.low, parameter.high)
    if parameter.values == (False, True):
        return hp.Boolean(name)
    return hp.Choice(name, list(parameter.values))


def main() -> None:
    """Runs the job."""
    job, recorder = Job.from_command_line(), Recorder()
    (x, y), validation = load(job.data)

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        values = {parameter.name: value(hp, parameter) for parameter in job.work.space}
        return job.work.build(values)

    class Noting(keras_tuner.RandomSearch):  # type: ignore[misc]
        """Notes when a trial is over; the rest is Keras Tuner's."""

        def run_trial(self, *arguments: Any, **options: Any) -> Any:
            histories = super().run_trial(*arguments, **options)
            self.history = histories[0]
            return histories

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            best = max(self.history.history[OBJECTIVE])
            recorder.trial_ended(trial.hyperparameters.values, len(self.history.epoch), best)

    tuner = Noting(
        build,
        objective=OBJECTIVE,
        max_trials=job.trials,
        # Keras Tuner takes a seed of 0 for no seed.
        seed=job.seed + 1,
        directory=job.folder,
        project_name=job.work.name,
    )
    tuner.search(
        x,
        y,
        batch_size=job.work.batch_size,
        epochs=job.epochs,
        validation_data=validation,
        verbose=0,
    )
    recorder.write(job.folder)


if __name__ == "__main__":
    main()
