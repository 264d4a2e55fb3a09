"""Optuna with MLflow's autologging of TensorFlow: it records parameters, metrics and models."""

from __future__ import annotations

import keras
import mlflow
import optuna

from benchmarks.peers.job import Job, Recorder
from benchmarks.peers.optuna_space import sampler, suggest
from benchmarks.peers.works import OBJECTIVE
from benchmarks.peers.works_data import load


def main() -> None:
    """Runs the job."""
    job, recorder = Job.from_command_line(), Recorder()
    (x, y), validation = load(job.data)
    mlflow.set_tracking_uri(job.tracking_uri)
    mlflow.set_experiment(job.work.name)
    # MLflow keeps a checkpoint of the best epoch, by default of the lowest validation loss.
    mlflow.tensorflow.autolog(checkpoint_monitor=OBJECTIVE, checkpoint_mode="max")

    def objective(trial: optuna.Trial) -> float:
        keras.utils.clear_session()
        values = suggest(trial, job.work)
        with mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
            mlflow.log_params(values)
            history = job.work.build(values).fit(
                x,
                y,
                batch_size=job.work.batch_size,
                epochs=job.epochs,
                validation_data=validation,
                verbose=0,
            )
            best: float = max(history.history[OBJECTIVE])
        recorder.trial_ended(values, len(history.epoch), best)
        return best

    study = optuna.create_study(direction="maximize", sampler=sampler(job.work, job.seed))
    with mlflow.start_run(run_name="study"):
        study.optimize(objective, n_trials=job.trials)
    recorder.write(job.folder)


if __name__ == "__main__":
    main()
